"""Fitting an autoencoder to the states of windows in random order, with exact resume.

A step reads some windows and takes all of their tokens; nothing is kept on disk but the latest
checkpoint: weights and moments as safetensors, the number of steps and the log as JSON. The order
of windows follows from the seed, so a resumed run equals an uninterrupted one.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save
from torch import Tensor

from genet5.config.json_files import config_to_dict, load_json, save_json
from genet5.config.lm.sae import LmSaeConfig
from genet5.errors import CheckpointError, DataError
from genet5.lm.activations import Place, layer_states
from genet5.lm.folders import LanguageModel
from genet5.lm.reference import ReferenceGenome
from genet5.lm.sae.network import SparseAutoencoder
from genet5.outputs import atomic_writer

log = logging.getLogger(__name__)

CHECKPOINT = "checkpoint.safetensors"
LOG = "training.json"
_LOGGED_STEPS = 10
_DECAY_SHARE = 0.2
_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


class SaeTrainer:
    """Trains an autoencoder on a genome.

    Args:
        lm: The model whose states are taken.
        genome: Open reference.
        places: Windows to draw from, of known bases mostly.
        layer: Whose output is taken.
        config: The command's.

    Raises:
        DataError: There is no window.
    """

    def __init__(
        self, lm: LanguageModel, genome: ReferenceGenome, places: Sequence[Place], layer: int,
        config: LmSaeConfig,
    ) -> None:  # fmt: skip
        if not places:
            raise DataError("no window of known bases", expected="DNA", path=config.fasta)
        self._lm, self._genome, self._places = lm, genome, places
        self._layer, self._config = layer, config
        width = int(lm.network.config.hidden_size)
        self.network = SparseAutoencoder(width, config.shape, seed=config.seed).to(lm.device)
        self._optimizer = torch.optim.Adam(self.network.parameters(), lr=config.shape.lr)
        self._order: tuple[int, NDArray[np.int64]] | None = None
        self.step = 0
        self.log: list[dict[str, float]] = []

    def train(self) -> SparseAutoencoder:
        """Train to the last step; write checkpoints on the way."""
        shape, out = self._config.shape, self._config.out
        if self.step == 0:
            self.network.fit_scale(self._states(0))
        while self.step < shape.steps:
            row = self._update(self._states(self.step))
            self.step += 1
            is_last = self.step == shape.steps
            if self.step % _LOGGED_STEPS == 0 or is_last:
                self.log.append({"step": self.step, **row})
            if self.step % self._config.save_steps == 0 or is_last:
                self.save(out)
                text = " ".join(f"{name} {value:.4g}" for name, value in row.items())
                log.info("step %d/%d: %s", self.step, shape.steps, text)
        return self.network.eval()

    def save(self, folder: Path) -> None:
        """Write a checkpoint: one file of tensors, whole or not at all."""
        tensors = {f"network.{name}": t for name, t in self.network.state_dict().items()}
        for number, state in self._optimizer.state_dict()["state"].items():
            tensors |= {f"moments.{number}.{name}": state[name] for name in _MOMENTS}
        notes = {"step": str(self.step)}
        plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        with atomic_writer(folder / CHECKPOINT, binary=True) as out:
            out.write(save(plain, metadata=notes))
        save_json(folder / LOG, {"config": settings_of(self._config), "steps": self.log})

    def resume(self, folder: Path) -> None:
        """Continue from a folder's checkpoint.

        Raises:
            CheckpointError: Its run had other settings.
        """
        found = load_json(folder / LOG)
        if found["config"] != settings_of(self._config):
            raise CheckpointError(f"{folder}: was trained with other settings; see {LOG}")
        tensors = load_file(folder / CHECKPOINT)
        moments: dict[int, dict[str, Tensor]] = {}
        for name in [name for name in tensors if name.startswith("moments.")]:
            _, number, key = name.split(".")
            moments.setdefault(int(number), {})[key] = tensors.pop(name)
        weights = {name.removeprefix("network."): t for name, t in tensors.items()}
        self.network.load_state_dict(weights)
        state = self._optimizer.state_dict()
        self._optimizer.load_state_dict({**state, "state": moments})
        self.step = int(moments[0]["step"])
        self.log = [row for row in found["steps"] if row["step"] <= self.step]

    def _states(self, step: int) -> Tensor:
        """Return the states of a step's windows, (tokens, D)."""
        count = self._config.shape.windows
        windows = []
        for number in range(step * count, (step + 1) * count):
            place = self._drawn(number)
            windows.append((place, self._genome.bases(place.contig, place.start, place.end)))
        tokens = (windows[0][0].end - windows[0][0].start) / self._lm.vocabulary.bp_per_token
        size = max(1, int(self._config.compute.batch_tokens / max(1.0, tokens)))
        found = []
        for begin in range(0, count, size):
            found += layer_states(self._lm, windows[begin : begin + size], self._layer)
        return torch.cat([each.states_SD for each in found])

    def _drawn(self, number: int) -> Place:
        """Return which window comes at a place of the endless order: each once an epoch."""
        epoch, index = divmod(number, len(self._places))
        if self._order is None or self._order[0] != epoch:
            generator = np.random.default_rng([self._config.seed, epoch, 0x5AE])
            self._order = epoch, generator.permutation(len(self._places))
        return self._places[int(self._order[1][index])]

    def _update(self, states_ND: Tensor) -> dict[str, float]:
        shape = self._config.shape
        left_steps = (shape.steps - self.step) / max(1.0, shape.steps * _DECAY_SHARE)
        for group in self._optimizer.param_groups:
            group["lr"] = shape.lr * min(1.0, left_steps)
        loss, left, features = self.network(states_ND)
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        self.network.normalize()
        return {
            "loss": float(loss.detach()),
            "variance_explained": 1 - float(left.detach()),
            "active_per_token": float((features > 0).sum(1).float().mean()),
        }


def settings_of(config: LmSaeConfig) -> dict[str, Any]:
    """Return what a resumed run must have in common with the run before."""
    plain = config_to_dict(config)
    kept = ("model", "fasta", "layer", "window_bp", "seed", "shape")
    return {name: plain[name] for name in kept}
