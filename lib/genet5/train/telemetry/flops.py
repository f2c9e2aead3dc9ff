"""FLOPs of a training step, from the model's shape and the sizes of its windows, part by part.

What is counted is what the mathematics needs, as in PaLM (Chowdhery et al. 2022, arXiv:2204.02311,
appendix B): two FLOPs for each multiply-add of a matrix product or convolution; attention by what
the mask allows (a token's window, a latent's neighbourhood, the labels before a label), experts by
those that a label uses; a backward pass is two forward passes. Padding, recomputed activations, and
blocks that compute more than they need earn nothing. Embeddings, norms, softmax and element-wise
work are not counted. Model FLOPs utilisation (MFU) is these FLOPs over time and the device's peak.

Only integers, no torch: a window takes microseconds.

Example:
    >>> from genet5.config.model import preset
    >>> sizes = WindowSizes(tokens=1024, bases=6144, labels=41, positions=12)
    >>> flops = forward_flops(preset("small"), sizes)
    >>> whole = training_flops(flops).total
    >>> round(flops.encoder / 1e9), round(flops.decoder / 1e9), round(whole / 1e9)
    (63, 3, 215)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass, replace
from typing import Literal

from genet5.config.model import CompressorConfig, DecoderConfig, EncoderConfig, ModelConfig

_CODON_FEATURES = 18  # channels of `blocks.codons`
_KERNEL = 9  # bases of the convolutions in `blocks.bases`
_STATES, _BOUNDARIES = 16, 8  # channels of the heads in `blocks.heads`, both strands


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowSizes:
    """Sizes of one window; for padded FLOPs those of the longest window of its micro-batch."""

    tokens: int
    """S, sequence tokens; a model that reads patches takes their number from the bases."""
    bases: int
    """L, base pairs."""
    labels: int
    """T, labels from <bos> to <eos>; the decoder makes one step less."""
    positions: int
    """P, positions among the labels."""


@dataclass(frozen=True, slots=True)
class Flops:
    """FLOPs of each part."""

    encoder: int = 0
    """Encoder layers."""
    compressor: int = 0
    """Latents' layers."""
    decoder: int = 0
    """Decoder layers."""
    bases: int = 0
    """Base resolution: convolutions, ways from and to the tokens, per-base heads."""
    heads: int = 0
    """Structural tokens and the base pointer."""

    @property
    def total(self) -> int:
        """All parts."""
        return sum(astuple(self))

    def __add__(self, other: Flops) -> Flops:
        """Add part by part."""
        return Flops(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def __mul__(self, factor: int) -> Flops:
        """Multiply part by part."""
        return Flops(*(factor * a for a in astuple(self)))


def training_flops(forward: Flops) -> Flops:
    """Return the FLOPs of both passes: a backward pass counts as two forward passes."""
    return forward * 3


def batch_flops(config: ModelConfig, windows: Iterable[WindowSizes]) -> Flops:
    """Return the forward FLOPs of several windows, without padding."""
    total = Flops()
    for window in windows:
        total = total + forward_flops(config, window)
    return total


def forward_flops(config: ModelConfig, sizes: WindowSizes) -> Flops:
    """Return the forward FLOPs of one window; N padded windows cost N times the longest sizes."""
    if config.patch_bp is not None:
        sizes = replace(sizes, tokens=-(-sizes.bases // config.patch_bp))
    latents = -(-sizes.bases // config.compressor.bin_bp)
    steps = max(0, sizes.labels - 1)
    return Flops(
        encoder=encoder_flops(config, sizes.tokens),
        compressor=compressor_flops(config, sizes),
        decoder=decoder_flops(config, steps, latents),
        bases=base_flops(config, sizes.tokens, sizes.bases),
        heads=head_flops(config, sizes.bases, latents, steps, sizes.positions),
    )


# ---- parts -------------------------------------------------------------------------------------


def encoder_flops(config: ModelConfig, tokens: int) -> int:
    """Forward FLOPs of the encoder's layers on one window."""
    shape, width = config.encoder, config.width
    keyed = 2 * shape.groups * (width // shape.heads)
    projections = _product(tokens, width, 2 * width + keyed)
    attended = 2 * _product(pairs_in_window(tokens, shape.window_tokens), width)
    fed = _feedforward(width, shape, tokens)
    return shape.layers * (projections + attended) + fed


def compressor_flops(config: ModelConfig, sizes: WindowSizes) -> int:
    """Forward FLOPs of the compressor's layers on one window of evenly spread tokens."""
    shape, width = config.compressor, config.width
    latents = -(-sizes.bases // shape.bin_bp)
    keyed = 2 * shape.kv_heads * (width // shape.heads)
    read = (
        2 * _product(latents, width, width)
        + _product(sizes.tokens, width, keyed)
        + 2 * _product(pairs_near_anchors(shape, sizes.tokens, sizes.bases), width)
    )
    exchanged = _product(latents, width, 2 * width + keyed) + 2 * _product(latents, latents, width)
    return shape.layers * (read + exchanged + 3 * _product(latents, width, shape.ff_dim))


def decoder_flops(config: ModelConfig, steps: int, latents: int) -> int:
    """Forward FLOPs of the decoder's layers on one window: causal self-attention by its half."""
    shape, width = config.decoder, config.width
    head = width // shape.heads
    itself = _product(steps, width, 2 * width + 2 * shape.kv_heads * head)
    itself += 2 * _product(steps * (steps + 1) // 2, width)
    cross = 2 * _product(steps, width, width)
    cross += _product(latents, width, 2 * shape.cross_kv_heads * head)
    cross += 2 * _product(steps, latents, width)
    return shape.layers * (itself + cross) + _feedforward(width, shape, steps)


def base_flops(config: ModelConfig, tokens: int, bases: int) -> int:
    """Forward FLOPs at base resolution on one window."""
    channels, features = config.base_channels, _CODON_FEATURES + config.evidence_channels
    convolved = _product(bases, _KERNEL * (features + 2 * channels), channels)
    sets = config.patch_bp or 3  # of channels that a token or patch has of its bases
    ways = 2 * _product(tokens, sets * channels, config.width)
    return convolved + ways + _product(bases, channels, _STATES + _BOUNDARIES)


def head_flops(config: ModelConfig, bases: int, latents: int, steps: int, positions: int) -> int:
    """Forward FLOPs of the token head and the pointer on one window.

    A position is scored once and embedded once.
    """
    width, channels, fine = config.width, config.base_channels, config.pointer_width
    tokens = _product(steps, width, config.structure_vocab)
    keys = _product(latents, width, width) + _product(bases, channels, fine)
    queries = _product(positions, width, width + fine + _BOUNDARIES)
    scores = _product(positions, latents, width) + _product(positions, bases, fine + _BOUNDARIES)
    embedded = _product(positions, width + channels, width)
    return tokens + keys + queries + scores + embedded


def pairs_in_window(tokens: int, window: int) -> int:
    """Pairs of tokens at most `window // 2` apart (0 = all), a token and itself included."""
    half = window // 2
    if half == 0 or tokens <= half:
        return tokens * tokens
    return tokens * (2 * half + 1) - half * (half + 1)


def pairs_near_anchors(shape: CompressorConfig, tokens: int, bases: int) -> int:
    """Pairs of a latent and a token at most `window_bp` from its anchor; tokens of one length."""
    reach = min(shape.window_bp, bases)
    near = (
        2 * reach * bases - reach * reach
    )  # pairs of bases at most `reach` apart: a band of a square
    return near * tokens // (shape.bin_bp * max(1, bases))


def _product(*sizes: int) -> int:
    """FLOPs of a matrix product: twice the product of its sizes."""
    flops = 2
    for size in sizes:
        flops *= size
    return flops


def _feedforward(width: int, shape: EncoderConfig | DecoderConfig, rows: int) -> int:
    """Gated feed-forward of all layers: dense, or the experts in use and their router."""
    dense = 3 * _product(rows, width, shape.ff_dim)
    if not shape.num_experts:
        return shape.layers * dense
    routed = -(-shape.layers // shape.moe_every)
    mixed = shape.moe_top_k * dense + _product(rows, width, shape.num_experts)
    return routed * mixed + (shape.layers - routed) * dense


# ---- devices -----------------------------------------------------------------------------------

_PEAKS = (
    ("GB300", 2500e12),
    ("GB200", 2500e12),
    ("B300", 2250e12),
    ("B200", 2250e12),
    ("H100 PCIe", 756e12),
    ("H100 NVL", 835e12),
    ("H100", 989e12),
    ("H200 NVL", 836e12),
    ("GH200", 989e12),
    ("H200", 989e12),
    ("A100", 312e12),
    ("L40S", 362e12),
    ("RTX 4090", 165e12),
)
"""Dense bf16 FLOP/s by part of the device's name, the first that fits; from NVIDIA's data sheets,
which print twice as much "with sparsity" for most. GB10 (DGX Spark) is not among them: NVIDIA
states FP4 with sparsity alone."""


def peak_flops(device_name: str, precision: Literal["bf16", "fp32"] = "bf16") -> float | None:
    """Return the peak of dense matrix products in FLOP/s, or None for a device that is not known.

    Args:
        device_name: As `torch.cuda.get_device_name` returns it.
        precision: bf16 (also taken as the measure of runs in MXFP8), or fp32 with TF32 products,
            which run at half of it on these devices.
    """
    for part, peak in _PEAKS:
        if part.lower() in device_name.lower():
            return peak if precision == "bf16" else peak / 2
    return None
