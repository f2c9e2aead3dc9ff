"""Drafts: what the per-base heads expect the decoder to write, as labels.

The decoder verifies a whole draft in one pass (`writer`). A draft is the row of a window's genes by
the heads: without introns the open reading frames with the best scores, with introns the genes on
the best path. Where the decoder chose another label, the draft is mended: the gene at hand is
completed from what is known to fit what is written, the genes after it follow. The decoder's own
choices further on, though made after a label that it refused, are mostly right, too, so that starts
are moved to where it would have put them (as in Jacobi decoding, Santilli et al. 2023,
arXiv:2305.10427). A wrong draft costs time, nothing else.

Example:
    drafter = make_drafter(signals, options, vocabulary, tracks, None)
    labels = drafter.begin(0)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from genet5.decode.open_frames import FrameWeights, OpenFrame, open_frames
from genet5.decode.trace import Tracks
from genet5.tokens.grammar import GrammarOptions
from genet5.tokens.signals import FAR, Signals, cut_codon
from genet5.tokens.structure import encode_window, order_key
from genet5.tokens.vocabulary import StructureVocabulary, decode_position, encode_position
from genet5.tokens.window import WindowGene, WindowStructure

Labels = list[int]


@dataclass(frozen=True)
class Drafter:
    """The genes that the heads see in each window, as labels."""

    plans: list[list[Labels]]
    """Genes that are drafted, in the language's order; they follow the decoder's choices."""
    pools: Sequence[Sequence[Labels]]
    """These and further genes, the surest first."""
    vocabulary: StructureVocabulary
    closer: Closer | None = None
    """Completes genes that no pool has."""
    is_spliced: bool = False
    """Whether genes may have several parts."""

    def begin(self, window: int) -> Labels:
        """Return the labels of a window after its prompt."""
        return [*_flat(self.plans[window]), self.vocabulary.eos]

    def mend(self, window: int, written: Labels, draft: Labels, chosen: Labels) -> Labels:
        """Draft anew after a label that the draft had otherwise.

        Args:
            window: Index of the window.
            written: The row up to that label, which is the decoder's.
            draft: What the draft had from there on.
            chosen: The decoder's choices for as many of its labels as were verified.

        Returns:
            Labels; <pad>, which is never legal, stands for what is not known.
        """
        v = self.vocabulary
        self._correct(window, draft, chosen)
        begins = [i for i, label in enumerate(written) if label >= v.first_type]
        begun = written[begins[-1] :]
        floor = _first(written[begins[-2] :]) if len(begins) > 1 else -1
        completion = self._complete(window, begun, floor)
        if completion is None:
            gene = [*begun, encode_position(max(floor, 0))]
            completion = [*self._opening(begun), v.pad]
        else:
            gene = [*begun, *completion]
        following = [
            other
            for other in self.plans[window]
            if _first(other) > _first(gene) and not self._overlay(gene, other)
        ]
        return [*completion, *_flat(following), v.eos]

    def _correct(self, window: int, draft: Labels, chosen: Labels) -> None:
        """Move the ends of planned genes to where the decoder would have put them."""
        begin = next((i for i, x in enumerate(draft) if x >= self.vocabulary.first_type), None)
        if begin is None:
            return
        plan = self.plans[window]
        old, new = self._genes(draft[begin:]), self._genes(_moved(draft, chosen)[begin:])
        for was, now in zip(old, new, strict=True):
            if was != now and was in plan:
                plan[plan.index(was)] = now

    def _complete(self, window: int, begun: Labels, floor: int) -> Labels | None:
        """Return labels that may complete a gene; None: nothing is known of it.

        Args:
            window: Index of the window.
            begun: The gene's labels so far.
            floor: First base of the gene before it.
        """
        size = len(begun)
        planned = [gene for gene in self.plans[window] if _first(gene) > floor]
        near = _first(planned[1]) if len(planned) > 1 else FAR
        for gene in (*self.pools[window], *planned):
            if gene[:size] == begun and floor < _first(gene) <= near:
                return list(gene[size:])
        for gene in planned:
            if gene[:size] == begun:
                return list(gene[size:])
        for gene in planned if begun[-1] < 0 else ():
            base = decode_position(begun[-1])
            if self.is_spliced and gene[1] == begun[1] and _first(gene) <= base < _bases(gene)[-1]:
                return _right_of(gene, base, begun[-2] < 0)
        return None if self.closer is None else self.closer.complete(window, begun)

    def _opening(self, begun: Labels) -> Labels:
        """Return what mostly follows the strand of a gene of which nothing else is known."""
        opening = [self.vocabulary.tx, self.vocabulary.cds]
        had = begun[2:]
        return opening[len(had) :] if len(begun) >= 2 and had == opening[: len(had)] else []

    def _genes(self, labels: Labels) -> list[Labels]:
        """Split labels that begin with a gene's type into genes."""
        genes: list[Labels] = []
        for label in labels:
            if label >= self.vocabulary.first_type:
                genes.append([])
            if label != self.vocabulary.eos:
                genes[-1].append(label)
        return genes

    def _overlay(self, gene: Labels, other: Labels) -> bool:
        """Whether two genes have one 3' end."""
        bases, others = _bases(gene), _bases(other)
        if gene[1] != other[1] or not bases or not others:
            return False
        end = max if gene[1] == self.vocabulary.plus else min
        return bool(end(bases) == end(others))


@dataclass(frozen=True)
class Closer:
    """Completes genes without introns of which the left end is known."""

    signals: Signals
    boundaries: NDArray[np.float32]
    """(N, 8, L) boundary logits."""
    vocabulary: StructureVocabulary

    def complete(self, window: int, begun: Labels) -> Labels | None:
        """Return the labels that complete a gene; None: its first base is not known."""
        v = self.vocabulary
        if begun[-1] < 0 and begun[-2] < 0:
            at_edge = decode_position(begun[-1]) == self.signals.lengths[window] - 1
            return [v.cut_right] if at_edge else []
        side = int(begun[1:2] == [v.minus])
        if begun[-1] < 0:
            if sum(label < 0 for label in begun) > 1:
                return None
            first = decode_position(begun[-1])
            is_cut = v.cut_left in begun
            frame = begun[4] - v.frame_0 if is_cut else 2 * side
            return self._closed(window, side, first, frame)
        if v.frame_0 <= begun[-1] < v.frame_none:
            return [
                v.cds,
                encode_position(0),
                *self._closed(window, side, 0, begun[-1] - v.frame_0),
            ]
        return None

    def _closed(self, window: int, side: int, first: int, frame: int) -> Labels:
        """What follows the first base of a gene: its last base, and whether it is cut.

        Args:
            window: Index of the window.
            side: 0 is +, 1 is -.
            first: The first base.
            frame: Its codon position, in reading direction.
        """
        signals, length = self.signals, int(self.signals.lengths[window])
        if side == 0:
            stop = int(signals.next_stop[window, 0, first + (-frame) % 3])
            last = stop + 2
        else:
            stop = int(signals.next_stop[window, 1, min(first + frame + 1, length)])
            ends = np.arange(first + frame, min(stop, length), 3)
            closes = signals.closes[window, 1, ends]
            if frame < 2 and len(ends):  # the window's edge cuts the codon
                cut = signals.reach(window, 1, cut_codon(1, frame, False), first)
                closes[0] |= cut.closes
            ends = ends[closes]
            best = self.boundaries[window, 1, ends]
            last = int(ends[best.argmax()]) if len(ends) else length
        if last < length:
            return [encode_position(last)]
        return [encode_position(length - 1), self.vocabulary.cut_right]


def make_drafter(
    signals: Signals,
    options: GrammarOptions,
    vocabulary: StructureVocabulary,
    tracks: Tracks,
    paths: Sequence[Sequence[WindowGene]] | None,
) -> Drafter:
    """Draft the genes of N windows.

    Args:
        signals: Of the windows.
        options: Those that the signals were built with.
        vocabulary: The tokens' ids.
        tracks: The per-base heads' view of the windows.
        paths: The genes of each window's best paths; None: genes have no introns.
    """
    count = len(signals.lengths)
    if options.coding_types[0] not in options.gene_types:
        return Drafter([[] for _ in range(count)], [[] for _ in range(count)], vocabulary)
    closer = None if signals.free else Closer(signals, tracks.boundaries, vocabulary)
    gene_type = vocabulary.gene_type(options.coding_types[0])
    plans, pools = [], []
    for row in range(count):
        frames = [] if signals.free else _frames_of(signals, row, tracks)
        pool = [_gene_labels(frame, gene_type, vocabulary) for frame in frames]
        if paths is None:
            sure = [frame for frame in frames if frame.score > 0]
            sure.sort(key=lambda frame: (frame.first, frame.last, -frame.strand))
            plans.append([_gene_labels(frame, gene_type, vocabulary) for frame in sure])
        else:
            plans.append(_path_labels(paths[row], vocabulary))
            pool = [*plans[row], *pool]
        pools.append(pool)
    return Drafter(plans, pools, vocabulary, closer, paths is not None)


def _frames_of(signals: Signals, row: int, tracks: Tracks) -> list[OpenFrame]:
    """The open reading frames of a window, the surest first."""
    length = int(signals.lengths[row])
    codons, edges = tracks.codons[row, ..., :length], tracks.boundaries[row, :, :length]
    frames = open_frames(signals, row, codons, edges, FrameWeights())
    return sorted(frames, key=lambda frame: -frame.score)


def _path_labels(genes: Sequence[WindowGene], vocabulary: StructureVocabulary) -> list[Labels]:
    written = WindowStructure(1, None, tuple(sorted(genes, key=order_key)))
    labels = encode_window(written, vocabulary).tolist()[2:-1]
    begins = [i for i, label in enumerate(labels) if label >= vocabulary.first_type]
    return [labels[a:b] for a, b in pairwise([*begins, len(labels)])]


def _gene_labels(frame: OpenFrame, gene_type: int, vocabulary: StructureVocabulary) -> Labels:
    labels = [gene_type, vocabulary.strand(frame.strand), vocabulary.tx]
    if frame.cut_left:
        labels += [vocabulary.cut_left, vocabulary.frame(frame.frame)]
    labels += [vocabulary.cds, encode_position(frame.first), encode_position(frame.last)]
    return [*labels, vocabulary.cut_right] if frame.cut_right else labels


def _flat(genes: Sequence[Labels]) -> Labels:
    return [label for gene in genes for label in gene]


def _bases(gene: Labels) -> list[int]:
    return [decode_position(label) for label in gene if label < 0]


def _first(gene: Labels) -> int:
    """First base of a gene; -1 if it has none."""
    return next((decode_position(label) for label in gene if label < 0), -1)


def _moved(draft: Labels, chosen: Labels) -> Labels:
    """The draft with ends in the same reading frame where the decoder would have put them."""
    out = list(draft)
    for index, (was, now) in enumerate(zip(draft, chosen, strict=False)):
        if was < 0 and now < 0 and (was - now) % 3 == 0:
            out[index] = now
    return out


def _right_of(gene: Labels, base: int, ends: bool) -> Labels:
    """What a gene has after a base: from the last base of a part on, or from a whole part on."""
    for index, label in enumerate(gene):
        if label < 0 and decode_position(label) > base:
            is_last = gene[index - 1] < 0
            if is_last != ends:
                return gene[index:] if is_last else gene[index - 1 :]
    return []
