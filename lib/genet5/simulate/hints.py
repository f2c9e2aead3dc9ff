"""Hints as programs give them, from genes that are known: incomplete, uneven, partly wrong.

RNA-seq shows introns: each gene has a level of expression (log-normal), each intron reads around it
(Poisson, with a spread of its own), and what has no read is missing; so weak genes lose all their
introns. Proteins show coding parts with phases, introns between them, starts and stops: some genes
have no relative in the database, alignments often lack the ends, and parts of them. Both have
borders in wrong places and false hints. How far real data deviate from this is not known; the
shapes are those of reports on such data, the numbers are round.

Example:
    >>> gene = [Hint("c", "intron", 40, 90, 1), Hint("c", "intron", 130, 190, 1)]
    >>> found = transcript_hints([gene] * 1000, np.random.default_rng(1), recall=0.5)
    >>> 0.45 < len(found) / 2000 < 0.55, {hint.source for hint in found}
    (True, {'E'})
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from math import exp, log
from statistics import NormalDist

import numpy as np

from genet5.genome.frames import five_three, in_reading_order, phase_of
from genet5.genome.gene import Gene
from genet5.genome.hints import Hint
from genet5.genome.sequence import Bases

_LEVEL_SPREAD = 1.5
"""Sigma of the logarithm of genes' expression."""
_SITE_SPREAD = 0.5
"""That of the coverage of introns of one gene."""
_QUANTILES = 199
_MOST_SHIFTED_BP = 12
_INTRON_BP = (40, 1000)
_CODING_BP = (60, 900)
_SEARCHED_BP = 300
_HAS_END = 0.5
"""Share of protein alignments that reach the end of a gene, for each end."""
_LOST_SHARE = 0.15
"""Mean share of the coding sequence that others lack there."""
_LOST_PART = 0.05
_STOP_COUNTING = 0.4
"""Chance that no further protein shows a part that one shows."""


@dataclass(frozen=True, slots=True)
class Corruption:
    """How incomplete and wrong hints are."""

    recall: float
    """Share of introns that RNA-seq shows, of genes that proteins show; above 0, below 1."""
    false: float = 0.0
    """Expected number of false hints."""
    shifted: float = 0.0
    """Share with one border in a wrong place."""


def gene_hints(gene: Gene) -> list[Hint]:
    """Return all that hints could say of a gene's canonical transcript."""
    best, strand, at = gene.canonical, gene.strand, gene.contig
    hints = [Hint(at, "coding", cds.start, cds.end, strand, cds.phase) for cds in best.cds]
    hints += [
        Hint(at, "intron", first.end, second.start, strand)
        for first, second in pairwise(best.exons)
        if first.end < second.start
    ]
    if best.cds:
        start, end = best.cds[0].start, best.cds[-1].end
        left, right = (start, start + 3), (end - 3, end)
        five, three = five_three(left, right, strand)
        hints += [] if best.partial_5 else [Hint(at, "start", *five, strand)]
        hints += [] if best.partial_3 else [Hint(at, "stop", *three, strand)]
    return hints


def rna_like(
    genes: Sequence[Sequence[Hint]], bases: Bases, how: Corruption, rng: np.random.Generator
) -> list[Hint]:
    """Return introns as from RNA-seq.

    Args:
        genes: All that hints could say of each gene of a contig.
        bases: The contig, or the window that the genes lie on; base 0 is coordinate 0.
        how: Corruption.
        rng: Generator of all choices.
    """
    true = transcript_hints(genes, rng, recall=how.recall, shifted=how.shifted)
    contig = next((hint.contig for gene in genes for hint in gene), "")
    return true + false_introns(contig, bases, int(rng.poisson(how.false)), rng)


def protein_like(
    genes: Sequence[Sequence[Hint]], bases: Bases, how: Corruption, rng: np.random.Generator
) -> list[Hint]:
    """Return coding parts, introns, starts and stops as from aligned proteins; see `rna_like`."""
    true = [
        hint for gene in genes if rng.random() < how.recall for hint in _aligned(gene, how, rng)
    ]
    contig = next((hint.contig for gene in genes for hint in gene), "")
    return true + _false_coding(contig, len(bases), int(rng.poisson(how.false)), rng)


def transcript_hints(
    genes: Sequence[Sequence[Hint]],
    rng: np.random.Generator,
    *,
    recall: float,
    shifted: float = 0.0,
) -> list[Hint]:
    """Return those introns of genes that have reads; `recall` of them in the mean."""
    depth, found = _depth_for(recall), []
    for gene in genes:
        level = depth * exp(_LEVEL_SPREAD * rng.standard_normal())
        for hint in gene:
            if hint.kind != "intron":
                continue
            reads = int(rng.poisson(min(level * exp(_SITE_SPREAD * rng.standard_normal()), 1e6)))
            if reads:
                found.append(_perhaps_shifted(replace(hint, source="E"), reads, shifted, rng))
    return found


def false_introns(contig: str, bases: Bases, count: int, rng: np.random.Generator) -> list[Hint]:
    """Return introns that are none, of a read or two, from a GT to an AG where there are such."""
    text = {1: (b"GT", b"AG"), -1: (b"CT", b"AC")}
    letters = bases.tobytes().upper()
    found = []
    for _ in range(count if len(letters) > _INTRON_BP[0] else 0):
        strand, length = _strand(rng), _length(_INTRON_BP, rng)
        left, right = text[strand]
        at = int(rng.integers(max(1, len(letters) - length)))
        start = _place(letters, left, at)
        end = min(_place(letters, right, start + length - 2) + 2, len(letters))
        found.append(Hint(contig, "intron", start, end, strand, None, int(rng.geometric(0.7)), "E"))
    return found


@cache
def _depth_for(recall: float) -> float:
    """Return the mean reads of an intron for which `recall` of all introns have one or more."""
    normal, sigma = NormalDist(), (_LEVEL_SPREAD**2 + _SITE_SPREAD**2) ** 0.5
    steps = (k / (_QUANTILES + 1) for k in range(1, _QUANTILES + 1))
    levels = np.exp(sigma * np.array([normal.inv_cdf(step) for step in steps]))
    low, high = -20.0, 20.0
    for _ in range(50):
        middle = (low + high) / 2
        seen = float(np.mean(1 - np.exp(-exp(middle) * levels)))
        low, high = (middle, high) if seen < recall else (low, middle)
    return exp(low)


def _perhaps_shifted(hint: Hint, reads: int, shifted: float, rng: np.random.Generator) -> Hint:
    """Count the reads of a hint; a few of them are aligned wrongly, all at one border."""
    if rng.random() >= shifted:
        return replace(hint, multiplicity=reads)
    moved = int(rng.integers(1, _MOST_SHIFTED_BP + 1)) * _strand(rng)
    start, end = (moved, 0) if rng.random() < 0.5 else (0, moved)
    start, end = hint.start + start, hint.end + end
    return replace(hint, start=start, end=max(start + 1, end), multiplicity=max(1, reads // 4))


def _aligned(gene: Sequence[Hint], how: Corruption, rng: np.random.Generator) -> Iterator[Hint]:
    """Yield what proteins show of a gene that has a relative."""
    proteins, total = (
        int(rng.geometric(_STOP_COUNTING)),
        sum(hint.end - hint.start for hint in gene if hint.kind == "coding"),
    )
    lost = [
        0 if rng.random() < _HAS_END else int(rng.exponential(_LOST_SHARE) * total) // 3 * 3
        for _ in range(2)
    ]
    parts = [
        _perhaps_longer(part, how.shifted, rng)
        for part in _trimmed(gene, *lost)
        if rng.random() >= _LOST_PART
    ]
    edges = {base for part in parts for base in (part.start, part.end)}
    has_end = {"start": not lost[0], "stop": not lost[1]}
    others = (
        hint
        for hint in gene
        if (hint.kind == "intron" and {hint.start, hint.end} <= edges)
        or (bool(parts) and has_end.get(hint.kind, False))
    )
    for hint in (*parts, *others):
        yield replace(hint, source="P", multiplicity=proteins)


def _trimmed(gene: Sequence[Hint], lost_5: int, lost_3: int) -> Iterator[Hint]:
    """Yield a gene's coding parts without some bases at its ends."""
    ordered = sorted((hint for hint in gene if hint.kind == "coding"), key=lambda hint: hint.start)
    total = sum(part.end - part.start for part in ordered)
    before = 0
    for part in in_reading_order(ordered, ordered[0].strand if ordered else 1):
        size = part.end - part.start
        cut_5 = min(max(lost_5 - before, 0), size)
        cut_3 = min(max(before + size - (total - lost_3), 0), size)
        before += size
        if cut_5 + cut_3 >= size:
            continue
        left, right = five_three(cut_5, cut_3, part.strand)
        phase = None if part.phase is None else phase_of(cut_5, part.phase)
        yield replace(part, start=part.start + left, end=part.end - right, phase=phase)


def _perhaps_longer(part: Hint, shifted: float, rng: np.random.Generator) -> Hint:
    """Move the 3' border of some coding parts; their phase stays what it was."""
    if rng.random() >= shifted:
        return part
    moved = int(rng.integers(1, _MOST_SHIFTED_BP + 1)) * _strand(rng)
    if part.strand > 0:
        return replace(part, end=max(part.start + 1, part.end + moved))
    return replace(part, start=min(part.end - 1, part.start - moved))


def _false_coding(contig: str, length_bp: int, count: int, rng: np.random.Generator) -> list[Hint]:
    found = []
    for _ in range(count):
        size = min(_length(_CODING_BP, rng), length_bp)
        start, phase = int(rng.integers(length_bp - size + 1)), int(rng.integers(3))
        found.append(Hint(contig, "coding", start, start + size, _strand(rng), phase, 1, "P"))
    return found


def _strand(rng: np.random.Generator) -> int:
    return 1 if rng.random() < 0.5 else -1


def _length(bounds: tuple[int, int], rng: np.random.Generator) -> int:
    """Draw a length whose logarithm is uniform."""
    return int(exp(rng.uniform(log(bounds[0]), log(bounds[1]))))


def _place(letters: bytes, word: bytes, start: int) -> int:
    """Return where the word stands next; where there is none near, `start`."""
    found = letters.find(word, start, start + _SEARCHED_BP)
    return found if found >= 0 else start
