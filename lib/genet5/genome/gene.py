"""Genes as frozen objects: the form in which every room but the file readers sees an annotation.

Coordinates are 0-based half-open on the forward strand; strand is +1 or -1. On a circular contig a
gene over the origin has `end` beyond the contig's length (its bases continue at the contig's
start). Two genes are equal if their structure is: attributes that a reader kept do not take part.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TypeAlias

KeptAttributes: TypeAlias = tuple[tuple[str, str], ...]
"""Attributes that describe a product, not a structure: (INSDC's name, value); names may repeat."""


@dataclass(frozen=True, slots=True)
class Exon:
    """One exon: 0-based half-open."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Cds:
    """One interval of coding sequence, stop codon included.

    `phase` is GFF3's: how many bases at the 5' end complete a codon that began in the interval
    before it.
    """

    start: int
    end: int
    phase: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """One isoform; `exons` and `cds` ascend by start whatever the strand."""

    id: str
    exons: tuple[Exon, ...]
    cds: tuple[Cds, ...] = ()
    type: str = "mRNA"
    partial_5: bool = False
    """The 5' end is missing in the source."""
    partial_3: bool = False
    """The 3' end is missing in the source."""
    exceptions: tuple[str, ...] = ()
    """Why the CDS does not translate by the rules: "ribosomal_slippage", "transl_except" ..."""
    score: float | None = field(default=None, compare=False)
    """Its share of the gene's score, for genes that we predict with alternatives."""
    attributes: KeptAttributes = field(default=(), compare=False)
    cds_attributes: KeptAttributes = field(default=(), compare=False)

    @property
    def start(self) -> int:
        """First base of the transcript."""
        return self.exons[0].start

    @property
    def end(self) -> int:
        """One past the last base of the transcript."""
        return max(self.exons[-1].end, self.cds[-1].end if self.cds else 0)

    @property
    def cds_length(self) -> int:
        """Coding bases, stop codon included."""
        return sum(cds.end - cds.start for cds in self.cds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gene:
    """A gene of one contig with one transcript or more."""

    id: str
    contig: str
    strand: int
    transcripts: tuple[Transcript, ...]
    type: str = "protein_coding"
    """Biotype: protein_coding, tRNA, rRNA, ncRNA, pseudogene ..."""
    pseudo: bool = False
    genetic_code: int | None = None
    """NCBI number when the source states it."""
    name: str = ""
    score: float | None = None
    """GFF3's score column; a probability for our own predictions."""
    start_score: float | None = field(default=None, compare=False)
    """Probability of its start, given its end, for our own predictions."""
    start_alternatives: tuple[tuple[int, float], ...] = field(default=(), compare=False)
    """Other starts, most probable first: bases downstream of the start (negative: upstream), and
    probability."""
    attributes: KeptAttributes = field(default=(), compare=False)
    source: str = field(default="", compare=False)
    """Program that found it, where it is another than that of its file."""

    @property
    def start(self) -> int:
        """First base of the gene."""
        return min([transcript.start for transcript in self.transcripts])

    @property
    def end(self) -> int:
        """One past the last base of the gene."""
        return max([transcript.end for transcript in self.transcripts])

    @property
    def canonical(self) -> Transcript:
        """The transcript with the longest CDS; the longest exons, then the first, decide ties.

        Of transcripts with scores it is the first.
        """
        if self.transcripts[0].score is not None:
            return self.transcripts[0]
        return max(
            self.transcripts, key=lambda t: (t.cds_length, sum(e.end - e.start for e in t.exons))
        )

    def scored_as(self, transcript: Transcript) -> Gene:
        """Return the gene with the score of one of its transcripts, if that has its own."""
        return self if transcript.score is None else replace(self, score=transcript.score)

    @property
    def is_coding(self) -> bool:
        """Whether any transcript has a CDS and the gene is no pseudogene."""
        return not self.pseudo and any(transcript.cds for transcript in self.transcripts)

    @property
    def is_regular(self) -> bool:
        """Whether the canonical CDS is complete and follows the rules (references and targets)."""
        best = self.canonical
        return self.is_coding and not (best.partial_5 or best.partial_3 or best.exceptions)
