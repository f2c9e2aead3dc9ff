"""Losses against their definitions written as loops."""

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from genet5.dataset.batch import Batch, Targets, position_steps
from genet5.dataset.per_base import IGNORE
from genet5.errors import ConfigError
from genet5.tokens.successors import successors
from genet5.train.loss import LossWeights, loss_sums

PAD = 0
LABELS = torch.tensor([[1, 30, -1 - 4, -1 - 9, 2], [1, -1 - 3, 2, PAD, PAD]])
WEIGHTS = torch.tensor([[1.0, 1.0, 1.0, 0.0, 1.0], [1.0, 1.0, 1.0, 0.0, 0.0]])


def make_case(seed=0, length=12):
    draw = torch.Generator().manual_seed(seed)
    states = torch.randint(0, 8, (2, 2, length), generator=draw).to(torch.int8)
    states[0, 0, :3] = IGNORE
    boundaries = (torch.rand(2, 8, length, generator=draw) < 0.2).to(torch.int8)
    output = SimpleNamespace(
        token_logits=torch.randn(2, 4, 70, generator=draw),
        position_logits=torch.randn(2, 2, length, generator=draw),
        encoded=SimpleNamespace(
            state_logits=torch.randn(2, length, 2, 8, generator=draw),
            boundary_logits=torch.randn(2, length, 8, generator=draw),
        ),
        router_losses=[],
        encoder_router_losses=[],
    )
    targets = Targets(
        labels=LABELS,
        label_weights=WEIGHTS,
        position_steps=position_steps(LABELS),
        states=states,
        boundaries=boundaries,
        base_weights=torch.ones(2, 2, length),
        starts=torch.full((*LABELS.shape, 9), -1, dtype=torch.int32),
    )
    return output, Batch(None, targets, ("a", "b"))


def cross_entropy(logits, goal):
    return -math.log(logits.double().softmax(-1)[goal])


def test_tokens_and_positions_count_where_they_are_meant_and_weighted():
    output, batch = make_case()
    terms = loss_sums(output, batch, LossWeights())
    tokens = [(0, 0, 30), (0, 3, 2), (1, 1, 2)]
    expected = sum(
        cross_entropy(output.token_logits[row, step], goal) for row, step, goal in tokens
    )
    assert terms["token"].count == 3
    assert terms["token"].sum.item() == pytest.approx(expected, rel=1e-5)
    pointed = [(0, 0, 4), (1, 0, 3)]  # the position with weight 0 is left out
    expected = sum(cross_entropy(output.position_logits[row, p], goal) for row, p, goal in pointed)
    assert terms["position"].count == 2
    assert terms["position"].sum.item() == pytest.approx(expected, rel=1e-5)


def test_smoothing_spreads_over_the_tokens_that_may_come_next():
    output, batch = make_case()
    term = loss_sums(output, batch, LossWeights(label_smoothing=0.2))["token"]
    expected = 0.0
    for row, step, goal in [(0, 0, 30), (0, 3, 2), (1, 1, 2)]:
        before = int(LABELS[row, step])
        legal = successors(70)[70 if before < 0 else before].nonzero()[0]
        losses = [cross_entropy(output.token_logits[row, step], token) for token in legal]
        expected += 0.8 * cross_entropy(output.token_logits[row, step], goal)
        expected += 0.2 * sum(losses) / len(losses)
    assert term.sum.item() == pytest.approx(expected, rel=1e-5)


def test_states_leave_ignored_bases_out():
    output, batch = make_case()
    term = loss_sums(output, batch, LossWeights())["state"]
    logits, states = output.encoded.state_logits, batch.targets.states
    expected = sum(
        cross_entropy(logits[n, base, strand], int(states[n, strand, base]))
        for n in range(2)
        for strand in range(2)
        for base in range(12)
        if states[n, strand, base] != IGNORE
    )
    assert term.count == 2 * 2 * 12 - 3
    assert term.sum.item() == pytest.approx(expected, rel=1e-5)


def test_boundaries_are_divided_by_true_ones_and_follow_the_strand_of_ignored_bases():
    output, batch = make_case()
    term = loss_sums(output, batch, LossWeights())["boundary"]
    probability = output.encoded.boundary_logits.double().sigmoid()
    expected, count = 0.0, 0
    for n in range(2):
        for kind in range(8):
            for base in range(12):
                if batch.targets.states[n, kind % 2, base] == IGNORE:
                    continue
                true = bool(batch.targets.boundaries[n, kind, base])
                p = float(probability[n, base, kind])
                expected -= math.log(p if true else 1 - p)
                count += true
    assert term.count == count
    assert term.sum.item() == pytest.approx(expected, rel=1e-5)


def test_infinite_logits_behind_a_window_give_finite_gradients():
    output, batch = make_case()
    logits = output.position_logits.requires_grad_()
    output.position_logits = logits.masked_fill(torch.arange(12) >= 10, float("-inf"))
    loss_sums(output, batch, LossWeights())["position"].sum.backward()
    assert torch.isfinite(logits.grad).all()
    assert logits.grad.any()


def test_smoothing_beyond_its_range_is_refused():
    with pytest.raises(ConfigError, match="label_smoothing"):
        LossWeights(label_smoothing=1.0)


def with_targets(batch, **changes):
    return replace(batch, targets=replace(batch.targets, **changes))


def test_unknown_boundaries_have_no_loss_and_heavy_bases_count_for_more():
    output, batch = make_case()
    boundaries = batch.targets.boundaries.clone()
    boundaries[1, 2, 4] = IGNORE
    heavy = torch.ones(2, 2, 12)
    heavy[1, 0, 7] = 3.0
    probability = output.encoded.boundary_logits.double().sigmoid()
    before = loss_sums(output, batch, LossWeights())
    after = loss_sums(
        output, with_targets(batch, boundaries=boundaries, base_weights=heavy), LossWeights()
    )

    def boundary_loss(kind, base):
        p = float(probability[1, base, kind])
        return -math.log(p if batch.targets.boundaries[1, kind, base] else 1 - p)

    added = 2 * sum(boundary_loss(kind, 7) for kind in (0, 2, 4, 6)) - boundary_loss(2, 4)
    difference = after["boundary"].sum - before["boundary"].sum
    assert difference.item() == pytest.approx(added, rel=1e-4)
    state = cross_entropy(output.encoded.state_logits[1, 7, 0], int(batch.targets.states[1, 0, 7]))
    difference = after["state"].sum - before["state"].sum
    assert difference.item() == pytest.approx(2 * state, rel=1e-3)
    assert after["state"].count - before["state"].count == 2


def test_starts_are_chosen_among_their_rivals_by_pointer_and_by_boundary():
    output, batch = make_case()
    starts = batch.targets.starts.clone()
    starts[0, 2, :3] = torch.tensor([2 * 4, 2 * 1, 2 * 10])  # base 4, rivals 1 and 10, on +
    starts[1, 1, :2] = torch.tensor([2 * 3 + 1, 2 * 6 + 1])  # base 3, rival 6, on -
    starts[0, 3, :2] = torch.tensor([2 * 9, 2 * 6])  # its label has weight 0
    batch = with_targets(batch, starts=starts)
    assert "start" not in loss_sums(output, batch, LossWeights())
    terms = loss_sums(output, batch, LossWeights(start=0.5))
    pointer, edges = output.position_logits, output.encoded.boundary_logits
    expected = cross_entropy(pointer[0, 0][[4, 1, 10]], 0) + cross_entropy(pointer[1, 0][[3, 6]], 0)
    assert terms["start"].sum.item() == pytest.approx(expected, rel=1e-5)
    expected = cross_entropy(edges[0, [4, 1, 10], 0], 0) + cross_entropy(edges[1, [3, 6], 1], 0)
    assert terms["start_boundary"].sum.item() == pytest.approx(expected, rel=1e-5)
    assert terms["start"].count == terms["start_boundary"].count == 2
    assert terms["start"].weight == 0.5


def test_a_batch_without_starts_has_a_finite_gradient():
    output, batch = make_case()
    output.position_logits.requires_grad_()
    loss_sums(output, batch, LossWeights(start=1.0))["start"].sum.backward()
    assert not output.position_logits.grad.any()
