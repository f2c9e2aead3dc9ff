"""`genet5 bake`: genomes and annotations to packed training files."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from genet5.cli.parse import run
from genet5.config.bake import RARE_FIELDS, BakeConfig
from genet5.errors import printable
from genet5.genome.io.files import check_inputs
from genet5.outputs import check_folder

if TYPE_CHECKING:
    from pathlib import Path

    from genet5.dataset.bake import Progress

_DESCRIPTION = (
    "Turn genomes and their annotations into packed training files: training.packed, "
    "validation.packed and bake_report.json in --output_dir. Genomes are either all those in "
    "--raw_dir or the one of --fasta and --gff."
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    how = {"name": "bake", "description": _DESCRIPTION}
    return run(_bake, BakeConfig, argv, **how, rare=RARE_FIELDS, has_file=True)


def _bake(config: BakeConfig) -> int:
    if config.check is not None:
        _print_check(config.check)
        return 0
    check_inputs({"fasta": config.fasta, "gff": config.gff}, once=False)
    if config.output_dir is not None:
        check_folder("output_dir", config.output_dir)
    if config.dry_run:
        _print_plan(config)
        return 0
    from genet5.dataset.bake import bake

    with _progress_on_stderr() as show:
        report = bake(config, show)
    _print_report(report)
    return 0


def _print(line: str = "") -> None:
    sys.stdout.write(printable(line) + "\n")


def _print_plan(config: BakeConfig) -> None:
    from genet5.dataset.bake import plan_bake
    from genet5.tokens.tokenizer_file import load_tokenizer

    assert config.tokenizer is not None  # BakeConfig checks it
    plan = plan_bake(config, load_tokenizer(config.tokenizer))
    for split in ("training", "validation"):
        number = sum(split in splits.values() for splits in plan.splits)
        _print(f"{split}: {plan.bases(split) / 1e6:.2f} Mbp of {number} genomes")
    times = config.passes * (2 if config.strands == "both" else 1)
    total = 0.0
    for clade in sorted({source.clade for source in plan.sources}):
        own = [index for index, source in enumerate(plan.sources) if source.clade == clade]
        window_bp = config.window_bp(clade)
        if plan.num_genes is not None and plan.quotas is not None:
            found = sum(plan.num_genes[index] for index in own)
            windows = float(sum(plan.quotas[index] for index in own))
            genes = f", around {windows:,.0f} of {found:,} genes"
        else:
            bases = sum(plan.task_bases(index) for index in own)
            windows, genes = bases / (window_bp - config.window_overlap), ""
        total += times * windows
        _print(f"{clade}: about {times * windows:,.0f} windows of {window_bp:,} bp{genes}")
    _print(f"about {total:,.0f} windows; nothing written")


def _print_check(path: Path) -> None:
    from genet5.dataset.packed import PackedReader

    reader = PackedReader(path)
    counts = reader.verify()
    header = reader.header
    _print(f"{path}: valid (checksum {header.checksum[:16]}...)")
    _print(f"  format {header.format}, {header.split}, tokenizer {header.tokenizer_hash[:16]}...")
    _print("  " + ", ".join(f"{number:,} {name}" for name, number in counts.items()))
    for shard in reader.index.shards if reader.index is not None else ():
        _print(f"  {shard.file}: {shard.rows:,} rows, {shard.bytes / 1e6:.1f} MB, valid")
    _print(f"  gene types: {', '.join(header.gene_types)}")
    _print("  " + ", ".join(f"{name} {value}" for name, value in header.settings.items()))
    for source in header.sources:
        _print(
            f"  {source['taxon']}/{source['genome']}  FASTA {source.get('fasta_sha256', '-')[:12]}"
        )


def _print_report(report: dict[str, Any]) -> None:
    for split, part in report["files"].items():
        shards = f" in {part['shards']} shards" if "shards" in part else ""
        _print(
            f"{split}: {part['windows']:,} windows in {part['rows']:,} rows, "
            f"{part['bases'] / 1e6:.2f} Mbp, "
            f"{part['bytes'] / 1e6:.1f} MB{shards}; rows {part['row_fill_share']:.1%} full, "
            f"padding at load {part['padding_share_at_load']:.2%}"
        )
    if not report["files"]["validation"]["windows"]:
        _print("validation is empty: give more contigs or genomes, or a --splits table")
    for topic, causes in report["counts"].items():
        _print(f"{topic}: " + "; ".join(f"{number:,} {cause}" for cause, number in causes.items()))
    timing = report["timing"]
    stages = ", ".join(
        f"{stage} {seconds} s" for stage, seconds in timing["cpu_s_by_stage"].items()
    )
    _print(
        f"{timing['written_mbp']} Mbp in {timing['wall_s']} s with {timing['workers']} workers: "
        f"{timing['written_mbp_per_cpu_s']} Mbp per core second ({stages})"
    )


@contextmanager
def _progress_on_stderr() -> Iterator[Callable[[Progress], None]]:
    """A bar on a terminal, a line for each genome elsewhere."""
    if not sys.stderr.isatty():
        yield _line_writer()
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.1f}/{task.total:.1f} Mbp {task.fields[detail]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("listing", total=0.0, detail="")

        def show(event: Progress) -> None:
            bar.update(
                task,
                description=event.stage,
                completed=event.done_bp / 1e6,
                total=event.total_bp / 1e6,
                detail=escape(printable(event.detail)),
            )

        yield show


def _line_writer() -> Callable[[Progress], None]:
    begin = time.perf_counter()

    def show(event: Progress) -> None:
        share = 100 * event.done_bp / event.total_bp if event.total_bp else 0.0
        sys.stderr.write(
            f"{event.stage} | {event.done_bp / 1e6:.1f}/{event.total_bp / 1e6:.1f} Mbp "
            f"({share:.1f}%) | "
            f"{time.perf_counter() - begin:.1f} s {printable(event.detail)}".rstrip()
            + "\n"
        )
        sys.stderr.flush()

    return show
