"""What the open frames of a genome say before any gene is looked for: its kind and genetic code.

Prokaryotes pack genes into operons: where an open frame ends, the next one on the same strand
begins within some bases, seldom so in eukaryotes (`Survey.operon_share`). A codon that stops
translation is rare inside long open frames; where TGA is read as an amino acid, open frames are
whole only if TGA does not end them (`Survey.genetic_code`).

Example:
    survey = survey_genome(contigs)
    print(survey.prokaryote_probability, survey.genetic_code)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, exp, log, log1p
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from genet5.genome.codes import CODONS, genetic_code
from genet5.genome.sequence import AnyBases, Bases, codon_index, reverse_complement

BLOCK_BP, SPACING_BP, MAX_BLOCKS = 250_000, 500_000, 8
"""Lengths of what is read, where it begins at least, and how much of it: 2 Mbp in all."""
MIN_CONTIG_BP = 3_000
"""Shorter contigs hold no neighbours."""
MIN_PAIRS = 40
"""Fewer neighbouring frames say nothing."""
OPERON_BP = 25
"""Most bases between the end of a gene and a start codon of the next in an operon."""

STANDARD, TGA_TRP, TGA_GLY = 11, 4, 25
"""NCBI's genetic codes that are told apart."""
TGA_COVERAGE = 1.2
"""TGA is an amino acid if open frames that it does not end cover so many times as much."""
MAX_GC_TGA = 0.52
"""Above, long frames without TAA and TAG are common by chance, and the code is not judged."""
MAX_TRYPTOPHAN = 0.018
"""Where TGG and TGA make up more of all codons, TGA is not tryptophan (1.0 to 1.4 % of proteins)
but glycine, as in Gracilibacteria and Absconditabacteria."""

KIND_BIAS, KIND_OPERON, KIND_DENSITY = -16.6, 23.3, 15.8
"""Logistic model of a prokaryote: bias, weights of `operon_share` and of `density`;
`studies/genome_kind.py` fits them."""
COMPACT_DENSITY = 0.55
"""Least `density` of a eukaryote with few and short introns: 0.58 to 0.75 in yeasts and protists,
0.16 to 0.52 in animals and plants (`studies/genome_kind.py`)."""
_TGA, _TGG = CODONS.index("TGA"), CODONS.index("TGG")
_AGR = [CODONS.index("AGA"), CODONS.index("AGG")]
_STARTS = np.isin(np.array([*CODONS, ""]), ("ATG", "GTG", "TTG"))

Ints = NDArray[np.int64]


class SurveyedContig(Protocol):
    """What of a contig is read."""

    @property
    def bases(self) -> AnyBases:
        """Its sequence."""


@dataclass(frozen=True, slots=True)
class FrameCounts:
    """What the open frames of one genetic code add up to."""

    covered: int = 0
    """Bases in frames too long for chance."""
    in_frames: int = 0
    """Bases in frames of half that length or more."""
    pairs: int = 0
    """Neighbours of the latter on one strand."""
    operon_pairs: int = 0
    """Those of them that begin where the other ends."""

    def __add__(self, other: FrameCounts) -> FrameCounts:
        """Add the counts of another part of the genome."""
        return FrameCounts(*(getattr(self, f) + getattr(other, f) for f in self.__slots__))


@dataclass(frozen=True, slots=True)
class Survey:
    """Counts over the open frames of a genome's sample."""

    bases: int = 0
    """Length of the sample."""
    gc_bases: int = 0
    standard: FrameCounts = FrameCounts()
    """Of frames that TAA, TAG and TGA end."""
    tga_open: FrameCounts = FrameCounts()
    """Of frames that TAA and TAG end."""
    codons: int = 0
    """Codons of the latter's long ones."""
    tga: int = 0
    tgg: int = 0
    agr: int = 0
    """AGA and AGG among them, which are stops in the mitochondria of vertebrates."""

    def __add__(self, other: Survey) -> Survey:
        """Add the counts of another part of the genome."""
        return Survey(*(getattr(self, f) + getattr(other, f) for f in self.__slots__))

    @property
    def gc(self) -> float:
        """Share of G and C."""
        return self.gc_bases / max(1, self.bases)

    @property
    def reads_tga(self) -> bool | None:
        """Whether TGA is an amino acid; None = unknown."""
        if self.standard.pairs < MIN_PAIRS or self.gc > MAX_GC_TGA:
            return None
        return self.tga_open.covered >= TGA_COVERAGE * self.standard.covered

    @property
    def frames(self) -> FrameCounts:
        """The counts of the likelier genetic code."""
        return self.tga_open if self.reads_tga else self.standard

    @property
    def operon_share(self) -> float:
        """Share of neighbouring frames that begin where the other ends."""
        return self.frames.operon_pairs / max(1, self.frames.pairs)

    @property
    def density(self) -> float:
        """Share of the bases that lie in open frames."""
        return self.frames.in_frames / max(1, self.bases)

    @property
    def prokaryote_probability(self) -> float | None:
        """Probability of bacteria or archaea rather than a eukaryote; None = too little DNA."""
        if self.frames.pairs < MIN_PAIRS:
            return None
        logit = KIND_BIAS + KIND_OPERON * self.operon_share + KIND_DENSITY * self.density
        return 1 / (1 + exp(-logit))

    @property
    def is_prokaryote(self) -> bool | None:
        """Whether bacteria or archaea are likelier than a eukaryote; None = too little DNA."""
        probability = self.prokaryote_probability
        return None if probability is None else probability >= 0.5

    @property
    def is_compact(self) -> bool:
        """Whether open frames cover what they do where introns are few and short."""
        return self.density >= COMPACT_DENSITY

    @property
    def kind(self) -> str:
        """The likelier kind in words, with its probability."""
        probability = self.prokaryote_probability
        if probability is None:
            return "kind of genome unknown"
        if self.is_prokaryote:
            return f"a prokaryote's genome (probability {probability:.2f})"
        return f"a eukaryote's genome (probability {1 - probability:.2f})"

    @property
    def genetic_code(self) -> int | None:
        """NCBI number of the genetic code of a prokaryote: 4, 11 or 25; None = unknown."""
        if not self.reads_tga:
            return None if self.reads_tga is None else STANDARD
        is_tryptophan = (self.tga + self.tgg) / max(1, self.codons) <= MAX_TRYPTOPHAN
        return TGA_TRP if is_tryptophan else TGA_GLY


NO_SURVEY = Survey()
"""Of no DNA: it says nothing."""


def survey_genome(contigs: Iterable[SurveyedContig]) -> Survey:
    """Survey up to 2 Mbp of a genome; about 0.3 s.

    Args:
        contigs: Read until enough bases are known.
    """
    found = Survey()
    for bases in _sample(contigs):
        found += survey_block(bases)
    return found


def _sample(contigs: Iterable[SurveyedContig]) -> Iterator[Bases]:
    """Yield blocks from all over long contigs, and the middles of short ones."""
    left = MAX_BLOCKS
    for contig in contigs:
        length = len(contig.bases)
        if length < MIN_CONTIG_BP:
            continue
        blocks = min(left, max(1, length // SPACING_BP))
        for k in range(blocks):
            middle = length * (2 * k + 1) // (2 * blocks)
            yield contig.bases[max(0, middle - BLOCK_BP // 2) : middle + BLOCK_BP // 2]
        left -= blocks
        if not left:
            return


def survey_block(bases: Bases) -> Survey:
    """Survey one sequence."""
    strands = codon_index(bases), codon_index(reverse_complement(bases))
    is_gc, is_known = (np.isin(bases, np.frombuffer(s, np.uint8)) for s in (b"CGcg", b"ACGTacgt"))
    known, gc_bases = int(is_known.sum()), int(is_gc.sum())
    gc = gc_bases / max(1, known)
    standard, _ = _counted(strands, STANDARD, gc)
    tga_open, codons = _counted(strands, TGA_TRP, gc)
    return Survey(
        bases=known,
        gc_bases=gc_bases,
        standard=standard,
        tga_open=tga_open,
        codons=int(codons.sum()),
        tga=int(codons[_TGA]),
        tgg=int(codons[_TGG]),
        agr=int(codons[_AGR].sum()),
    )


def _counted(
    strands: tuple[NDArray[np.int16], ...], code: int, gc: float
) -> tuple[FrameCounts, NDArray[np.int64]]:
    """Count the frames of one genetic code, and the codons of the long ones, (64,)."""
    long, medium = (_chosen(strands, code, gc, share) for share in (1.0, 0.5))
    codons = np.zeros(64, np.int64)
    for frame in long:
        codons += np.bincount(frame.codons(strands), minlength=64)
    return FrameCounts(_bases_in(long), _bases_in(medium), *_operon_pairs(strands, medium)), codons


@dataclass(frozen=True, slots=True)
class _Frame:
    """An open frame between two stops, in coordinates of its own strand, without its stop."""

    strand: int
    """0 = as given, 1 = the reverse complement."""
    start: int
    end: int
    place: int
    """First base on the forward strand."""

    def codons(self, strands: tuple[NDArray[np.int16], ...]) -> NDArray[np.int16]:
        return strands[self.strand][self.start : self.end - 2 : 3]


def _chosen(
    strands: tuple[NDArray[np.int16], ...], code: int, gc: float, share: float
) -> list[_Frame]:
    """Return long open frames that overlap little, longer ones first in choice, by place.

    Args:
        strands: Codon at each base of both strands.
        code: NCBI number of the genetic code.
        gc: Share of G and C, by which the length is chosen.
        share: Share of the length that one frame in a hundred such blocks has by chance.
    """
    stops = np.append(genetic_code(code).stop_table, True)  # an unknown base (-1) ends a frame
    length = len(strands[0]) + 2
    min_bp = max(300, int(share * _chance_bp(length, stops, gc)))
    found = []
    for strand, codons in enumerate(strands):
        starts, ends = _open_spans(stops[codons])
        for k in np.flatnonzero(ends - starts >= min_bp):
            start, end = int(starts[k]), int(ends[k])
            found.append(_Frame(strand, start, end, length - end if strand else start))
    covered, chosen = np.zeros(length, np.bool_), []
    for frame in sorted(found, key=lambda frame: frame.start - frame.end):
        span = slice(frame.place, frame.place + frame.end - frame.start)
        if 2 * covered[span].sum() < frame.end - frame.start:
            covered[span] = True
            chosen.append(frame)
    return sorted(chosen, key=lambda frame: frame.place)


def _chance_bp(length: int, stops: NDArray[np.bool_], gc: float) -> int:
    """Length that one random open frame in a hundred blocks of this length and GC has."""
    share = np.array([(gc if base in "CG" else 1 - gc) / 2 for base in "ACGT"])
    codons = (share[:, None, None] * share[None, :, None] * share[None, None, :]).ravel()
    stop = float(np.clip(codons[stops[:64]].sum(), 1e-4, 0.999))
    return 3 * ceil(max(1.0, log(0.01 / (2 * length * stop)) / log1p(-stop)))


def _open_spans(is_stop: NDArray[np.bool_]) -> tuple[Ints, Ints]:
    """Return first base and end of what lies between stops, in all three frames."""
    stops, length = np.flatnonzero(is_stop), len(is_stop) + 2
    starts, ends = [], []
    for frame in range(3):
        own = stops[stops % 3 == frame]
        last = length - (length - frame) % 3
        starts.append(np.concatenate([[frame], own + 3]))
        ends.append(np.concatenate([own, [last]]))
    return np.concatenate(starts), np.concatenate(ends)


def _bases_in(frames: Iterable[_Frame]) -> int:
    return sum(frame.end - frame.start for frame in frames)


def _operon_pairs(strands: tuple[NDArray[np.int16], ...], frames: list[_Frame]) -> tuple[int, int]:
    """Count the neighbours on one strand, and those that begin where the other ends."""
    pairs = operons = 0
    for left, right in pairwise(frames):
        if left.strand != right.strand:
            continue
        first, second = (right, left) if left.strand else (left, right)
        pairs += 1
        is_start = _STARTS[second.codons(strands)]
        gaps = second.start + 3 * np.flatnonzero(is_start) - (first.end + 3)
        operons += bool(np.any(np.abs(gaps) <= OPERON_BP))
    return pairs, operons
