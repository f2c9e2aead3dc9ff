"""Windows that are read together see what they see alone, but for their edges."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
import torch

import builders
from genet5.dataset.collate import make_inputs
from genet5.decode.segments import encode_windows, segments_at, windows_of_segment
from genet5.genome.evidence import Channels
from genet5.genome.sequence import Bases
from genet5.model.network import GeneT5
from genet5.model.results import Encoded
from genet5.tokens.sequence import KmerTokenizer

KMERS = KmerTokenizer(4)
NARROW = {"window_tokens": 8}
STOPS = np.frombuffer(b"TTAATTAATTAA", np.uint8)
"""A stop in all six frames: as far as an open frame reaches, bases see each other."""
EDGE_BP = 90
"""Farther than a base sees: 4 tokens, three convolutions, a token's rest, and 30 bp of frame."""
KINDS = {
    "tokens": {"encoder": NARROW},
    "alibi": {"encoder": {**NARROW, "positions": "alibi", "norm_first": False}},
    "patches": {"encoder": {"window_tokens": 4}, "patch_bp": 6, "bp_per_token": 6.0},
    "evidence": {"encoder": NARROW, "evidence_channels": 32},
}


def model_of(**changes: object) -> GeneT5:
    model = GeneT5(builders.tiny_config(**changes)).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(1)
    for weight in model.parameters():
        weight.normal_(std=0.2, generator=generator)
    return model


def overlapping(places: list[int], size: int = 300) -> tuple[list[Bases], list[Channels]]:
    """Windows of `size` bp of one random sequence, and evidence for each."""
    rng = np.random.default_rng(0)
    row = rng.choice(np.frombuffer(b"ACGT", np.uint8), places[-1] + size)
    for start in range(0, len(row) - len(STOPS), 30):
        row[start : start + len(STOPS)] = STOPS
    hints = rng.integers(0, 2, (32, len(row)), np.uint8) * 64
    spans = [slice(place, place + size) for place in places]
    return [row[span] for span in spans], [hints[:, span] for span in spans]


def encode(model: GeneT5, windows: list[Bases], evidence: list[Channels], **how: object) -> Encoded:
    some = evidence if model.config.evidence_channels else []
    return encode_windows(model, KMERS, windows, [11] * len(windows), evidence=some, **how)


@pytest.mark.parametrize("kind", KINDS)
def test_the_interior_of_a_window_is_as_if_read_alone(kind: str) -> None:
    model, places = model_of(**KINDS[kind]), [0, 120, 180]
    windows, evidence = overlapping(places)
    together = encode(model, windows, evidence, places=places)
    alone = encode(model, windows, evidence)
    inner = slice(EDGE_BP, 300 - EDGE_BP)
    for name in ("features", "state_logits", "boundary_logits"):
        a, b = (getattr(encoded, name) for encoded in (together, alone))
        torch.testing.assert_close(a[:, inner], b[:, inner], rtol=1e-4, atol=1e-4)
        assert not torch.allclose(a[:, -EDGE_BP:][0], b[:, -EDGE_BP:][0], atol=1e-3)


def test_a_window_alone_is_what_the_model_encodes() -> None:
    model = model_of(encoder=NARROW)
    windows, _ = overlapping([0], size=256)
    found = encode(model, windows, [])
    with torch.inference_mode():
        plain = model.encode(make_inputs(windows, [11], KMERS))
    for field in fields(found):
        if field.name != "keys":
            assert torch.equal(getattr(found, field.name), getattr(plain, field.name)), field.name


def test_segments_do_not_change_with_what_is_read_beside_them() -> None:
    model = model_of(encoder=NARROW)
    (first, *windows), _ = overlapping([0, 51, 120])
    both = encode(model, [first, *windows], [], places=[0, 0, 69])
    one = encode(model, windows, [], places=[0, 69])
    torch.testing.assert_close(both.state_logits[1:], one.state_logits)
    torch.testing.assert_close(both.latents[1:], one.latents)


def test_a_window_has_the_tokens_that_lie_on_it_whole_ones() -> None:
    model = model_of(encoder=NARROW)
    (row,), _ = overlapping([0], size=23)
    local = model.read(make_inputs([row], [11], KMERS))
    rows, first, sizes = torch.tensor([[0, 0, 0], [0, 6, 12], [23, 8, 11]])
    cut = local.cut(rows, first, sizes, 23)
    assert cut.num_tokens.tolist() == [6, 3, 3]
    assert [starts[:3].tolist() for starts in cut.start_bp] == [[0, 4, 8], [-2, 2, 6], [0, 4, 8]]
    assert torch.equal(cut.states[1, :3], local.states[0, 1:4])
    assert torch.equal(cut.boundary_logits[2, :11], local.boundary_logits[0, 12:])


def test_windows_that_begin_at_zero_begin_a_segment() -> None:
    assert [s.places for s in segments_at([0, 5, 9, 0, 0, 4])] == [(0, 5, 9), (0,), (0, 4)]


def test_attention_to_the_whole_row_is_not_shared_between_windows() -> None:
    assert windows_of_segment(builders.tiny_config(encoder=NARROW), 4) == 4
    assert windows_of_segment(builders.tiny_config(encoder={"window_tokens": 0}), 4) == 1
