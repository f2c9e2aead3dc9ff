"""What a run does that torchrun has started again, and settings that exclude each other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from genet5.errors import ConfigError
from genet5.train.run import after_restart


def with_checkpoints(config: Any, **changes: Any) -> Any:
    return replace(config, checkpoints=replace(config.checkpoints, **changes))


def test_a_restarted_run_resumes_and_deletes_nothing(toy: Any, tmp_path: Path) -> None:
    found = after_restart(with_checkpoints(toy.config(tmp_path), overwrite=True)).checkpoints
    assert (found.resume, found.checkpoint, found.overwrite) == (True, None, False)


def test_it_prefers_its_own_checkpoints_to_the_one_it_began_from(toy: Any, tmp_path: Path) -> None:
    config = with_checkpoints(toy.config(tmp_path), checkpoint=Path("elsewhere/step-00000007"))
    found = after_restart(config).checkpoints
    assert (found.resume, found.checkpoint) == (False, Path("elsewhere/step-00000007"))
    (tmp_path / "checkpoints" / "step-00000009").mkdir(parents=True)
    found = after_restart(config).checkpoints
    assert (found.resume, found.checkpoint) == (True, None)


def test_8_bit_moments_are_not_shared_out(toy: Any, tmp_path: Path) -> None:
    config = toy.config(tmp_path)
    shared = replace(config, compute=replace(config.compute, parallel="fsdp"))
    with pytest.raises(ConfigError, match="optim_8bit"):
        replace(shared, optim=replace(config.optim, optim_8bit=True))
