"""Refuse a step whose loss or gradient is not finite, on all ranks alike, and name its windows."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor, nn

from genet5.config.json_files import load_json, save_json
from genet5.dataset.batch import TrainingBatch
from genet5.errors import CheckpointError, GeneT5Error
from genet5.train.distributed.processes import Ranks

_FILE_NAME = "nonfinite.json"
MAX_NAMED_WINDOWS = 8
"""Windows that an error names; the file that it mentions names all."""


class NonFiniteLossError(GeneT5Error):
    """The loss or its gradient is not a finite number; the weights are those of the step before.

    Args:
        step: The step that was not done.
        what: What is not finite.
        windows: Windows of the micro-batch.
        path: File that lists all windows.
    """

    def __init__(self, step: int, what: str, windows: Sequence[str], path: Path) -> None:
        super().__init__(step, what, windows)
        self.step, self.what, self.windows, self.path = step, what, tuple(windows), path

    def __str__(self) -> str:
        named = ", ".join(self.windows[:MAX_NAMED_WINDOWS])
        more = len(self.windows) - MAX_NAMED_WINDOWS
        return (
            f"step {self.step}: {self.what} in a micro-batch of {named}"
            + (f" and {more} more windows (all in {self.path})" if more > 0 else "")
            + ". The weights were not changed. --resume --skip_windows"
            f" {self.path} leaves these windows out; if others follow, the run has diverged: start"
            " again, or from an earlier --checkpoint, with a lower --lr"
        )


def require_finite(
    losses: Tensor,
    norm: Tensor,
    batches: Sequence[TrainingBatch],
    ranks: Ranks,
    *,
    step: int,
    out: Path,
) -> None:
    """Check a step before its weights move; every rank calls it.

    Args:
        losses: (micro-batches,) of this rank.
        norm: Of the gradient, summed over ranks.
        batches: This rank's micro-batches.
        ranks: This process among the run's.
        step: The step that is to be done.
        out: Directory of the run; a file there gets the names of all windows.

    Raises:
        NonFiniteLossError: Loss or gradient is not finite, on whatever rank.
    """
    good = torch.isfinite(losses)
    is_bad = 1.0 - (good.all() & torch.isfinite(norm)).double()
    if not ranks.sum(is_bad):
        return
    flags = good.tolist()
    bad = [batch.window_ids for batch, is_good in zip(batches, flags, strict=True) if not is_good]
    has_bad_loss = any(ranks.gather(bool(bad)))
    if not has_bad_loss:
        bad = [batch.window_ids for batch in batches]
    windows = [name for ids in ranks.gather(bad) for batch in ids for name in batch]
    path = out / _FILE_NAME
    if ranks.is_first:
        with suppress(GeneT5Error, OSError):  # the error says the most of it
            shown = [str(loss) for loss in losses.tolist()]  # JSON has no NaN
            named = [*_named(path), *windows]
            save_json(path, {"step": step, "losses": shown, "windows": named})
    what = "the loss is not finite" if has_bad_loss else "the gradient is not finite"
    raise NonFiniteLossError(step, what, windows, path)


def _named(path: Path) -> list[str]:
    """Return the windows that earlier errors of this run have named: they stay skipped."""
    return [str(name) for name in load_json(path).get("windows", [])] if path.exists() else []


def require_finite_weights(model: nn.Module, base: Path) -> None:
    """Check what a run starts from: a weight that is no number would look like a fault of the data.

    Raises:
        CheckpointError: A tensor of BASE is not finite.
    """
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise CheckpointError(
                f"BASE = {base}: {name} holds NaN or infinity, so no loss can be finite; start from"
                " an earlier checkpoint, or another model"
            )
