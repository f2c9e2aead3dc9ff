"""Settings of `genet5 init`: a preset, and what shall be otherwise; None = as the preset has it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import tyro

from genet5.config.checks import require
from genet5.config.model import DecoderConfig, ModelConfig, PresetName, WeightInitConfig, preset
from genet5.errors import ConfigError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Part = TypeVar("Part", bound="DataclassInstance")


@dataclass(frozen=True, kw_only=True, slots=True)
class ShapeConfig:
    """Changes of the preset's shape."""

    tie_weights: bool = False
    """Structural logits share the decoder's embedding, as in all presets."""
    untie_weights: bool = False
    """Structural logits have weights of their own."""
    decoder_layers: int | None = None
    """Layers of the decoder."""
    decoder_heads: int | None = None
    """Query heads of the decoder."""
    decoder_kv_heads: int | None = None
    """Key-value heads of the decoder's self-attention."""
    decoder_ff_dim: int | None = None
    """Width of the decoder's gated feed-forward, or of each expert."""
    decoder_dropout: float | None = None
    """Dropout in the decoder while training."""
    use_moe: bool = False
    """Mix experts in every decoder layer: the preset's number, else 16, top 2."""
    num_experts: int | None = None
    """Experts of each decoder layer; 0 = dense feed-forward."""
    moe_top_k: int | None = None
    """Experts that each label uses."""
    encoder_window_size: int | None = None
    """Attention window of the encoder in tokens, both sides together; 0 = the whole input."""
    num_latents: int | None = None
    """Most latents of a window; a latent stands for bin_bp bases (nano 16, others 32)."""

    def __post_init__(self) -> None:
        require(
            not (self.tie_weights and self.untie_weights),
            "untie_weights",
            True,
            "must not stand beside --tie_weights",
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
    """Standard deviations of the normal laws that weights start from."""

    init_std: float | None = None
    """Standard deviation of weights that no other law names."""
    init_embed_std: float | None = None
    """Standard deviation of embeddings and latents."""
    init_ffn_std: float | None = None
    """Standard deviation of feed-forwards and experts."""
    init_attn_std: float | None = None
    """Standard deviation of attention's projections."""
    init_moe_router_std: float | None = None
    """Standard deviation of the experts' routers."""

    def applied(self, laws: WeightInitConfig) -> WeightInitConfig:
        """Return the laws with these changes.

        Raises:
            ConfigError: A law breaks a rule.
        """
        return _changed(
            laws,
            std=self.init_std,
            embed_std=self.init_embed_std,
            ffn_std=self.init_ffn_std,
            attn_std=self.init_attn_std,
            moe_router_std=self.init_moe_router_std,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class InitConfig:
    """Make a new model: config.json, model.safetensors and tokenizer.json, with seeded random or imported weights."""

    out: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")] = None
    """Folder to write; made if it is not there."""
    save_dir: Path | None = None
    """The same as OUT."""
    preset: PresetName = "nano"
    """Shape: nano (6 M parameters, two CPU cores), small (tens of M, one GPU), base (1.55 B)."""
    dnabert_path: str | None = None
    """Take the encoder (its width, layers, heads, weights) and the tokenizer from a DNABERT-2 checkpoint, and start the
    decoder from copies of its layers: a folder, a weights file in it, or an id on the Hugging Face Hub such as
    zhihan1996/DNABERT-2-117M."""
    tokenizer: str | None = None
    """Sequence tokenizer: kmer:K (K = 1..8, non-overlapping), nucleotide, or the path of a tokenizer.json: BPE, or
    written by init_tokens (with its gene types). None = kmer:6, or what comes with DNABERT-2."""
    gene_types: tuple[str, ...] = ()
    """Gene types to append to the vocabulary's own (protein_coding, tRNA, rRNA, ncRNA, pseudogene)."""
    seed: int = 0
    """Seed of the random weights."""
    overwrite: bool = False
    """Replace a model that is already in OUT."""
    dry_run: bool = False
    """Print the parameter table and stop."""
    shape: Annotated[ShapeConfig, tyro.conf.arg(name="")] = field(default_factory=ShapeConfig)
    laws: Annotated[InitStdConfig, tyro.conf.arg(name="")] = field(default_factory=InitStdConfig)

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ConfigError("seed", self.seed, "must not be negative")
        given = {str(path) for path in (self.out, self.save_dir) if path is not None}
        if len(given) > 1:
            raise ConfigError(
                "save_dir", str(self.save_dir), f"must not differ from OUT {self.out}"
            )

    @property
    def folder(self) -> Path:
        """Where the model goes.

        Raises:
            ConfigError: Neither OUT nor --save_dir was given.
        """
        folder = self.out or self.save_dir
        if folder is None:
            raise ConfigError("OUT", None, "must be given, as the first argument or by --save_dir")
        return folder

    def model_config(self) -> ModelConfig:
        """Return the preset's shape with the changes of the flags.

        Raises:
            ConfigError: A flag breaks a rule.
        """
        config = self.shape.applied(preset(self.preset))
        return replace(config, init=self.laws.applied(config.init))


def _changed(part: Part, **changes: Any) -> Part:
    """The dataclass with those changes that are not None."""
    return replace(part, **{name: value for name, value in changes.items() if value is not None})
