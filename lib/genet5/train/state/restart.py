"""A run whose processes torchrun has restarted resumes from its own newest checkpoint.

torchrun's agent outlives the processes that it starts. It restarts all of them when one has died
and when a machine has come back, but counts the deaths only. So OUT remembers which agent prepared
it: what an agent has begun there, the next processes of the same agent continue, even if the
command asks for a new run.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from genet5.config.json_files import load_json, save_json
from genet5.config.run import RunConfig
from genet5.model.folders import list_checkpoints, step_of
from genet5.train.state.checkpoint_files import read_step

Config = TypeVar("Config", bound=RunConfig)

MARK = "launch.json"
"""In OUT: the agent that prepared it."""


def mark_start(out: Path, agent: str | None) -> None:
    """Record that OUT was prepared for this agent's run; rank 0 calls it before it writes there."""
    if agent is None:
        (out / MARK).unlink(missing_ok=True)
    else:
        save_json(out / MARK, {"agent": agent})


def is_restart(out: Path, agent: str | None) -> bool:
    """Return whether this agent has begun a run in OUT before.

    Args:
        out: Directory of the run.
        agent: `Ranks.agent` of rank 0.
    """
    path = out / MARK
    return agent is not None and path.exists() and load_json(path).get("agent") == agent


def after_restart(config: Config) -> Config:
    """Return the settings with which a restarted run resumes.

    Before its first checkpoint it starts again from `checkpoint` or BASE, in the OUT that is
    prepared already.

    Raises:
        CheckpointError: `checkpoint` is none.
    """
    begun, own = config.checkpoints.checkpoint, list_checkpoints(config.out / "checkpoints")
    has_own = begun is None or (bool(own) and step_of(own[-1]) >= read_step(begun))
    checkpoints = replace(config.checkpoints, overwrite=False)
    if has_own:
        checkpoints = replace(checkpoints, resume=True, checkpoint=None)
    resumed: Config = replace(config, checkpoints=checkpoints)  # type: ignore[type-var]
    return resumed
