"""How long runs are, also those that resume with other steps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from genet5.model.folders import list_checkpoints
from genet5.train.horizon import Horizon, Place
from genet5.train.optim import make_schedule


def by_epochs(config: Any, epochs: float, micro_batches: int) -> Horizon:
    duration = replace(config.duration, max_steps=None, epochs=epochs)
    return Horizon.of(replace(config, duration=duration), micro_batches)


def test_epochs_or_steps_decide(toy: Any, tmp_path: Any) -> None:
    config = toy.config(tmp_path, grad_accum=2)
    assert by_epochs(config, 2.0, 25) == Horizon(26, 13, epochs=2.0)
    assert by_epochs(config, 1.5, 25) == Horizon(13 + 6, 13, epochs=1.5)
    steps = Horizon.of(replace(config, duration=replace(config.duration, max_steps=7)), 25)
    assert steps == Horizon(7, 13)
    assert (steps.last_step(3, 1.2), steps.on_schedule(3, 1.2)) == (7, 3.0)


@pytest.mark.parametrize(
    ("epochs", "place", "left"),
    [
        (2.0, Place(1, 3, 10), 7),
        (1.5, Place(1, 3, 10), 2),
        (1.5, Place(1, 5, 10), 0),
        (1.0, Place(0, 10, 10), 0),
        (0.01, Place(0, 0, 10), 1),  # a run has one step
        (1.01, Place(0, 10, 10), 0),
    ],
)
def test_a_run_ends_where_its_epochs_end(epochs: float, place: Place, left: int) -> None:
    horizon = Horizon(99, 9, epochs=epochs)
    assert horizon.left(place) == left
    assert horizon.is_over(5, place) == (left == 0)


def test_the_schedule_follows_the_share_of_the_epochs_that_is_done(toy: Any, tmp_path: Any) -> None:
    config = toy.config(tmp_path).optim
    long, short = Horizon(50, 25, epochs=2.0), Horizon(26, 13, epochs=2.0)
    rates = [
        make_schedule(config, each.total_steps)(each.on_schedule(30, 1.2)) for each in (long, short)
    ]
    assert rates[1] == pytest.approx(rates[0], rel=0.05)
    assert long.on_schedule(30, 30 / 25) == 30.0
    assert (long.last_step(30, 1.2), short.last_step(30, 1.2)) == (50, 41)


@pytest.mark.parametrize(("grad_accum", "steps"), [(4, [4, 2, 4, 2]), (64, [6, 6])])
def test_no_step_takes_from_two_epochs_and_no_run_passes_its_epochs(
    toy: Any, tmp_path: Any, grad_accum: int, steps: list[int]
) -> None:
    config = toy.config(tmp_path, grad_accum=grad_accum, max_steps=None)
    config = replace(config, duration=replace(config.duration, max_steps=None, epochs=2.0))
    trainer = toy.trainer(config, horizon=Horizon.of(config, 6))
    taken, step = [], trainer._step
    trainer._step = lambda batches: (taken.append(len(batches)), step(batches))
    outcome = trainer.run()
    assert (taken, outcome.step) == (steps, len(steps))
    assert trainer.state.progress.epoch == 2.0
    validated = (tmp_path / "validation.csv").read_text().splitlines()[1:]
    assert len(validated) == 2  # once an epoch


def test_a_part_of_an_epoch_ends_in_a_smaller_step(toy: Any, tmp_path: Any) -> None:
    config = toy.config(tmp_path, grad_accum=2)
    config = replace(config, duration=replace(config.duration, max_steps=None, epochs=0.5))
    trainer = toy.trainer(config, horizon=Horizon.of(config, 6))
    assert trainer.run().step == 2
    assert trainer.state.progress.micro_batches == 3


def test_a_run_resumes_with_twice_the_batch(toy: Any, tmp_path: Any) -> None:
    config = toy.config(tmp_path, max_steps=None)
    first = toy.trainer(config, horizon=Horizon(12, 6, epochs=2.0))
    vote = first._vote
    first._vote = lambda: ("killed", True) if first.state.progress.step == 8 else vote()
    first.run()
    config = replace(config, batch=replace(config.batch, grad_accum=2))
    second = toy.trainer(config, horizon=Horizon(6, 3, epochs=2.0))
    second.resume(list_checkpoints(tmp_path / "checkpoints")[-1])
    outcome = second.run()
    assert (outcome.reason, outcome.step) == ("finished", 10)
    assert second.state.progress.epoch == 2.0
