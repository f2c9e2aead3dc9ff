"""How much does a run suffer from another on the same machine: one alone, and two side by side.

Two runs of a command share the cores; without loss they take twice as long as one alone. Threads
that spin while they wait take the cores from those that work, and the pair takes many times as
long. Measured in turn, with threads that wait passively (what `genet5` sets) and with those that
spin (`OMP_WAIT_POLICY=ACTIVE`, what OpenMP does by itself for a while). With `--processes N` a run
of N processes takes its turn, too: what it gains over one process of as many threads.

    python benchmarks/bench_busy.py --genome genome.fa --rounds 3 --processes 2
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import machine
import tyro

from genet5.genome.io.fasta import read_fasta, write_fasta

LIMIT = 2.2
"""The pair may take this many times as long as one alone."""
POLICIES = ("PASSIVE", "ACTIVE")


@dataclass(frozen=True, kw_only=True, slots=True)
class BusyConfig:
    """What runs, and how often."""

    genome: Path
    """FASTA file; its first contig is cut to `size_bp`."""
    size_bp: int = 200_000
    """Bases that a run annotates."""
    rounds: int = 3
    """How often each is measured."""
    policies: tuple[str, ...] = POLICIES
    """How threads wait: PASSIVE, ACTIVE."""
    processes: int | None = None
    """Also run alone as so many processes; None = do not."""
    note: str = ""
    """What the result file records about the machine, such as: shared, other jobs ran."""
    out: Path | None = None
    """Result file; by default benchmarks/results/DATE_DEVICE_busy.json."""


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print and write the result file."""
    config = tyro.cli(BusyConfig, args=argv, description=__doc__)
    with tempfile.TemporaryDirectory() as folder:
        genome = _cut(config, Path(folder) / "genome.fa")
        rounds: dict[str, list[dict[str, Any]]] = {policy: [] for policy in config.policies}
        for _ in range(config.rounds):
            for policy, found in rounds.items():
                found.append(_measure(genome, policy, config.processes))
    record = machine.environment("torch") | {
        "note": config.note,
        "bases": config.size_bp,
        "limit": LIMIT,
        "processes": config.processes,
        "policies": {policy: _summary(found) for policy, found in rounds.items()},
    }
    out = config.out or machine.result_path("busy")
    out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    for policy, found in record["policies"].items():
        sys.stdout.write(
            f"{policy:8} alone {found['alone_s']:6.1f} s ({found['alone_cpu_s']:.1f} s of CPU), two"
            f" side by side {found['pair_s']:6.1f} s: {found['ratio']:.2f} times\n"
        )
        if config.processes is not None:
            sys.stdout.write(
                f"{policy:8} as {config.processes} processes {found['processes_s']:6.1f} s"
                f" ({found['processes_cpu_s']:.1f} s of CPU): {found['processes_gain']:.2f} times"
                " as fast as one\n"
            )
    return 0


def _cut(config: BusyConfig, path: Path) -> Path:
    contig = next(iter(read_fasta(config.genome)))
    write_fasta(path, [(contig.name, contig.bases[: config.size_bp].tobytes().decode())])
    return path


def _measure(genome: Path, policy: str, processes: int | None) -> dict[str, Any]:
    """Run alone, then a pair at once, then alone as several processes."""

    def annotate(name: str, *flags: str) -> machine.Cost:
        output = genome.with_name(f"{name}.gff3")
        command: list[str | Path] = [sys.executable, machine.ROOT / "bin" / "annotate", genome]
        command += ["-o", output, *flags]
        return machine.run_measured(command, {"OMP_WAIT_POLICY": policy})[0]

    found: dict[str, Any] = {"alone": asdict(annotate("alone"))}
    with ThreadPoolExecutor(2) as pool:
        found["pair"] = [asdict(cost) for cost in pool.map(annotate, ("first", "second"))]
    if processes is not None:
        found["processes"] = asdict(annotate("several", "--processes", str(processes)))
    return found


def _summary(rounds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Medians over rounds; the pair takes as long as its slower run."""
    alone = statistics.median(found["alone"]["wall_s"] for found in rounds)
    pairs = [max(cost["wall_s"] for cost in found["pair"]) for found in rounds]
    ratios = [pair / found["alone"]["wall_s"] for pair, found in zip(pairs, rounds, strict=True)]
    ratio = statistics.median(ratios)
    return {
        **_gain(rounds),
        "alone_s": alone,
        "alone_cpu_s": statistics.median(found["alone"]["cpu_s"] for found in rounds),
        "pair_s": statistics.median(pairs),
        "pair_cpu_s": statistics.median(
            sum(cost["cpu_s"] for cost in found["pair"]) for found in rounds
        ),
        "ratio": ratio,
        "within_limit": ratio <= LIMIT,
        "rounds": list(rounds),
    }


def _gain(rounds: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Medians of the runs as several processes, if there were any."""
    if "processes" not in rounds[0]:
        return {}
    costs = [found["processes"] for found in rounds]
    gains = [found["alone"]["wall_s"] / found["processes"]["wall_s"] for found in rounds]
    return {
        "processes_s": statistics.median(cost["wall_s"] for cost in costs),
        "processes_cpu_s": statistics.median(cost["cpu_s"] for cost in costs),
        "processes_gain": statistics.median(gains),
    }


if __name__ == "__main__":
    sys.exit(main())
