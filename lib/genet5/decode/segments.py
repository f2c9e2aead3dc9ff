"""Windows that overlap are read together: what they share is encoded once.

All of the encoder side before the latents is local: convolutions, open frames up to their stops,
attention to the tokens around, positions relative to each other. So windows that follow each other
on one strand are joined to one row, a segment; it is read as a whole, and tokens, base features and
logits are cut into the windows (`model.results.Local`). Latents, which attend to all of a window,
and the decoder work window by window. Windows that overlap by half cost 5/8 of the reading in
segments of four. They are less independent then: a window that is read alone has a grid of tokens
of its own, and what two of them agree on says more.

A window sees the same as if it were read alone, but for its edges, which see what follows (and an
open frame its stop there); and for the tokens' grid, which is the segment's. A model whose tokens
attend to all of a row (`encoder.window_tokens` 0) has segments of one window: there, context would
not be local.

Example:
    >>> [(row.first, row.last) for row in segments_at([0, 3072, 6144, 0])]
    [(0, 3), (3, 4)]
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genet5.config.model import ModelConfig
from genet5.dataset.batch import Inputs
from genet5.dataset.collate import pad_inputs
from genet5.genome.evidence import Channels
from genet5.genome.sequence import Bases
from genet5.model.network import GeneT5
from genet5.model.precision import has_fast_bf16
from genet5.model.results import Encoded
from genet5.tokens.sequence import SequenceTokenizer

_READ_ON_CPU_BP = 16_384
"""Bases that a CPU reads at a time: more take memory, and no less time each."""


def windows_of_segment(config: ModelConfig, wanted: int) -> int:
    """Return how many windows a model reads together; 1 where its attention is not local."""
    return wanted if config.encoder.window_tokens else 1


@dataclass(frozen=True, slots=True)
class Segment:
    """Windows that are read as one row."""

    first: int
    """Its first window."""
    last: int
    """The window after its last."""
    places: tuple[int, ...]
    """Where each window begins on the row."""

    def join(self, parts: Sequence[Bases] | Sequence[Channels]) -> Bases | Channels:
        """Join what the windows have for each base, the last axis, to what the row has."""
        own = parts[self.first : self.last]
        steps = np.diff(self.places)
        heads = [part[..., :step] for part, step in zip(own, steps, strict=False)]
        return np.concatenate([*heads, own[-1]], axis=-1)


def segments_at(places: Sequence[int]) -> list[Segment]:
    """Put windows together.

    Args:
        places: Where each window begins on its row, ascending within a row; 0 begins a new one. A
            window begins before the last one's end, or there.
    """
    bounds = [index for index, place in enumerate(places) if not place] + [len(places)]
    return [Segment(a, b, tuple(places[a:b])) for a, b in pairwise(bounds)]


@torch.inference_mode()
def encode_windows(
    model: GeneT5,
    tokenizer: SequenceTokenizer,
    windows: Sequence[Bases],
    genetic_codes: Sequence[int],
    *,
    places: Sequence[int] | None = None,
    evidence: Sequence[Channels] = (),
    use_bf16: bool | None = None,
) -> Encoded:
    """Encode windows; what is returned is in fp32, and padded to the longest of them.

    Args:
        model: The network, on its device, in evaluation mode.
        tokenizer: The model's, of sequences.
        windows: Bases of each.
        genetic_codes: NCBI number for each window, one in a segment.
        places: As `segments_at` takes them; None = each window is a segment of its own.
        evidence: Channels of hints of each window; none = without.
        use_bf16: Encode in bfloat16; None = where the device multiplies it fast.
    """
    device = next(model.parameters()).device
    if use_bf16 is None:
        use_bf16 = has_fast_bf16(device)
    casts = use_bf16 and model.encoder_dtype == torch.float32
    segments = segments_at(places or [0] * len(windows))
    sizes = [segment.places[-1] + len(windows[segment.last - 1]) for segment in segments]
    length, parts = max(map(len, windows)), []
    most_bp = _READ_ON_CPU_BP if device.type == "cpu" else sum(sizes)
    with torch.autocast(device.type, torch.bfloat16, enabled=casts):
        for part in _parts(sizes, most_bp):
            some = segments[part]
            local = model.read(_rows(model, tokenizer, some, windows, genetic_codes, evidence))
            local = local.cut(*_places(some, windows, device), length)
            parts.append(_in_fp32(model.compress(local)))
    return Encoded.joined(parts)


def _parts(sizes: Sequence[int], most_bp: int) -> Iterator[slice]:
    """Yield segments that are read at a time: one, or more that have no more bases together."""
    first, total = 0, 0
    for index, size in enumerate(sizes):
        if first < index and total + size > most_bp:
            yield slice(first, index)
            first, total = index, 0
        total += size
    yield slice(first, len(sizes))


def _rows(
    model: GeneT5,
    tokenizer: SequenceTokenizer,
    segments: Sequence[Segment],
    windows: Sequence[Bases],
    genetic_codes: Sequence[int],
    evidence: Sequence[Channels],
) -> Inputs:
    """Tokenize segments, padded to whole blocks of windowed attention: those are not copied."""
    rows = [segment.join(windows) for segment in segments]
    encoded = [tokenizer.encode(row) for row in rows]
    block = max(model.config.encoder.window_tokens // 2, 1)
    inputs = pad_inputs(
        rows,
        encoded,
        [genetic_codes[segment.first] for segment in segments],
        -(-max(len(ids) for ids, _ in encoded) // block) * block,
        [segment.join(evidence) for segment in segments] if evidence else (),
    )
    return inputs.to(next(model.parameters()).device)


def _places(
    segments: Sequence[Segment], windows: Sequence[Bases], device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Row, first base and number of bases of each window, (N,) each."""
    found = [
        (row, place, len(bases))
        for row, segment in enumerate(segments)
        for place, bases in zip(segment.places, windows[segment.first : segment.last], strict=True)
    ]
    rows, places, sizes = torch.tensor(found).T.contiguous().to(device)
    return rows, places, sizes


def _in_fp32(encoded: Encoded) -> Encoded:
    """The same with all float tensors in fp32."""
    changed: dict[str, Any] = {}
    for field in fields(encoded):
        value = getattr(encoded, field.name)
        if isinstance(value, tuple):
            changed[field.name] = tuple(part.float() for part in value)
        elif value.is_floating_point():
            changed[field.name] = value.float()
    return replace(encoded, **changed)
