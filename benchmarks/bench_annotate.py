#!/usr/bin/env python3
r"""Time `genet5 annotate` beside other gene finders and beside an earlier commit of itself.

A slice of a bacterial genome and one of fission yeast, real or else simulated. All contenders take
turns in every round: ours, with `--against COMMIT` that commit (checked out into a temporary
folder, run by the same Python), pyrodigal and Prodigal on the bacterium, Augustus on the yeast. For
each: kbp/s by wall time and by processor time, start-up (the same command on a sequence of one
window) and peak memory; for ours also decoder passes a window, from a run of its own
(`annotate_probe.py`), and the ratio to the earlier commit with its interval over rounds (from 5
rounds on). Prints Markdown and writes JSON with the table beside it as .md.

Example:
    python benchmarks/bench_annotate.py --against 5accc92 --rounds 7 --bp 400000
    python benchmarks/bench_annotate.py --kinds bacterium --bp 60000 --rounds 1 --contenders genet5
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from annotate_contenders import (
    START_BP,
    Case,
    Contender,
    Kind,
    Peer,
    first_bases,
    load_case,
    ours,
    peer,
    why_not,
)
from annotate_report import Timing, markdown, to_dict
from machine import ROOT, environment, result_path, run_measured

from genet5.cli.parse import run
from genet5.config.json_files import config_to_dict, save_json
from genet5.errors import ConfigError, ExternalToolError
from genet5.outputs import atomic_writer

PEERS: tuple[Peer, ...] = ("pyrodigal", "prodigal", "augustus")
LEAST_BP = 20_000
"""Prodigal trains on no less."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchConfig:
    """What is annotated, by whom, how often."""

    kinds: tuple[Kind, ...] = ("bacterium", "yeast")
    """Genomes: a bacterium without introns, a yeast with."""
    bacterium: Path | None = None
    """FASTA file; by default E. coli in --data, or else a simulated genome."""
    yeast: Path | None = None
    """FASTA file; by default chromosome II of S. pombe in --data, or else a simulated genome."""
    bp: int = 200_000
    """Length of the slice that is taken of each."""
    contenders: tuple[Literal["genet5", "pyrodigal", "prodigal", "augustus"], ...] = (
        "genet5",
        *PEERS,
    )
    """Who takes part; programs that are not installed are left out and named."""
    against: str | None = None
    """Commit to run beside this one."""
    flags: str = ""
    """More flags for annotate, here and in the earlier commit, as one string: "--threads 1"."""
    own_flags: str = ""
    """More flags for this commit's annotate alone."""
    rounds: int = 3
    """Measured rounds."""
    probe_bp: int | None = 100_000
    """Count passes a window in a run of its own over so many bases; None leaves that out."""
    profile: bool = False
    """In that run count operators, kernels and waits of the host, too."""
    device: Literal["auto", "cpu", "cuda"] = "cpu"
    """Where ours runs."""
    data: Path = ROOT.parent / "shared" / "data"
    """Folder with raw/CLADE/GENOME."""
    out: Path | None = None
    """JSON file; by default benchmarks/results/DATE_DEVICE_annotate.json."""
    note: str = ""
    """What the result file records about the machine, such as: shared, other jobs ran."""

    def __post_init__(self) -> None:
        if self.bp < LEAST_BP:
            raise ConfigError("bp", self.bp, f"must be at least {LEAST_BP} (Prodigal trains on it)")
        if self.rounds < 1:
            raise ConfigError("rounds", self.rounds, "must be at least 1")


@contextmanager
def checkout(commit: str | None) -> Iterator[Path | None]:
    """Check a commit out into a temporary folder for a while.

    Raises:
        ExternalToolError: There is no such commit.
    """
    if commit is None:
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        _git("worktree", "add", "--quiet", "--detach", str(tree), commit)
        try:
            yield tree
        finally:
            _git("worktree", "remove", "--force", str(tree))


def _git(*words: str) -> None:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ExternalToolError(f"git {' '.join(words)}: {done.stderr.strip()[-500:]}")


def choose_contenders(
    settings: BenchConfig, case: Case, tree: Path | None
) -> tuple[list[Contender], list[str]]:
    """Return who annotates a genome, and a line for each that cannot."""
    found, notes = [], []
    if "genet5" in settings.contenders:
        common = ("--device", settings.device, *settings.flags.split())
        found.append(ours("genet5", ROOT, (*common, *settings.own_flags.split())))
        if tree is not None:
            found.append(ours(f"genet5 at {settings.against}", tree, common))
    for name in PEERS:
        if name not in settings.contenders:
            continue
        reason = why_not(name, case.kind)
        if not reason:
            found.append(peer(name))
        elif reason != "-":
            notes.append(f"Left out: {name} ({reason}).")
    return found, notes


def measure(
    cases: Mapping[str, Case], contenders: Sequence[Contender], rounds: int, folder: Path
) -> list[Timing]:
    """Let the contenders annotate all cases in turn, round after round."""
    timings = {(c.name, what): Timing(c.name, case) for c in contenders
               for what, case in cases.items()}  # fmt: skip
    for _ in range(rounds):
        for what, case in cases.items():
            for contender in contenders:
                output = folder / f"{contender.name.replace(' ', '_')}.{what}.gff3"
                output.unlink(missing_ok=True)
                cost, _ = run_measured(contender.command(case, output), contender.env)
                timings[contender.name, what].add(cost, output)
    return list(timings.values())


def count_passes(
    contender: Contender, case: Case, folder: Path, *, profile: bool
) -> dict[str, Any]:
    """Run the probe on one of ours; return its counts."""
    program = Path(__file__).with_name("annotate_probe.py")
    flags = ["--profile"] if profile else []
    words = contender.command(case, folder / "probe.gff3")[2:]  # without Python and bin/annotate
    _, text = run_measured([sys.executable, program, *flags, "--", *words], contender.env)
    found: dict[str, Any] = json.loads(text.splitlines()[-1])
    return found


def bench(settings: BenchConfig) -> int:
    """Measure, print a table and write JSON."""
    gpu = _gpu_name(settings.device)
    out = settings.out or result_path("annotate", _label(gpu))
    record: dict[str, Any] = {
        "what": "annotate beside other gene finders and an earlier commit",
        **environment("torch", "numpy", "pyrodigal"),
        "against": settings.against,
        "settings": _settings(settings),
        "note": settings.note,
        "start_bp": START_BP,
    }
    if gpu:
        record["processor"], record["device"] = record["device"], gpu
    timings: list[Timing] = []
    notes: list[str] = []
    with ExitStack() as stack:
        tree = stack.enter_context(checkout(settings.against))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for kind in settings.kinds:
            case = load_case(kind, getattr(settings, kind), settings.data, settings.bp, folder)
            contenders, left_out = choose_contenders(settings, case, tree)
            notes += left_out
            start = first_bases(case, "start-up", START_BP, folder)
            cases = {kind: case, start.what: start}
            found = measure(cases, contenders, settings.rounds, folder)
            if settings.probe_bp is not None:
                short = first_bases(case, "probe", settings.probe_bp, folder)
                _probe(found, contenders, short, folder, profile=settings.profile)
            timings += found
    text = markdown(timings, notes)
    print(text)
    save_json(out, record | {"left_out": notes, **to_dict(timings)})
    with atomic_writer(out.with_suffix(".md")) as stream:
        stream.write(text)
    print(f"written: {out}")
    return 0


def _probe(
    timings: Sequence[Timing],
    contenders: Sequence[Contender],
    case: Case,
    folder: Path,
    *,
    profile: bool,
) -> None:
    """Add the counts of a run of its own over a short case to the timings of ours."""
    for contender in contenders:
        if contender.is_ours:
            counts = count_passes(contender, case, folder, profile=profile)
            (timing,) = (t for t in timings if t.name == contender.name and not t.is_start)
            timing.counts = counts


def _gpu_name(device: str) -> str:
    """Return the GPU's name, empty on a CPU; torch is asked only when a GPU may be meant."""
    if device == "cpu":
        return ""
    import torch

    return str(torch.cuda.get_device_name()) if torch.cuda.is_available() else ""


def _label(gpu: str) -> str:
    """Return the device as result files name it."""
    if not gpu:
        return "cpu"
    from measure import device_label

    return device_label(gpu)


def _settings(settings: BenchConfig) -> dict[str, Any]:
    """Settings that the result depends on, without paths."""
    asked = config_to_dict(settings)
    left = ("bacterium", "yeast", "data", "out", "note")
    threads = {k: v for k, v in os.environ.items() if k.startswith(("OMP_", "GENET5_"))}
    found = {name: value for name, value in asked.items() if name not in left}
    return found | {"environment": threads}


def main(argv: Sequence[str] | None = None) -> int:
    summary = "Time annotate beside other gene finders and beside an earlier commit."
    return run(bench, BenchConfig, argv, name="bench_annotate", description=summary)


if __name__ == "__main__":
    sys.exit(main())
