"""How long runs are, also those that resume with other steps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from genet5.model.folders import list_checkpoints
from genet5.train.horizon import Horizon
from genet5.train.optim import make_schedule


def by_epochs(config: Any, epochs: float, micro_batches: int) -> Horizon:
    duration = replace(config.duration, max_steps=None, epochs=epochs)
    return Horizon.of(replace(config, duration=duration), micro_batches)


def test_epochs_or_steps_decide(toy: Any, tmp_path: Any) -> None:
    config = toy.config(tmp_path, grad_accum=2)
    assert by_epochs(config, 2.0, 25) == Horizon(25, 12.5, counts_epochs=True)
    steps = Horizon.of(replace(config, duration=replace(config.duration, max_steps=7)), 25)
    assert steps == Horizon(7, 12.5)
    rest = steps.after(3, 1.2)  # earlier steps took in five times as much
    assert (rest.total_steps, rest.on_schedule(3)) == (7, 3)
    assert rest.epoch(3) == pytest.approx(1.2)
    assert [step for step in range(4, 20) if rest.ends_epoch(step)] == [13]


@pytest.mark.parametrize(("per_epoch", "total"), [(25, 50), (12.5, 40), (50, 70), (100, 110)])
def test_the_rest_of_the_epochs_is_left_whatever_a_step_takes_in(
    per_epoch: float, total: int
) -> None:
    """A run of two epochs of 25 steps resumes at step 30, after 1.2 epochs."""
    whole = Horizon(round(2 * per_epoch), per_epoch, counts_epochs=True)
    rest = whole.after(30, 1.2)
    assert rest.total_steps == total
    assert rest.epoch(30) == 1.2
    assert rest.epoch(total) == 2.0
    ends = [step for step in range(31, total + 1) if rest.ends_epoch(step)]
    assert ends == [total]
    assert rest.after(40, rest.epoch(40)) == rest  # the same once more
    assert rest.after(30, 1.2) == rest


def test_the_schedule_goes_on_from_the_share_that_is_done(toy: Any, tmp_path: Any) -> None:
    config = toy.config(tmp_path).optim
    long, short = (make_schedule(config, steps) for steps in (50, 25))
    rest = Horizon(25, 12.5, counts_epochs=True).after(30, 1.2)
    assert short(rest.on_schedule(30)) == pytest.approx(long(30), rel=0.05)
    assert rest.on_schedule(rest.total_steps - 1) == 24


def test_a_run_goes_on_with_twice_the_batch(toy: Any, tmp_path: Any) -> None:
    config = toy.config(tmp_path, max_steps=None)
    first = toy.trainer(config, horizon=Horizon(10, 5.0, counts_epochs=True))
    vote = first._vote
    first._vote = lambda: ("killed", True) if first.state.progress.step == 6 else vote()
    first.run()
    second = toy.trainer(config, horizon=Horizon(5, 2.5, counts_epochs=True))
    second.resume(list_checkpoints(tmp_path / "checkpoints")[-1])
    outcome = second.run()
    assert (outcome.reason, outcome.step) == ("finished", 8)
    assert second.state.progress.epoch == 2.0
