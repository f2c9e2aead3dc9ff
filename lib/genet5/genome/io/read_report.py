"""What a reader reports: bad records (an error with file and line, or a count), and a summary.

The summary is one line of the log per file. It makes visible what a reader had to infer: genes
without a line of their own, CDS without a parent, one gene in several copies.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from genet5.errors import DataError
from genet5.genome.gene import Cds, Gene
from genet5.genome.io.read_options import DEFAULT_OPTIONS, ReadOptions

SKIP_REMEDY = "Use --skip_bad to leave such genes out"
_SUSPICIOUS_SHARE = 0.01

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Summary:
    """Counts of one file or contig."""

    genes: int = 0
    transcripts: int = 0
    inferred_genes: int = 0
    """Genes without a line of their own."""
    same_cds: int = 0
    """Genes with the CDS of another gene (of the first transcript)."""
    orphan_cds: int = 0
    """CDS without any word about whose they are: each is a gene of its own."""
    several_loci: int = 0
    """Names of genes or transcripts that stand at more than one locus."""
    out_of_order: int = 0
    """CDS whose intervals do not stand in the order of the sequence."""
    other_features: Counter[str] = field(default_factory=Counter)
    """Features that are no part of a gene, by type."""

    def add(self, other: Summary) -> None:
        """Add the counts of another part of the file."""
        self.genes += other.genes
        self.transcripts += other.transcripts
        self.inferred_genes += other.inferred_genes
        self.same_cds += other.same_cds
        self.orphan_cds += other.orphan_cds
        self.several_loci += other.several_loci
        self.out_of_order += other.out_of_order
        self.other_features.update(other.other_features)

    def add_genes(self, genes: Iterable[Gene]) -> None:
        """Count the genes of one contig."""
        seen: dict[tuple[int, int, int], list[tuple[Cds, ...]]] = {}
        for gene in genes:
            self.genes += 1
            self.transcripts += len(gene.transcripts)
            cds = gene.transcripts[0].cds
            if cds:
                others = seen.setdefault((gene.strand, cds[0].start, cds[-1].end), [])
                self.same_cds += cds in others
                others.append(cds)

    def line(self) -> str:
        """The counts in one line."""
        return (
            f"{self.genes} genes, {self.transcripts} transcripts, {self.inferred_genes} genes "
            f"without a gene line, {self.same_cds} genes with the CDS of another gene, "
            f"{self.orphan_cds} CDS without a parent"
        )

    def warnings(self) -> Iterator[str]:
        """What looks wrong."""
        if self.orphan_cds:
            yield (
                f"{self.orphan_cds} CDS without a parent (no Parent, Derives_from or gene_id): "
                "each became a gene of its own"
            )
        if self.same_cds > _SUSPICIOUS_SHARE * self.genes:
            share = 100 * self.same_cds / self.genes
            yield (
                f"{self.same_cds} of {self.genes} genes ({share:.1f} %) have the CDS of another "
                "gene: is the same gene annotated twice?"
            )
        if self.several_loci:
            yield (
                f"{self.several_loci} IDs of genes or transcripts stand at several loci: "
                "each locus became a gene (NAME, NAME-2 ...)"
            )
        if self.out_of_order:
            yield (
                f"{self.out_of_order} CDS with intervals out of order: marked as exceptions "
                "(origin_spanning, out_of_order)"
            )


class ReadReport:
    """Bad records and counts of one file, or of one contig of it."""

    def __init__(self, path: Path, options: ReadOptions = DEFAULT_OPTIONS) -> None:
        self.path, self.options = path, options
        self.skipped: dict[str, int] = {}
        self.summary = Summary()

    def count(self, cause: str) -> None:
        """Count a record that is legal but cannot be expressed."""
        self.skipped[cause] = self.skipped.get(cause, 0) + 1

    def reject(self, cause: str, line: int, found: str, expected: str) -> None:
        """Count a bad record under `cause`, or raise.

        Raises:
            DataError: Bad records are not to be skipped.
        """
        if not self.options.skip_bad:
            raise DataError(found, expected=expected, path=self.path, line=line, remedy=SKIP_REMEDY)
        self.count(cause)


def log_summary(
    path: Path, summary: Summary, skipped: Mapping[str, int], options: ReadOptions
) -> None:
    """Log the summary of a file that was read to its end.

    Raises:
        DataError: Bad records were skipped, and nothing is left.
    """
    if options.skip_bad and skipped and not summary.genes:
        causes = ", ".join(f"{number} {cause}" for cause, number in sorted(skipped.items()))
        raise DataError(
            f"no gene is left after bad records were skipped ({causes})", path=path,
            remedy="Read it without --skip_bad to see the first bad record",
        )  # fmt: skip
    log.info("%s: %s", path, summary.line())
    if summary.other_features:
        kinds = ", ".join(f"{kind} {n}" for kind, n in summary.other_features.most_common())
        log.info("%s: left out, as no part of a gene: %s", path, kinds)
    for text in summary.warnings():
        log.warning("%s: %s", path, text)


def bad_columns(report: ReadReport, line: str, count: int, number: int) -> None:
    """Report a line that has not nine columns; blank ones are fine."""
    text = line.strip()
    if text:
        report.reject(
            "columns", number, f"{count} columns in {text[:40]!r}", "9 columns separated by tabs"
        )
