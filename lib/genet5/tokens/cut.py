"""Genes of a contig as a window [start, end) shows them.

A gene that runs over an edge is cut there: a part at the edge ends at it, and FRAME gives how the
reading frame enters from the left (`tokens.window`). Frames come from the joined CDS, counted from
its 5' end, so that they hold whatever lies beyond the window. A window's reverse complement is cut
from the mirrored gene, for the same reason.

A `GeneIndex` is built once per contig; a window then costs two binary searches and the genes it
shows. Genes over the origin of a circular contig have ends beyond its length: the window at the
contig's end cuts them by its edge, and `wrapped_genes` adds their copies at the contig's start.

Example:
    >>> gene = Gene(id="g", contig="c", strand=1, transcripts=(
    ...     Transcript(id="t", exons=(Exon(5, 11), Exon(20, 26)),
    ...                cds=(Cds(5, 11, 0), Cds(20, 26, 0))),))
    >>> (shown,) = GeneIndex([gene]).cut(10, 22)
    >>> shown.transcripts[0]  # doctest: +NORMALIZE_WHITESPACE
    WindowTranscript(parts=(Part(kind='cds', first=0, last=0), Part(kind='cds', first=10, last=11)),
                     cut_left=True, cut_right=True, frame=2)
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import Literal, cast

from genet5.errors import ConfigError
from genet5.genome.frames import five_prime, five_three, frame_of
from genet5.genome.gene import Cds, Exon, Gene, Transcript
from genet5.genome.sequence import Bases
from genet5.tokens.legality import VIOLATIONS, Violation, violations
from genet5.tokens.rules import GrammarOptions
from genet5.tokens.structure import order_key
from genet5.tokens.window import Frame, Kind, Part, WindowGene, WindowTranscript

LeftOut = Literal["non_coding", "overlapping_parts"]
"""Why a gene is not written: no CDS while `noncoding` is off, or parts of one transcript overlap
(as in a programmed frameshift backwards)."""


@dataclass(frozen=True, slots=True)
class _Chain:
    """A transcript's parts left to right, half-open; coordinates may be negative."""

    kinds: tuple[Kind, ...]
    starts: tuple[int, ...]
    ends: tuple[int, ...]
    strand: int
    phase: int
    """GFF3 phase at the CDS's 5' end: how many bases complete a codon begun before it."""

    @property
    def mirrored(self) -> _Chain:
        """The chain on the other strand: base p lies at -1 - p."""
        return _Chain(
            self.kinds[::-1],
            tuple(-end for end in reversed(self.ends)),
            tuple(-start for start in reversed(self.starts)),
            -self.strand,
            self.phase,
        )

    def frame_from(self, start: int) -> Frame | None:
        """Frame of the leftmost coding base at or right of `start`; None without such a base."""
        left = right = 0
        for kind, first, end in zip(self.kinds, self.starts, self.ends, strict=True):
            if kind == "cds":
                left += max(0, min(end, start) - first)
                right += max(0, end - max(first, start))
        if not right:
            return None
        before, _ = five_three(left, right - 1, self.strand)
        return cast(Frame, frame_of(before, self.phase))

    def cut(self, start: int, end: int) -> WindowTranscript | None:
        """What the window [start, end) shows; None when the transcript lies outside."""
        if self.ends[-1] <= start or self.starts[0] >= end:
            return None
        cut_left = self.starts[0] < start
        shown = range(bisect_right(self.ends, start), bisect_left(self.starts, end))
        parts = tuple(
            Part(
                self.kinds[i],
                max(self.starts[i], start) - start,
                min(self.ends[i], end) - start - 1,
            )
            for i in shown
        )
        frame = self.frame_from(start) if cut_left else None
        return WindowTranscript(parts, cut_left, self.ends[-1] > end, frame)


@dataclass(frozen=True, slots=True)
class _Entry:
    """A gene with the chains of the transcripts that are written, canonical first."""

    type: str
    strand: int
    chains: tuple[_Chain, ...]
    start: int
    end: int

    def cut(self, start: int, end: int, *, reverse: bool = False) -> WindowGene | None:
        """What the window (or its reverse complement) shows.

        Transcripts that look alike there are written once.
        """
        if reverse:
            views = [chain.mirrored.cut(-end, -start) for chain in self.chains]
        else:
            views = [chain.cut(start, end) for chain in self.chains]
        shown = tuple(dict.fromkeys(view for view in views if view is not None))
        return (
            WindowGene(self.type, -self.strand if reverse else self.strand, shown)
            if shown
            else None
        )


class GeneIndex:
    """The genes of one contig, ready to be cut into many windows.

    Args:
        genes: Genes of one contig in any order.
        utr: Write the exons' non-coding parts as <utr>.
        isoforms: At most so many transcripts per gene, canonical first, then by CDS length.
        noncoding: Write genes without CDS, and pseudogenes, as <exon> parts; else they are left
            out.
    """

    def __init__(
        self,
        genes: Iterable[Gene],
        *,
        utr: bool = False,
        isoforms: int = 1,
        noncoding: bool = False,
    ) -> None:
        entries: list[tuple[_Entry, Gene]] = []
        left_out: list[tuple[Gene, LeftOut]] = []
        for gene in genes:
            entry = _entry(gene, utr, isoforms, noncoding)
            if isinstance(entry, str):
                left_out.append((gene, entry))
            else:
                entries.append((entry, gene))
        entries.sort(key=lambda pair: pair[0].start)
        self._entries = [entry for entry, _ in entries]
        self.genes: tuple[Gene, ...] = tuple(gene for _, gene in entries)
        """Genes that are written, by their numbers."""
        self._starts = [entry.start for entry in self._entries]
        self._reach = list(accumulate((entry.end for entry in self._entries), max))
        self.left_out: tuple[tuple[Gene, LeftOut], ...] = tuple(left_out)
        """Genes that are not written, with the reason."""

    def __len__(self) -> int:
        """Number of genes that are written."""
        return len(self._entries)

    def cut(self, start: int, end: int, *, reverse: bool = False) -> tuple[WindowGene, ...]:
        """Return the genes that the window [start, end) shows, in the language's order.

        Args:
            start: First base of the window on the contig.
            end: One past its last base.
            reverse: Return the genes as the window's reverse complement shows them.
        """
        return tuple(view for _, view in self.numbered_cut(start, end, reverse=reverse))

    def numbered_cut(
        self, start: int, end: int, *, reverse: bool = False
    ) -> tuple[tuple[int, WindowGene], ...]:
        """Return what `cut` does, each gene with its number in the index."""
        first, last = bisect_right(self._reach, start), bisect_left(self._starts, end)
        found = []
        for number, entry in enumerate(self._entries[first:last], start=first):
            view = entry.cut(start, end, reverse=reverse) if entry.end > start else None
            if view is not None:
                found.append((number, view))
        if len(found) > 1:
            found.sort(key=lambda pair: order_key(pair[1]))
        return tuple(found)

    def violations(
        self, number: int, bases: Bases, code: int, options: GrammarOptions
    ) -> tuple[Violation, ...]:
        """Return what the written transcripts of gene `number` violate on the contig."""
        entry = self._entries[number]
        # the copy of a gene over the origin is checked where the gene itself lies
        shift = len(bases) if entry.start < 0 else 0
        found: set[Violation] = set()
        for chain in entry.chains:
            parts = [
                (kind, start + shift, end + shift)
                for kind, start, end in zip(chain.kinds, chain.starts, chain.ends, strict=True)
            ]
            found.update(violations(parts, entry.strand, bases, code, options))
        return tuple(violation for violation in VIOLATIONS if violation in found)


def target_type(gene: Gene) -> str:
    """Type under which a gene is written: "pseudogene" for one of another type, else its own."""
    return "pseudogene" if gene.pseudo and "pseudogene" not in gene.type else gene.type


def shift_gene(gene: Gene, offset_bp: int) -> Gene:
    """Move a gene along its contig; coordinates may become negative."""

    def move(transcript: Transcript) -> Transcript:
        return replace(
            transcript,
            exons=tuple(Exon(e.start + offset_bp, e.end + offset_bp) for e in transcript.exons),
            cds=tuple(Cds(c.start + offset_bp, c.end + offset_bp, c.phase) for c in transcript.cds),
        )

    return replace(gene, transcripts=tuple(map(move, gene.transcripts)))


def wrapped_genes(genes: Iterable[Gene], contig_length: int) -> tuple[Gene, ...]:
    """Add the copies that genes over the origin of a circular contig have at its start.

    A copy begins before base 0, so every window at the contig's start cuts it on its left.
    """
    found = tuple(genes)
    copies = (shift_gene(gene, -contig_length) for gene in found if gene.end > contig_length)
    return tuple(sorted((*found, *copies), key=lambda gene: gene.start))


def _entry(gene: Gene, utr: bool, isoforms: int, noncoding: bool) -> _Entry | LeftOut:
    """The gene's chains, or why it is not written."""
    if isoforms < 1:
        raise ConfigError("isoforms", isoforms, "must be at least 1")
    if not (gene.is_coding or noncoding):
        return "non_coding"
    ranked = sorted(
        gene.transcripts, key=lambda t: (-t.cds_length, -sum(e.end - e.start for e in t.exons))
    )
    found: dict[_Chain, None] = {}
    for transcript in ranked:
        coding = bool(transcript.cds) and not gene.pseudo
        if coding or noncoding:
            chain = _chain(transcript, gene.strand, coding, utr)
            if chain is not None:
                found[chain] = None
            elif transcript is ranked[0]:
                return "overlapping_parts"
    chains = tuple(found)[:isoforms]
    start, end = min(c.starts[0] for c in chains), max(c.ends[-1] for c in chains)
    return _Entry(target_type(gene), gene.strand, chains, start, end)


def _chain(transcript: Transcript, strand: int, coding: bool, utr: bool) -> _Chain | None:
    """The transcript as it is written; None when its parts overlap."""
    kind: Kind = "cds" if coding else "exon"
    intervals = transcript.cds if coding else transcript.exons
    parts = sorted((each.start, each.end, kind) for each in intervals)
    if coding and utr:
        parts = sorted(parts + [(first, end, "utr") for first, end in _untranslated(transcript)])
    if any(left[1] > right[0] for left, right in pairwise(parts)):
        return None
    parts = list(_joined(parts))
    starts, ends, kinds = zip(*parts, strict=True)
    phase = 0
    if coding:
        phase = five_prime(transcript.cds, strand).phase
    return _Chain(kinds, starts, ends, strand, phase)


def _untranslated(transcript: Transcript) -> Iterator[tuple[int, int]]:
    """The exons without their coding bases."""
    for exon in transcript.exons:
        start = exon.start
        for cds in transcript.cds:
            if cds.end > start and cds.start < exon.end:
                if cds.start > start:
                    yield start, cds.start
                start = cds.end
        if start < exon.end:
            yield start, exon.end


def _joined(parts: Sequence[tuple[int, int, Kind]]) -> Iterator[tuple[int, int, Kind]]:
    """Join parts of one kind that touch: no base lies between them, so they are one exon."""
    start, end, kind = parts[0]
    for next_start, next_end, next_kind in parts[1:]:
        if next_start == end and next_kind == kind:
            end = next_end
        else:
            yield start, end, kind
            start, end, kind = next_start, next_end, next_kind
    yield start, end, kind
