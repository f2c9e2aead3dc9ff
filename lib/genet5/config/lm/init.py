"""Configuration of `genet5 lm init`: presets of language models and the changes to them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from genet5.config.checks import by_default, require

FamilyName = Literal["generator", "nucleotide_gpt"]
PresetName = Literal[
    "generator-1.2b",
    "generator-3b",
    "generator-nano",
    "nucleotide-gpt-500m",
    "nucleotide-gpt-nano",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class LmShape:
    """Architecture of a causal language model."""

    family: FamilyName
    """generator is Llama's architecture (grouped-query attention, SwiGLU); nucleotide_gpt has a
    norm before and after each sublayer and an ungated GELU."""
    width: int
    layers: int
    heads: int
    kv_heads: int
    head_width: int
    ff_width: int
    max_tokens: int
    """Longest sequence in tokens."""
    rope_theta: float
    """Base of the rotary embedding; a model's weights go with it."""
    norm_eps: float

    def __post_init__(self) -> None:
        for name in ("width", "layers", "heads", "kv_heads", "head_width", "ff_width"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "must be at least 1")
        require(self.max_tokens >= 2, "max_tokens", self.max_tokens, "must be at least 2")
        require(self.rope_theta > 1, "rope_theta", self.rope_theta, "must be above 1")
        require(
            self.heads % self.kv_heads == 0,
            "kv_heads",
            self.kv_heads,
            f"must divide heads = {self.heads}",
        )
        require(self.head_width % 2 == 0, "head_width", self.head_width, "must be even")
        require(
            self.width % self.heads == 0, "heads", self.heads, f"must divide width = {self.width}"
        )


_LLAMA = LmShape(
    family="generator",
    width=2048,
    layers=26,
    heads=32,
    kv_heads=4,
    head_width=64,
    ff_width=5632,
    max_tokens=16_384,
    rope_theta=500_000.0,
    norm_eps=1e-5,
)
_SANDWICH = LmShape(
    family="nucleotide_gpt",
    width=2048,
    layers=12,
    heads=8,
    kv_heads=8,
    head_width=128,
    ff_width=8192,
    max_tokens=8192,
    rope_theta=8192.0,
    norm_eps=1e-6,
)
PRESETS: dict[PresetName, LmShape] = {
    "generator-1.2b": _LLAMA,
    "generator-3b": replace(_LLAMA, width=3072, layers=30, head_width=96, ff_width=8448),
    "generator-nano": replace(
        _LLAMA, width=256, layers=4, heads=8, kv_heads=2, head_width=32, ff_width=704
    ),
    "nucleotide-gpt-500m": _SANDWICH,
    "nucleotide-gpt-nano": replace(
        _SANDWICH, width=256, layers=4, heads=4, kv_heads=4, head_width=64, ff_width=1024
    ),
}
"""The published shapes, and small ones of the same architecture for a CPU."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ShapeChanges:
    """Changes to the architecture of the preset."""

    width: int | None = None
    """Width of the residual stream."""
    layers: int | None = None
    """Number of layers."""
    heads: int | None = None
    """Query heads."""
    kv_heads: int | None = None
    """Key-value heads."""
    head_width: Annotated[int | None, by_default("the preset's; width / heads if one changes")] = (
        None
    )
    """Width of a head."""
    ff_width: int | None = None
    """Width of the feed-forward layer."""
    max_tokens: int | None = None
    """Longest sequence in tokens."""
    rope_theta: float | None = None
    """Base of the rotary embedding (Nucleotide GPT: the max_seq_len that it was trained with)."""

    def applied(self, shape: LmShape) -> LmShape:
        """Return the shape with these changes.

        Raises:
            ConfigError: The changed shape breaks a rule.
        """
        given = {
            name: value for name in self.__slots__ if (value := getattr(self, name)) is not None
        }
        if {"width", "heads"} & set(given) and "head_width" not in given:
            given["head_width"] = given.get("width", shape.width) // given.get("heads", shape.heads)
        return replace(shape, **given)


@dataclass(frozen=True, kw_only=True, slots=True)
class LmInitConfig:
    """What language model to make."""

    folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    """Folder of the new model."""
    preset: PresetName = "generator-nano"
    """Architecture: the published ones, or nano ones of the same kind for a CPU."""
    tokenizer: Annotated[str | None, by_default("the preset's")] = None
    """generator (6-mers, ATCG), nucleotide (single bases), kmer6 (6-mers, ACGT), or a
    tokenizer.json of a BPE tokenizer such as DNABERT-2's."""
    seed: int = 0
    """Seed of the random weights."""
    overwrite: bool = False
    """Replace the model in OUT."""
    dry_run: bool = False
    """Print the parameters of each part, and exit."""
    shape: ShapeChanges = field(default_factory=ShapeChanges)

    def __post_init__(self) -> None:
        self.final_shape()

    def final_shape(self) -> LmShape:
        """Return the preset's shape with the changes."""
        return self.shape.applied(PRESETS[self.preset])
