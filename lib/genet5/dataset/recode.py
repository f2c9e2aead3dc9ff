"""Training data in genetic code 4 made from genomes of code 11: TGA comes to mean tryptophan.

In coding genes most TGG codons become TGA, as in Mycoplasma, and TGA stops become TAA; nothing else
changes, so that all coordinates stay. A TGG codon that another CDS overlaps keeps its letters. A
stop whose change would break a gene that overlaps it (the common ATGA, where TGA is also half of a
start codon) cannot be written in code 4: it is returned as *spoiled*, and windows that show it are
not used.

Cost: some array operations per contig, and one translation per stop codon in an overlap.

Example:
    >>> from genet5.genome.gene import Cds, Exon, Transcript
    >>> from genet5.genome.sequence import decode_bases, encode_bases
    >>> whole = Transcript(id="t", exons=(Exon(0, 9),), cds=(Cds(0, 9, 0),))
    >>> gene = Gene(id="g", contig="c", strand=1, transcripts=(whole,))
    >>> bases, rng = encode_bases("ATGTGGTGA"), np.random.default_rng(0)
    >>> recoded = recode_contig(bases, [gene], [gene], rng, share=1.0)
    >>> decode_bases(recoded.bases), recoded.spoiled
    ('ATGTGATAA', [])
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genet5.genome.codes import genetic_code
from genet5.genome.frames import in_reading_order
from genet5.genome.gene import Gene, Transcript
from genet5.genome.sequence import BASE_INDEX, Bases

SOURCE_CODE, TARGET_CODE = 11, 4
TRYPTOPHAN_SHARE = 0.9
"""Share of tryptophan codons that are TGA; Mycoplasmas have 0.8 to 0.95."""

_A, _G, _T = 0, 2, 3
_STARTS = np.isin(np.arange(64), [16 * first + 4 * _T + _G for first in (_A, _G, _T)])
_CODON_WEIGHTS = np.array([16, 4, 1])
_TGA = 16 * _T + 4 * _G + _A
_STOPS = genetic_code(TARGET_CODE).stop_table


@dataclass(frozen=True, slots=True)
class Recoded:
    """A contig in the target code."""

    bases: Bases
    spoiled: list[tuple[int, int]]
    """Half-open intervals, each a stop codon that could not be changed."""
    changed_codons: int


@dataclass(frozen=True, slots=True)
class _Coding:
    """One gene's CDS: positions of its bases in reading direction, (codons, 3)."""

    positions: NDArray[np.int64]
    strand: int

    def letters(self, bases: Bases) -> NDArray[np.int64]:
        """(codons, 3) base indices as the gene reads them; negative or 4 where ambiguous."""
        index = BASE_INDEX[bases[self.positions]].astype(np.int64)
        return index if self.strand > 0 else np.where(index < 4, 3 - index, index)

    def is_legal(self, bases: Bases) -> bool:
        """Whether it is legal in the target code; a final TGA counts as a stop to change."""
        letters = self.letters(bases)
        codons = np.where((letters < 4).all(axis=1), letters @ _CODON_WEIGHTS, 63)
        stops = _STOPS[codons]
        closed = stops[-1] or codons[-1] == _TGA
        return bool(_STARTS[codons[0]] and closed and not stops[:-1].any())


def recode_contig(
    bases: Bases,
    targets: Sequence[Gene],
    coding: Iterable[Gene],
    rng: np.random.Generator,
    *,
    share: float = TRYPTOPHAN_SHARE,
) -> Recoded:
    """Rewrite a contig of code 11 in code 4.

    Args:
        bases: The contig; it is not changed.
        targets: Genes that must be legal in code 4: complete, regular, with one canonical
            transcript.
        coding: All genes with a CDS, pseudogenes too, whose overlaps protect TGG codons; may hold
            the targets.
        rng: Decides which TGG codons change.
        share: Share of them that do.
    """
    bases = bases.copy()
    covered = _coverage(len(bases), coding)
    whole = [gene for gene in targets if gene.start >= 0 and gene.end <= len(bases)]
    over_origin = [gene for gene in targets if not (gene.start >= 0 and gene.end <= len(bases))]
    genes = [_coding(gene.canonical, gene.strand) for gene in whole]
    changed = sum(_change_tryptophan(bases, gene, covered, rng, share) for gene in genes)
    spoiled = [(max(gene.start, 0), gene.end) for gene in over_origin]
    finder = _Overlaps(genes)
    for index, gene in enumerate(genes):
        if gene.letters(bases)[-1].tolist() != [_T, _G, _A]:
            continue
        if _change_stop(bases, gene, finder.others(index)):
            changed += 1
        else:
            spoiled.append((int(gene.positions[-1].min()), int(gene.positions[-1].max()) + 1))
    return Recoded(bases, sorted(spoiled), changed)


def _coding(transcript: Transcript, strand: int) -> _Coding:
    positions = np.concatenate([np.arange(cds.start, cds.end) for cds in transcript.cds])
    positions = in_reading_order(positions, strand)
    return _Coding(positions[: len(positions) // 3 * 3].reshape(-1, 3), strand)


def _coverage(length_bp: int, coding: Iterable[Gene]) -> NDArray[np.int64]:
    """How many genes have a CDS at each base; wraps at the origin."""
    steps = np.zeros(length_bp + 1, dtype=np.int64)
    for gene in coding:
        for cds in gene.canonical.cds:
            for shift in (0, length_bp):
                start, end = cds.start - shift, cds.end - shift
                if start < length_bp and end > 0:
                    steps[max(start, 0)] += 1
                    steps[min(end, length_bp)] -= 1
    return np.cumsum(steps[:-1])


def _write(bases: Bases, position: NDArray[np.int64] | np.int64, strand: int) -> None:
    """Put an A, as a gene on `strand` reads it; the case stays."""
    letter = ord("A") if strand > 0 else ord("T")
    bases[position] = (bases[position] & 0x20) | letter


def _change_tryptophan(
    bases: Bases,
    gene: _Coding,
    covered: NDArray[np.int64],
    rng: np.random.Generator,
    share: float,
) -> int:
    codons = np.flatnonzero((gene.letters(bases) == [_T, _G, _G]).all(axis=1))
    codons = codons[rng.random(len(codons)) < share]
    codons = codons[(covered[gene.positions[codons]] <= 1).all(axis=1)]
    _write(bases, gene.positions[codons, 2], gene.strand)
    return len(codons)


def _change_stop(bases: Bases, gene: _Coding, others: Iterable[_Coding]) -> bool:
    """Turn TGA into TAA unless that breaks a gene that reads the same base."""
    position = gene.positions[-1, 1]
    sharing = [other for other in others if (other.positions == position).any()]
    before = bases[position]
    intact = [other for other in sharing if other.is_legal(bases)]
    _write(bases, position, gene.strand)
    if all(other.is_legal(bases) for other in intact):
        return True
    bases[position] = before
    return False


class _Overlaps:
    """Finds the genes that overlap a gene's stop codon."""

    def __init__(self, genes: Sequence[_Coding]) -> None:
        self._genes = genes
        self._starts = np.array([gene.positions.min() for gene in genes], dtype=np.int64)
        self._ends = np.array([gene.positions.max() for gene in genes], dtype=np.int64)

    def others(self, index: int) -> list[_Coding]:
        base = self._genes[index].positions[-1, 1]
        found = np.flatnonzero((self._starts <= base) & (base <= self._ends))
        return [self._genes[other] for other in found.tolist() if other != index]
