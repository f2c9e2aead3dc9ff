"""Baking: genomes to training.packed, validation.packed and bake_report.json.

1. The contigs of all genomes are listed and given to a split (`dataset.sources`).
2. Workers bake genomes, each into spill files of its own (`dataset.bake_genome`).
3. For each split the windows of all genomes are shuffled by the seed, packed first-fit-decreasing (`dataset.plan`), and
   gathered from the spill files into one packed file (`dataset.packed`).

Steps 1 and 3 see genomes in the order of their names and depend on sizes and digests only: the same input and seed give
the same bytes, whatever the number of workers. Files appear under their names when they are complete.

Example:
    report = bake(settings, progress=lambda event: print(event))
"""

from __future__ import annotations

import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from genet5.config.bake import BakeSettings
from genet5.config.files import save_json, settings_to_dict
from genet5.dataset.bake_genome import SPLITS, GenomeResult, GenomeTask, bake_genome
from genet5.dataset.packed import Header, PackedReader, PackedWriter, combine_digests
from genet5.dataset.plan import BatchLimits, pack, padding_share, plan_batches
from genet5.dataset.sources import (
    Source,
    Split,
    find_sources,
    read_split_table,
    splits_by_share,
    splits_by_table,
)
from genet5.errors import ConfigError, DataError
from genet5.genome.fasta import read_fasta
from genet5.tokens.files import Tokenizer, load_tokenizer, tokenizer_hash

FILE_NAMES: dict[Split, str] = {s: f"{s}.packed" for s in SPLITS}
REPORT_NAME = "bake_report.json"

_CONTENT_SETTINGS = (
    "window_size", "window_overlap", "target", "hard_limit", "passes", "strands", "negatives",
    "recode_share", "valid_share", "split_by", "genetic_code", "utr", "isoforms", "noncoding",
    "taxon_token", "grammar", "skip_bad", "seed",
)  # fmt: skip

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a bake is."""

    stage: str
    """listing, baking, packing training ..."""
    done_bp: int
    total_bp: int
    detail: str = ""
    """The genome that was just finished."""


@dataclass(frozen=True, slots=True)
class BakePlan:
    """What would be baked."""

    sources: tuple[Source, ...]
    lengths: tuple[dict[str, int], ...]
    """Contigs of each genome with their lengths."""
    splits: tuple[dict[str, Split], ...]
    """Contigs of each genome that are baked."""

    def bases(self, split: Split) -> int:
        """Bases of a split, each counted once."""
        return sum(
            lengths[name]
            for lengths, splits in zip(self.lengths, self.splits, strict=True)
            for name in splits
            if splits[name] == split
        )

    def task_bases(self, index: int) -> int:
        """Bases of one genome that are baked."""
        return sum(self.lengths[index][name] for name in self.splits[index])

    @property
    def total_bases(self) -> int:
        """Bases of all splits."""
        return sum(map(self.task_bases, range(len(self.sources))))


def plan_bake(settings: BakeSettings) -> BakePlan:
    """List genomes and contigs and decide their split.

    Raises:
        DataError: A folder or file is wrong, or nothing is left to bake.
    """
    sources = find_sources(settings)
    lengths = list(_in_order(_contig_lengths, [s.fasta for s in sources], _workers(settings)))
    if settings.splits is not None:
        table = read_split_table(settings.splits)
        splits = splits_by_table(sources, [list(contigs) for contigs in lengths], table)
    else:
        splits = splits_by_share(
            sources, lengths, share=settings.valid_share, by=settings.split_by, seed=settings.seed
        )
    kept = [index for index, chosen in enumerate(splits) if chosen]
    if not kept:
        raise DataError(
            "no contig for training or validation", expected="train or valid contigs",
            path=settings.splits, remedy="Do its taxon and genome names match the folders?",
        )  # fmt: skip
    return BakePlan(
        tuple(sources[index] for index in kept),
        tuple(lengths[index] for index in kept),
        tuple(splits[index] for index in kept),
    )


def bake(
    settings: BakeSettings, progress: Callable[[Progress], None] = lambda _: None
) -> dict[str, Any]:
    """Bake all genomes; return what bake_report.json holds.

    Raises:
        ConfigError: The output folder holds packed files and `overwrite` is off.
        DataError: An input file is wrong.
    """
    begin = time.perf_counter()
    out = _output_dir(settings)
    tokenizer = load_tokenizer(_required(settings.tokenizer, "tokenizer"))
    progress(Progress("listing", 0, 0))
    plan = plan_bake(settings)
    out.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".bake-", suffix=".tmp", dir=out))
    try:
        results = _bake_genomes(settings, plan, tokenizer, scratch, progress)
        cpu_begin = time.process_time()
        packed = {}
        for split in SPLITS:
            progress(Progress(f"packing {split}", plan.total_bases, plan.total_bases))
            packed[split] = _pack_split(split, out, results, settings, tokenizer)
        pack_s = time.process_time() - cpu_begin
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    wall_s = time.perf_counter() - begin
    report = _report(settings, plan, results, packed, wall_s=wall_s, pack_s=pack_s)
    save_json(out / REPORT_NAME, report)
    return report


def _required(path: Path | None, name: str) -> Path:
    if path is None:
        raise ConfigError(name, None, "must be given")
    return path


def _output_dir(settings: BakeSettings) -> Path:
    out = _required(settings.output_dir, "output_dir")
    there = [name for name in FILE_NAMES.values() if (out / name).exists()]
    if there and not settings.overwrite:
        raise ConfigError(
            "output_dir", str(out), f"holds {there[0]}; give --overwrite to replace it"
        )
    return out


def _workers(settings: BakeSettings) -> int:
    at_a_time = settings.species_parallel or settings.n_workers
    return max(1, min(settings.n_workers, at_a_time))


def _contig_lengths(fasta: Path) -> dict[str, int]:
    return {contig.name: len(contig.bases) for contig in read_fasta(fasta)}


def _bake_genomes(
    settings: BakeSettings,
    plan: BakePlan,
    tokenizer: Tokenizer,
    scratch: Path,
    progress: Callable[[Progress], None],
) -> list[GenomeResult]:
    tasks = [
        GenomeTask(
            source=source,
            lengths=plan.lengths[index],
            splits=plan.splits[index],
            settings=settings,
            tokenizer=tokenizer,
            spill=scratch / f"{index:05d}",
        )
        for index, source in enumerate(plan.sources)
    ]
    largest_first = sorted(range(len(tasks)), key=lambda index: -plan.task_bases(index))
    results: dict[int, GenomeResult] = {}
    done = 0
    progress(Progress("baking", 0, plan.total_bases))
    for position, result in _as_completed(
        bake_genome, [tasks[index] for index in largest_first], _workers(settings)
    ):
        index = largest_first[position]
        results[index] = result
        done += plan.task_bases(index)
        progress(Progress("baking", done, plan.total_bases, result.source.genome))
    return [results[index] for index in range(len(tasks))]


def _pack_split(
    split: Split,
    out: Path,
    results: Sequence[GenomeResult],
    settings: BakeSettings,
    tokenizer: Tokenizer,
) -> dict[str, Any]:
    """Write one packed file; return its part of the report."""
    where = [(g, row) for g, r in enumerate(results) for row in range(len(r.num_tokens[split]))]
    sizes = [size for result in results for size in result.num_tokens[split]]
    digests = [digest for result in results for digest in result.digests[split]]
    order = np.random.default_rng([settings.seed, SPLITS.index(split)]).permutation(len(sizes))
    packed = pack(
        [sizes[index] for index in order.tolist()],
        target=settings.target,
        hard_limit=settings.hard_limit,
    )
    rows = [[int(order[item]) for item in row] for row in packed]
    counts: Counter[str] = sum((result.sizes[split] for result in results), Counter())
    header = Header(
        split=split,
        tokenizer_hash=tokenizer_hash(tokenizer),
        tokenizer=tokenizer.to_dict(),
        gene_types=tokenizer.structure.gene_types,
        settings=_content_settings(settings),
        sources=tuple(
            {"taxon": r.source.taxon, "genome": r.source.genome, **r.hashes}
            for r in results
            if r.num_tokens[split]
        ),
        counts={
            "rows": len(rows), "windows": len(sizes), "bases": counts["bases"],
            "tokens": counts["tokens"], "labels": counts["labels"],
        },
        checksum=combine_digests(digests[index] for row in rows for index in row),
    )  # fmt: skip
    readers = {g: PackedReader(r.spills[split]) for g, r in enumerate(results) if split in r.spills}
    path = out / FILE_NAMES[split]
    with PackedWriter(path, header) as writer:
        for row in rows:
            writer.write_row([readers[g].row(i)[0] for g, i in (where[index] for index in row)])
    return _describe(path, header)


def _describe(path: Path, header: Header) -> dict[str, Any]:
    sizes = PackedReader(path).row_sizes()
    limits = BatchLimits()
    batches = plan_batches(sizes, limits)
    capacity = header.counts["rows"] * header.settings["target"]
    return {
        "file": path.name,
        "bytes": path.stat().st_size,
        **header.counts,
        "row_fill_share": round(header.counts["tokens"] / capacity, 4) if capacity else 0.0,
        "longest_window_tokens": int(sizes.longest_tokens.max(initial=0)),
        "longest_window_labels": int(sizes.longest_labels.max(initial=0)),
        "padding_share_at_load": round(padding_share(batches, sizes), 4),
        "checksum": header.checksum,
    }


def _content_settings(settings: BakeSettings) -> dict[str, Any]:
    """The settings that decide a file's content; no paths and no worker counts."""
    values = settings_to_dict(settings)
    return {name: values[name] for name in _CONTENT_SETTINGS}


def _report(
    settings: BakeSettings,
    plan: BakePlan,
    results: Sequence[GenomeResult],
    packed: dict[Split, dict[str, Any]],
    *,
    wall_s: float,
    pack_s: float,
) -> dict[str, Any]:
    counts: dict[str, Counter[str]] = {}
    seconds: dict[str, float] = {}
    for result in results:
        for stage, spent in result.seconds.items():
            seconds[stage] = seconds.get(stage, 0.0) + spent
        for topic, causes in result.counts.items():
            counts.setdefault(topic, Counter()).update(causes)
    workers = _workers(settings)
    written = sum(part["bases"] for part in packed.values()) / 1e6
    cpu_s = sum(seconds.values()) + pack_s
    return {
        "format": 1,
        "settings": settings_to_dict(settings),
        "files": packed,
        "genomes": {
            source.id: dict(sorted(Counter(splits.values()).items()))
            for source, splits in zip(plan.sources, plan.splits, strict=True)
        },
        "counts": {topic: dict(sorted(causes.items())) for topic, causes in sorted(counts.items())},
        "timing": {
            "workers": workers,
            "wall_s": round(wall_s, 2),
            "genome_mbp": round(plan.total_bases / 1e6, 3),
            "written_mbp": round(written, 3),
            "written_mbp_per_cpu_s": round(written / cpu_s, 3) if cpu_s else 0.0,
            "cpu_s_by_stage": {
                **{stage: round(s, 2) for stage, s in sorted(seconds.items(), key=lambda x: -x[1])},
                "pack": round(pack_s, 2),
            },
        },
    }


def _in_order(
    work: Callable[[_Task], _Result], tasks: Sequence[_Task], workers: int
) -> Iterator[_Result]:
    results = dict(_as_completed(work, tasks, workers))
    return (results[index] for index in range(len(tasks)))


def _as_completed(
    work: Callable[[_Task], _Result], tasks: Sequence[_Task], workers: int
) -> Iterator[tuple[int, _Result]]:
    """Give (index, result) as they get ready; at most `workers` tasks are in work; one worker = this process."""
    if workers == 1 or len(tasks) < 2:
        for index, task in enumerate(tasks):
            yield index, work(task)
        return
    # Workers start fresh: this process may have threads (a progress bar), which a fork would not survive.
    pool = ProcessPoolExecutor(
        min(workers, len(tasks)), mp_context=get_context("spawn"), initializer=_die_on_interrupt
    )
    try:
        futures: dict[Future[_Result], int] = {
            pool.submit(work, task): index for index, task in enumerate(tasks)
        }
        pending = set(futures)
        while pending:
            ready, pending = wait(pending, return_when=FIRST_COMPLETED)
            for future in ready:
                yield futures[future], future.result()
    except BrokenProcessPool as error:
        raise DataError(
            "a worker process died", expected="enough memory for its genome",
            remedy="Lower --n_workers or --species_parallel",
        ) from error  # fmt: skip
    finally:
        pool.shutdown(cancel_futures=True)  # the genomes in work end first: they still write


def _die_on_interrupt() -> None:
    """Let Ctrl-C end a worker in silence; the parent reports it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
