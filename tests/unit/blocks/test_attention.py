"""Attention against its definition written out in fp32."""

import math

import pytest
import torch

from genet5.blocks import attention
from genet5.blocks.attention import (
    SelfAttention,
    alibi_slopes,
    attend,
    attend_plain,
)
from genet5.blocks.rope import interleaved, rope_table, rope_turns, rotate

TOLERANCE = 2e-6  # fp32 sums of a few dozen terms in another order


def plain_attention(q, k, v, seen, bias=0.0):
    """Softmax attention by the book; `seen` is (T, S) or broadcastable, True = may be attended."""
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]) + bias
    return scores.masked_fill(~seen, float("-inf")).softmax(-1) @ v


def make_qkv(batch=2, heads=3, length=37, width=8):
    return tuple(torch.randn(batch, heads, length, width) for _ in range(3))


def test_written_out_attention_equals_sdpa_with_bias():
    q, k, v = make_qkv()
    bias = torch.randn(2, 1, 37, 37)
    torch.testing.assert_close(
        attend_plain(q, k, v, bias=bias), attend(q, k, v, bias=bias), atol=TOLERANCE, rtol=0
    )


@pytest.mark.parametrize("alike", [False, True])
def test_grouped_heads_equal_repeated_keys_and_values(monkeypatch, alike):
    monkeypatch.setattr(attention, "_needs_heads_alike", lambda q, bias: alike)
    q = torch.randn(2, 12, 9, 4)
    k, v = torch.randn(2, 3, 9, 4), torch.randn(2, 3, 9, 4)
    repeated = (x.repeat_interleave(4, dim=1) for x in (k, v))
    causal = torch.ones(9, 9, dtype=torch.bool).tril()
    expected = plain_attention(q, *repeated, causal)
    torch.testing.assert_close(attend(q, k, v, causal=True), expected, atol=TOLERANCE, rtol=0)


def test_slopes_of_twelve_heads_follow_dnabert2():
    eight = [2.0 ** -(i + 1) for i in range(8)]
    sixteen = [2.0 ** (-(i + 1) / 2) for i in range(16)]
    torch.testing.assert_close(alibi_slopes(12), torch.tensor(eight + sixteen[0:8:2]))


def test_rotated_scores_depend_on_distance_only():
    q, k = torch.randn(1, 1, 1, 16), torch.randn(1, 1, 1, 16)

    def score(i, j):
        left = rotate(q, rope_table(torch.tensor([float(i)]), 16))
        return (left * rotate(k, rope_table(torch.tensor([float(j)]), 16))).sum()

    torch.testing.assert_close(score(3.5, 1.0), score(12.5, 10.0), atol=1e-5, rtol=0)
    assert abs(score(3.5, 1.0) - score(3.5, 2.0)) > 1e-3


def test_self_attention_rows_of_qkv_are_q_k_v():
    attention = SelfAttention(8, 2, 2, bias=True)
    x = torch.randn(1, 5, 8)
    q, k, v = attention.split(x, None)
    flat = attention.qkv(x)
    for part, rows in ((q, slice(0, 8)), (k, slice(8, 16)), (v, slice(16, 24))):
        torch.testing.assert_close(part.transpose(1, 2).reshape(1, 5, 8), flat[..., rows])


def test_interleaved_heads_are_rotated_by_pairs_side_by_side():
    heads, places = torch.randn(2, 3, 5, 8), torch.rand(2, 5) * 100
    expected = rotate(heads, rope_table(places, 8))[..., interleaved(8)]
    got = rotate(heads[..., interleaved(8)], rope_turns(places, 8))
    torch.testing.assert_close(got, expected, atol=1e-6, rtol=0)


@torch.no_grad()
def test_interleaved_projections_give_the_same_values_and_scores():
    layer, x, places = SelfAttention(16, 4, 2, bias=True), torch.randn(2, 7, 16), torch.arange(7)
    q, k, v = layer.split(x, rope_table(places, 4))
    layer.interleave()
    p, j, w = layer.split(x, rope_turns(places, 4))
    torch.testing.assert_close(w, v, atol=0, rtol=0)
    scores, others = (
        a @ b.repeat_interleave(2, dim=1).transpose(-1, -2) for a, b in ((q, k), (p, j))
    )
    torch.testing.assert_close(others, scores, atol=1e-5, rtol=0)
