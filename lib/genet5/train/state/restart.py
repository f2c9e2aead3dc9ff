"""What a run does whose processes torchrun has started again: it goes on from its own newest checkpoint.

torchrun's agent outlives the processes that it starts. It starts all of them anew when one has died and when a machine
has come back, but counts the deaths only. So OUT remembers which agent prepared it: what an agent has begun there, the
next processes of the same agent continue, whatever the command says about beginning.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from genet5.config.json_files import load_json, save_json
from genet5.config.train import TrainConfig
from genet5.train.state.checkpoint import list_checkpoints, read_step, step_of

MARK = "launch.json"
"""In OUT: the agent that prepared it."""


def mark_start(out: Path, agent: str | None) -> None:
    """Note that OUT was prepared for this agent's run; rank 0 calls it before anything is written there."""
    if agent is None:
        (out / MARK).unlink(missing_ok=True)
    else:
        save_json(out / MARK, {"agent": agent})


def is_restart(out: Path, agent: str | None) -> bool:
    """Say whether this agent has begun a run in OUT before.

    Args:
        out: Directory of the run.
        agent: `Ranks.agent` of rank 0.
    """
    path = out / MARK
    return agent is not None and path.exists() and load_json(path).get("agent") == agent


def after_restart(config: TrainConfig) -> TrainConfig:
    """Return the settings with which such a run goes on.

    Before its first checkpoint it begins as it was told to, from `checkpoint` or BASE, in the OUT that is prepared already.

    Raises:
        CheckpointError: `checkpoint` is none.
    """
    begun, own = config.checkpoints.checkpoint, list_checkpoints(config.out / "checkpoints")
    has_own = begun is None or (bool(own) and step_of(own[-1]) >= read_step(begun))
    checkpoints = replace(config.checkpoints, overwrite=False)
    if has_own:
        checkpoints = replace(checkpoints, resume=True, checkpoint=None)
    return replace(config, checkpoints=checkpoints)
