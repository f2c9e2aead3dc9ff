"""Two ranks under torchrun, killed several times: the end state is that of an undisturbed run.

`make test` kills twice, once in training and once while the ranks start; `make test-robust` kills
as often as the seed and number below say.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

pytestmark = pytest.mark.slow

STEPS = 12
LONG = ("--max_steps", "24")
PATIENCE_S = 300.0


def start(root: Path, python: str, toy_run: Path, out: Path, *flags: str) -> subprocess.Popen[str]:
    """Start `STEPS` steps on two ranks; later flags win."""
    files = (toy_run / "training.packed", toy_run / "validation.packed", out, toy_run / "base")
    settings = (
        f"--max_steps {STEPS} --batch_size 2 --lr 1e-2 --ema_decay 0.9 --eval_windows 0 "
        "--eval_steps 4 --eval_batches 2 --save_steps 2 --log_every_steps 1 "
        "--num_workers 1 --nproc-per-node 2"
    ).split()
    return subprocess.Popen(
        [str(root / "bin/distributed.sh"), *map(str, files), *settings, *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHON": python, "PYTHON_EXEC": python, "OMP_NUM_THREADS": "1"},
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    try:
        text, _ = process.communicate(timeout=PATIENCE_S)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, text


def ranks_of(out: Path) -> list[int]:
    """Return the processes that torchrun has started."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError):  # processes end
            words = (process / "cmdline").read_bytes().split(b"\0")
            is_ours = str(out).encode() in words and b"torch.distributed.run" not in words
            if is_ours and any(word.endswith(b"bin/finet") for word in words):
                found.append(int(process.name))
    return found


def await_new_ranks(agent: subprocess.Popen[str], out: Path, old: set[int]) -> list[int]:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        ranks = ranks_of(out)
        if len(ranks) == 2 and not old & set(ranks):
            return ranks
        assert agent.poll() is None, finish(agent)
        time.sleep(0.02)
    pytest.fail("torchrun did not start the ranks again")


def last_step(out: Path) -> int:
    metrics = out / "metrics.jsonl"
    lines = metrics.read_text(encoding="utf-8").splitlines() if metrics.exists() else []
    return max((json.loads(line)["step"] for line in lines if line.endswith("}")), default=0)


def last_saved(out: Path) -> int:
    names = [path.name for path in (out / "checkpoints").glob("step-*")]
    return max((int(name.removeprefix("step-")) for name in names), default=0)


def await_progress(agent: subprocess.Popen[str], out: Path, since: float, *, saved: bool) -> None:
    """Wait until ranks that were started at the time `since` have done, or saved, another step."""
    metrics, before = out / "metrics.jsonl", last_saved(out)
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        assert agent.poll() is None, finish(agent)
        # resumed ranks first drop the rows of steps that were not saved
        is_new = metrics.exists() and metrics.stat().st_mtime > since
        if is_new and (last_saved(out) if saved else last_step(out)) > before:
            return
        time.sleep(0.02)
    pytest.fail("no step")


def numbers(out: Path) -> list[tuple[Any, ...]]:
    """Return what must be equal to the bit: everything but times and memory."""
    lines = (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    kept = ("kind", "step", "loss", "loss_token", "loss_state", "grad_norm", "lr", "tokens")
    return [tuple(row.get(name) for name in kept) for row in rows]


def assert_equal_runs(ours: Path, theirs: Path) -> None:
    assert numbers(ours) == numbers(theirs)
    mine, other = (load_file(out / "model.safetensors") for out in (ours, theirs))
    assert all((mine[name] == other[name]).all() for name in other)


@pytest.fixture(scope="module")
def whole(root: Path, python: str, toy_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An undisturbed run."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    code, text = finish(start(root, python, toy_run, out))
    assert code == 0, text
    return out


@pytest.fixture(scope="module")
def long(root: Path, python: str, toy_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that lasts longer than six kills take."""
    out = tmp_path_factory.mktemp("runs") / "long"
    code, text = finish(start(root, python, toy_run, out, *LONG))
    assert code == 0, text
    return out


def test_two_kills_change_nothing(
    root: Path, python: str, toy_run: Path, whole: Path, tmp_path: Path
) -> None:
    agent = start(root, python, toy_run, tmp_path / "killed", "--max-restarts", "2")
    assert_kills_change_nothing(agent, tmp_path / "killed", whole, kills=2, seed=4)


@pytest.mark.robust
@pytest.mark.parametrize("seed", range(4))
def test_six_kills_change_nothing(
    root: Path, python: str, toy_run: Path, long: Path, tmp_path: Path, seed: int
) -> None:
    agent = start(root, python, toy_run, tmp_path / "killed", "--max-restarts", "6", *LONG)
    assert_kills_change_nothing(agent, tmp_path / "killed", long, kills=6, seed=seed)


def assert_kills_change_nothing(
    agent: subprocess.Popen[str], out: Path, undisturbed: Path, *, kills: int, seed: int
) -> None:
    draw = random.Random(seed)
    ranks: list[int] = []
    for number in range(kills):
        since = time.time()
        ranks = await_new_ranks(agent, out, set(ranks))
        if number % 3 == 1:  # while they start
            time.sleep(draw.uniform(0, 1))
        else:  # while they train, save or evaluate
            await_progress(agent, out, since, saved=number % 3 == 0)
            time.sleep(draw.uniform(0, 0.2))
        assert agent.poll() is None, f"ended before kill {number + 1}: {finish(agent)}"
        os.kill(draw.choice(ranks), signal.SIGKILL)
    code, text = finish(agent)
    assert code == 0, text
    assert text.count("resumed from") >= kills // 2, text
    assert_equal_runs(out, undisturbed)


def test_sigterm_saves_on_all_ranks_and_ends(
    root: Path, python: str, toy_run: Path, whole: Path, tmp_path: Path
) -> None:
    out = tmp_path / "stopped"
    agent = start(root, python, toy_run, out, "--save_steps", "1000")
    await_progress(agent, out, 0.0, saved=False)
    agent.send_signal(signal.SIGTERM)  # as Slurm does to the job's processes
    code, text = finish(agent)
    assert code != 0, text
    step = last_step(out)
    assert 0 < step < STEPS
    assert (out / "checkpoints" / f"step-{step:08d}" / "trainer.json").exists(), text
    code, text = finish(start(root, python, toy_run, out, "--save_steps", "1000", "--resume"))
    assert code == 0, text
    assert_equal_runs(out, whole)
