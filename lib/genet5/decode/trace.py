"""Read the evidence for each gene off a decoded window.

Two sources: the log-probabilities of the labels that the decoder wrote (without the grammar's
mask), and the per-base heads: the logit of the expected codon position at each coding base, and the
boundary logits at the gene's ends and splice sites.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genet5.dataset.per_base import ACCEPTOR, DONOR, START, STOP
from genet5.decode.evidence import NAN, Evidence
from genet5.decode.fragment import GeneFragment, Starts
from genet5.genome.frames import (
    five_prime,
    five_three,
    frames_to_right,
    leftmost_frame,
    strand_index,
)
from genet5.tokens.signals import Signals
from genet5.tokens.vocabulary import StructureVocabulary
from genet5.tokens.window import WindowGene, WindowTranscript

_CLIP = 8.0
"""Logits of the state head are cut to this: one base must not outweigh a gene."""


@dataclass
class Trace:
    """What the decoder wrote, one row per window."""

    labels: NDArray[np.int64]
    """(N, T) labels; <pad> after <eos>."""
    logp: NDArray[np.float32]
    """(N, T) log-probability of each label; 0 in the prompt."""
    other_bases: NDArray[np.int32]
    """(N, T, K) best legal bases at each position, best first."""
    other_logp: NDArray[np.float32]
    """(N, T, K) their log-probabilities; -inf where there is none."""
    lengths: NDArray[np.int64]
    """(N,) labels of each row."""

    def row(self, index: int) -> NDArray[np.int64]:
        """Return one window's labels, <bos> to <eos>."""
        labels: NDArray[np.int64] = self.labels[index, : self.lengths[index]]
        return labels

    @classmethod
    def begin(
        cls, prompts: Sequence[Sequence[int]], most: int, alternatives: int, pad: int
    ) -> Trace:
        """An empty trace that holds the prompts, all of one length."""
        size = len(prompts)
        labels = np.full((size, most), pad, dtype=np.int64)
        labels[:, : len(prompts[0])] = np.array(prompts)
        return cls(
            labels,
            np.zeros((size, most), dtype=np.float32),
            np.zeros((size, most, alternatives), dtype=np.int32),
            np.full((size, most, alternatives), -np.inf, dtype=np.float32),
            np.zeros(size, dtype=np.int64),
        )


@dataclass(frozen=True)
class Tracks:
    """The per-base heads' view of N windows."""

    codons: NDArray[np.float32]
    """(N, 2 strands, 3 codon positions, L) logit of the probability of that state, clipped."""
    boundaries: NDArray[np.float32]
    """(N, 8, L) boundary logits."""


def read_tracks(state_logits: Tensor, boundary_logits: Tensor) -> Tracks:
    """Turn head outputs, (N, L, 2, 8) and (N, L, 8), into tracks on the CPU."""
    logp = state_logits.log_softmax(dim=-1)[..., 1:4]
    odds = logp - torch.log1p(-logp.exp().clamp(max=1 - 1e-6))
    return Tracks(
        odds.clamp(-_CLIP, _CLIP).permute(0, 2, 3, 1).contiguous().cpu().numpy(),
        boundary_logits.transpose(1, 2).contiguous().cpu().numpy(),
    )


def tracks_evidence(
    gene: WindowGene, tracks: Tracks, row: int, length_bp: int, core: tuple[int, int]
) -> Evidence:
    """Evidence of the per-base heads for a gene's first transcript.

    Where the window cuts the gene, its share in `core` counts.
    """
    transcript, side = gene.transcripts[0], strand_index(gene.strand)
    low, high = _share(transcript, length_bp, core)
    edges = tracks.boundaries[row, side::2]
    left_site, right_site = five_three(DONOR, ACCEPTOR, gene.strand)
    lasts, firsts = _splice_sites(transcript, length_bp, low, high)
    spliced = [*edges[left_site, lasts].tolist(), *edges[right_site, firsts].tolist()]
    state, coding = _codon_odds(transcript, gene.strand, tracks.codons[row, side], low, high)
    parts = transcript.parts
    left = NAN if transcript.cut_left or not parts else parts[0].first
    right = NAN if transcript.cut_right or not parts else parts[-1].last
    start, stop = five_three(left, right, gene.strand)
    return Evidence(
        type_logp=NAN,
        splice_logp=NAN,
        splices=len(spliced),
        state=state,
        coding=coding,
        start_boundary=NAN if math.isnan(start) else float(edges[START, int(start)]),
        stop_boundary=NAN if math.isnan(stop) else float(edges[STOP, int(stop)]),
        splice_boundary=float(sum(spliced)),
    )


def _share(transcript: WindowTranscript, length_bp: int, core: tuple[int, int]) -> tuple[int, int]:
    """The interval that this window counts for: up to the core's end where the gene is cut."""
    low = core[0] if transcript.cut_left else 0
    return low, core[1] if transcript.cut_right else length_bp


def _splice_sites(
    transcript: WindowTranscript, length_bp: int, low: int, high: int
) -> tuple[list[int], list[int]]:
    """Last bases of parts before an intron and first bases after one, in [low, high).

    Where the window's edge cuts a part, there is no splice site.
    """
    lasts = [part.last for part in transcript.parts]
    firsts = [part.first for part in transcript.parts]
    if not (transcript.cut_left and firsts and firsts[0] > 0):
        firsts = firsts[1:]
    if not (transcript.cut_right and lasts and lasts[-1] < length_bp - 1):
        lasts = lasts[:-1]
    return [p for p in lasts if low <= p < high], [p for p in firsts if low <= p < high]


def _codon_odds(
    transcript: WindowTranscript, strand: int, odds: NDArray[np.float32], low: int, high: int
) -> tuple[float, int]:
    """Sum of the codon logits, (3, L), over the coding bases in [low, high), and their number."""
    parts = [np.arange(p.first, p.last + 1) for p in transcript.parts if p.kind == "cds"]
    if not parts:
        return 0.0, 0
    bases = np.concatenate(parts)
    frame = transcript.frame if transcript.cut_left else None
    codon = frames_to_right(leftmost_frame(strand) if frame is None else frame, len(bases), strand)
    inside = (bases >= low) & (bases < high)
    total = odds[codon[inside], bases[inside]].sum(dtype=np.float64)
    return float(total), int(inside.sum())


@dataclass
class TraceReader:
    """Turns one window's trace into fragments: the written genes with their evidence."""

    trace: Trace
    tracks: Tracks
    signals: Signals
    row: int
    core: tuple[int, int]
    """Sums over bases of a cut gene stop here, where the neighbouring window takes over."""
    vocabulary: StructureVocabulary

    def fragments(self, genes: Sequence[WindowGene]) -> tuple[GeneFragment, ...]:
        """Return the fragments of all genes that the window's labels stand for."""
        return tuple(
            GeneFragment.of(gene, *self._read(gene, span))
            for gene, span in zip(genes, self._spans(), strict=True)
        )

    def _spans(self) -> list[tuple[int, int]]:
        """First and one past the last label of each gene."""
        labels = self.trace.row(self.row)
        begins = np.flatnonzero(labels >= self.vocabulary.first_type).tolist()
        return list(pairwise([*begins, len(labels) - 1]))

    def _read(self, gene: WindowGene, span: tuple[int, int]) -> tuple[Evidence, Starts]:
        """Return a gene's evidence (its first transcript's) and its possible 5' ends."""
        transcript = gene.transcripts[0]
        begin = span[0]
        labels, logp = self.trace.labels[self.row], self.trace.logp[self.row]
        count = 2 * len(transcript.parts)
        written = np.flatnonzero(labels[begin : span[1]] < 0)[:count] + begin
        length = int(self.signals.lengths[self.row])
        left = None if transcript.cut_left or not count else int(written[0])
        right = None if transcript.cut_right or not count else int(written[-1])
        five, three = five_three(left, right, gene.strand)
        lasts, firsts = _splice_sites(transcript, length, *_share(transcript, length, self.core))
        bases = -1 - labels[written]
        inner = np.zeros(count, dtype=bool)
        inner[::2], inner[1::2] = np.isin(bases[::2], firsts), np.isin(bases[1::2], lasts)
        heads = tracks_evidence(gene, self.tracks, self.row, length, self.core)
        evidence = replace(
            heads,
            type_logp=float(logp[begin] + logp[begin + 1]),
            start_logp=NAN if five is None else float(logp[five]),
            stop_logp=NAN if three is None else float(logp[three]),
            splice_logp=float(logp[written[inner]].sum()),
        )
        return evidence, self._starts(transcript, gene.strand, five)

    def _starts(self, transcript: WindowTranscript, strand: int, five: int | None) -> Starts:
        """Possible 5' ends of the same reading frame with their probabilities, the chosen first."""
        if five is None or self.signals.free or any(p.kind != "cds" for p in transcript.parts):
            return ()
        bases = self.trace.other_bases[self.row, five].astype(np.int64)
        logp = self.trace.other_logp[self.row, five].astype(np.float64)
        part = five_prime(transcript.parts, strand)
        known = np.isfinite(logp)
        if strand > 0:
            same = (bases - part.first) % 3 == 0
            stops = self.signals.next_stop[self.row, 0]
            fits = same & known & (bases + 2 <= part.last) & (stops[bases] == stops[part.first])
        else:
            same = (bases - part.last) % 3 == 0
            closes = self.signals.closes[self.row, 1]
            fits = same & known & (bases - 2 >= part.first) & closes[bases]
        fits[0] = True
        weights = np.exp(logp[fits] - logp[0])
        shares = weights / weights.sum()
        return tuple(
            (base, round(share, 5))
            for base, share in zip(bases[fits].tolist(), shares.tolist(), strict=True)
            if share >= 0.001
        )
