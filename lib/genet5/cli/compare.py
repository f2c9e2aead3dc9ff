"""`genet5 compare`: what differs between two annotations of a genome."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from genet5.cli.parse import run, write_table
from genet5.errors import ConfigError, DataError
from genet5.genome.io.files import check_inputs
from genet5.genome.io.formats import open_annotation
from genet5.genome.io.spool import GenomeSpool
from genet5.outputs import atomic_writer, check_outputs
from genet5.score.differences import KINDS, Difference
from genet5.score.differences_page import differences_html, differences_section, differences_svg
from genet5.view.comparison import Comparison
from genet5.view.genome_view import PAGE_BYTES, POLICY, genome_view

_COLUMNS = ("kind", "contig", "strand", "start", "end", "first", "second", "detail")


@dataclass(frozen=True, kw_only=True, slots=True)
class CompareConfig:
    """What to compare, and what to write."""

    first: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="A")]
    """One annotation: GFF3, GTF or GenBank, plain or compressed."""
    second: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="B")]
    """The other, of the same genome."""
    table: Annotated[Path | None, tyro.conf.arg(metavar="F")] = None
    """Write every gene or group of genes to this table of tab-separated values: kind, contig,
    strand, start and end (1-based), IDs on both sides, and how far starts and stops lie off; - is
    standard output."""
    plot: Annotated[Path | None, tyro.conf.arg(metavar="F")] = None
    """Draw the counts: a page with all differences for a name in .html, a picture for .svg."""
    genome: Annotated[Path | None, tyro.conf.arg(metavar="FASTA")] = None
    """The genome: a page (--plot x.html) then has a genome browser with both annotations, which
    moves to a difference that is clicked."""
    same: bool = False
    """List equal genes, too."""
    skip_bad: bool = False
    """Drop and count records that break the format, instead of stopping at the first."""

    def __post_init__(self) -> None:
        if self.plot is not None and self.plot.suffix not in (".html", ".svg"):
            raise ConfigError("plot", str(self.plot), "must end in .html or .svg")
        if self.genome is not None and (self.plot is None or self.plot.suffix != ".html"):
            raise ConfigError("genome", str(self.genome), "is for a page: needs --plot x.html")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return run(
        _compare,
        CompareConfig,
        argv,
        name="compare",
        description="Compare the coding genes of two annotations of a genome: the same, changed,"
        " split, merged, or on one side alone. `genet5 eval` scores one against the other.",
    )


def _compare(config: CompareConfig) -> int:
    inputs = {"A": config.first, "B": config.second, "genome": config.genome}
    outputs = {"table": config.table, "plot": config.plot}
    check_inputs(inputs)
    check_outputs(outputs, inputs)
    found = _compared(config)
    if not found.counts:
        raise DataError("neither annotation has a coding gene", expected="genes with CDS features")
    write_table(_text(found.counts), outputs)
    if config.table is not None:
        with atomic_writer(config.table) as out:
            out.writelines(_rows(found.listed))
    if config.plot is not None:
        is_page = config.plot.suffix == ".html"
        page = _page(config, found) if is_page else differences_svg(found.counts)
        with atomic_writer(config.plot) as out:
            out.write(page)
    return 0


def _compared(config: CompareConfig) -> Comparison:
    """Compare contig by contig, in the first annotation's order."""
    found = Comparison(keep_same=config.same)
    with ExitStack() as stack:
        files = [
            stack.enter_context(open_annotation(path, skip_bad=config.skip_bad))
            for path in (config.first, config.second)
        ]
        for contig in dict.fromkeys((*files[0].contigs, *files[1].contigs)):
            parts = [file.read(contig) for file in files]
            lengths = [part.contig_lengths.get(contig) for part in parts]
            found.add(contig, lengths[0] or lengths[1], parts[0].genes, parts[1].genes)
    return found


def _page(config: CompareConfig, found: Comparison) -> str:
    """Return the page, with a genome view if there is a genome."""
    names = str(config.first), str(config.second)
    section = differences_section(found.counts, found.listed)
    if config.genome is None:
        return differences_html(section, *names)
    tracks = found.tracks(config.first.name, config.second.name)
    with GenomeSpool.read(config.genome) as contigs:
        view = genome_view(contigs, tracks, most_bytes=PAGE_BYTES - len(section.encode()))
    return differences_html(section, *names, view=view.html, head=POLICY)


def _text(counts: Mapping[str, int]) -> str:
    """Return the table of counts."""
    total = sum(counts.values())
    lines = [f"{'genes or groups of genes':<28}{'number':>9}{'share':>9}"]
    lines += [
        f"{label:<28}{counts.get(kind, 0):>9,}{counts.get(kind, 0) / total:>9.1%}"
        for kind, label in KINDS.items()
    ]
    return "\n".join(lines) + "\n"


def _rows(listed: Iterable[Difference]) -> Iterator[str]:
    yield "\t".join(_COLUMNS) + "\n"
    for one in listed:
        ids = [",".join(side) for side in (one.first, one.second)]
        place = [one.contig, one.strand, str(one.start + 1), str(one.end)]
        cells = [one.kind, *place, *ids, one.detail]
        yield "\t".join(" ".join(cell.split()) for cell in cells) + "\n"
