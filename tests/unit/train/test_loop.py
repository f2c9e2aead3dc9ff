"""The loop: normalisation, exact resume, stopping, and what it writes."""

from __future__ import annotations

import json
import math
import os
import signal
import time
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from genet5.config.json_files import save_json
from genet5.config.parts import PartsConfig
from genet5.config.train import OptimConfig
from genet5.errors import CheckpointError
from genet5.model import files as trainer_files
from genet5.model.folders import list_checkpoints
from genet5.train.finite import NonFiniteLossError
from genet5.train.horizon import Horizon
from genet5.train.objective import Objective
from genet5.train.setup import skipped_windows
from genet5.train.state import checkpoint
from genet5.train.state.checkpoint_files import (
    changed_settings,
    find_checkpoint,
    require_same_moments,
    set_aside_later,
)


def rows(out: Path, kind: str = "train") -> list[dict[str, Any]]:
    lines = (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [row for row in map(json.loads, lines) if row["kind"] == kind]


def losses(out: Path) -> list[float]:
    return [row["loss"] for row in rows(out)]


@pytest.mark.slow
def test_a_run_learns_and_writes_model_and_metrics(toy: Any, tmp_path: Path) -> None:
    trainer = toy.trainer(toy.config(tmp_path, max_steps=40, optim={"lr": 3e-2}))
    outcome = trainer.run()
    trainer.export()
    assert outcome.reason == "finished"
    assert outcome.step == 40
    assert losses(tmp_path)[-1] < 0.7 * losses(tmp_path)[0]
    assert {
        "config.json",
        "model.safetensors",
        "metrics.jsonl",
        "metrics.csv",
        "validation.csv",
    } <= {path.name for path in tmp_path.iterdir()}


def test_accumulated_micro_batches_give_the_gradient_of_one_batch(toy: Any, tmp_path: Path) -> None:
    batches = [toy.batch(1), toy.batch(2)]
    one = toy.joined(batches)
    weights = []
    for name, step in (("apart", batches), ("together", [one])):
        torch.manual_seed(0)
        trainer = toy.trainer(toy.config(tmp_path / name), model=toy.Model(dropout=0.0))
        trainer._step(step)
        weights.append(trainer.state.model.linear.weight.detach())
    # Adam's first step is the gradient's sign where it is large; sums in another order differ in
    # the last bits
    torch.testing.assert_close(*weights, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("stop_at", [1, 4, 7])
def test_a_resumed_run_equals_an_uninterrupted_one_to_the_bit(
    toy: Any, tmp_path: Path, stop_at: int
) -> None:
    config = toy.config(
        tmp_path / "whole", max_steps=10, grad_accum=2, validation={"eval_steps": 3}
    )
    horizon = Horizon(10, 3)
    whole = toy.trainer(config, horizon=horizon)
    whole.run()
    whole.export()
    broken = replace(config, out=tmp_path / "broken")
    first = toy.trainer(broken, horizon=horizon)
    vote = first._vote
    first._vote = lambda: ("killed", True) if first.state.progress.step == stop_at else vote()
    first.run()
    second = toy.trainer(
        replace(broken, seed=77), horizon=horizon
    )  # other weights and random state
    second.resume(list_checkpoints(broken.out / "checkpoints")[-1])
    second.run()
    second.export()
    for kind in ("train", "validation"):
        ours, theirs = (
            [row["loss"] for row in rows(out, kind)] for out in (broken.out, config.out)
        )
        assert ours == theirs
    ours, theirs = (load_file(out / "model.safetensors") for out in (broken.out, config.out))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.slow
def test_sums_between_progress_lines_survive_a_resume(toy: Any, tmp_path: Path) -> None:
    config = toy.config(tmp_path / "whole", max_steps=9, log_every_steps=4)
    toy.trainer(config).run()
    broken = replace(config, out=tmp_path / "broken")
    first = toy.trainer(broken)
    first._vote = lambda: ("killed", True) if first.state.progress.step == 6 else ("", False)
    first.run()
    second = toy.trainer(broken)
    second.resume(list_checkpoints(broken.out / "checkpoints")[-1])
    second.run()
    assert losses(broken.out) == losses(config.out)


def test_rows_after_the_checkpoint_leave_the_metric_files(toy: Any, tmp_path: Path) -> None:
    config = toy.config(tmp_path, max_steps=6)
    first = toy.trainer(config)
    progress, save = first.state.progress, first._save
    first._save = lambda: (
        save() if progress.step == 2 else None
    )  # killed before it could save again
    first._vote = lambda: ("killed" if progress.step == 5 else "", progress.step == 2)
    first.run()
    assert [row["step"] for row in rows(tmp_path)] == [1, 2, 3, 4, 5]
    second = toy.trainer(config)
    second.resume(list_checkpoints(tmp_path / "checkpoints")[-1])
    assert [row["step"] for row in rows(tmp_path)] == [1, 2]
    second.run()
    assert [row["step"] for row in rows(tmp_path)] == [1, 2, 3, 4, 5, 6]
    table = (tmp_path / "metrics.csv").read_text(encoding="utf-8").splitlines()
    assert [line.split(",")[0] for line in table] == ["step", "1", "2", "3", "4", "5", "6"]


def test_a_non_finite_loss_stops_before_the_step_and_names_the_windows(
    toy: Any, tmp_path: Path
) -> None:
    def sums(output: torch.Tensor, batch: Any) -> Any:
        terms = toy.sums(output, batch)
        if "toy/2:0" in batch.window_ids:
            terms["token"] = replace(terms["token"], sum=terms["token"].sum * math.nan)
        return terms

    trainer = toy.trainer(toy.config(tmp_path, grad_accum=3), objective=Objective(sums, toy.counts))
    before = {name: w.detach().clone() for name, w in trainer.state.model.named_parameters()}
    with pytest.raises(NonFiniteLossError, match="step 1: the loss is not finite") as caught:
        trainer._step([toy.batch(1), toy.batch(2), toy.batch(3)])
    assert caught.value.windows == ("toy/2:0", "toy/2:1", "toy/2:2")
    assert all(torch.equal(before[name], w) for name, w in trainer.state.model.named_parameters())
    batch = replace(trainer.config.batch, skip_windows=tmp_path / "nonfinite.json")
    assert skipped_windows(batch) == ["toy/2:0", "toy/2:1", "toy/2:2"]
    with pytest.raises(NonFiniteLossError, match=r"--skip_windows \S+nonfinite.json"):
        trainer._step([toy.batch(2)])
    assert len(skipped_windows(batch)) == 6


def test_a_checkpoint_that_is_being_written_survives_a_non_finite_loss(
    toy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sums(output: torch.Tensor, batch: Any) -> Any:
        terms = toy.sums(output, batch)
        if trainer.state.progress.step == 2:
            terms["token"] = replace(terms["token"], sum=terms["token"].sum * math.nan)
        return terms

    slow = checkpoint._sync
    monkeypatch.setattr(checkpoint, "_sync", lambda path: (time.sleep(0.3), slow(path)))
    config = toy.config(tmp_path, checkpoints={"save_steps": 2})
    trainer = toy.trainer(config, objective=Objective(sums, toy.counts))
    with pytest.raises(NonFiniteLossError):
        trainer.run()
    assert [path.name for path in list_checkpoints(tmp_path / "checkpoints")] == ["step-00000002"]


def test_a_signal_ends_the_run_after_its_step_with_a_checkpoint(toy: Any, tmp_path: Path) -> None:
    trainer = toy.trainer(toy.config(tmp_path, max_steps=50))
    step = trainer._step

    def interrupted(batches: Any) -> None:
        if trainer.state.progress.step == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        step(batches)

    trainer._step = interrupted
    outcome = trainer.run()
    assert (outcome.reason, outcome.step) == ("interrupted", 3)
    assert list_checkpoints(tmp_path / "checkpoints")[-1].name == "step-00000003"
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_disk_that_is_full_for_a_while_ends_no_run(
    toy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither a checkpoint, nor the best model, nor the last checkpoint of the run."""
    config = toy.config(
        tmp_path, max_steps=5, checkpoints={"save_steps": 1}, validation={"eval_steps": 2}
    )
    trainer, save = toy.trainer(config), trainer_files.save_file
    failing = [".step-00000001.tmp", ".step-00000005.tmp"]

    def save_file(tensors: Any, path: Any, **more: Any) -> None:
        if (name := path.parent.parent.name) in failing:
            failing.remove(name)
            raise OSError("disk full")
        save(tensors, path, **more)

    monkeypatch.setattr(trainer_files, "save_file", save_file)
    write = trainer.state.model.save_pretrained

    def save_pretrained(path: Path, **more: Any) -> None:
        if trainer.state.progress.step == 2:
            raise OSError("disk full")
        write(path, **more)

    monkeypatch.setattr(trainer.state.model, "save_pretrained", save_pretrained)
    outcome = trainer.run()
    assert (outcome.reason, outcome.best_step) == ("finished", 5)
    assert caplog.text.count("disk full; the next save tries again") == 2
    assert "the best model could not be written (disk full)" in caplog.text
    steps = [path.name[-1] for path in list_checkpoints(tmp_path / "checkpoints")]
    assert steps == ["4", "5"]


def test_early_stopping_counts_evaluations_without_a_better_loss(toy: Any, tmp_path: Path) -> None:
    config = toy.config(tmp_path, max_steps=50, validation={"eval_steps": 2}, optim={"lr": 1e-9})
    config = replace(config, duration=replace(config.duration, early_stopping=2))
    trainer = toy.trainer(config, horizon=Horizon(50, 1000))
    trainer._schedule = lambda step: 0.0
    outcome = trainer.run()
    assert outcome.reason == "early_stopping"
    assert outcome.step == 6


def test_max_minutes_stops_cleanly(toy: Any, tmp_path: Path) -> None:
    config = toy.config(tmp_path, max_steps=50)
    config = replace(config, duration=replace(config.duration, max_minutes=1e-9))
    outcome = toy.trainer(config).run()
    assert (outcome.reason, outcome.step) == ("max_minutes", 1)


def test_the_best_weights_are_exported_not_the_last(toy: Any, tmp_path: Path) -> None:
    config = toy.config(
        tmp_path, max_steps=6, validation={"eval_steps": 3}, optim={"ema_decay": None}
    )
    trainer = toy.trainer(config, horizon=Horizon(6, 1000))
    trainer.run()
    progress = trainer.state.progress
    assert progress.best_step == 6
    best = json.loads((tmp_path / "best" / "best.json").read_text())
    assert best["step"] == 6
    weights = load_file(tmp_path / "best" / "model.safetensors")
    assert torch.equal(weights["linear.weight"], trainer.state.model.linear.weight)


def test_the_best_model_of_an_abandoned_branch_steps_aside(toy: Any, tmp_path: Path) -> None:
    config = toy.config(
        tmp_path,
        max_steps=6,
        validation={"eval_steps": 3},
        checkpoints={"save_steps": 2, "keep_last": 9},
    )
    toy.trainer(config, horizon=Horizon(6, 1000)).run()
    second = toy.trainer(config, horizon=Horizon(6, 1000))
    second.resume(tmp_path / "checkpoints" / "step-00000002")
    assert (tmp_path / "best-6" / "model.safetensors").exists()
    assert second.state.progress.best_loss is None


@pytest.mark.slow
def test_checkpoints_of_an_abandoned_branch_do_not_outlive_the_new_ones(
    toy: Any, tmp_path: Path
) -> None:
    saves = {"save_steps": 1, "keep_last": 3}
    config = toy.config(tmp_path, max_steps=6, checkpoints=saves)
    toy.trainer(config).run()
    folder = tmp_path / "checkpoints"
    second = toy.trainer(replace(config, optim=replace(config.optim, lr=1e-3)))
    set_aside_later(folder, folder / "step-00000004")
    second.resume(folder / "step-00000004")
    vote = second._vote
    second._vote = lambda: ("killed", True) if second.state.progress.step == 5 else vote()
    second.run()
    assert [path.name[-1] for path in list_checkpoints(folder)] == ["4", "5"]
    assert (folder / "aside-step-00000006" / "trainer.json").exists()
    assert (folder / "aside-step-00000005" / "trainer.json").exists()


def test_a_lost_best_model_is_rewritten_from_its_checkpoint(toy: Any, tmp_path: Path) -> None:
    config = toy.config(tmp_path, max_steps=3, validation={"eval_steps": 3})
    toy.trainer(config, horizon=Horizon(3, 1000)).run()
    wanted = load_file(tmp_path / "best" / "model.safetensors")
    (tmp_path / "best" / "best.json").write_text('{"step": 1}')
    (tmp_path / "best" / "model.safetensors").unlink()
    again = toy.trainer(config, horizon=Horizon(3, 1000))
    again.resume(list_checkpoints(tmp_path / "checkpoints")[-1])
    found = load_file(tmp_path / "best" / "model.safetensors")
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


class HalfRight:
    """An evaluator that notes which model it got, and draws random numbers."""

    num_batches, num_counts = 3, 1

    def __init__(self) -> None:
        self.seen: list[tuple[bool, torch.Tensor]] = []

    def count(self, model: Any, batch: int) -> torch.Tensor:
        torch.rand(5)
        self.seen.append((model.training, model.linear.weight.detach().clone()))
        return torch.tensor([batch / 6], dtype=torch.float64)

    def figures(self, counts: torch.Tensor) -> dict[str, float]:
        return {"gene_f1": counts.item()}


def test_the_evaluator_gets_averaged_weights_and_leaves_the_random_state(
    toy: Any, tmp_path: Path
) -> None:
    evaluator = HalfRight()
    config = toy.config(tmp_path / "a", max_steps=4, validation={"eval_steps": 2})
    trainer = toy.trainer(config, evaluator=evaluator, horizon=Horizon(4, 1000))
    trainer.run()
    toy.trainer(replace(config, out=tmp_path / "b"), horizon=Horizon(4, 1000)).run()
    assert losses(tmp_path / "a") == losses(tmp_path / "b")
    assert not evaluator.seen[-1][0]
    assert torch.equal(evaluator.seen[-1][1], trainer.state.average.average["linear.weight"])
    assert rows(tmp_path / "a", "validation")[-1]["gene_f1"] == 0.5


def test_the_newest_checkpoint_is_found_only_with_resume(toy: Any, tmp_path: Path) -> None:
    config = toy.config(tmp_path, max_steps=2)
    toy.trainer(config, record={"settings": {"lr": 0.1, "seed": 0}}).run()
    assert find_checkpoint(config) is None
    config = replace(config, checkpoints=replace(config.checkpoints, resume=True))
    found = find_checkpoint(config)
    assert found is not None
    assert found.name == "step-00000002"
    assert changed_settings(found, {"lr": 0.2, "seed": 0}) == ["lr: 0.1 -> 0.2"]


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        (
            {"parts": PartsConfig(freeze=("norm",))},
            "was trained with no --freeze, this start has --freeze norm; resume",
        ),
        (
            {"parts": PartsConfig(lora_rank=2)},
            "was trained with no --lora_rank, this start has --lora_rank 2; resume",
        ),
        (
            {"optim": OptimConfig(optimizer="muon")},
            "was trained with --optimizer adamw, this start has --optimizer muon; resume",
        ),
        ({"parts": PartsConfig(lr_scale=("norm=0.1",)), "optim": OptimConfig(lr=0.3)}, None),
    ],
)
def test_a_run_resumes_with_the_moments_that_it_has(
    toy: Any, tmp_path: Path, changed: dict[str, Any], line: str | None
) -> None:
    config = toy.config(tmp_path)
    settings = {"parts": asdict(config.parts), "optim": asdict(config.optim)}
    save_json(tmp_path / "trainer.json", {"settings": settings})
    with pytest.raises(CheckpointError, match=line) if line else nullcontext():
        require_same_moments(tmp_path, replace(config, **changed))


@pytest.mark.parametrize(
    ("epochs", "max_steps", "accum", "batches", "expected"),
    [(1.0, None, 1, 10, 10), (1.5, None, 4, 10, 5), (3.0, 7, 1, 10, 7), (0.01, None, 8, 10, 1)],
)
def test_the_horizon_follows_epochs_or_max_steps(
    toy: Any,
    tmp_path: Path,
    epochs: float,
    max_steps: int | None,
    accum: int,
    batches: int,
    expected: int,
) -> None:
    config = toy.config(tmp_path, grad_accum=accum)
    duration = replace(config.duration, epochs=epochs, max_steps=max_steps)
    assert Horizon.of(replace(config, duration=duration), batches).total_steps == expected


@pytest.mark.slow
def test_a_signal_ends_an_evaluation_which_the_resumed_run_does_first(
    toy: Any, tmp_path: Path
) -> None:
    config = toy.config(tmp_path / "whole", max_steps=4, validation={"eval_steps": 2})
    toy.trainer(config).run()
    broken = replace(config, out=tmp_path / "broken")
    first = toy.trainer(broken)
    batches, asked = first._validation, []

    def validation() -> Any:
        for number, batch in enumerate(batches()):
            if number == 1 and not asked:
                asked.append(number)
                os.kill(os.getpid(), signal.SIGINT)
            yield batch

    first._validation = validation
    assert (first.run().reason, first.state.progress.is_evaluation_due) == ("interrupted", True)
    assert first.state.model.training
    second = toy.trainer(broken)
    second.resume(list_checkpoints(broken.out / "checkpoints")[-1])
    assert second.run().reason == "finished"
    assert losses(broken.out) == losses(config.out)
    ours, theirs = (rows(out, "validation") for out in (broken.out, config.out))
    assert [(r["step"], r["loss"]) for r in ours] == [(r["step"], r["loss"]) for r in theirs]


def test_a_loss_that_is_no_number_is_no_best(toy: Any, tmp_path: Path) -> None:
    config = toy.config(tmp_path, max_steps=3, validation={"eval_steps": 1})
    trainer = toy.trainer(config)
    validate = trainer._validate

    def first_nan() -> dict[str, float]:
        return validate() | ({"loss": math.nan} if trainer.state.progress.step == 1 else {})

    trainer._validate = first_nan
    outcome = trainer.run()
    assert outcome.best_step in (2, 3)
    assert math.isfinite(outcome.best_loss)
