"""Experts against a loop over tokens."""

import torch
from torch.nn import functional as F

from genet5.blocks.moe import MixtureOfExperts


def make_experts(num_experts=4, top_k=2, width=16, ff_dim=32):
    moe = MixtureOfExperts(width, ff_dim, num_experts, top_k)
    for weight in moe.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    return moe


def expert_output(moe, x, expert):
    gate, value = (x @ moe.up[expert]).chunk(2, dim=-1)
    return (F.gelu(gate) * value) @ moe.down[expert]


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
    torch.testing.assert_close(loss.balance / 4, torch.tensor(1.0))
    torch.testing.assert_close(loss.z / 4, torch.log(torch.tensor(4.0)) ** 2)
