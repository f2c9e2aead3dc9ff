"""A language model as the training loop takes it: batch in, sums of losses out.

The loss is computed inside the forward pass, so that a network whose tensors are shared out over
ranks (FSDP2) has its output matrix whole when the loss needs it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from genet5.errors import ConfigError
from genet5.lm.causal_batch import CausalBatch
from genet5.lm.causal_loss import SUMS, CausalLoss
from genet5.lm.folders import LanguageModel, record_network
from genet5.lm.nucleotide_gpt import MODEL_TYPE
from genet5.train.loss import LossTerm
from genet5.train.objective import Objective

TRAINABLE = ("llama", MODEL_TYPE)
_LN2 = 0.6931471805599453


class TrainableLm(nn.Module):
    """A network with its loss; a `train.distributed.parallel.Model`.

    Args:
        lm: The model.
        loss: What is minimised.

    Raises:
        ConfigError: The network is of a type that cannot be trained here.
    """

    def __init__(self, lm: LanguageModel, loss: CausalLoss) -> None:
        super().__init__()
        kind = lm.network.config.model_type
        if kind not in TRAINABLE:
            raise ConfigError("BASE", kind, f"must be of a type among {', '.join(TRAINABLE)}")
        self.network: Any = lm.network
        self.loss = loss

    def forward(self, batch: CausalBatch) -> Tensor:
        """Return sums of `causal_loss.SUMS`: (1, 4), or without gradients (N, 4), one a window."""
        states = self.network.base_model(batch.ids, use_cache=False).last_hidden_state
        is_target = batch.is_target[:, 1:]
        head = self.network.get_output_embeddings().weight
        chosen = (each[:, 1:][is_target] for each in (batch.ids, batch.weights, batch.is_lower))
        words = (states[:, :-1][is_target], head, *chosen)
        if not torch.is_grad_enabled():
            return self.loss.by_row(*words, rows=is_target)
        sums: Tensor = self.loss(*words)
        return sums[None]

    def blocks(self) -> list[nn.Module]:
        """Return the layers."""
        return list(self.network.base_model.layers)

    def stored(self) -> dict[str, Tensor]:
        """Return the network's tensors by the names that files have, tied ones once."""
        tensors: dict[str, Tensor] = {}
        for name, tensor in self.network.state_dict().items():
            if not any(tensor is other for other in tensors.values()):
                tensors[name] = tensor
        return tensors

    def save_pretrained(self, path: Path, *, tensors: Mapping[str, Tensor] | None = None) -> None:
        """Write config.json and model.safetensors, with these tensors instead of its own."""
        weights = {name: t.contiguous() for name, t in (tensors or self.stored()).items()}
        self.network.save_pretrained(path, state_dict=weights)
        record_network(path)

    def rebuilt(self, tensors: Mapping[str, Tensor]) -> nn.Module:
        """Return another model of this shape with these tensors."""
        network = type(self.network)(self.network.config)
        network.load_state_dict(dict(tensors), strict=False)
        copy = TrainableLm.__new__(TrainableLm)
        nn.Module.__init__(copy)
        copy.network, copy.loss = network, self.loss
        return copy

    def prepare(self, *, checkpointing: bool, compiled: bool, attention: str) -> None:
        """Choose attention; recompute and compile layers if wanted.

        Raises:
            ConfigError: That attention is not installed, or needs another device.
        """
        try:
            self.network.set_attn_implementation(attention)
        except (ImportError, ValueError) as error:
            raise ConfigError("attention", attention, f"cannot be used: {error}") from error
        if checkpointing:
            how = {"use_reentrant": False}
            self.network.gradient_checkpointing_enable(gradient_checkpointing_kwargs=how)
        if compiled:
            for layer in self.blocks():
                layer.compile()


def causal_objective() -> Objective:
    """Return the objective: the mean loss by weight; accuracies and bits per base beside it."""
    return Objective(
        sums=_terms,
        counts=_counts,
        measures=frozenset({"accuracy", "upper_accuracy", "lower_accuracy", "bits_per_base"}),
        some_sums=_loss_of,
    )


def _loss_of(sums: Tensor, batch: CausalBatch, chosen: Tensor) -> dict[str, LossTerm]:
    """Return the loss of the windows that a mask (N,) chooses."""
    count = batch.weights[chosen].sum()
    return {"causal": LossTerm(sums[chosen, SUMS.index("loss")].sum(), count, 1.0)}


def _terms(sums: Tensor, batch: CausalBatch) -> dict[str, LossTerm]:
    found = dict(zip(SUMS, sums.sum(0).unbind(), strict=True))
    counts = _counts(batch)
    values = {
        "causal": found["loss"],
        "accuracy": found["right_upper"] + found["right_lower"],
        "upper_accuracy": found["right_upper"],
        "lower_accuracy": found["right_lower"],
        "bits_per_base": found["nats"] / _LN2,
    }
    return {name: LossTerm(value, counts[name], 1.0) for name, value in values.items()}


def _counts(batch: CausalBatch) -> dict[str, Tensor]:
    is_target = batch.is_target
    return {
        "causal": batch.weights.sum(),
        "accuracy": is_target.sum(),
        "upper_accuracy": (is_target & ~batch.is_lower).sum(),
        "lower_accuracy": (is_target & batch.is_lower).sum(),
        "bits_per_base": batch.bases.sum(),
    }
