"""The architecture of a model: one frozen dataclass per part, and the presets.

Widths are numbers of channels; window lengths are in tokens or base pairs as their names state.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from genet5.config.checks import require
from genet5.errors import ConfigError

PresetName = Literal["nano", "prok", "small", "base"]
AttentionName = Literal["auto", "flash", "flex", "sdpa"]
"""Implementation of the encoder's windowed attention (`blocks.windowed`)."""
KeepName = Literal["nothing", "products"]
"""What a recomputed layer keeps of its forward pass (`blocks.recompute`)."""
BalanceName = Literal["loss", "bias"]
"""How experts are kept evenly loaded: by an auxiliary loss, or by a bias on the router's choice."""
FORMAT = 1
EVIDENCE_CHANNELS = 32
"""Channels of hints at each base (`genome.evidence`)."""
_MOST = {"layers": 1_000, "num_experts": 1_000}
_MOST_MODULES = 20_000
_MOST_OF_ALL = 1 << 24
"""Bounds of what a file may ask for before a network is built: far above any real model."""


def _require_positive(part: object, where: str, *names: str) -> None:
    for name in names:
        value = getattr(part, name)
        most = _MOST.get(name, _MOST_OF_ALL)
        require(1 <= value <= most, f"{where}.{name}", value, f"must be from 1 to {most:,}")


def _require_share(value: float, name: str) -> None:
    require(0 <= value < 1, name, value, "must be at least 0 and below 1")


def _require_experts(part: EncoderConfig | DecoderConfig, where: str) -> None:
    most = min(_MOST["num_experts"], _MOST_MODULES // part.layers)
    rule = f"must not be negative, and at most {most} with {part.layers} layers"
    require(0 <= part.num_experts <= most, f"{where}.num_experts", part.num_experts, rule)
    require(
        part.num_experts == 0 or 1 <= part.moe_top_k <= part.num_experts,
        f"{where}.moe_top_k",
        part.moe_top_k,
        "must be between 1 and num_experts",
    )
    _require_positive(part, where, "moe_every")


@dataclass(frozen=True, kw_only=True, slots=True)
class EncoderConfig:
    """Encoder of the sequence tokens of a window."""

    layers: int = 12
    """Transformer layers."""
    heads: int = 12
    """Attention heads."""
    kv_heads: int | None = None
    """Key-value heads (grouped-query attention); None is one for each head."""
    ff_dim: int = 3072
    """Width of the gated feed-forward."""
    window_tokens: int = 512
    """Attention window in tokens, both sides together; 0 is the whole input."""
    positions: Literal["alibi", "rope"] = "alibi"
    """Position encoding: ALiBi by token index, or RoPE by base pairs."""
    norm_first: bool = False
    """Pre-norm layers; False is post-norm as in DNABERT-2."""
    dropout: float = 0.0
    """Dropout during training."""
    num_experts: int = 0
    """Experts of each layer that has any, `ff_dim` wide each; 0 is a dense feed-forward layer."""
    moe_top_k: int = 2
    """Experts per token."""
    moe_every: int = 1
    """Every N-th layer has experts, the last one among them; the others are dense."""
    moe_balance: BalanceName = "loss"
    """How experts are kept evenly loaded."""

    def __post_init__(self) -> None:
        _require_positive(self, "encoder", "layers", "heads", "ff_dim")
        _require_experts(self, "encoder")
        _require_share(self.dropout, "encoder.dropout")
        require(
            self.window_tokens >= 0 and self.window_tokens % 2 == 0,
            "encoder.window_tokens",
            self.window_tokens,
            "must be even and not negative",
        )

    @property
    def groups(self) -> int:
        """Key-value heads."""
        return self.kv_heads or self.heads


@dataclass(frozen=True, kw_only=True, slots=True)
class CompressorConfig:
    """Perceiver: anchored latents that attend to the encoder's states."""

    num_latents: int = 1024
    """Most latents per window; num_latents * bin_bp is the longest window in bp."""
    bin_bp: int = 32
    """Base pairs between neighbouring latents."""
    layers: int = 2
    """Perceiver layers (cross-attention, self-attention, feed-forward)."""
    heads: int = 12
    """Attention heads."""
    kv_heads: int = 3
    """Key-value heads."""
    ff_dim: int = 3072
    """Width of the gated feed-forward."""
    window_bp: int = 2048
    """A latent attends to tokens up to this many bp from its anchor."""

    def __post_init__(self) -> None:
        names = ("num_latents", "bin_bp", "layers", "heads", "kv_heads", "ff_dim", "window_bp")
        _require_positive(self, "compressor", *names)


@dataclass(frozen=True, kw_only=True, slots=True)
class DecoderConfig:
    """Decoder of the gene-structure labels."""

    layers: int = 12
    """Transformer layers."""
    heads: int = 12
    """Query heads."""
    kv_heads: int = 3
    """Key-value heads of self-attention (grouped-query attention)."""
    cross_kv_heads: int = 12
    """Key-value heads of cross-attention to the latents."""
    ff_dim: int = 3072
    """Width of the gated feed-forward, or of each expert."""
    num_experts: int = 16
    """Experts of each layer; 0 is a dense feed-forward layer."""
    moe_top_k: int = 2
    """Experts per label."""
    dropout: float = 0.1
    """Dropout during training."""
    moe_every: int = 1
    """Every N-th layer has experts, the last one among them; the others are dense."""
    moe_balance: BalanceName = "loss"
    """How experts are kept evenly loaded."""

    def __post_init__(self) -> None:
        _require_positive(
            self, "decoder", "layers", "heads", "kv_heads", "cross_kv_heads", "ff_dim"
        )
        _require_share(self.dropout, "decoder.dropout")
        _require_experts(self, "decoder")


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightInitConfig:
    """Standard deviations of the normal init distributions of the weights."""

    std: float = 0.02
    embed_std: float = 0.02
    ffn_std: float = 0.02
    attn_std: float = 0.02
    moe_router_std: float = 0.006
    boundary_bias: float = -7.0
    """Initial logit of a boundary; boundaries are rare."""

    def __post_init__(self) -> None:
        for name in ("std", "embed_std", "ffn_std", "attn_std", "moe_router_std"):
            value = getattr(self, name)
            require(value >= 0, f"init.{name}", value, "must not be negative")


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """The architecture of a GeneT5."""

    format: int = FORMAT
    """Version of this file's format."""
    preset: str = "base"
    """Preset that this architecture is based on."""
    width: int = 768
    """Width of encoder, latents and decoder."""
    sequence_vocab: int = 4096
    """Sequence tokens of the tokenizer."""
    structure_vocab: int = 65
    """Gene-structure tokens of the tokenizer."""
    bp_per_token: float = 5.0
    """Mean base pairs per sequence token; scales RoPE."""
    patch_bp: int | None = None
    """Base pairs of the patches that the encoder reads in place of sequence tokens (a multiple of
    3, `blocks.patches`); `bp_per_token` is the same then. None reads sequence tokens."""
    base_channels: int = 64
    """Channels at base resolution."""
    evidence_channels: int = 0
    """Channels of evidence at each base, which come from hints (`genome.evidence`); 0 is a model of
    the sequence alone."""
    pointer_width: int = 64
    """Width of the base-level score of the pointer."""
    tie_weights: bool = True
    """Share the decoder's embedding with the structural logits."""
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    compressor: CompressorConfig = field(default_factory=CompressorConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    init: WeightInitConfig = field(default_factory=WeightInitConfig)

    def __post_init__(self) -> None:
        require(self.format == FORMAT, "format", self.format, f"must be {FORMAT}")
        names = ("width", "sequence_vocab", "structure_vocab", "base_channels", "pointer_width")
        for name in (*names, "bp_per_token"):
            value, rule = getattr(self, name), f"must be above 0 and at most {_MOST_OF_ALL:,}"
            require(0 < value <= _MOST_OF_ALL, name, value, rule)
        channels, rule = self.evidence_channels, f"must be 0 or {EVIDENCE_CHANNELS}"
        require(channels in (0, EVIDENCE_CHANNELS), "evidence_channels", channels, rule)
        if self.patch_bp is not None:
            rule = "must be a multiple of 3, above 0"
            require(self.patch_bp > 0 and self.patch_bp % 3 == 0, "patch_bp", self.patch_bp, rule)
            rule = f"must be patch_bp = {self.patch_bp}"
            require(self.bp_per_token == self.patch_bp, "bp_per_token", self.bp_per_token, rule)
        for name, heads, kv_heads in (
            ("encoder", self.encoder.heads, self.encoder.groups),
            ("compressor", self.compressor.heads, self.compressor.kv_heads),
            ("decoder", self.decoder.heads, self.decoder.kv_heads),
            ("decoder", self.decoder.heads, self.decoder.cross_kv_heads),
        ):
            require(
                self.width % (2 * heads) == 0,
                f"{name}.heads",
                heads,
                f"must divide the width {self.width} into even head widths",
            )
            require(
                heads % kv_heads == 0, f"{name}.kv_heads", kv_heads, f"must divide {heads} heads"
            )

    @property
    def max_window_bp(self) -> int:
        """Longest window in bp."""
        return self.compressor.num_latents * self.compressor.bin_bp


def _nano() -> ModelConfig:
    return ModelConfig(
        preset="nano",
        width=256,
        bp_per_token=6.0,
        encoder=EncoderConfig(
            layers=4, heads=4, ff_dim=512, window_tokens=128, positions="rope", norm_first=True
        ),
        compressor=CompressorConfig(
            num_latents=512, bin_bp=16, layers=1, heads=4, kv_heads=1, ff_dim=512, window_bp=256
        ),
        decoder=DecoderConfig(
            layers=2,
            heads=4,
            kv_heads=1,
            cross_kv_heads=4,
            ff_dim=512,
            num_experts=0,
            moe_top_k=1,
            dropout=0.0,
        ),
    )


def _prok() -> ModelConfig:
    """Half of nano's time to encode: a fourth of its tokens, six layers for four."""
    patch_bp = 24
    return ModelConfig(
        preset="prok",
        width=256,
        patch_bp=patch_bp,
        bp_per_token=float(patch_bp),
        base_channels=48,
        encoder=EncoderConfig(
            layers=6,
            heads=4,
            kv_heads=1,
            ff_dim=768,
            window_tokens=0,
            positions="rope",
            norm_first=True,
        ),
        compressor=CompressorConfig(
            num_latents=342, bin_bp=24, layers=1, heads=4, kv_heads=1, ff_dim=512, window_bp=256
        ),
        decoder=_nano().decoder,
    )


def _small() -> ModelConfig:
    return ModelConfig(
        preset="small",
        width=512,
        bp_per_token=6.0,
        encoder=EncoderConfig(
            layers=8, heads=8, ff_dim=1536, window_tokens=512, positions="rope", norm_first=True
        ),
        compressor=CompressorConfig(
            num_latents=1024, bin_bp=32, layers=2, heads=8, kv_heads=2, ff_dim=1536, window_bp=1024
        ),
        decoder=DecoderConfig(
            layers=6,
            heads=8,
            kv_heads=2,
            cross_kv_heads=8,
            ff_dim=1536,
            num_experts=0,
            moe_top_k=1,
        ),
    )


def preset(name: PresetName) -> ModelConfig:
    """Return a preset: nano (6 M), prok (8 M), small (tens of millions) or base (1.55 billion)."""
    makers = {"nano": _nano, "prok": _prok, "small": _small, "base": ModelConfig}
    if name not in makers:
        raise ConfigError("preset", name, f"must be one of {', '.join(makers)}")
    return replace(makers[name](), preset=name)
