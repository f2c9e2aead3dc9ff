"""Decode a batch of windows under the grammar, greedily.

The encoder reads the windows (`segments`), the per-base heads draft their rows of labels (`draft`),
the decoder verifies and corrects them (`writer`). What is written is read off with its evidence
(`trace`); the heads may add genes that the decoder left out. The encoder runs in bf16 where the
device is fast at it, the decoder in fp32.

Example:
    decoded = decode_windows(model, tokenizer, windows, [11] * len(windows), prokaryote_options())
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from genet5.decode.best_path import best_paths, weighed_edges
from genet5.decode.draft import make_drafter
from genet5.decode.fragment import GeneFragment
from genet5.decode.head_only import find_head_only
from genet5.decode.path_weights import PathWeights
from genet5.decode.percents import percents_of
from genet5.decode.segments import encode_windows
from genet5.decode.trace import TraceReader, Tracks, read_tracks, tracks_evidence
from genet5.decode.window_found import Percents
from genet5.decode.writer import Writer
from genet5.genome.evidence import Channels
from genet5.genome.sequence import Bases
from genet5.model.network import GeneT5
from genet5.model.results import Encoded
from genet5.tokens.grammar import Grammar, GrammarOptions
from genet5.tokens.signals import Signals
from genet5.tokens.structure import decode_window
from genet5.tokens.tokenizer_file import Tokenizer
from genet5.tokens.window import WindowGene

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DecodedWindow:
    """What was found in one window."""

    labels: tuple[int, ...]
    """The row of labels, <bos> to <eos>."""
    fragments: tuple[GeneFragment, ...]
    """The genes that the labels stand for, in their order; then, if asked for, head-only ones:
    without introns those that the decoder left out, with introns all that lie on the best path."""
    passes: int
    """Times that the decoder read a draft of the row."""
    percents: Percents | None = None
    """Probabilities of the per-base heads in the window's core, if asked for."""


@torch.inference_mode()
def decode_windows(
    model: GeneT5,
    tokenizer: Tokenizer,
    windows: Sequence[Bases],
    genetic_codes: Sequence[int],
    options: GrammarOptions,
    *,
    places: Sequence[int] | None = None,
    clade: str | None = None,
    cores: Sequence[tuple[int, int]] | None = None,
    evidence: Sequence[Channels] = (),
    head_only: bool = False,
    path: PathWeights | None = None,
    use_bf16: bool | None = None,
    keep_percents: bool = False,
) -> list[DecodedWindow]:
    """Find the genes of windows.

    Args:
        model: The network, on its device, in evaluation mode.
        tokenizer: The model's.
        windows: Bases of each, at least one base, at most `model.config.max_window_bp`.
        genetic_codes: NCBI number for each window.
        options: The grammar's.
        places: Where each window begins on its segment (`segments.segments_at`); None = each is
            read alone.
        clade: Named in every prompt, if the model was trained so.
        cores: Part of each window that evidence for cut genes is summed over; by default all of it.
        evidence: Channels of hints of each window (`genome.evidence`); none = without.
        head_only: Look for genes that only the per-base heads support, too.
        path: Weights of the best path, for genes with introns; None = the defaults.
        use_bf16: Encode in bfloat16; None = where the device multiplies it fast.
        keep_percents: Keep the per-base heads' probabilities of each core.
    """
    encoded = encode_windows(
        model, tokenizer.sequence, windows, genetic_codes,
        places=places, evidence=evidence, use_bf16=use_bf16,
    )  # fmt: skip
    clades = [clade] * len(windows)
    grammar = Grammar(windows, genetic_codes, options, tokenizer.structure, clades=clades)
    signals = grammar.signals
    edges, paths = _edges_and_paths(encoded, signals, options, path or PathWeights())
    tracks = read_tracks(encoded.state_logits, edges)
    drafter = make_drafter(signals, options, tokenizer.structure, tracks, paths)
    writer = Writer(model, encoded, grammar, drafter)
    trace = writer.run()
    logger.debug("passes of each window: %s", writer.passes.tolist())
    cores = [(0, len(bases)) for bases in windows] if cores is None else cores
    genes, fragments = [], []
    for row, core in enumerate(cores):
        reader = TraceReader(trace, tracks, signals, row, core, tokenizer.structure)
        genes.append(decode_window(trace.row(row), tokenizer.structure).genes)
        fragments.append(reader.fragments(genes[row]))
    more: Iterator[tuple[GeneFragment, ...]] = iter([()] * len(windows))
    if head_only and paths is not None:
        more = _on_paths(signals, paths, tracks, cores)
    elif head_only:
        more = _in_open_frames(signals, options, tracks, genes)
    percents = _percents(encoded, cores, options) if keep_percents else [None] * len(cores)
    return [
        DecodedWindow(
            tuple(trace.row(row).tolist()), (*fragments[row], *others), passes, percents[row]
        )
        for row, (passes, others) in enumerate(zip(writer.passes.tolist(), more, strict=True))
    ]


def _edges_and_paths(
    encoded: Encoded, signals: Signals, options: GrammarOptions, weights: PathWeights
) -> tuple[Tensor, list[list[WindowGene]] | None]:
    """Return boundary logits as they count, and best paths where genes have introns."""
    if not options.introns:
        return encoded.boundary_logits, None
    edges = weighed_edges(encoded.boundary_logits, weights)
    heads = encoded.state_logits.cpu().numpy(), edges.cpu().numpy()
    return edges, best_paths(signals, options, *heads, weights)


def _percents(
    encoded: Encoded, cores: Sequence[tuple[int, int]], options: GrammarOptions
) -> list[Percents | None]:
    """What the per-base heads say of each window's core."""
    states, edges = encoded.state_logits, encoded.boundary_logits
    return [
        percents_of(states[row, low:high], edges[row, low:high], spliced=options.introns)
        for row, (low, high) in enumerate(cores)
    ]


def _in_open_frames(
    signals: Signals,
    options: GrammarOptions,
    tracks: Tracks,
    written: Sequence[tuple[WindowGene, ...]],
) -> Iterator[tuple[GeneFragment, ...]]:
    """Open reading frames that look coding where the decoder wrote nothing."""
    for row, length in enumerate(signals.lengths.tolist()):
        codons, edges = tracks.codons[row][..., :length], tracks.boundaries[row][..., :length]
        found = find_head_only(signals, row, options, codons, edges, written[row])
        yield tuple(GeneFragment.of(gene, evidence, head_only=True) for gene, evidence in found)


def _on_paths(
    signals: Signals,
    paths: Sequence[Sequence[WindowGene]],
    tracks: Tracks,
    cores: Sequence[tuple[int, int]],
) -> Iterator[tuple[GeneFragment, ...]]:
    """Spliced genes on the best path of the per-base heads, whether or not they were written."""
    for row, genes in enumerate(paths):
        size, core = int(signals.lengths[row]), cores[row]
        yield tuple(
            GeneFragment.of(gene, tracks_evidence(gene, tracks, row, size, core), head_only=True)
            for gene in genes
        )
