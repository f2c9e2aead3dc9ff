"""Latents in blocks, and FlexAttention, against all latents with all tokens written out."""

import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from anchors import dense_bias, dense_read
from genet5.blocks import anchored, windowed
from genet5.blocks.anchored import (
    AnchoredMask,
    anchored_mask,
    attend_anchored,
    choose_anchored_backend,
)
from genet5.errors import ConfigError

TOLERANCE = 2e-6  # fp32 sums of a few hundred terms in another order
SHAPE = {"bin_bp": 16, "window_bp": 64, "loss_per_bin": 0.1, "dtype": torch.float32}
HEADS, GROUPS, WIDTH = 4, 2, 8


def kmers(length_bp):
    return list(range(0, length_bp, 6))


def bpe(length_bp, seed=0):
    """Starts of tokens of 1 to 12 bp."""
    draw, starts = random.Random(seed), [0]
    while starts[-1] < length_bp - 12:
        starts.append(starts[-1] + draw.randint(1, 12))
    return starts


def with_runs(length_bp):
    """1-bp tokens, then a token as long as five windows, then single bases again."""
    return [*range(300), 300 + 5 * 64, *range(300 + 640, length_bp)]


def rows(*starts, bp_per_token=6.0):
    """Middles (B, S) and number of tokens of each row; padding starts after the longest window."""
    counts = torch.tensor([len(row) for row in starts])
    middle = torch.full((len(starts), int(counts.max())), 5000.0)
    for row, its in enumerate(starts):
        middle[row, : len(its)] = torch.tensor(its)
    return middle + bp_per_token / 2, counts


def make_qkv(middle, num_latents, dtype=torch.float32):
    batch, length = middle.shape
    q = torch.randn(batch, HEADS, num_latents, WIDTH)
    k, v = torch.randn(2, batch, GROUPS, length, WIDTH)
    return [x.to(dtype) for x in (q, k, v)]


INPUTS = {
    "kmers": rows(kmers(2000), kmers(2000), kmers(500)),
    "bpe": rows(bpe(2000), bpe(1500, 1), bpe(40, 2), bp_per_token=5.13),
    "runs": rows(with_runs(2000), bpe(2000, 3), [0], bp_per_token=5.13),
    "a long token alone": rows([0], [0]),
}


@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.parametrize("num_latents", [125, 128, 3])
def test_blocks_equal_the_dense_evaluation_with_gradients(name, num_latents):
    middle, counts = INPUTS[name]
    qkv = [x.requires_grad_() for x in make_qkv(middle, num_latents)]
    goal = torch.randn_like(qkv[0])
    mask = anchored_mask("sdpa", middle, counts, num_latents, **SHAPE)
    expected = dense_read(*qkv, dense_bias(middle, counts, num_latents, **SHAPE))
    got = attend_anchored(*qkv, mask)
    torch.testing.assert_close(got, expected, atol=TOLERANCE, rtol=0)
    want = torch.autograd.grad((expected * goal).sum(), qkv)
    for one, other in zip(torch.autograd.grad((got * goal).sum(), qkv), want, strict=True):
        torch.testing.assert_close(one, other, atol=2e-5, rtol=0)
    assert (mask.index_BNW is None) == (name == "a long token alone")


@pytest.mark.parametrize("name", ["kmers", "bpe", "runs"])
def test_blocks_in_bf16_are_as_exact_as_dense_attention_in_bf16(name):
    middle, counts = INPUTS[name]
    qkv = [x.requires_grad_() for x in make_qkv(middle, 125, torch.bfloat16)]
    exact = [x.detach().float().requires_grad_() for x in qkv]
    goal = torch.randn_like(qkv[0])
    bias = dense_bias(middle, counts, 125, **SHAPE)

    def with_gradients(out, given):
        return out, *torch.autograd.grad((out * goal.to(out.dtype)).sum(), given)

    want = with_gradients(dense_read(*exact, bias), exact)
    mask = anchored_mask("sdpa", middle, counts, 125, **SHAPE)
    got = with_gradients(attend_anchored(*qkv, mask), qkv)
    peer = with_gradients(attend_anchored(*qkv, AnchoredMask("sdpa", bias=bias[:, None])), qkv)
    assert got[0].dtype == torch.bfloat16
    # Gradients of keys and values are sums over blocks, rounded once more each.
    for one, other, truth, allowed in zip(got, peer, want, (1.1, 1.1, 4, 4), strict=True):
        error, peer_error = ((x.float() - truth).square().mean().sqrt() for x in (one, other))
        assert error <= allowed * peer_error


token_lengths = st.lists(
    st.one_of(st.integers(1, 12), st.just(1), st.integers(100, 700)), min_size=1, max_size=120
)


def starts_of(lengths):
    return torch.tensor([0, *lengths]).cumsum(0)[:-1].tolist()


@given(st.lists(token_lengths, min_size=1, max_size=3), st.sampled_from([5.13, 6.0]))
def test_whatever_the_tokens_blocks_equal_the_dense_evaluation(lengths, bp_per_token):
    middle, counts = rows(*map(starts_of, lengths), bp_per_token=bp_per_token)
    num_latents = min(150, -(-max(map(sum, lengths)) // 16))
    qkv = make_qkv(middle, num_latents)
    expected = dense_read(*qkv, dense_bias(middle, counts, num_latents, **SHAPE))
    got = attend_anchored(*qkv, anchored_mask("sdpa", middle, counts, num_latents, **SHAPE))
    torch.testing.assert_close(got, expected, atol=TOLERANCE, rtol=0)


@given(token_lengths)
def test_slices_where_nothing_may_wait_are_wide_enough_for_any_tokens(lengths):
    """Off the CPU the width comes from shapes alone; it must hold all attended tokens."""
    middle, counts = rows(starts_of(lengths))
    seen = torch.isfinite(dense_bias(middle, counts, 40, **SHAPE)[0])
    size = SHAPE["window_bp"] // SHAPE["bin_bp"]
    tokens = torch.arange(seen.shape[1])
    most = 0
    for block in seen.split(size):
        near = tokens[block.any(dim=0)]
        most = max(most, int(near[-1] - near[0]) + 1)
    nowhere = torch.empty(1, 40, device="meta", dtype=torch.int64)
    span_bp = (size - 1) * SHAPE["bin_bp"] + 2 * SHAPE["window_bp"]
    assert most + 2 <= anchored._slices(nowhere, nowhere, size, span_bp).shape[2]


def test_slices_that_hold_more_than_needed_change_nothing(monkeypatch):
    middle, counts = INPUTS["bpe"]
    qkv = make_qkv(middle, 125)
    expected = attend_anchored(*qkv, anchored_mask("sdpa", middle, counts, 125, **SHAPE))
    monkeypatch.setattr(anchored, "_ROUND", 192)
    mask = anchored_mask("sdpa", middle, counts, 125, **SHAPE)
    assert mask.index_BNW.shape[2] == 192
    torch.testing.assert_close(attend_anchored(*qkv, mask), expected, atol=TOLERANCE, rtol=0)


def test_a_window_reads_the_same_alone_and_among_others():
    middle, counts = rows(bpe(2000), with_runs(2000), [0])
    qkv = make_qkv(middle, 125)
    together = attend_anchored(*qkv, anchored_mask("sdpa", middle, counts, 125, **SHAPE))
    for row, count in enumerate(counts.tolist()):
        q, k, v = (x[row : row + 1] for x in qkv)
        mask = anchored_mask(
            "sdpa", middle[row : row + 1, :count], counts[row : row + 1], 125, **SHAPE
        )
        alone = attend_anchored(q, k[:, :, :count], v[:, :, :count], mask)
        torch.testing.assert_close(alone, together[row : row + 1], atol=TOLERANCE, rtol=0)


def test_what_is_held_grows_linearly_with_the_window():
    held = []
    for length_bp in (8192, 16384, 32768):
        middle, counts = rows(bpe(length_bp))
        mask = anchored_mask("sdpa", middle, counts, length_bp // 16, **SHAPE)
        held.append(mask.bias.numel() + mask.index_BNW.numel())
    assert held[1:] == [2 * held[0], 4 * held[0]]


def test_a_row_without_tokens_is_finite():
    middle, counts = rows(kmers(2000), [0])
    qkv = make_qkv(middle, 125)
    out = attend_anchored(
        *qkv, anchored_mask("sdpa", middle, counts * torch.tensor([1, 0]), 125, **SHAPE)
    )
    assert torch.isfinite(out).all()


# ---- flex: forward alone, as it has no backward pass on a CPU ------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.parametrize("num_latents", [300, 128, 3])
@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_flex_equals_the_dense_evaluation(monkeypatch, name, num_latents):
    monkeypatch.setattr(windowed, "_flex", lambda: windowed.flex_attention)
    middle, counts = INPUTS[name]
    qkv = make_qkv(middle, num_latents)
    mask = anchored_mask("flex", middle, counts, num_latents, **SHAPE)
    expected = dense_read(*qkv, dense_bias(middle, counts, num_latents, **SHAPE))
    torch.testing.assert_close(attend_anchored(*qkv, mask), expected, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("name", INPUTS)
def test_blocks_of_the_mask_hold_all_that_is_seen_and_do_not_grow(name):
    middle, counts = INPUTS[name]
    size, (batch, length) = windowed.FLEX_BLOCK, middle.shape
    mask = anchored_mask("flex", middle, counts, 300, **SHAPE).blocks
    seen = torch.isfinite(dense_bias(middle, counts, 300, **SHAPE))
    for row in range(batch):
        for first in range(0, 300, size):
            block = first // size
            count = int(mask.kv_num_blocks[row, 0, block])
            named = set(mask.kv_indices[row, 0, block, :count].tolist())
            tokens = seen[row, first : first + size].any(dim=0).nonzero()[:, 0]
            assert {int(token) // size for token in tokens} <= named
            assert len(named) <= (size * 16 + 2 * 64) // size + 2
    assert mask.seq_lengths == (300, length)


def test_flex_says_that_it_cannot_train_on_a_cpu():
    middle, counts = INPUTS["bpe"]
    qkv = [x.requires_grad_() for x in make_qkv(middle, 125)]
    with pytest.raises(ConfigError, match="no backward pass on the CPU"):
        attend_anchored(*qkv, anchored_mask("flex", middle, counts, 125, **SHAPE))


@pytest.mark.slow
def test_compiled_flex_equals_the_dense_evaluation():
    middle, counts = INPUTS["runs"]
    q, k, v = (torch.cat((x, x), dim=-1) for x in make_qkv(middle, 125))  # heads of 16
    expected = dense_read(q, k, v, dense_bias(middle, counts, 125, **SHAPE))
    with torch.no_grad():
        got = attend_anchored(q, k, v, anchored_mask("flex", middle, counts, 125, **SHAPE))
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("backend", ["sdpa", "flex"])
@pytest.mark.parametrize("name", ["kmers", "bpe", "runs"])
def test_backends_on_cuda_equal_the_dense_evaluation_with_gradients(backend, name):
    middle, counts = INPUTS[name]
    draw = torch.Generator().manual_seed(0)
    shapes = [(HEADS, 300), (GROUPS, middle.shape[1]), (GROUPS, middle.shape[1])]
    qkv = [torch.randn(3, *shape, 64, generator=draw).bfloat16() for shape in shapes]
    exact = [x.float().requires_grad_() for x in qkv]
    expected = dense_read(*exact, dense_bias(middle, counts, 300, **SHAPE))
    want = torch.autograd.grad(expected.sum(), exact)
    moved = [x.cuda().requires_grad_() for x in qkv]
    device_middle, device_counts = middle.cuda(), counts.cuda()
    torch.cuda.set_sync_debug_mode("error")
    try:
        mask = anchored_mask(backend, device_middle, device_counts, 300, **SHAPE)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    got = attend_anchored(*moved, mask)
    gradients = torch.autograd.grad(got.sum(), moved)
    for one, other in zip((got, *gradients), (expected, *want), strict=True):
        torch.testing.assert_close(one.float().cpu(), other, atol=3e-2, rtol=3e-2)  # bf16


@pytest.mark.parametrize(
    ("chosen", "expected"), [("sdpa", "sdpa"), ("flex", "flex"), ("flash", "flex")]
)
def test_flash_has_no_such_bias_and_leaves_it_to_flex(monkeypatch, chosen, expected):
    monkeypatch.setattr(anchored, "choose_backend", lambda *_: chosen)
    assert choose_anchored_backend("auto", torch.device("cuda"), torch.bfloat16) == expected
