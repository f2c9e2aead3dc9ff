"""What each token of a genome is: coding, a codon's first base, a start, a splice site, a repeat.

A class is a set of intervals; codon positions are every third base of one. Intervals are held
sorted by contig, and painted window by window, so that memory does not grow with the genome. A
token is of a class if it touches the class, and of a codon position if it begins at one. Strands
are apart: what a model that reads forward knows of genes on the reverse strand is another thing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genet5.genome.extract import introns
from genet5.genome.frames import (
    base_on_strand,
    five_prime,
    five_prime_span,
    five_three,
    strand_sign,
    three_prime,
    three_prime_span,
)
from genet5.genome.gene import Cds, Gene
from genet5.genome.io.formats import read_annotation
from genet5.genome.sequence import Bases
from genet5.lm.activations import TokenStates
from genet5.lm.regions import is_bed, read_regions

REPEAT = "repeat (soft-masked)"
_CODON = "codon position"
_LOWER = 0x20

Masks = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Interval:
    """Bases of one class: every `step`-th of a 0-based half-open interval."""

    name: str
    start: int
    end: int
    step: int = 1


class TokenClasses:
    """The classes of a genome.

    Args:
        intervals: (contig as the genome calls it, interval).
    """

    def __init__(self, intervals: Iterable[tuple[str, Interval]]) -> None:
        by_contig: dict[str, list[Interval]] = defaultdict(list)
        for contig, interval in intervals:
            by_contig[contig].append(interval)
        names = {each.name for found in by_contig.values() for each in found}
        self.names: tuple[str, ...] = (*sorted(names), REPEAT)
        self._index = {name: number for number, name in enumerate(self.names)}
        self._contigs = {name: _Sorted(found) for name, found in by_contig.items()}
        self._begins = np.array([name.startswith(_CODON) for name in self.names])

    def of(self, tokens: TokenStates, bases: Bases) -> Masks:
        """Return (C, S) whether each token of a window is of each class.

        Args:
            tokens: The window's tokens.
            bases: The window's bases.
        """
        begin = tokens.place.start
        painted = np.zeros((len(self.names), len(bases)), dtype=np.bool_)
        if tokens.place.contig in self._contigs:
            for each in self._contigs[tokens.place.contig].within(begin, tokens.place.end):
                first = max(
                    each.start, each.start + -(-(begin - each.start) // each.step) * each.step
                )
                row = painted[self._index[each.name]]
                row[first - begin : max(0, each.end - begin) : each.step] = True
        painted[-1] = (bases & _LOWER) > 0
        starts = tokens.starts - begin
        covered = np.zeros((len(self.names), len(bases) + 1), dtype=np.int32)
        np.cumsum(painted, axis=1, out=covered[:, 1:])
        touches = covered[:, starts + tokens.lengths] > covered[:, starts]
        found: Masks = np.where(self._begins[:, None], painted[:, starts], touches)
        return found


class _Sorted:
    """Intervals by start, with the farthest end so far."""

    def __init__(self, intervals: list[Interval]) -> None:
        self._intervals = sorted(intervals, key=lambda each: each.start)
        self._starts = np.array([each.start for each in self._intervals])
        self._ends = np.maximum.accumulate([each.end for each in self._intervals])

    def within(self, begin: int, end: int) -> list[Interval]:
        first = int(np.searchsorted(self._ends, begin, side="right"))
        last = int(np.searchsorted(self._starts, end, side="left"))
        return [each for each in self._intervals[first:last] if each.end > begin]


def read_classes(path: Path | None, find: Callable[[str], str | None]) -> TokenClasses:
    """Read the classes of an annotation or BED file.

    Args:
        path: The file; None has repeats alone.
        find: Gives the genome's name of a contig, None if it has none.
    """
    found = iter(()) if path is None else _of_bed(path) if is_bed(path) else _of_genes(path)
    named = ((find(contig), interval) for contig, interval in found)
    return TokenClasses((contig, interval) for contig, interval in named if contig is not None)


def _of_bed(path: Path) -> Iterator[tuple[str, Interval]]:
    for region in read_regions(path):
        yield region.contig, Interval(region.name, region.start, region.end)


def _of_genes(path: Path) -> Iterator[tuple[str, Interval]]:
    for gene in read_annotation(path).genes:
        for interval in gene_intervals(gene):
            yield gene.contig, interval


def gene_intervals(gene: Gene) -> Iterator[Interval]:
    """Yield the intervals of a gene's canonical transcript; of other genes, that of their type."""
    sign, transcript = strand_sign(gene.strand), gene.canonical
    if not gene.is_coding:
        yield Interval(f"{gene.type} {sign}", gene.start, gene.end)
        return
    for start, end in introns(transcript):
        yield Interval(f"intron {sign}", start, end)
        donor, acceptor = five_three((start, start + 2), (end - 2, end), gene.strand)
        yield Interval(f"splice donor {sign}", *donor)
        yield Interval(f"splice acceptor {sign}", *acceptor)
    for cds in transcript.cds:
        yield Interval(f"CDS {sign}", cds.start, cds.end)
        yield from _codon_positions(cds, gene.strand)
    first, last = (end(transcript.cds, gene.strand) for end in (five_prime, three_prime))
    if not transcript.partial_5:
        codon = five_prime_span(first.start, first.end, 3, gene.strand)
        yield Interval(f"start codon {sign}", *codon)
    if not transcript.partial_3:
        codon = three_prime_span(last.start, last.end, 3, gene.strand)
        yield Interval(f"stop codon {sign}", *codon)


def _codon_positions(cds: Cds, strand: int) -> Iterator[Interval]:
    for number in range(3):
        offset = base_on_strand(cds.phase + number, cds.end - cds.start, strand) % 3
        name = f"{_CODON} {number + 1} {strand_sign(strand)}"
        yield Interval(name, cds.start + offset, cds.end, step=3)
