"""Two annotations compared contig by contig: counts, a list, and a track of what differs.

Example:
    comparison = Comparison()
    for name, length in contigs:
        comparison.add(name, length, predicted[name], reference[name])
    page.write(differences_section(comparison.counts, comparison.listed))
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from genet5.genome.gene import Gene
from genet5.score.differences import Difference, differences
from genet5.view.features import Features
from genet5.view.genome_view import FORWARD, Track

_REFERENCE = "#6b7f8c"
_COLORS = {
    "start": "224,159,62",
    "stop": "192,57,43",
    "splice": "142,68,173",
    "several": "142,68,173",
    "split": "22,135,120",
    "merged": "22,135,120",
    "strand": "192,57,43",
    "only_first": "42,111,151",
    "only_second": "91,103,112",
}
"""Kind of difference -> R,G,B."""


class Comparison:
    """Gathers what differs between two annotations.

    Args:
        keep_same: List equal genes, too.
    """

    def __init__(self, *, keep_same: bool = False) -> None:
        self._keep_same = keep_same
        self._first, self._second, self._differences = Features(), Features(), Features()
        self.counts: Counter[str] = Counter()
        """Genes or groups of genes of each kind."""
        self.listed: list[Difference] = []

    def add(
        self, contig: str, length_bp: int | None, first: Sequence[Gene], second: Sequence[Gene]
    ) -> None:
        """Compare the coding genes of a contig.

        Args:
            contig: Its name.
            length_bp: Its length, where known: a gene over the origin has two notations.
            first: Genes of one annotation.
            second: Genes of the other.
        """
        self._first.add_genes(contig, length_bp or 0, first)
        self._second.add_genes(contig, length_bp or 0, second)
        for one in differences(first, second, length_bp):
            self.counts[one.kind] += 1
            if one.kind == "same":
                self.listed += [one] * self._keep_same
                continue
            self.listed.append(one)
            self._differences.add_interval(
                contig, one.start, min(one.end, length_bp or one.end), name=one.kind,
                strand=one.strand, color=_COLORS[one.kind],
            )  # fmt: skip

    def tracks(self, first: str, second: str) -> list[Track]:
        """Return both annotations, by these names, and what differs; call it once."""
        return [
            Track(first, "bed", ((FORWARD, self._first.data()),)),
            Track(second, "bed", ((_REFERENCE, self._second.data()),)),
            Track("differences", "bed", (("", self._differences.data()),)),
        ]
