"""Every backend of windowed attention against its definition written out in fp32."""

import itertools
import logging
import math
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

import pytest
import torch

from genet5.blocks import windowed
from genet5.blocks.attention import alibi_slopes, key_mask
from genet5.blocks.encoder import Encoder
from genet5.blocks.windowed import attend_window, choose_backend, window_mask
from genet5.config.model import CompressorConfig, DecoderConfig, EncoderConfig, ModelConfig
from genet5.errors import ConfigError

TOLERANCE = 2e-6  # fp32 sums of a few dozen terms in another order
HEADS, WIDTH = 3, 8


def make_qkv(batch=2, length=37, width=WIDTH):
    return tuple(torch.randn(batch, HEADS, length, width) for _ in range(3))


def slopes_if(with_alibi):
    return alibi_slopes(HEADS) if with_alibi else None


def by_the_book(q, k, v, lengths, window, slopes):
    """Softmax over all pairs with explicit mask and bias, fp32; any token attends to itself."""
    length = q.shape[2]
    index = torch.arange(length)
    distance = (index[:, None] - index).abs()
    seen = key_mask(lengths, length)
    if window:
        seen = seen & (distance <= window // 2)
    seen = seen | (distance == 0)
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    if slopes is not None:
        scores = scores - slopes[:, None, None] * distance
    return scores.masked_fill(~seen, float("-inf")).softmax(-1) @ v


def assert_equal_but_for_padding(got, expected, lengths, tolerance=TOLERANCE):
    for row, count in enumerate(lengths):
        torch.testing.assert_close(
            got[row, :, :count], expected[row, :, :count], atol=tolerance, rtol=0
        )


def attend(backend, q, k, v, lengths, window, slopes):
    mask = window_mask(backend, lengths, q.shape[2], window=window, slopes_H=slopes, dtype=q.dtype)
    return attend_window(q, k, v, mask)


@pytest.mark.parametrize(("length", "window"), [(5, 8), (8, 8), (16, 8), (37, 8), (700, 512)])
@pytest.mark.parametrize("with_alibi", [False, True])
@pytest.mark.parametrize("with_gradient", [False, True])
def test_sdpa_in_blocks_equals_the_definition(length, window, with_alibi, with_gradient):
    lengths = torch.tensor([length, max(1, length - 3)])
    q, k, v = make_qkv(length=length)
    slopes = slopes_if(with_alibi)
    with torch.set_grad_enabled(with_gradient):
        got = attend("sdpa", q, k, v, lengths, window, slopes)
    assert_equal_but_for_padding(got, by_the_book(q, k, v, lengths, window, slopes), lengths)


@pytest.mark.parametrize("window", [0, 8])
@pytest.mark.parametrize("with_gradient", [False, True])
def test_grouped_heads_equal_repeated_ones(window, with_gradient):
    torch.manual_seed(0)
    q, k, v = torch.randn(2, 4, 21, 8), torch.randn(2, 2, 21, 8), torch.randn(2, 2, 21, 8)
    mask = window_mask(
        "sdpa", torch.tensor([21, 13]), 21, window=window, slopes_H=None, dtype=q.dtype
    )
    with torch.set_grad_enabled(with_gradient):
        grouped = attend_window(q, k, v, mask)
        repeated = attend_window(q, *(x.repeat_interleave(2, dim=1) for x in (k, v)), mask)
    torch.testing.assert_close(grouped, repeated, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("length", "window"), [(37, 8), (700, 512)])
@pytest.mark.parametrize("with_alibi", [False, True])
def test_gradients_of_sdpa_in_blocks_equal_those_of_the_definition(length, window, with_alibi):
    q, k, v = (x.requires_grad_() for x in make_qkv(length=length))
    lengths, slopes = torch.tensor([length, length // 2]), slopes_if(with_alibi)
    goal = torch.randn_like(q) * key_mask(lengths, length).transpose(-1, -2)
    expected = by_the_book(q, k, v, lengths, window, slopes)
    want = torch.autograd.grad((expected * goal).sum(), (q, k, v))
    out = attend("sdpa", q, k, v, lengths, window, slopes)
    got = torch.autograd.grad((out * goal).sum(), (q, k, v))
    for one, other in zip(got, want, strict=True):
        torch.testing.assert_close(one, other, atol=2e-5, rtol=0)


@torch.no_grad()
def test_rows_of_one_projection_are_read_as_views_and_do_not_see_each_other():
    lengths = torch.tensor([16, 16, 9])
    projected = torch.randn(3, 16, 3 * HEADS, WIDTH).transpose(1, 2)
    q, k, v = projected.chunk(3, dim=1)
    got = attend("sdpa", q, k, v, lengths, 8, None)
    assert_equal_but_for_padding(got, by_the_book(q, k, v, lengths, 8, None), lengths)
    projected[1:] += 1.0
    after = attend("sdpa", *projected.chunk(3, dim=1), lengths, 8, None)
    torch.testing.assert_close(after[0], got[0], atol=0, rtol=0)


@torch.no_grad()
def test_values_of_a_row_do_not_depend_on_its_place_in_the_batch():
    q, k, v = make_qkv(batch=3, length=16)
    got = attend("sdpa", q, k, v, torch.full((3,), 16), 8, None)
    order = [2, 0, 1]
    moved = attend("sdpa", q[order], k[order], v[order], torch.full((3,), 16), 8, None)
    torch.testing.assert_close(moved, got[order], atol=0, rtol=0)


def test_window_as_wide_as_the_input_equals_full_attention():
    q, k, v = make_qkv(length=20)
    lengths = torch.tensor([20, 20])
    windowed_ = attend("sdpa", q, k, v, lengths, 64, None)
    whole = attend("sdpa", q, k, v, lengths, 0, None)
    torch.testing.assert_close(windowed_, whole, atol=TOLERANCE, rtol=0)


def test_padding_is_finite_and_has_finite_gradients():
    q, k, v = (x.requires_grad_() for x in make_qkv(length=40))
    out = attend("sdpa", q, k, v, torch.tensor([40, 1]), 8, None)
    out.sum().backward()
    assert torch.isfinite(out).all()
    assert all(torch.isfinite(x.grad).all() for x in (q, k, v))


# ---- flex: forward alone, as it has no backward pass on a CPU ------------------------------------


def eager_flex(monkeypatch):
    """FlexAttention as plain PyTorch: the mask and bias are the same, and nothing is compiled."""
    monkeypatch.setattr(windowed, "_flex", lambda: windowed.flex_attention)


@pytest.mark.slow
@pytest.mark.parametrize("window", [0, 64, 300])
@pytest.mark.parametrize("with_alibi", [False, True])
@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_flex_equals_the_definition(monkeypatch, window, with_alibi):
    eager_flex(monkeypatch)
    lengths, slopes = torch.tensor([700, 333]), slopes_if(with_alibi)
    q, k, v = make_qkv(length=700)
    with torch.no_grad():
        got = attend("flex", q, k, v, lengths, window, slopes)
    assert torch.isfinite(got).all()
    assert_equal_but_for_padding(got, by_the_book(q, k, v, lengths, window, slopes), lengths)


@pytest.mark.parametrize(("length", "half"), [(1000, 100), (1000, 256), (300, 0), (128, 40)])
def test_blocks_of_the_mask_hold_all_that_is_seen_and_full_ones_no_more(length, half):
    lengths = torch.tensor([length, length // 3])
    mask = windowed._block_mask(lengths, length, half)
    size = windowed.FLEX_BLOCK
    index = torch.arange(-(-length // size) * size)
    for row in range(2):
        dense = mask.mask_mod(torch.tensor(row), 0, index[:, None], index[None])
        dense = dense & (index < length)
        inside = dense & (index[:, None] < length)  # queries beyond the end are thrown away
        whole = dense.unfold(0, size, size).unfold(1, size, size).all(-1).all(-1)
        needed = inside.unfold(0, size, size).unfold(1, size, size).any(-1).any(-1)
        part = listed(mask.kv_num_blocks[row, 0], mask.kv_indices[row, 0])
        full = listed(mask.full_kv_num_blocks[row, 0], mask.full_kv_indices[row, 0])
        assert not (part & full).any()
        assert (full <= whole).all()
        assert (needed <= part | full).all()
        if half:  # blocks of one query row do not grow with the length
            assert (part | full).sum(-1).max() <= 2 * -(-half // size) + 1


def listed(counts, indices):
    """Blocks that a row's first `counts` indices name, as a bool matrix."""
    found = torch.zeros(indices.shape, dtype=torch.bool)
    for row, (count, names) in enumerate(zip(counts.tolist(), indices.tolist(), strict=True)):
        found[row, names[:count]] = True
    return found


def test_flex_says_that_it_cannot_train_on_a_cpu():
    q, k, v = (x.requires_grad_() for x in make_qkv())
    with pytest.raises(ConfigError, match="no backward pass on the CPU"):
        attend("flex", q, k, v, torch.tensor([37, 37]), 8, None)


@pytest.mark.slow
def test_compiled_flex_equals_the_definition():
    lengths, slopes = torch.tensor([300, 200]), alibi_slopes(HEADS)
    q, k, v = make_qkv(length=300, width=16)
    with torch.no_grad():
        got = attend("flex", q, k, v, lengths, 64, slopes)
    assert_equal_but_for_padding(got, by_the_book(q, k, v, lengths, 64, slopes), lengths, 1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("backend", ["sdpa", "flex", "flash"])
@pytest.mark.parametrize("with_alibi", [False, True])
def test_backends_on_cuda_equal_the_definition_with_gradients(backend, with_alibi):
    if backend == "flash":
        pytest.importorskip("flash_attn")
    draw = torch.Generator().manual_seed(0)
    lengths, slopes = torch.tensor([700, 333]), slopes_if(with_alibi)
    real = key_mask(lengths, 700).transpose(-1, -2)
    qkv = [torch.randn(2, HEADS, 700, 64, generator=draw) for _ in range(3)]
    exact = [x.bfloat16().float().requires_grad_() for x in qkv]
    expected = by_the_book(*exact, lengths, 64, slopes) * real
    want = torch.autograd.grad(expected.sum(), exact)
    moved = [x.bfloat16().cuda().requires_grad_() for x in qkv]
    on_device = slopes if slopes is None else slopes.cuda()
    got = attend(backend, *moved, lengths.cuda(), 64, on_device) * real.cuda()
    gradients = torch.autograd.grad(got.sum(), moved)
    for one, other in zip((got, *gradients), (expected, *want), strict=True):
        torch.testing.assert_close(one.float().cpu(), other, atol=3e-2, rtol=3e-2)  # bf16


# ---- flash: not installable without CUDA; its arguments are recorded and evaluated ----


class FakeFlash:
    """Stands for `flash_attn`: records the call, and evaluates it as FlashAttention-2 does."""

    def __init__(self):
        self.calls = []

    def flash_attn_varlen_func(self, q, k, v, **given):
        self.calls.append(given | {"dtype": q.dtype})
        out = torch.empty_like(q)
        bounds = given["cu_seqlens_q"].tolist()
        for start, end in itertools.pairwise(bounds):
            out[start:end] = self.one_sequence(q[start:end], k[start:end], v[start:end], **given)
        return out

    @staticmethod
    def one_sequence(q, k, v, *, window_size, alibi_slopes, **_):
        """(S, H, K) of one sequence; keys beyond (left, right) are masked, -1 is no limit."""
        index = torch.arange(len(q))
        offset = index - index[:, None]
        left, right = (len(q) if side < 0 else side for side in window_size)
        scores = torch.einsum("shk,thk->hst", q.float(), k.float()) * q.shape[-1] ** -0.5
        if alibi_slopes is not None:
            scores = scores - alibi_slopes[:, None, None] * offset.abs()
        scores = scores.masked_fill((offset < -left) | (offset > right), float("-inf"))
        return torch.einsum("hst,thk->shk", scores.softmax(-1), v.float()).to(q.dtype)


@pytest.fixture
def flash(monkeypatch):
    fake = FakeFlash()
    module = ModuleType("flash_attn")
    module.__spec__ = ModuleSpec("flash_attn", None)
    module.flash_attn_varlen_func = fake.flash_attn_varlen_func
    monkeypatch.setitem(sys.modules, "flash_attn", module)
    return fake


@pytest.mark.parametrize("window", [0, 8])
@pytest.mark.parametrize("with_alibi", [False, True])
def test_flash_gets_rows_as_sequences_and_equals_sdpa(flash, window, with_alibi):
    lengths, slopes = torch.tensor([37, 20, 1]), slopes_if(with_alibi)
    q, k, v = (x.bfloat16() for x in make_qkv(batch=3))
    got = attend("flash", q, k, v, lengths, window, slopes)
    with torch.no_grad():
        exact = attend("sdpa", q.float(), k.float(), v.float(), lengths, window, slopes)
    assert_equal_but_for_padding(got.float(), exact, lengths, 0.02)  # bf16 holds 8 bits
    (call,) = flash.calls
    assert call["cu_seqlens_q"].tolist() == [0, 37, 37, 57, 74, 75, 111]
    assert call["cu_seqlens_q"].dtype == torch.int32
    assert call["cu_seqlens_k"] is call["cu_seqlens_q"]
    assert call["max_seqlen_q"] == call["max_seqlen_k"] == 37
    assert call["window_size"] == ((4, 4) if window else (-1, -1))
    assert call["causal"] is False
    assert call["dtype"] == torch.bfloat16
    if with_alibi:
        assert call["alibi_slopes"].dtype == torch.float32
        assert call["alibi_slopes"].shape == (HEADS,)
    else:
        assert call["alibi_slopes"] is None


# ---- which one, and the encoder with each --------------------------------------------------------


@pytest.fixture
def _forgetful():
    windowed._choose.cache_clear()
    yield
    windowed._choose.cache_clear()


@pytest.fixture
def installed(monkeypatch, _forgetful):
    """A set of modules that there are; the test fills it."""
    names = set()
    monkeypatch.setattr(
        windowed.importlib.util, "find_spec", lambda name: name if name in names else None
    )
    return names


@pytest.mark.parametrize(
    ("device", "dtype", "modules", "expected"),
    [
        ("cpu", torch.bfloat16, {"flash_attn", "triton"}, "sdpa"),
        ("cuda", torch.bfloat16, {"flash_attn", "triton"}, "flash"),
        ("cuda", torch.float32, {"flash_attn", "triton"}, "flex"),
        ("cuda", torch.bfloat16, {"triton"}, "flex"),
        ("cuda", torch.bfloat16, set(), "sdpa"),
    ],
)
def test_auto_takes_the_fastest_that_runs_and_logs_it_once(
    installed, caplog, device, dtype, modules, expected
):
    installed |= modules
    with caplog.at_level(logging.INFO, logger="genet5"):
        chosen = [choose_backend("auto", torch.device(device), dtype) for _ in range(3)]
    assert chosen == [expected] * 3
    assert [r.getMessage() for r in caplog.records] == [
        f"windowed attention: {expected} (auto asked for; {device}, {dtype})"
    ]


@pytest.mark.parametrize(
    ("device", "dtype", "modules", "reason"),
    [
        ("cuda", torch.bfloat16, set(), "needs flash-attn; install it"),
        ("cpu", torch.bfloat16, {"flash_attn"}, "runs on CUDA alone"),
        ("cuda", torch.float32, {"flash_attn"}, "takes bf16 or fp16"),
    ],
)
def test_flash_where_it_cannot_run_says_why(installed, device, dtype, modules, reason):
    installed |= modules
    with pytest.raises(ConfigError, match=reason):
        choose_backend("flash", torch.device(device), dtype)


def small_encoder(positions):
    shape = EncoderConfig(layers=2, heads=2, ff_dim=16, window_tokens=8, positions=positions)
    others = {
        "compressor": CompressorConfig(heads=2, kv_heads=2),
        "decoder": DecoderConfig(heads=2, kv_heads=2, cross_kv_heads=2),
    }
    config = ModelConfig(width=16, sequence_vocab=20, encoder=shape, **others)
    encoder = Encoder(config).eval()
    for weight in encoder.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    return encoder


@pytest.mark.slow
@pytest.mark.usefixtures("_forgetful")
@pytest.mark.parametrize("positions", ["alibi", "rope"])
@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_encoder_states_do_not_depend_on_the_backend(monkeypatch, flash, positions):
    eager_flex(monkeypatch)
    monkeypatch.setattr(windowed, "_require_flash", lambda *_: None)
    encoder = small_encoder(positions)
    ids, lengths = torch.randint(0, 20, (2, 30)), torch.tensor([30, 17])
    start, added = torch.arange(30).expand(2, 30) * 5, torch.zeros(2, 30, 16)
    states = {}
    for name in ("auto", "sdpa", "flex", "flash"):
        encoder.attention = name
        with torch.no_grad():
            states[name] = encoder(ids, start, lengths, added)
    assert len(flash.calls) == 2  # one for each layer
    assert torch.equal(states["auto"], states["sdpa"])
    for name in ("flex", "flash"):
        for row, count in enumerate(lengths):
            torch.testing.assert_close(
                states[name][row, :count], states["sdpa"][row, :count], atol=1e-5, rtol=0
            )
