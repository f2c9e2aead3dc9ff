"""What differs between two annotations of a genome, gene by gene.

Neither is held to be true: every coding gene counts, also partial and spliced ones. Two genes are
the same if an isoform of one has the coding intervals of an isoform of the other; else the rules
are those of error causes (`causes`).

Example:
    >>> from genet5.genome.gene import Cds, Exon, Transcript
    >>> def gene(name, start, end):
    ...     tx = Transcript(id="t", exons=(Exon(start, end),), cds=(Cds(start, end, 0),))
    ...     return Gene(id=name, contig="c", strand=1, transcripts=(tx,))
    >>> found = differences([gene("a", 0, 90), gene("b", 200, 290)], [gene("x", 30, 90)], None)
    >>> [(one.kind, one.first, one.second, one.detail) for one in found]
    [('start', ('a',), ('x',), 'start 30 bp downstream'), ('only_first', ('b',), (), '')]
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from genet5.genome.frames import in_reading_order, strand_sign
from genet5.genome.gene import Gene
from genet5.score.causes import compare_genes, equal_genes
from genet5.score.chains import Axis, Chain, chain_of, gaps_of

KINDS: dict[str, str] = {
    "same": "the same",
    "start": "another start",
    "stop": "another stop",
    "splice": "other splice sites",
    "several": "several of these",
    "split": "split in the second",
    "merged": "merged in the second",
    "strand": "on the other strand",
    "only_first": "only in the first",
    "only_second": "only in the second",
}
"""Name -> label."""
_KIND_OF_CAUSE = {
    "right": "same", "wrong_start": "start", "wrong_stop": "stop", "wrong_splice_site": "splice",
    "several": "several", "split": "split", "merged": "merged", "wrong_strand": "strand",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Difference:
    """Genes of both sides that belong together, or a gene that one side alone has."""

    kind: str
    """A name of KINDS."""
    contig: str
    strand: str
    """+ or - of the first side, where it has a gene."""
    start: int
    """0-based, over the genes of both sides."""
    end: int
    first: tuple[str, ...]
    """IDs of the first side's genes."""
    second: tuple[str, ...]
    detail: str = ""
    """How far a start or stop lies off, seen from the first side."""


def differences(
    first: Sequence[Gene], second: Sequence[Gene], length_bp: int | None
) -> list[Difference]:
    """Compare the coding genes of one contig.

    Args:
        first: Genes of one annotation.
        second: Genes of the other, on the same contig.
        length_bp: The contig's length, where known: a gene over the origin has two notations.

    Returns:
        One for each group of genes, by place.
    """
    sides = [[gene for gene in genes if gene.is_coding] for genes in (first, second)]
    chains = [[_chains(gene, length_bp) for gene in genes] for genes in sides]
    reach = {gene.contig: gene.end for genes in sides for gene in genes}
    reach = {name: max(g.end for genes in sides for g in genes) for name in reach}
    axis = Axis(reach, {name: length_bp for name in reach if length_bp})
    found = compare_genes(chains[1], chains[0], equal_genes(chains[1], chains[0]), axis)
    groups = _groups(found.pairs.T.tolist(), len(sides[0]), len(sides[1]))
    listed = []
    for ones, others in groups:
        if ones and others:
            kind = _KIND_OF_CAUSE[str(found.reference[ones[0]])]
        else:
            kind = "only_first" if ones else "only_second"
        detail = ""
        if kind in ("start", "stop", "several"):
            detail = _detail(min(chains[0][ones[0]]), min(chains[1][others[0]]))
        genes = [sides[0][i] for i in ones], [sides[1][i] for i in others]
        listed.append(_difference(kind, genes, detail))
    return sorted(listed, key=lambda one: (one.start, one.end, one.first, one.second))


def _chains(gene: Gene, length_bp: int | None) -> frozenset[Chain]:
    return frozenset(chain_of(gene, t, length_bp) for t in gene.transcripts if t.cds)


def _groups(
    pairs: Sequence[Sequence[int]], num_first: int, num_second: int
) -> Iterator[tuple[list[int], list[int]]]:
    """Yield the connected genes: indices of the first side, and of the second."""
    first_of: dict[int, list[int]] = defaultdict(list)
    second_of: dict[int, list[int]] = defaultdict(list)
    for second, first in pairs:
        first_of[second].append(first)
        second_of[first].append(second)
    seen: set[tuple[bool, int]] = set()
    nodes = [(False, i) for i in range(num_first)] + [(True, i) for i in range(num_second)]
    for node in nodes:
        group: list[tuple[bool, int]] = []
        waiting = [node]
        while waiting:
            side, index = waiting.pop()
            if (side, index) in seen:
                continue
            seen.add((side, index))
            group.append((side, index))
            waiting += [(not side, i) for i in (first_of if side else second_of)[index]]
        if group:
            group.sort()
            yield [i for side, i in group if not side], [i for side, i in group if side]


def _detail(first: Chain, second: Chain) -> str:
    """Say how far the ends of the second lie off, in reading direction."""
    strand, ends = first[1], []
    moved = second[2][0] - first[2][0], second[2][-1] - first[2][-1]
    for name, shift in zip(("start", "stop"), in_reading_order(moved, strand), strict=True):
        if shift:
            way = "downstream" if shift * strand > 0 else "upstream"
            ends.append(f"{name} {abs(shift):,} bp {way}")
    if gaps_of(first) != gaps_of(second):
        ends.append("other introns")
    return ", ".join(ends)


def _difference(kind: str, genes: tuple[list[Gene], list[Gene]], detail: str) -> Difference:
    every = [*genes[0], *genes[1]]
    ids = [tuple(gene.id for gene in side) for side in genes]
    return Difference(
        kind=kind,
        contig=every[0].contig,
        strand=strand_sign(every[0].strand),
        start=min(gene.start for gene in every),
        end=max(gene.end for gene in every),
        first=ids[0],
        second=ids[1],
        detail=detail,
    )
