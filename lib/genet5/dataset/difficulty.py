"""How hard a gene is to find, and the choice of hard, normal and easy genes for validation.

Difficulty is a sum of points from what gene finders are known to stumble over:

- 1 for each intron of the CDS;
- 1 for each doubling of the longest intron beyond 100 bases;
- 1 for each halving of the CDS below 600 bases;
- 2 for an intron that is not GT-AG;
- 1 for a start codon other than ATG;
- 1 for a CDS that shares its interval with another gene's.

The genes of a species are ranked by it (ties by chance): the upper third is hard, the lower easy.
Of each third a third at most is drawn, so that a small genome keeps most of its genes for training.

Example:
    >>> gene_points(num_introns=0, longest_intron_bp=0, cds_bp=300)
    1.0
    >>> gene_points(num_introns=2, longest_intron_bp=400, cds_bp=1200, is_odd_splice=True)
    6.0
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from genet5.genome.gene import Gene
from genet5.genome.sequence import Bases

DIFFICULTIES = ("easy", "normal", "hard")

_USUAL_INTRON_BP = 100
_USUAL_CDS_BP = 600


def gene_points(
    *,
    num_introns: int,
    longest_intron_bp: int,
    cds_bp: int,
    is_odd_splice: bool = False,
    is_odd_start: bool = False,
    is_overlapping: bool = False,
) -> float:
    """Difficulty in points; see the module's docstring."""
    return (
        num_introns
        + math.log2(max(longest_intron_bp, _USUAL_INTRON_BP) / _USUAL_INTRON_BP)
        + math.log2(_USUAL_CDS_BP / min(max(cds_bp, 1), _USUAL_CDS_BP))
        + 2 * is_odd_splice
        + is_odd_start
        + is_overlapping
    )


def contig_points(genes: Sequence[Gene], bases: Bases) -> list[float]:
    """Difficulty of the coding genes of one contig, each by its canonical transcript.

    Args:
        genes: Genes with a CDS that lie within the contig.
        bases: (L,) uint8 letters of the contig, any case.
    """
    overlapping = _overlapping([_cds_span(gene) for gene in genes])
    return [_points(g, bases, hit) for g, hit in zip(genes, overlapping, strict=True)]


def choose(points: Sequence[float], number: int, rng: np.random.Generator) -> dict[str, list[int]]:
    """Draw up to `number` genes of each difficulty, at most a third; return their indices."""
    by_chance = rng.permutation(len(points))
    ranked = by_chance[np.argsort(np.asarray(points)[by_chance], kind="stable")]
    thirds = np.array_split(ranked, len(DIFFICULTIES))
    return {
        name: sorted(rng.permutation(third)[: min(number, len(third) // 3)].tolist())
        for name, third in zip(DIFFICULTIES, thirds, strict=True)
    }


def _points(gene: Gene, bases: Bases, is_overlapping: bool) -> float:
    cds = gene.canonical.cds
    introns = [(a.end, b.start) for a, b in pairwise(cds) if b.start > a.end]
    first, last = _letters(bases, cds[0].start, 3), _letters(bases, cds[-1].end - 3, 3)
    starts_odd = first != b"ATG" if gene.strand > 0 else last != b"CAT"
    ends = (b"GT", b"AG") if gene.strand > 0 else (b"CT", b"AC")
    splices_odd = any(
        (_letters(bases, start, 2), _letters(bases, end - 2, 2)) != ends for start, end in introns
    )
    return gene_points(
        num_introns=len(introns),
        longest_intron_bp=max((end - start for start, end in introns), default=0),
        cds_bp=gene.canonical.cds_length,
        is_odd_splice=splices_odd,
        is_odd_start=starts_odd,
        is_overlapping=is_overlapping,
    )


def _cds_span(gene: Gene) -> tuple[int, int]:
    cds = gene.canonical.cds
    return cds[0].start, cds[-1].end


def _overlapping(spans: Sequence[tuple[int, int]]) -> list[bool]:
    """Which spans share a base with another one."""
    if not spans:
        return []
    starts = np.sort([start for start, _ in spans])
    ends = np.sort([end for _, end in spans])
    near = np.asarray(spans)
    begun = np.searchsorted(starts, near[:, 1], side="left")
    ended = np.searchsorted(ends, near[:, 0], side="right")
    return [bool(number > 1) for number in (begun - ended).tolist()]  # each span meets itself


def _letters(bases: Bases, start: int, number: int) -> bytes:
    return bases[start : start + number].tobytes().upper()
