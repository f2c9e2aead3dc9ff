#!/usr/bin/env python3
"""Which training genomes have start codons that can be learnt from? Annotations against pyrodigal.

For each prokaryote of the split table, by its own genetic code, with pyrodigal trained on the
genome itself: how many annotated genes have their stop found too (`stop_agreement`), how many of
pyrodigal's stops are annotated (`stop_precision`), in how many of the genes that share a stop the
start is the same (`start_agreement`), and in how many of those that differ the annotated one lies
upstream (`longer`: annotations that took the longest open frame). With them the genes per kbp, the
coding density, and how many neighbours on one strand overlap by more than 60 bp. Genomes below
`--least` start agreement are to be baked with `genet5 bake --unsure_starts`. Prodigal's own starts
are right in 91 to 98 % of verified genes, so the figures flag annotations, they do not rate them.

Only complete coding genes are compared. Writes a table (TSV); three minutes on one core.

Example:
    python studies/screen_labels.py --data ../shared/data
"""

from __future__ import annotations

import pathlib
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, fields
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import pyrodigal

from genet5.cli.parse import run
from genet5.dataset.sources import Source, find_genomes, read_split_table
from genet5.errors import ConfigError
from genet5.genome.frames import five_prime_base, three_prime_base
from genet5.genome.gene import Gene
from genet5.genome.io.fasta import read_fasta
from genet5.genome.io.formats import read_annotation
from genet5.genome.sequence import Bases
from genet5.outputs import atomic_writer

ROOT = Path(__file__).resolve().parents[1]
_OVERLAP_BP = 60  # more than neighbours share in any genome whose starts are known

Starts = dict[tuple[str, int, int], int]
"""(contig, strand, last base of the stop codon) -> first base of the start codon."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScreenConfig:
    """Which genomes to screen, and where the table goes."""

    data: Path = ROOT.parent / "shared" / "data"
    """Folder with splits.tsv and raw/CLADE/GENOME."""
    out: Path = ROOT / "studies" / "results" / "label_screen.tsv"
    """Table to write."""
    least: float = 0.85
    """Start agreement below which a genome's starts are unsure."""
    genomes: tuple[str, ...] = ()
    """Beginnings of names; by default all prokaryotes of the split table."""

    def __post_init__(self) -> None:
        if not 0 <= self.least <= 1:
            raise ConfigError("least", self.least, "must be in 0..1")


@dataclass(frozen=True, slots=True)
class Screened:
    """One genome's row of the table; shares are of 1."""

    genome: str
    split: str
    genes: int
    stop_agreement: float
    stop_precision: float
    start_agreement: float
    longer: float
    genes_per_kbp: float
    coding_density: float
    overlaps: float
    unsure_starts: str


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    summary = "Screen the start codons of training genomes against pyrodigal."
    return run(_screen, ScreenConfig, argv, name="screen_labels", description=summary)


def _screen(config: ScreenConfig) -> int:
    table = read_split_table(config.data / "splits.tsv")
    rows = []
    for source in find_genomes(config.data / "raw", clades=("prokaryotes",)):
        split = table.rows.get((source.clade, source.genome), {}).get("*")
        if split is None or not source.genome.startswith(config.genomes or ""):
            continue
        rows.append(screen(source, split, config.least))
        sys.stdout.write("\t".join(map(str, astuple(rows[-1]))) + "\n")
    rows.sort(key=lambda row: row.start_agreement)
    with atomic_writer(config.out) as file:
        file.write("\t".join(field.name for field in fields(Screened)) + "\n")
        file.writelines("\t".join(map(str, asdict(row).values())) + "\n" for row in rows)
    return 0


def screen(source: Source, split: str, least: float) -> Screened:
    """Compare one genome's annotation with pyrodigal."""
    contigs = {contig.name: contig.bases for contig in read_fasta(source.fasta)}
    genes = [gene for gene in read_annotation(source.gff).genes if gene.is_regular]
    code = Counter(gene.genetic_code or 11 for gene in genes).most_common(1)[0][0]
    ours, theirs = starts_of(genes), predicted_starts(contigs, code)
    both = ours.keys() & theirs.keys()
    differ = [stop for stop in both if ours[stop] != theirs[stop]]
    longer = sum(stop[1] * (theirs[stop] - ours[stop]) > 0 for stop in differ)
    agreement = 1 - len(differ) / max(1, len(both))
    total_bp = sum(map(len, contigs.values()))
    coding_bp = sum(gene.canonical.cds_length for gene in genes)
    return Screened(
        genome=source.genome,
        split=split,
        genes=len(genes),
        stop_agreement=round(len(both) / max(1, len(ours)), 4),
        stop_precision=round(len(both) / max(1, len(theirs)), 4),
        start_agreement=round(agreement, 4),
        longer=round(longer / max(1, len(differ)), 4),
        genes_per_kbp=round(1000 * len(genes) / total_bp, 4),
        coding_density=round(coding_bp / total_bp, 4),
        overlaps=round(count_overlaps(genes) / max(1, len(genes)), 4),
        unsure_starts="yes" if agreement < least else "no",
    )


def starts_of(genes: Iterable[Gene]) -> Starts:
    """Return each gene's start by its stop."""
    return {
        (g.contig, g.strand, three_prime_base(g.start, g.end, g.strand)): five_prime_base(
            g.start, g.end, g.strand
        )
        for g in genes
    }


def predicted_starts(contigs: Mapping[str, Bases], genetic_code: int) -> Starts:
    """Return the starts that pyrodigal finds, trained on all contigs; cut genes are left out."""
    finder = pyrodigal.GeneFinder()
    finder.train(*(bases.tobytes() for bases in contigs.values()), translation_table=genetic_code)
    found: Starts = {}
    for name, bases in contigs.items():
        for gene in finder.find_genes(bases.tobytes()):
            if gene.partial_begin or gene.partial_end:
                continue
            start, end = gene.begin - 1, gene.end
            stop = three_prime_base(start, end, gene.strand)
            found[name, gene.strand, stop] = five_prime_base(start, end, gene.strand)
    return found


def count_overlaps(genes: Sequence[Gene]) -> int:
    """Count neighbours on one strand that overlap by more than 60 bp."""
    order = sorted(genes, key=lambda gene: (gene.contig, gene.strand, gene.start))
    return sum(
        left.contig == right.contig
        and left.strand == right.strand
        and left.end - right.start > _OVERLAP_BP
        for left, right in pairwise(order)
    )


if __name__ == "__main__":
    sys.exit(main())
