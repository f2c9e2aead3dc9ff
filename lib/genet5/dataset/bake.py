"""Baking: genomes to training.packed, validation.packed and bake_report.json.

1. The contigs of all genomes are listed and given to a split (`dataset.sources`); for gene-centric
   windows the genes of each genome are counted too, and the clade's limit is divided among its
   genomes.
2. Workers bake genomes, each into spill files of its own (`dataset.bake_genome`); a stopped bake
   resumes with those that are finished (`dataset.spills`).
3. For each split the windows of all genomes are shuffled by the seed, packed first-fit-decreasing,
   and gathered from the spill files into one packed file or several shards (`dataset.gather`).

Steps 1 and 3 take genomes in the order of their names and depend on sizes and digests only: the
same input and seed give the same bytes, whatever the number of workers. Files appear under their
names when they are complete.

Example:
    report = bake(config, progress=lambda event: print(event))
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from multiprocessing import connection, get_context, parent_process
from pathlib import Path
from typing import Any, TypeVar

from genet5.config.bake import BakeConfig
from genet5.config.json_files import config_to_dict, load_json, save_json
from genet5.dataset.bake_genome import bake_genome, file_hashes
from genet5.dataset.gather import gather, packed_files
from genet5.dataset.genome_task import SPLITS, GenomeResult, GenomeTask, content_settings
from genet5.dataset.header import Header
from genet5.dataset.packed import PackedReader
from genet5.dataset.placement import share_evenly
from genet5.dataset.sources import (
    Source,
    Split,
    check_known,
    find_sources,
    genome_folders,
    read_split_table,
    splits_by_share,
    splits_by_table,
)
from genet5.dataset.spills import FOLDER_NAME, partial_folder
from genet5.dataset.targets import count_targets
from genet5.errors import ConfigError, DataError
from genet5.genome.io.fasta import read_fasta
from genet5.tokens.tokenizer_file import Tokenizer, load_tokenizer, tokenizer_hash

log = logging.getLogger(__name__)

REPORT_NAME = "bake_report.json"

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
    num_genes: tuple[int, ...] | None = None
    """Genes of each genome that could get windows; None when contigs are tiled."""
    quotas: tuple[int, ...] | None = None
    """How many of them get windows."""

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


def plan_bake(
    config: BakeConfig,
    tokenizer: Tokenizer,
    progress: Callable[[Progress], None] = lambda _: None,
) -> BakePlan:
    """List genomes and contigs, decide their split, and divide the taxa's gene limits.

    Raises:
        DataError: A folder or file is wrong, or nothing is left to bake.
    """
    sources = find_sources(config)
    check_known("unsure_starts", config.unsure_starts, [source.genome for source in sources])
    lengths = list(_in_order(_contig_lengths, [s.fasta for s in sources], _workers(config)))
    if config.splits is not None:
        table = read_split_table(config.splits)
        table.check_genomes(genome_folders(config.raw_dir, sources))
        splits = splits_by_table(sources, [list(contigs) for contigs in lengths], table)
    else:
        share = 0.0 if config.valid_genes else config.valid_share
        splits = splits_by_share(
            sources, lengths, share=share, by=config.split_by, seed=config.seed
        )
    kept = [index for index, chosen in enumerate(splits) if chosen]
    if not kept:
        raise DataError(
            "no contig for training or validation", expected="train or valid contigs",
            path=config.splits, remedy="Do its clade and genome names match the folders?",
        )  # fmt: skip
    plan = BakePlan(
        tuple(sources[index] for index in kept),
        tuple(lengths[index] for index in kept),
        tuple(splits[index] for index in kept),
    )
    if config.windows == "gene_centric":
        progress(Progress("counting genes", 0, plan.total_bases))
        return _with_quotas(plan, config, tokenizer)
    return plan


def bake(
    config: BakeConfig, progress: Callable[[Progress], None] = lambda _: None
) -> dict[str, Any]:
    """Bake all genomes; return what bake_report.json holds.

    Raises:
        ConfigError: The output folder holds packed files and `overwrite` is off, another bake is at
            work in it, or the one to resume had other config.
        DataError: An input file is wrong, or has changed since the bake to resume.
    """
    begin = time.perf_counter()
    out = _output_dir(config)
    tokenizer = load_tokenizer(_required(config.tokenizer, "tokenizer"))
    progress(Progress("listing", 0, 0))
    plan = plan_bake(config, tokenizer, progress)
    if (report := _finished(config, plan, tokenizer, out)) is not None:
        return report
    with partial_folder(out, resume=config.resume) as folder:
        results = _bake_genomes(config, plan, tokenizer, folder, progress)
        cpu_begin = time.process_time()
        packed = {}
        for split in SPLITS:
            progress(Progress(f"packing {split}", plan.total_bases, plan.total_bases))
            packed[split] = gather(split, out, results, config, tokenizer)
        pack_s = time.process_time() - cpu_begin
        wall_s = time.perf_counter() - begin
        report = _report(config, plan, results, packed, wall_s=wall_s, pack_s=pack_s)
        save_json(out / REPORT_NAME, report)
    return report


def _with_quotas(plan: BakePlan, config: BakeConfig, tokenizer: Tokenizer) -> BakePlan:
    tasks = _tasks(config, plan, tokenizer, Path())
    numbers = list(_in_order(count_targets, tasks, _workers(config)))
    quotas = [0] * len(tasks)
    for clade in {source.clade for source in plan.sources}:
        own = [index for index, source in enumerate(plan.sources) if source.clade == clade]
        shares = share_evenly([numbers[index] for index in own], config.gene_limit(clade))
        for index, share in zip(own, shares, strict=True):
            quotas[index] = share
    return replace(plan, num_genes=tuple(numbers), quotas=tuple(quotas))


def _required(path: Path | None, name: str) -> Path:
    if path is None:
        raise ConfigError(name, None, "must be given")
    return path


def _output_dir(config: BakeConfig) -> Path:
    out = _required(config.output_dir, "output_dir")
    if not config.resume:
        _require_free(config, out)
    return out


def _require_free(config: BakeConfig, out: Path) -> None:
    there = [path.name for split in SPLITS for path in packed_files(out, split)]
    if there and not config.overwrite:
        raise ConfigError(
            "output_dir", str(out), f"holds {there[0]}; give --overwrite to replace it"
        )


def _finished(
    config: BakeConfig, plan: BakePlan, tokenizer: Tokenizer, out: Path
) -> dict[str, Any] | None:
    """Return the report of the bake to resume, if that had ended; None if work is left.

    Raises:
        ConfigError: There is nothing to resume, and the packed files there are of another bake.
    """
    if not config.resume or config.overwrite or (out / FOLDER_NAME).is_dir():
        return None
    packed = [path for split in SPLITS for path in packed_files(out, split)]
    headers = [PackedReader(path).header for path in packed if path.suffix == ".packed"]
    if (out / REPORT_NAME).is_file() and _is_same(config, plan, tokenizer, headers):
        report: dict[str, Any] = load_json(out / REPORT_NAME)
        if report.get("genomes") == _split_counts(plan):
            log.info("%s is complete: there is nothing to resume", out)
            return report
    _require_free(config, out)
    return None


def _is_same(
    config: BakeConfig, plan: BakePlan, tokenizer: Tokenizer, headers: Sequence[Header]
) -> bool:
    """Whether packed files were made with these settings, tokenizer and files."""
    kind = (content_settings(config), tokenizer_hash(tokenizer))
    if not headers or any((h.settings, h.tokenizer_hash) != kind for h in headers):
        return False
    now = {(source.clade, source.genome): source for source in plan.sources}
    recorded = {(s["taxon"], s["genome"]): s for header in headers for s in header.sources}
    return recorded.keys() <= now.keys() and all(
        file_hashes(now[key]).items() <= record.items() for key, record in recorded.items()
    )


def _workers(config: BakeConfig) -> int:
    at_a_time = config.species_parallel or config.n_workers
    return max(1, min(config.n_workers, at_a_time))


def _contig_lengths(fasta: Path) -> dict[str, int]:
    return {contig.name: len(contig.bases) for contig in read_fasta(fasta)}


def _tasks(
    config: BakeConfig, plan: BakePlan, tokenizer: Tokenizer, folder: Path
) -> list[GenomeTask]:
    return [
        GenomeTask(
            source=source,
            lengths=plan.lengths[index],
            splits=plan.splits[index],
            config=config,
            tokenizer=tokenizer,
            spill=folder / source.clade / source.genome,
            gene_quota=None if plan.quotas is None else plan.quotas[index],
            resume=config.resume,
        )
        for index, source in enumerate(plan.sources)
    ]


def _bake_genomes(
    config: BakeConfig,
    plan: BakePlan,
    tokenizer: Tokenizer,
    folder: Path,
    progress: Callable[[Progress], None],
) -> list[GenomeResult]:
    tasks = _tasks(config, plan, tokenizer, folder)
    largest_first = sorted(range(len(tasks)), key=lambda index: -plan.task_bases(index))
    results: dict[int, GenomeResult] = {}
    done = 0
    progress(Progress("baking", 0, plan.total_bases))
    for position, result in _as_completed(
        bake_genome, [tasks[index] for index in largest_first], _workers(config)
    ):
        index = largest_first[position]
        results[index] = result
        done += plan.task_bases(index)
        progress(Progress("baking", done, plan.total_bases, result.source.genome))
    return [results[index] for index in range(len(tasks))]


def _report(
    config: BakeConfig,
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
    workers = _workers(config)
    written = sum(part["bases"] for part in packed.values()) / 1e6
    cpu_s = sum(seconds.values()) + pack_s
    return {
        "format": 1,
        "settings": config_to_dict(config),
        "files": packed,
        "genomes": _split_counts(plan),
        **_gene_centric(plan, results),
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


def _split_counts(plan: BakePlan) -> dict[str, dict[str, int]]:
    """Return genome -> split -> contigs."""
    return {
        source.id: dict(sorted(Counter(splits.values()).items()))
        for source, splits in zip(plan.sources, plan.splits, strict=True)
    }


def _gene_centric(plan: BakePlan, results: Sequence[GenomeResult]) -> dict[str, Any]:
    """Return the report's part on genes that got windows; empty where contigs were tiled."""
    parts: dict[str, Any] = {}
    if plan.num_genes is not None and plan.quotas is not None:
        parts["centre_genes"] = {
            source.id: {"found": number, "drawn": quota}
            for source, number, quota in zip(plan.sources, plan.num_genes, plan.quotas, strict=True)
        }
    chosen = {r.source.id: r.validation_genes for r in results if r.validation_genes}
    return parts | ({"validation_genes": chosen} if chosen else {})


def _in_order(
    work: Callable[[_Task], _Result], tasks: Sequence[_Task], workers: int
) -> Iterator[_Result]:
    results = dict(_as_completed(work, tasks, workers))
    return (results[index] for index in range(len(tasks)))


def _as_completed(
    work: Callable[[_Task], _Result], tasks: Sequence[_Task], workers: int
) -> Iterator[tuple[int, _Result]]:
    """Yield (index, result) as they complete, from at most `workers` processes; 1 is this one."""
    if workers == 1 or len(tasks) < 2:
        for index, task in enumerate(tasks):
            yield index, work(task)
        return
    # Workers are spawned: this process may have threads (a progress bar), unsafe to fork.
    pool = ProcessPoolExecutor(
        min(workers, len(tasks)), mp_context=get_context("spawn"), initializer=_follow_the_parent
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


def _follow_the_parent() -> None:
    """End a worker silently on Ctrl-C (the parent reports it), or when the parent was killed."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)
