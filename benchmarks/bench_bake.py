#!/usr/bin/env python3
"""Time `genet5 bake` on one core.

Million bases per core second, tiled and gene-centric, and reading what was baked.

Artificial genomes (bacteria, spliced genes) are made from a seed; real ones of five clades are
taken from --data where they lie there. Each bake is a process of its own with one worker: processor
time is all of it, memory its peak resident size; "without start-up" is bake's own figure, without
imports and the first look at contigs and genes. "Written" counts the bases of all windows, "genome"
each base once. Modes take turns in every round; figures are medians. At last the shards of one bake
are read to the end, for speed and for the memory that the reader keeps (anonymous, so without the
mapped files). Prints a Markdown table and writes JSON.

Example:
    python benchmarks/bench_bake.py --mbp 1 --repeats 1      # a quick look
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from machine import ROOT, environment, result_path, run_measured

from genet5.cli.parse import run
from genet5.config.json_files import load_json, save_json
from genet5.errors import ConfigError

GENOMES = 4
"""Artificial genomes of each kind."""
REAL = {
    "prokaryotes": (
        "Wolbachia_sp_wRi",
        "Thermoplasma_volcanium_GSS1",
        "Pyrococcus_furiosus_DSM3638",
    ),
    "unicellular": ("Schizosaccharomyces_pombe_ASM294v2",),
    "invertebrates": ("Drosophila_melanogaster_dm6_2L-3Mb_2R-1Mb",),
    "vertebrates": ("Homo_sapiens_hg19seq_chr3-4-5_slices",),
    "plants": ("Arabidopsis_thaliana_TAIR10_1pct", "Arabidopsis_thaliana_TIGR_BACs"),
}
MODES = ("whole_genome", "gene_centric")


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchConfig:
    """How much is baked, and how often."""

    mbp: float = 4.0
    """Million bases of each kind of artificial genome."""
    genes: int = 400
    """Genes of a clade around which gene-centric windows are laid."""
    seed: int = 1
    """The same seed gives the same genomes."""
    repeats: int = 3
    """Runs of each bake; the table has their median."""
    data: Path = ROOT.parent / "shared" / "data"
    """Folder with raw/CLADE/GENOME/; real genomes are left out where it is not there."""
    out: Path | None = None
    """JSON file to write; by default benchmarks/results/DATE_cpu_bake.json (none below 4 Mbp)."""

    def __post_init__(self) -> None:
        if self.mbp < 0.1:
            raise ConfigError("mbp", self.mbp, "must be at least 0.1")
        if self.repeats < 1:
            raise ConfigError("repeats", self.repeats, "must be at least 1")


@dataclass(frozen=True, slots=True)
class Load:
    """Genomes that are baked together."""

    name: str
    flags: tuple[str, ...]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark."""
    return run(_bench, BenchConfig, argv, name="bench_bake", description=__doc__ or "")


def _bench(settings: BenchConfig) -> int:
    where = environment("numpy", "pyarrow")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_tokenizer(folder)
        loads = _artificial(settings, folder) + _real(settings.data)
        rounds: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for number in range(settings.repeats):
            for load in loads:
                for mode in MODES:
                    _print(f"round {number + 1}: {load.name}, {mode}")
                    one = _bake(load, mode, folder, settings.genes)
                    rounds.setdefault((load.name, mode), []).append(one)
        reading = _read_shards(loads[0], folder, settings.genes)
    rows = [
        {"genomes": name, "mode": mode, **_median(found)} for (name, mode), found in rounds.items()
    ]
    result = {
        "what": "genet5 bake, one worker",
        **where,
        "settings": {
            "mbp": settings.mbp,
            "genes": settings.genes,
            "seed": settings.seed,
            "repeats": settings.repeats,
        },
        "bakes": rows,
        "reading": reading,
    }
    sys.stdout.write(_table(rows, reading))
    out = settings.out
    if out is None and settings.mbp >= BenchConfig().mbp:
        out = result_path("bake")
    if out is not None:
        save_json(out, result)
        _print(f"written: {out}")
    return 0


def _write_tokenizer(folder: Path) -> None:
    """Write the 6-mer tokenizer that all bakes use."""
    from genet5.tokens.sequence import KmerTokenizer
    from genet5.tokens.tokenizer_file import Tokenizer, save_tokenizer

    save_tokenizer(Tokenizer(KmerTokenizer(6)), folder / "tokenizer.json")


def _artificial(settings: BenchConfig, folder: Path) -> list[Load]:
    from genet5.genome.io.fasta import write_fasta
    from genet5.genome.io.gff3 import write_gff3
    from genet5.genome.sequence import decode_bases
    from genet5.simulate.eukaryote import simulate_eukaryote
    from genet5.simulate.prokaryote import simulate_bacterium

    loads = []
    for clade, simulate in (("prokaryotes", simulate_bacterium), ("plants", simulate_eukaryote)):
        for number in range(GENOMES):
            length = int(settings.mbp * 1e6 / GENOMES)
            contigs, genes = simulate(length, settings.seed + number, num_contigs=2)
            path = folder / "raw" / clade / f"artificial_{number}"
            path.mkdir(parents=True)
            write_fasta(path / "genome.fa", ((c.name, decode_bases(c.bases)) for c in contigs))
            with (path / "annotation.gff3").open("w", encoding="utf-8") as out:
                write_gff3(out, genes, {c.name: len(c.bases) for c in contigs})
        flags = ("--raw_dir", str(folder / "raw"), "--clades", clade)
        loads.append(Load(f"artificial {clade}", flags))
    return loads


def _real(data: Path) -> list[Load]:
    if not (data / "raw").is_dir():
        return []
    raw = ("--raw_dir", str(data / "raw"))
    return [
        Load(f"real {clade}", (*raw, "--clades", clade, "--species", *names))
        for clade, names in REAL.items()
    ]


def _bake(load: Load, mode: str, folder: Path, genes: int, *more: str) -> dict[str, Any]:
    out = folder / "baked"
    if mode == "gene_centric":
        more = ("--clade_genes", *(f"{clade}={genes}" for clade in REAL), *more)
    command = [
        sys.executable,
        ROOT / "bin" / "bake",
        *load.flags,
        "--windows",
        mode,
        "--output_dir",
        out,
        "--tokenizer",
        folder / "tokenizer.json",
        "--overwrite",
        *more,
    ]
    cost, _ = run_measured(command, {"OMP_NUM_THREADS": "1"})
    report = load_json(out / "bake_report.json")
    timing, files = report["timing"], report["files"]
    return {
        **asdict(cost),
        "genome_mbp": timing["genome_mbp"],
        "written_mbp": timing["written_mbp"],
        "windows": sum(part["windows"] for part in files.values()),
        "written_mbp_per_core_s": timing["written_mbp"] / cost.cpu_s,
        "genome_mbp_per_core_s": timing["genome_mbp"] / cost.cpu_s,
        "written_mbp_per_core_s_without_start": timing["written_mbp_per_cpu_s"],
        "row_fill_share": files["training"]["row_fill_share"],
        "padding_share_at_load": files["training"]["padding_share_at_load"],
        "cpu_s_by_stage": timing["cpu_s_by_stage"],
    }


def _median(rounds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    values = {
        name: round(statistics.median(one[name] for one in rounds), 4)
        for name in rounds[0]
        if name != "cpu_s_by_stage"
    }
    cpu = [one["cpu_s"] for one in rounds]
    middle = sorted(rounds, key=lambda one: one["cpu_s"])[len(rounds) // 2]
    spread = {"cpu_s_lowest": round(min(cpu), 4), "cpu_s_highest": round(max(cpu), 4)}
    return values | spread | {"cpu_s_by_stage": middle["cpu_s_by_stage"]}


def _read_shards(load: Load, folder: Path, genes: int) -> dict[str, Any]:
    """Read all windows of a bake in shards, in order.

    What the reader keeps is measured at a tenth and at the end.
    """
    from genet5.dataset.packed import PackedReader

    _bake(load, "gene_centric", folder, 10 * genes, "--shard_size", "250")
    reader = PackedReader(folder / "baked" / "training.index.json")
    assert reader.index is not None
    begin, kept, bases = time.process_time(), [], 0
    for row in range(len(reader)):
        bases += sum(np.count_nonzero(window.bases) for window in reader.row(row))
        if row in (len(reader) // 10, len(reader) - 1):
            kept.append(_anonymous_mib())
    seconds = time.process_time() - begin
    return {
        "shards": len(reader.index.shards),
        "file_mib": round(sum(shard.bytes for shard in reader.index.shards) / 2**20, 1),
        "mbp_per_core_s": round(bases / 1e6 / seconds, 1),
        "anonymous_mib_at_a_tenth": kept[0],
        "anonymous_mib_at_the_end": kept[-1],
    }


def _anonymous_mib() -> float:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    (line,) = [line for line in lines if line.startswith("RssAnon")]
    return round(int(line.split()[1]) / 1024, 1)


def _table(rows: Sequence[dict[str, Any]], reading: dict[str, Any]) -> str:
    lines = [
        "| genomes | mode | genome Mbp | written Mbp | core s | written Mbp per core s | without "
        "start-up | peak MiB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        lines.append(
            f"| {row['genomes']} | {row['mode']} | {row['genome_mbp']:.1f} | "
            f"{row['written_mbp']:.1f} "
            f"| {row['cpu_s']:.1f} | {row['written_mbp_per_core_s']:.1f} "
            f"| {row['written_mbp_per_core_s_without_start']:.1f} | {row['peak_mib']:.0f} |"
        )
    lines.append(
        f"\nReading {reading['shards']} shards ({reading['file_mib']} MiB): "
        f"{reading['mbp_per_core_s']} Mbp per core s; "
        f"kept in memory at a tenth {reading['anonymous_mib_at_a_tenth']} MiB, at the end "
        f"{reading['anonymous_mib_at_the_end']} MiB"
    )
    return "\n".join(lines) + "\n"


def _print(line: str) -> None:
    sys.stderr.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())
