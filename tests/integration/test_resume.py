"""A killed and resumed run of the command has the losses of an undisturbed one, to the bit."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from genet5.cli import finet
from genet5.locks import LOCK_FILE
from genet5.model.network import GeneT5

STEPS = 8
PATIENCE_S = 240.0


def start(root: Path, python: str, toy_run: Path, out: Path, *flags: str) -> subprocess.Popen[str]:
    """Start `bin/finet`; two threads, since that is where sums could come out in another order."""
    inputs = [
        str(toy_run / "training.packed"),
        str(toy_run / "validation.packed"),
        str(out),
        str(toy_run / "base"),
    ]
    settings = (
        f"--max_steps {STEPS} --batch_size 2 --grad_accum 2 --lr 1e-2 --ema_decay 0.9 "
        "--eval_windows 0 --eval_steps 4 --eval_batches 2 --save_steps 3 --log_every_steps 1 "
        "--num_workers 1"
    ).split()
    return subprocess.Popen(
        [python, str(root / "bin" / "finet"), *inputs, *settings, *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "2"},
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    text, _ = process.communicate(timeout=PATIENCE_S)
    return process.returncode, text


def await_step(out: Path, step: int, process: subprocess.Popen[str]) -> None:
    """Wait until the run has logged `step`."""
    deadline = time.monotonic() + PATIENCE_S
    metrics = out / "metrics.jsonl"
    while time.monotonic() < deadline:
        if metrics.exists() and f'"step": {step},' in metrics.read_text(encoding="utf-8"):
            return
        assert process.poll() is None, f"ended before step {step}: {finish(process)}"
        time.sleep(0.02)
    pytest.fail(f"no step {step} after {PATIENCE_S} s")


def numbers(out: Path) -> list[tuple[Any, ...]]:
    """Return what must be equal to the bit: everything but times and memory."""
    lines = (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    kept = ("kind", "step", "loss", "loss_token", "loss_position", "loss_state", "loss_boundary")
    rows = [json.loads(line) for line in lines]
    return [(*(row[name] for name in kept), row.get("grad_norm"), row.get("lr")) for row in rows]


def test_a_budget_of_labels_makes_more_micro_batches(
    toy_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = ("training.packed", "validation.packed", "nowhere", "base")
    counts = []
    for budget in (1_000_000, 60):
        flags = ["--dry_run", "--label_budget", str(budget)]
        assert finet.main([*(str(toy_run / name) for name in files), *flags]) == 0
        line = next(row for row in capsys.readouterr().out.splitlines() if "micro-batches" in row)
        counts.append(int(line.split()[-1]))
    assert counts[1] > counts[0]


@pytest.fixture(scope="module")
def whole(root: Path, python: str, toy_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing disturbed."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    code, text = finish(start(root, python, toy_run, out))
    assert code == 0, text
    return out


def test_a_killed_run_resumes_with_the_same_losses(
    root: Path, python: str, toy_run: Path, whole: Path, tmp_path: Path
) -> None:
    out = tmp_path / "killed"
    process = start(root, python, toy_run, out, "--resume")
    await_step(out, 5, process)  # neither at a checkpoint nor at the end of an epoch
    os.killpg(process.pid, signal.SIGKILL)
    finish(process)
    code, text = finish(start(root, python, toy_run, out, "--resume"))
    assert code == 0, text
    assert "resumed from" in text
    assert numbers(out) == numbers(whole)
    ours, theirs = (load_file(path / "model.safetensors") for path in (out, whole))
    assert all((ours[name] == theirs[name]).all() for name in theirs)


def test_sigterm_finishes_the_step_saves_and_exits(
    root: Path, python: str, toy_run: Path, whole: Path, tmp_path: Path
) -> None:
    out = tmp_path / "stopped"
    process = start(root, python, toy_run, out)
    await_step(out, 2, process)
    os.killpg(process.pid, signal.SIGTERM)  # as Slurm does: the loader's workers get it, too
    code, text = finish(process)
    assert code == 130, text
    last = numbers(out)[-1][1]
    assert (out / "checkpoints" / f"step-{last:08d}" / "trainer.json").exists()
    assert GeneT5.from_pretrained(out).config == GeneT5.from_pretrained(whole).config
    assert (out / "annotate.json").exists()
    code, text = finish(start(root, python, toy_run, out, "--resume"))
    assert code == 0, text
    assert numbers(out) == numbers(whole)


def test_sigterm_ends_a_run_whose_data_worker_hangs(
    root: Path, python: str, toy_run: Path, tmp_path: Path
) -> None:
    """As it does in a read from a network disk; Python would wait for its end for ever."""
    out = tmp_path / "hanging"
    process = start(root, python, toy_run, out, "--max_steps", "5000", "--save_steps", "5000")
    await_step(out, 2, process)
    trainer = json.loads((out / LOCK_FILE).read_text())["pid"]
    workers = Path(f"/proc/{trainer}/task/{trainer}/children").read_text().split()
    for worker in workers:
        os.kill(int(worker), signal.SIGSTOP)
    time.sleep(1.0)
    os.kill(trainer, signal.SIGTERM)
    code, text = finish(process)
    assert (len(workers), code) == (1, 130), text
    last = numbers(out)[-1][1]
    assert (out / "checkpoints" / f"step-{last:08d}" / "trainer.json").exists()
    assert not Path(f"/proc/{workers[0]}").exists()


def test_an_earlier_run_is_not_overwritten_by_accident(
    root: Path, python: str, toy_run: Path, whole: Path
) -> None:
    code, text = finish(start(root, python, toy_run, whole))
    assert code == 2
    assert "--resume" in text
    assert "--overwrite" in text


def test_a_finished_run_holds_a_model_and_its_record(whole: Path, toy_run: Path) -> None:
    assert {"config.json", "model.safetensors", "tokenizer.json", "run.json", "metrics.csv"} <= {
        path.name for path in whole.iterdir()
    }
    record = json.loads((whole / "run.json").read_text(encoding="utf-8"))
    assert record["outcome"]["reason"] == "finished"
    assert record["settings"]["optim"]["lr"] == 1e-2
    assert GeneT5.from_pretrained(whole).config == GeneT5.from_pretrained(toy_run / "base").config
