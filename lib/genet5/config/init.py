"""Configuration of `genet5 init`: a preset and the changes to it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import tyro

from genet5.config.checks import by_default, require
from genet5.config.model import (
    EVIDENCE_CHANNELS,
    DecoderConfig,
    ModelConfig,
    PresetName,
    WeightInitConfig,
    preset,
)
from genet5.errors import ConfigError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Part = TypeVar("Part", bound="DataclassInstance")


@dataclass(frozen=True, kw_only=True, slots=True)
class ShapeConfig:
    """Changes to the architecture of the preset."""

    tie_weights: bool = False
    """Share the decoder's embedding with the structural logits, as all presets do."""
    untie_weights: bool = False
    """Give the structural logits weights of their own."""
    decoder_layers: int | None = None
    """Decoder layers."""
    decoder_heads: int | None = None
    """Query heads of the decoder."""
    decoder_kv_heads: int | None = None
    """Key-value heads of the decoder's self-attention."""
    decoder_ff_dim: int | None = None
    """Width of the decoder's gated feed-forward layer, or of each expert."""
    decoder_dropout: float | None = None
    """Dropout of the decoder during training."""
    use_moe: bool = False
    """Use a mixture of experts in every decoder layer: as in the preset, else 16 experts, top 2."""
    num_experts: int | None = None
    """Experts per decoder layer; 0 is a dense feed-forward layer."""
    moe_top_k: int | None = None
    """Experts per label."""
    encoder_window_size: int | None = None
    """Attention window of the encoder in tokens, both sides together; 0 is the whole input."""
    num_latents: int | None = None
    """Most latents per window; each stands for 16 bases (nano), 24 (prok) or 32 (small, base)."""
    evidence: bool = False
    """Give the model channels of evidence, with which it can learn to read hints."""

    def __post_init__(self) -> None:
        require(
            not (self.tie_weights and self.untie_weights),
            "untie_weights",
            True,
            "cannot be combined with --tie_weights",
        )
        require(
            not (self.use_moe and self.num_experts == 0),
            "num_experts",
            self.num_experts,
            "must be at least 1 with --use_moe",
        )

    def applied(self, config: ModelConfig) -> ModelConfig:
        """Return the shape with these changes.

        Raises:
            ConfigError: The changed shape breaks a rule.
        """
        encoder = _changed(config.encoder, window_tokens=self.encoder_window_size)
        compressor = _changed(config.compressor, num_latents=self.num_latents)
        tied = (config.tie_weights or self.tie_weights) and not self.untie_weights
        return replace(
            config,
            encoder=encoder,
            compressor=compressor,
            decoder=self._decoder(config.decoder),
            tie_weights=tied,
            evidence_channels=EVIDENCE_CHANNELS if self.evidence else config.evidence_channels,
        )

    def _decoder(self, decoder: DecoderConfig) -> DecoderConfig:
        if not decoder.num_experts and (self.use_moe or self.num_experts):
            default = DecoderConfig()
            decoder = replace(decoder, num_experts=default.num_experts, moe_top_k=default.moe_top_k)
        cross = self.decoder_heads if decoder.cross_kv_heads == decoder.heads else None
        return _changed(
            decoder,
            layers=self.decoder_layers,
            heads=self.decoder_heads,
            kv_heads=self.decoder_kv_heads,
            cross_kv_heads=cross,
            ff_dim=self.decoder_ff_dim,
            dropout=self.decoder_dropout,
            num_experts=self.num_experts,
            moe_top_k=self.moe_top_k,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class InitStdConfig:
    """Standard deviations of the normal init distributions, instead of the preset's."""

    init_std: float | None = None
    """Weights without a flag of their own."""
    init_embed_std: float | None = None
    """Embeddings and latents."""
    init_ffn_std: float | None = None
    """Feed-forward layers and experts."""
    init_attn_std: float | None = None
    """Attention projections."""
    init_moe_router_std: float | None = None
    """Routers of the experts."""

    def applied(self, init: WeightInitConfig) -> WeightInitConfig:
        """Return the init distributions with these changes.

        Raises:
            ConfigError: A standard deviation breaks a rule.
        """
        return _changed(
            init,
            std=self.init_std,
            embed_std=self.init_embed_std,
            ffn_std=self.init_ffn_std,
            attn_std=self.init_attn_std,
            moe_router_std=self.init_moe_router_std,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class InitConfig:
    """A new model, with random or imported weights."""

    out: Annotated[
        Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="OUT"), by_default("--save_dir")
    ] = None
    """Model folder to write."""
    save_dir: Annotated[Path | None, by_default("OUT")] = None
    """Alternative to OUT."""
    preset: PresetName = "nano"
    """Size: nano (6 M parameters, for two CPU cores), prok (8 M, for bacteria, half of nano's
    time), small (tens of millions, for one GPU), base (1.55 billion)."""
    dnabert_path: Annotated[str | None, by_default("random weights")] = None
    """Import the encoder (width, layers, heads, weights) and the tokenizer of a DNABERT-2
    checkpoint, and start the decoder from copies of its layers: a folder, a weights file in it, or
    an id on the Hugging Face Hub such as zhihan1996/DNABERT-2-117M."""
    tokenizer: Annotated[str | None, by_default("kmer:6, or that of DNABERT-2")] = None
    """Sequence tokenizer: kmer:K (K = 1 to 8, non-overlapping), nucleotide, or the path of a
    tokenizer.json, from init_tokens or with BPE."""
    gene_types: Annotated[tuple[str, ...], tyro.conf.arg(metavar="TYPE ...")] = ()
    """Gene types to add to protein_coding, tRNA, rRNA, ncRNA and pseudogene."""
    seed: int = 0
    """Seed of the random weights."""
    overwrite: bool = False
    """Replace a model in OUT."""
    dry_run: bool = False
    """Print the number of parameters of each part, and exit."""
    shape: ShapeConfig = field(default_factory=ShapeConfig)
    weights: InitStdConfig = field(default_factory=InitStdConfig)

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ConfigError("seed", self.seed, "must not be negative")
        if self.dnabert_path is not None and preset(self.preset).patch_bp is not None:
            rule = "reads patches of bases, DNABERT-2's encoder tokens; use nano, small or base"
            raise ConfigError("preset", self.preset, rule)
        given = {str(path) for path in (self.out, self.save_dir) if path is not None}
        if len(given) > 1:
            raise ConfigError(
                "save_dir", str(self.save_dir), f"must not differ from OUT {self.out}"
            )

    @property
    def folder(self) -> Path:
        """Return the folder to write.

        Raises:
            ConfigError: Neither OUT nor --save_dir was given.
        """
        folder = self.out or self.save_dir
        if folder is None:
            raise ConfigError(
                "OUT", None, "must be given, as the first argument or with --save_dir"
            )
        return folder

    def model_config(self) -> ModelConfig:
        """Return the preset with the changes of the flags.

        Raises:
            ConfigError: A flag breaks a rule.
        """
        config = self.shape.applied(preset(self.preset))
        return replace(config, init=self.weights.applied(config.init))


def _changed(part: Part, **changes: Any) -> Part:
    """The dataclass with those changes that are not None."""
    return replace(part, **{name: value for name, value in changes.items() if value is not None})
