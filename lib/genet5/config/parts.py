"""Which parts of a model are trained, and at which learning rate.

A part is a module of the network by its name in the weights file: for gene models `stem`,
`encoder`, `upsampler`, `base_heads`, `compressor`, `decoder`, `pointer`, `label_embedding`,
`token_head`, `code_embedding` and `evidence`, for language models `model` and `lm_head`, and
whatever lies inside them, such as `encoder.layers.0` (docs/how-to/adapt.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro

from genet5.config.checks import by_default, named_numbers, require


@dataclass(frozen=True, kw_only=True, slots=True)
class PartsConfig:
    """Parts of the model that stay as they are, or learn at another rate."""

    freeze: Annotated[tuple[str, ...], tyro.conf.arg(metavar="PART ..."), by_default("none")] = ()
    """Parts that are not trained, such as encoder or decoder.layers.0."""
    lr_scale: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="PART=FACTOR ..."), by_default("1 everywhere")
    ] = ()
    """PART=FACTOR: learning rate of a part relative to --lr; the longest name that fits counts."""
    layer_decay: Annotated[float | None, by_default("1")] = None
    """Factor of the learning rate from each layer of the encoder (or language model) to the one
    below, and to the embeddings; what comes after the layers learns at --lr."""
    lora_rank: Annotated[int | None, by_default("train the weights themselves")] = None
    """Train low-rank changes of this rank to the matrices of all layers, and nothing else (LoRA;
    requires peft); the model that is written has them merged."""

    def __post_init__(self) -> None:
        factors = self.lr_factors
        require(min(factors.values(), default=1) > 0, "lr_scale", factors, "must be above 0")
        rank = self.lora_rank
        require(rank is None or rank >= 1, "lora_rank", rank, "must be at least 1")
        decay = self.layer_decay
        require(
            decay is None or 0 < decay <= 1, "layer_decay", decay, "must be above 0 and at most 1"
        )

    @property
    def lr_factors(self) -> dict[str, float]:
        """Part -> factor of its learning rate."""
        return named_numbers(self.lr_scale, "lr_scale", "PART=FACTOR")
