"""Spliced genes by the per-base heads: the best path of each strand through a gene's states.

The decoder writes genes from left to right and cannot go back; the per-base heads see all of a
window at once but know no rules. A path through "no gene", codon positions and introns joins the
two (`viterbi`): it begins at start codons, ends at stop codons, splices where the grammar does and
keeps the reading frame. Codons and splice sites are those of `tokens.signals`, so that level,
genetic code and AT-AC introns hold here too. Introns that split a codon remember its first bases if
one of the genetic code's stop codons begins so (T, TA and TG in most), so that splicing makes no
stop codon, and AT-AC introns have states of their own where they are legal. A path's score is the
sum of the logarithms of the state head's probabilities and, where a gene begins, ends or splices,
of the boundary head's logits, both weighed (`PathWeights`).

Example:
    signals = build_signals(windows, codes, options)
    edges = weighed_edges(boundary_logits, weights)
    genes = best_paths(signals, options, state_logits, edges, weights)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor

from genet5.decode.path_weights import PathWeights
from genet5.decode.viterbi import (
    C0,
    C1,
    C2,
    FIRST_INTRON,
    LOWEST,
    OUT,
    Float,
    FoundGene,
    StrandScores,
    search,
)
from genet5.genome.frames import five_three, frame_to_right, in_reading_order, mirrored_base
from genet5.tokens.rules import AT_AC, GT_AG, OUTSIDE, Bool, GrammarOptions, triple_code
from genet5.tokens.signals import Byte, Signals
from genet5.tokens.window import Frame, Part, WindowGene, WindowTranscript

Prefixes = tuple[Sequence[tuple[int, ...]], ...]
"""Symbols of a codon before an intron, after 0, 1 and 2 of its bases, each with a state."""


def weighed_edges(boundary_logits: Tensor, weights: PathWeights) -> Tensor:
    """Return boundary logits (N, L, 8), those of splice sites with their share of `intron`."""
    shares = torch.zeros(8)
    shares[4:] = weights.intron / 2
    return boundary_logits + shares.to(boundary_logits)


def best_paths(
    signals: Signals,
    options: GrammarOptions,
    state_logits: Float,
    boundary_logits: Float,
    weights: PathWeights | None = None,
) -> list[list[WindowGene]]:
    """Return the genes of each window's two best paths, those of the forward strand first.

    Genes that the edges cut are among them.

    Args:
        signals: Of N windows.
        options: Those that the signals were built with.
        state_logits: (N, L, 2 strands, 8 states).
        boundary_logits: (N, L, 8) start, stop, donor, acceptor, each + then -, of
            `weighed_edges`.
        weights: Of the evidence.
    """
    weights = weights or PathWeights()
    classes = (GT_AG, AT_AC) if options.at_ac and options.level == "strict" else (GT_AG,)
    strands = [
        _strand(signals, row, side, classes, state_logits[row], boundary_logits[row], weights)
        for row in range(len(signals.lengths))
        for side in (0, 1)
    ]
    lag = 1 if signals.free else options.min_intron
    genes: list[list[WindowGene]] = [[] for _ in signals.lengths]
    for index, found in enumerate(search(strands, lag, weights.edge)):
        row, strand = index // 2, (1, -1)[index % 2]
        length = int(signals.lengths[row])
        for gene in found:
            genes[row].append(_window_gene(gene, strand, length, options.coding_types[0]))
    return genes


def _window_gene(gene: FoundGene, strand: int, length: int, gene_type: str) -> WindowGene:
    """Put a gene on the window's forward strand."""
    left, right = five_three(gene.first, gene.last, strand)
    parts = gene.parts
    if strand < 0:
        parts = tuple(
            (mirrored_base(last, length), mirrored_base(first, length))
            for first, last in reversed(parts)
        )
    frame: Frame | None = None
    if left is not None:
        position = _codon_position(left)
        if strand < 0 and left >= FIRST_INTRON:  # the coding base before the intron, as read
            position = frame_to_right(position, 1, strand)
        frame = cast(Frame, position)
    transcript = WindowTranscript(
        tuple(Part("cds", first, last) for first, last in parts),
        cut_left=left is not None,
        cut_right=right is not None,
        frame=frame,
    )
    return WindowGene(gene_type, strand, (transcript,))


def _codon_position(state: int) -> int:
    """Codon position of a coding state, or of the first coding base after an intron."""
    return (state - C0) % 3


def _strand(
    signals: Signals,
    row: int,
    side: int,
    classes: Sequence[int],
    state_logits: Float,
    boundary_logits: Float,
    weights: PathWeights,
) -> StrandScores:
    """Read what a path may do on one strand (side 0 is +, 1 is -) of window `row`."""
    length, strand = int(signals.lengths[row]), (1, -1)[side]
    states = in_reading_order(state_logits[:length, side], strand)
    edges = in_reading_order(boundary_logits[:length, side::2], strand)
    is_start = in_reading_order(signals.start_codons(row, side), strand)
    stops_here = in_reading_order(signals.stop_codons(row, side), strand)
    prefixes = _stop_prefixes(signals, row)
    introns = cast(tuple[int, int, int], tuple(len(classes) * len(some) for some in prefixes))
    scores = _state_scores(states, introns) * np.float32(weights.state)
    begins = np.full(length, LOWEST, dtype=np.float32)
    opened = edges[:-2, 0] + scores[:-2, C0] + scores[1:-1, C1]
    begins[2:] = np.where(is_start[:-2], opened, LOWEST)
    is_barrier = stops_here & (not signals.free)
    return StrandScores(
        introns,
        scores,
        begins,
        np.where(stops_here, edges[:, 1], LOWEST),
        np.where(is_barrier, LOWEST, np.float32(0)),
        _donors(signals, row, side, classes, prefixes, edges[:, 2]),
        _acceptors(signals, row, side, classes, prefixes, edges[:, 3], is_barrier),
    )


def _stop_prefixes(signals: Signals, row: int) -> Prefixes:
    """What may be before an intron, by the number of a codon's bases there.

    The empty tuple stands for whatever no stop codon of the window's genetic code begins with.
    """
    stops = np.flatnonzero(signals.tables[row].stops[0] & (not signals.free)).tolist()
    firsts = sorted({(stop // 36,) for stop in stops})
    pairs = sorted({(stop // 36, stop // 6 % 6) for stop in stops})
    return ((),), ((), *firsts), ((), *pairs)


def _state_scores(logits: Float, introns: tuple[int, int, int]) -> Float:
    """(L, S) log-probability of each path state; UTR counts as outside."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    logp = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    outside = np.logaddexp(logp[:, 0], logp[:, 7])
    tracks = np.concatenate((outside[:, None], logp[:, 1:7]), axis=1)
    columns = np.repeat(FIRST_INTRON + np.arange(3), introns)
    return tracks[:, [OUT, C0, C1, C2, *columns]].astype(np.float32)


def _read(signals: Signals, row: int, side: int) -> Byte:
    """(L + 4,) Symbols in reading direction, with two beyond each end."""
    length = int(signals.lengths[row])
    symbols = signals.symbols[row, :length]
    if side:
        symbols = np.where(symbols < 4, 3 - symbols, symbols)[::-1]
    return np.pad(symbols, 2, constant_values=OUTSIDE)


def _donors(
    signals: Signals,
    row: int,
    side: int,
    classes: Sequence[int],
    prefixes: Prefixes,
    logits: Float,
) -> Float:
    """(L, I) Donors by state of intron; the window shows both bases of the site."""
    sites = in_reading_order(signals.donors(row, side), (1, -1)[side]).copy()
    sites[-2:] = 0
    read = _read(signals, row, side)
    kinds = [np.ones(len(read) - 4, dtype=bool)]
    for some in prefixes[1:]:
        matches = [_ends_in(read, prefix) for prefix in some[1:]]
        kinds += [~np.any([~kinds[0], *matches], axis=0), *matches]
    return _by_class(sites, classes, kinds, logits)


def _ends_in(read: Byte, prefix: Sequence[int]) -> Bool:
    """(L,) The symbols up to each base, it included, are those of the prefix."""
    end = len(read) - 2
    shifted = [read[2 - i : end - i] == symbol for i, symbol in enumerate(prefix[::-1])]
    matches: Bool = np.logical_and.reduce(shifted)
    return matches


def _acceptors(
    signals: Signals,
    row: int,
    side: int,
    classes: Sequence[int],
    prefixes: Prefixes,
    logits: Float,
    is_barrier: Bool,
) -> Float:
    """(L, I) Acceptors by state of intron.

    None completes a stop codon begun before the intron. Nor may one lie within three bases that are
    a stop codon side by side, whatever they are in the spliced gene (GT-AG introns never do, but
    for codes that stop at AGA or AGG).

    Args:
        signals: Of a batch of windows.
        row: The window.
        side: 0 is +, 1 is -.
        classes: Splice classes.
        prefixes: From `_stop_prefixes`.
        logits: (L,) acceptor logits in reading direction.
        is_barrier: (L,) last bases of stop codons in reading direction.
    """
    sites = in_reading_order(signals.acceptors(row, side), (1, -1)[side]).copy()
    sites[:2] = 0
    read = _read(signals, row, side).astype(np.int64)
    first, second = read[2:-2], read[3:-1]
    stops = signals.tables[row].stops[0]
    free = np.ones(len(first), dtype=bool)
    second_fits, third_fits = free.copy(), ~is_barrier
    second_fits[:-1] = third_fits[1:]
    kinds = [free, second_fits]
    kinds += [
        second_fits & ~stops[triple_code(x, 0, 0) + 6 * first + second] for (x,) in prefixes[1][1:]
    ]
    kinds.append(third_fits)
    kinds += [third_fits & ~stops[triple_code(x, y, 0) + first] for x, y in prefixes[2][1:]]
    return _by_class(sites, classes, kinds, logits)


def _by_class(sites: Byte, classes: Sequence[int], kinds: Sequence[Bool], logits: Float) -> Float:
    """(L, I) The logits where a site of the class may have an intron of the kind, else lowest."""
    legal = [((sites & splice_class) > 0) & kind for kind in kinds for splice_class in classes]
    return np.stack([np.where(fits, logits, LOWEST) for fits in legal], axis=1)
