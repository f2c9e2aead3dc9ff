"""Experts against a loop over tokens."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional as F

from genet5.blocks import moe as moe_module
from genet5.blocks.moe import MixtureOfExperts, make_feedforward
from genet5.config.model import DecoderConfig


def make_experts(num_experts=4, top_k=2, width=16, ff_dim=32, balance="loss"):
    moe = MixtureOfExperts(width, ff_dim, num_experts, top_k, balance=balance)
    for weight in moe.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    return moe


def expert_output(moe, x, expert):
    gate, value = (x @ moe.up[expert].T).chunk(2, dim=-1)
    return (F.gelu(gate) * value) @ moe.down[expert].T


def mixture_by_loop(moe, x):
    probabilities = (x @ moe.router.weight.T).softmax(-1)
    rows = []
    for row, probability in zip(x, probabilities, strict=True):
        top, chosen = probability.topk(moe.top_k)
        shares = top / top.sum()
        rows.append(
            sum(s * expert_output(moe, row, e) for s, e in zip(shares, chosen, strict=True))
        )
    return torch.stack(rows)


def test_mixture_equals_a_loop_over_tokens_with_gradients():
    moe, x = make_experts(), torch.randn(3, 7, 16)
    mixed, _ = moe(x)
    expected = mixture_by_loop(moe, x.flatten(0, 1)).view_as(x)
    torch.testing.assert_close(mixed, expected, atol=1e-4, rtol=1e-4)
    weights = list(moe.parameters())
    goal = torch.randn_like(x)
    got = torch.autograd.grad((mixed * goal).sum(), weights)
    want = torch.autograd.grad((expected * goal).sum(), weights)
    for one, other in zip(got, want, strict=True):
        torch.testing.assert_close(one, other, atol=1e-3, rtol=1e-3)


def test_all_experts_equal_the_dense_weighted_sum():
    moe, x = make_experts(top_k=4), torch.randn(1, 5, 16)
    shares = (x @ moe.router.weight.T).softmax(-1)
    dense = sum(shares[..., e : e + 1] * expert_output(moe, x, e) for e in range(4))
    torch.testing.assert_close(moe(x)[0], dense, atol=1e-4, rtol=1e-4)


def test_an_expert_without_tokens_does_not_matter():
    moe, x = make_experts(), torch.randn(1, 3, 16)
    with torch.no_grad():
        moe.router.weight.zero_()
        moe.router.weight[0], moe.router.weight[1] = 5.0, 4.0
    mixed, loss = moe(x.abs())
    assert loss.tokens_per_expert.tolist() == [3, 3, 0, 0]
    assert torch.isfinite(mixed).all()


def test_balance_is_one_when_experts_share_evenly_and_padding_does_not_count():
    moe, x = make_experts(), torch.randn(1, 6, 16)
    with torch.no_grad():
        moe.router.weight.zero_()
    real = torch.tensor([[True, True, True, True, False, False]])
    _, loss = moe(x, real)
    assert loss.tokens_per_expert.sum() == 8
    torch.testing.assert_close(loss.balance() / 4, torch.tensor(1.0))
    torch.testing.assert_close(loss.z / 4, torch.log(torch.tensor(4.0)) ** 2)


@pytest.mark.parametrize("experts", ["eager", "grouped_mm"])
def test_mixture_equals_the_mixtral_block_of_transformers(experts):
    # not at the top: it takes longer to import than these tests to run
    from transformers import MixtralConfig
    from transformers.models.mixtral.modeling_mixtral import MixtralSparseMoeBlock

    config = MixtralConfig(
        hidden_size=16,
        intermediate_size=32,
        num_local_experts=4,
        num_experts_per_tok=2,
        hidden_act="gelu",
        experts_implementation=experts,
    )
    moe, theirs = make_experts(), MixtralSparseMoeBlock(config)
    theirs.load_state_dict(
        {
            "gate.weight": moe.router.weight,
            "experts.gate_up_proj": moe.up,
            "experts.down_proj": moe.down,
        }
    )
    x = torch.randn(2, 9, 16, requires_grad=True)
    goal = torch.randn_like(x)
    ours = moe(x)[0]
    gradients = torch.autograd.grad(ours, (x, moe.up, moe.down, moe.router.weight), goal)
    expected = theirs(x)
    weights = theirs.experts.gate_up_proj, theirs.experts.down_proj, theirs.gate.weight
    wanted = torch.autograd.grad(expected, (x, *weights), goal)
    for one, other in zip((ours, *gradients), (expected, *wanted), strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


# ---- moving tokens -------------------------------------------------------------------------------


def sorted_case(tokens=5, experts=3, top_k=2, width=4):
    chosen = torch.stack([torch.randperm(experts)[:top_k] for _ in range(tokens)])
    token, place, ends = moe_module._sort(chosen, experts)
    return chosen, token, place, ends, torch.randn(tokens, width, dtype=torch.float64)


def test_sorted_rows_are_grouped_by_expert_and_point_back():
    chosen, token, place, ends, _ = sorted_case(tokens=9, experts=4)
    start = 0
    for expert, end in enumerate(ends.tolist()):
        assert all(expert in chosen[row].tolist() for row in token[start:end].tolist())
        start = end
    assert start == 18
    assert ends.dtype == torch.int32
    assert torch.equal(token[place], torch.arange(9)[:, None].expand(9, 2))


def test_gradients_of_the_hand_written_functions_are_right():
    _, token, place, _, x = sorted_case()
    shares = torch.rand(5, 2, dtype=torch.float64).requires_grad_()
    rows = torch.randn(10, 4, dtype=torch.float64).requires_grad_()
    check, combine = torch.autograd.gradcheck, moe_module._Combine.apply
    assert check(lambda x: moe_module._Dispatch.apply(x, token, place), x.requires_grad_())
    assert check(lambda r, s: combine(r, s, token, place, torch.float64), (rows, shares))
    assert check(moe_module._GatedGelu.apply, rows)


def test_bf16_stays_close_to_fp32():
    moe, x = make_experts(width=32, ff_dim=64), torch.randn(2, 50, 32)
    exact = moe(x)[0]
    with torch.autocast("cpu", torch.bfloat16):
        mixed, loss = moe(x)
    assert mixed.dtype == torch.float32
    assert loss.z.dtype == torch.float32
    assert (mixed - exact).norm() < 0.02 * exact.norm()  # bf16 holds 8 bits


@pytest.mark.slow
def test_nothing_waits_for_the_device_forward_or_backward():
    """Fake tensors have no values: item, nonzero or a mask as index raise."""
    with FakeTensorMode(), torch.autocast("cpu", torch.bfloat16):
        moe, x = make_experts(), torch.randn(2, 7, 16, requires_grad=True)
        mixed, loss = moe(x, torch.ones(2, 7, dtype=torch.bool))
        (mixed.sum() + loss.balance() + loss.z).backward()
        moe.count(loss)
        moe.rebalance(moe.take_routed())
    assert x.grad.shape == x.shape


@pytest.mark.slow
def test_layer_is_one_graph_for_the_compiler():
    moe, x = make_experts().bfloat16(), torch.randn(2, 7, 16, dtype=torch.bfloat16)
    compiled = torch.compile(moe, fullgraph=True, backend="aot_eager")
    goal = torch.randn_like(x)
    results = []
    for layer in (compiled, moe):
        mixed, _ = layer(x)
        gradient = torch.autograd.grad(mixed, moe.up, goal)[0]
        results.append((mixed, gradient))
    torch.testing.assert_close(*results, atol=1e-6, rtol=0)


@pytest.mark.slow
def test_compiled_layer_works_in_fp32_too():
    moe, x = make_experts(), torch.randn(2, 7, 16)
    compiled = torch.compile(moe, backend="aot_eager")
    torch.testing.assert_close(compiled(x)[0], moe(x)[0], atol=1e-6, rtol=0)


# ---- balance -------------------------------------------------------------------------------------


def skewed_experts(balance):
    moe = MixtureOfExperts(16, 8, 4, 1, balance=balance)
    with torch.no_grad():
        moe.router.weight.copy_(torch.eye(4, 16))
        moe.router.weight[0, 0] = 3.0  # expert 0 wins most tokens
    return moe


def load_after(moe, steps, x):
    for _ in range(steps):
        moe.count(moe(x)[1])
        routed = moe.take_routed()
        moe.rebalance(routed, step=0.01)
    return routed


def test_bias_evens_the_load_without_any_loss():
    x = torch.randn(1, 400, 16, generator=torch.Generator().manual_seed(0)).abs()
    before = load_after(skewed_experts("bias"), 1, x)
    moe = skewed_experts("bias")
    after = load_after(moe, 60, x)
    assert before.max() > 1.8 * before.mean()
    assert after.max() < 1.2 * after.mean()
    assert not moe(x)[1].balance().requires_grad
    assert moe(x)[1].z.requires_grad


def test_bias_chooses_experts_but_does_not_change_their_shares():
    moe, x = make_experts(top_k=4, balance="bias"), torch.randn(1, 6, 16)
    before = moe(x)[0]
    moe.choice_bias += torch.tensor([0.5, 0.0, -0.5, 0.1])
    torch.testing.assert_close(moe(x)[0], before, atol=1e-5, rtol=0)


def test_without_a_bias_rebalancing_changes_nothing_and_nothing_is_stored():
    moe = skewed_experts("loss")
    load_after(moe, 2, torch.randn(1, 8, 16))
    assert moe.choice_bias is None
    assert set(moe.state_dict()) == {"router.weight", "up", "down"}
    assert "choice_bias" in skewed_experts("bias").state_dict()


def test_tokens_are_counted_in_training_only_and_taken_once():
    moe, x = make_experts(), torch.randn(1, 6, 16)
    moe.count(moe(x)[1])
    moe.count(moe(x)[1])
    moe.eval().count(moe(x)[1])
    assert moe.take_routed().sum() == 2 * 6 * 2
    assert moe.take_routed().sum() == 0


@pytest.mark.parametrize(("every", "expected"), [(1, [0, 1, 2, 3]), (2, [1, 3]), (3, [0, 3])])
def test_every_nth_layer_has_experts_the_last_one_among_them(every, expected):
    shape = DecoderConfig(layers=4, ff_dim=8, num_experts=2, moe_top_k=1, moe_every=every)
    kinds = [type(make_feedforward(16, shape, index)) for index in range(4)]
    assert [index for index, kind in enumerate(kinds) if kind is MixtureOfExperts] == expected


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_step_on_cuda_does_not_synchronise():
    moe = make_experts(width=64, ff_dim=128).cuda().bfloat16()
    x = torch.randn(2, 64, 64, device="cuda", dtype=torch.bfloat16, requires_grad=True)
    moe(x)[0].sum().backward()  # first use: libraries load
    torch.cuda.set_sync_debug_mode("error")
    try:
        mixed, loss = moe(x)
        (mixed.float().sum() + loss.balance() + loss.z).backward()
        moe.count(loss)
        moe.rebalance(moe.take_routed())
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.isfinite(x.grad).all()
