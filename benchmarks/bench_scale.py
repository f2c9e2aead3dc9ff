#!/usr/bin/env python3
"""Peak memory and processor time of `genet5 annotate` against the length and number of contigs.

A network would take hours for 500 Mbp, so an artificial decoder stands in its place: it shows each
window the genes that lie there. All else is what every run does: reading, windows, the journal,
stitching, merging, choosing, writing. The genomes repeat one Mbp of an artificial bacterium with
every tenth of its genes; 200,000 contigs of 200 bp are cut from it; 300 Mbp of N lie between two of
it. Each genome is annotated by a process of its own. Prints a Markdown table and writes JSON.

Example:
    python benchmarks/bench_scale.py --mbp 5 50     # a quick look
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro
from machine import environment, result_path, run_measured

from genet5.cli.parse import run
from genet5.config.json_files import save_json
from genet5.genome.gene import Gene
from genet5.simulate.prokaryote import simulate_bacterium

UNIT_BP = 1_000_000
LINE = 80
SHORT_BP = 200
EVERY = 10
"""Every so many genes of the bacterium, one is shown."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchConfig:
    """What is measured."""

    mbp: tuple[int, ...] = (5, 50, 500)
    """Lengths of genomes of one contig, in Mbp."""
    short_contigs: int = 200_000
    """Number of contigs of 200 bp."""
    blank_mbp: int = 300
    """Length of a run of N, in Mbp."""
    out: Path | None = None
    """JSON file; by default in benchmarks/results."""
    note: str = ""
    """What else ran on the machine."""
    annotate: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="GENOME OUTPUT")] = ()
    """Annotate one genome with the artificial decoder, and exit (used by this script itself)."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; return its exit code."""
    return run(_bench, BenchConfig, argv, name="bench_scale", description=__doc__ or "")


def _bench(config: BenchConfig) -> int:
    if config.annotate:
        annotate(*config.annotate)
        return 0
    rows = [_measure(name, genome) for name, genome in _cases(config)]
    print("| genome | Mbp | genes | peak MiB | of the first | CPU s | us a base |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for row in rows:
        share = row["peak_mib"] / rows[0]["peak_mib"]
        print(
            f"| {row['genome']} | {row['bases'] / 1e6:.0f} | {row['genes']:,} |"
            f" {row['peak_mib']:.0f} | {share:.3f} | {row['cpu_s']:.1f} |"
            f" {1e6 * row['cpu_s'] / row['bases']:.3f} |"
        )
    record = environment("torch", "numpy") | {"note": config.note, "rows": rows}
    save_json(config.out or result_path("scale"), record)
    return 0


def _cases(config: BenchConfig) -> Iterator[tuple[str, Iterator[bytes]]]:
    for mbp in config.mbp:
        yield f"one contig of {mbp} Mbp", _one_contig(mbp)
    yield f"{config.short_contigs:,} contigs of {SHORT_BP} bp", _short(config.short_contigs)
    yield f"{config.blank_mbp} Mbp of N between 2 Mbp", _blank(config.blank_mbp)


def unit() -> tuple[bytes, list[Gene]]:
    """The bases that all genomes repeat, and the genes that are shown."""
    (contig,), genes = simulate_bacterium(UNIT_BP, seed=1)
    return contig.bases.tobytes(), list(genes[::EVERY])


def _lines(bases: bytes) -> bytes:
    return b"".join(bases[i : i + LINE] + b"\n" for i in range(0, len(bases), LINE))


def _one_contig(mbp: int) -> Iterator[bytes]:
    """The name of a contig ends in the place of its first base in the unit."""
    text = _lines(unit()[0])
    yield b">contig_0\n"
    for _ in range(mbp):
        yield text


def _short(count: int) -> Iterator[bytes]:
    bases = unit()[0]
    for number in range(count):
        place = number * SHORT_BP % UNIT_BP
        yield b">contig%d_%d\n%s\n" % (number, place, bases[place : place + SHORT_BP])


def _blank(mbp: int) -> Iterator[bytes]:
    text = _lines(unit()[0])
    yield b">contig_0\n"
    yield text
    for _ in range(mbp):
        yield _lines(b"N" * UNIT_BP)
    yield text


def _measure(name: str, genome: Iterator[bytes]) -> dict[str, Any]:
    """Annotate a genome in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="bench_scale_") as folder:
        path, output = Path(folder) / "genome.fa", Path(folder) / "genes.gff3"
        with path.open("wb") as file:
            file.writelines(genome)
        cost, _ = run_measured([sys.executable, __file__, "--annotate", path, output])
        with output.open(encoding="utf-8") as lines:
            genes = sum("\tgene\t" in line for line in lines)
        bases = sum(len(line) - 1 for line in path.open("rb") if line[0] != ord(">"))
    return {
        "genome": name,
        "bases": bases,
        "genes": genes,
        "peak_mib": cost.peak_mib,
        "cpu_s": cost.cpu_s,
        "wall_s": cost.wall_s,
    }


def annotate(genome: Path, output: Path) -> None:
    """Annotate a genome with the artificial decoder."""
    from artificial_decoder import artificial_annotator

    from genet5.annotate import run as driver
    from genet5.config.annotate import AnnotateConfig, AnnotatorConfig

    driver.load_annotator = artificial_annotator(unit()[1], UNIT_BP)
    options = AnnotatorConfig(model="nano", device="cpu")
    proteins = output.with_suffix(".faa")
    driver.annotate_genome(
        AnnotateConfig(genome=genome, output=output, proteins=proteins, annotator=options)
    )


if __name__ == "__main__":
    sys.exit(main())
