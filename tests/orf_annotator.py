"""An annotator without a network, and its command: it takes every open reading frame for a gene.

As the windows of a run decide what it finds, and as quick as can be, it stands in for a model
where whole runs are killed, resumed and shared. `main` runs `genet5 annotate` with it in a process
that many of them can be forked from.
"""

from __future__ import annotations

import os
import random
import re
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from genet5.annotate import engine as engine_module
from genet5.annotate import run as driver
from genet5.annotate.annotator import Annotator
from genet5.annotate.engine import Engine, Found
from genet5.annotate.plan import GenomePlan, Machine, ModelPlan
from genet5.cli.annotate import main as annotate
from genet5.decode.evidence import Evidence
from genet5.decode.fragment import GeneFragment, Interval
from genet5.decode.window_found import WindowFound
from genet5.genome.evidence import Channels
from genet5.genome.sequence import Bases

_ORF = re.compile(rb"(?=(ATG(?:(?!TAA|TAG|TGA)[ACGT]{3}){20,}(?:TAA|TAG|TGA)))")


class OrfEngine(Engine):
    """Finds the open reading frames of the forward strand."""

    delay_s = 0.0

    def decode_bases(
        self,
        windows: Sequence[Bases],
        cores: Sequence[tuple[int, int]],
        codes: Sequence[int],
        places: Sequence[int],
        evidence: Sequence[Channels] = (),
    ) -> Found:
        time.sleep(self.delay_s)
        return [
            WindowFound(tuple(_fragment(found) for found in _ORF.finditer(w.tobytes())))
            for w in windows
        ]


def _fragment(found: re.Match[bytes]) -> GeneFragment:
    start, end = found.span(1)
    evidence = Evidence(-0.1, -0.2, -0.3, 0.0, 0, float(end - start), end - start, 3.0, start / 97)
    return GeneFragment(
        "protein_coding", 1, (Interval("cds", start, end),), evidence=evidence,
        starts=((start, 1.0),),
    )  # fmt: skip


def orf_engine(plan: ModelPlan, machine: Machine) -> OrfEngine:
    """Load nothing."""
    return OrfEngine(
        model=None,
        tokenizer=None,
        calling=plan.calling,
        machine=machine,
        strand_passes=plan.strand_passes,
    )


def use_orfs() -> None:
    """Let `genet5 annotate` find open reading frames, in this process."""

    def load(plan: GenomePlan, machine: Machine) -> Annotator:
        return Annotator(orf_engine(plan.model, machine), plan.model)

    driver.load_annotator = load
    engine_module.load_engine = orf_engine


def forked(words: Sequence[str], kill_after_s: float | None = None, *, delay_s: float = 0.0) -> int:
    """Run the command in a process of its own, and kill it; return the exit code."""
    sys.stdout.flush()
    if pid := os.fork():
        if kill_after_s is not None:
            time.sleep(kill_after_s)
            os.kill(pid, signal.SIGKILL)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    OrfEngine.delay_s = delay_s
    os._exit(annotate(list(words)))


def kill_again_and_again(folder: str, kills: str, seed: str) -> None:
    """Kill a run at random moments, resume it each time, and compare with a run left alone."""
    use_orfs()
    draw, home = random.Random(int(seed)), Path(folder)
    names = ["genes.gff3", "genes.faa", "genes.fna"]
    words = {
        kind: [
            str(home / "genome.fa"), "-o", str(home / kind / names[0]), "--batch_size", "2",
            "--proteins", str(home / kind / names[1]), "--cds", str(home / kind / names[2]),
        ]
        for kind in ("whole", "killed")
    }  # fmt: skip
    for _ in range(2):  # the first run may wait for compiled loops
        began = time.monotonic()
        assert forked(words["whole"], delay_s=0.02) == 0
    duration_s = time.monotonic() - began
    whole = {name: (home / "whole" / name).read_bytes() for name in names}
    assert whole["genes.gff3"].count(b"\tgene\t") > 50
    died = 0
    for _ in range(int(kills)):
        died += forked(words["killed"], draw.uniform(0, 0.8 * duration_s), delay_s=0.02) < 0
        for name in names:
            path = home / "killed" / name
            assert not path.exists() or path.read_bytes() == whole[name]
    assert died > int(kills) / 2
    assert forked(words["killed"]) == 0
    assert {name: (home / "killed" / name).read_bytes() for name in names} == whole
    assert {path.name for path in (home / "killed").iterdir()} == set(names)


def share(*words: str) -> None:
    """Run the command as one rank of several."""
    use_orfs()
    assert annotate(list(words)) == 0


def main(task: str, *words: str) -> None:
    """Run one of the tasks by name."""
    {"share": share, "kill": kill_again_and_again}[task](*words)


if __name__ == "__main__":
    main(*sys.argv[1:])
