"""Bakes, calibrations and pretraining that are killed again and again end in the bytes of one run.

`annotate` and `finet` have their kills beside their other tests (`integration/test_annotate_runs`,
`integration/test_kill`). A kill is a SIGKILL of the process group at a random moment of a run.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from genet5.model.folders import SHIPPED
from lm_toys import tiny_lm
from robust.inputs import make_inputs

pytestmark = pytest.mark.robust

KILLS = 8


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_inputs(tmp_path_factory.mktemp("seeds"))


def start(python: str, words: Sequence[object]) -> subprocess.Popen[bytes]:
    path = os.pathsep.join(sys.path)
    command = [python, "-m", "genet5", *map(str, words)]
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, stderr=subprocess.PIPE, start_new_session=True, env=environment
    )


def finish(python: str, words: Sequence[object]) -> float:
    """Run a command to its end; return its time in seconds."""
    begin = time.monotonic()
    process = start(python, words)
    _, stderr = process.communicate()
    assert process.returncode == 0, stderr.decode()[-2000:]
    return time.monotonic() - begin


def finish_after_kills(
    python: str, first: Sequence[object], again: Sequence[object], whole_s: float, seed: int
) -> None:
    """Kill a command at random moments, start it again each time, and let it end at last."""
    draw, words = random.Random(seed), first
    for _ in range(KILLS):
        process = start(python, words)
        try:
            process.wait(draw.uniform(0, whole_s))
            assert process.stderr is not None
            assert process.returncode == 0, process.stderr.read().decode()[-2000:]
            return
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            assert process.stderr is not None
            process.stderr.close()
        words = again
    finish(python, words)


def contents(folder: Path, *names: str) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in names}


def test_bake(python: str, seeds: Path, tmp_path: Path) -> None:
    def words(out: str) -> list[object]:
        settings = ("--window_size", 600, "--target", 300, "--hard_limit", 600, "--passes", 3)
        files = ("--fasta", seeds / "euk/genome.fa", "--gff", seeds / "euk/annotation.gff3")
        places = ("--output_dir", tmp_path / out, "--tokenizer", seeds / "base")
        return ["bake", *files, *places, *settings, "--split_by", "contig"]

    whole_s = finish(python, words("whole"))
    again = [*words("killed"), "--resume"]
    finish_after_kills(python, words("killed"), again, whole_s, seed=1)
    names = ("training.packed", "validation.packed")
    assert contents(tmp_path / "whole", *names) == contents(tmp_path / "killed", *names)
    assert {path.name for path in (tmp_path / "killed").iterdir()} == {*names, "bake_report.json"}


def test_lm_pretrain(python: str, seeds: Path, tmp_path: Path) -> None:
    tiny_lm("nucleotide_gpt").save(tmp_path / "base")
    genome = ("--fasta", seeds / "pro/genome.fa", "--window_bp", 64)
    finish(python, ["lm_bake", tmp_path / "baked", "--base", tmp_path / "base", *genome])

    def words(out: str) -> list[object]:
        data = [tmp_path / "baked" / name for name in ("training.packed", "validation.packed")]
        settings = ("--max_steps", 12, "--save_steps", 2, "--batch_size", 2, "--device", "cpu")
        return ["lm_pretrain", *data, tmp_path / out, tmp_path / "base", *settings]

    whole_s = finish(python, words("whole"))
    again = [*words("killed"), "--resume"]
    finish_after_kills(python, words("killed"), again, whole_s, seed=2)
    names = ("model.safetensors", "config.json")
    assert contents(tmp_path / "whole", *names) == contents(tmp_path / "killed", *names)


def test_calibrate(python: str, seeds: Path, tmp_path: Path) -> None:
    for name in ("whole", "killed"):
        shutil.copytree(SHIPPED / "nano", tmp_path / name)

    def words(model: str) -> list[object]:
        files = ("--genomes", seeds / "g.fa", "--references", seeds / "g.gff3")
        return ["calibrate", tmp_path / model, *files, "--work", tmp_path / f"{model}_work"]

    whole_s = finish(python, words("whole"))
    finish_after_kills(python, words("killed"), words("killed"), whole_s, seed=3)
    names = ("annotate.json", "checksums.json", "model.safetensors", "config.json")
    assert contents(tmp_path / "whole", *names) == contents(tmp_path / "killed", *names)
    assert not list((tmp_path / "killed").glob("*.tmp"))
