"""Losses by hand: tokens, single bases of k-mers (FNS), repeat weights, chunks, accumulation."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from genet5.dataset.windows import Window
from genet5.errors import ConfigError
from genet5.genome.sequence import encode_bases
from genet5.lm.bpe import BpeVocabulary
from genet5.lm.causal_batch import CausalBatch, CausalCollator
from genet5.lm.causal_loss import CausalLoss, LossName
from genet5.lm.trainable import TrainableLm, causal_objective
from genet5.lm.vocabulary import (
    generator_vocabulary,
    nucleotide_gpt_kmers,
    nucleotide_gpt_vocabulary,
)
from genet5.train.distributed.processes import Ranks
from genet5.train.objective import step_counts
from lm_toys import bpe_json, pair_vocabulary, random_dna, tiny_lm

PAIRS = pair_vocabulary()


def window(text: str) -> Window:
    empty = np.zeros(0, dtype=np.int32)
    return Window(
        bases=encode_bases(text),
        input_ids=empty,
        token_start_bp=empty,
        labels=empty,
        label_weights=np.zeros(0, dtype=np.float32),
        genetic_code=0,
        clade="",
        genome="g",
        contig="c",
        start=0,
        strand=1,
    )


def batch_of(texts: Sequence[str], vocabulary=PAIRS, **how) -> CausalBatch:
    collator = CausalCollator(vocabulary, **how)
    return collator.collate([window(t) for t in texts], epoch=0, first_row=0, silent=False)


def sums_of(logits: Tensor, targets: Tensor, kind: LossName, vocabulary=PAIRS) -> Tensor:
    """The loss of given logits: the output matrix is the identity."""
    ones = torch.ones(len(targets))
    identity = torch.eye(logits.shape[1])
    return CausalLoss(vocabulary, kind)(logits, identity, targets, ones, ones < 0)


def test_the_base_loss_equals_an_enumeration() -> None:
    logits = torch.randn(3, PAIRS.vocab_size, generator=torch.Generator().manual_seed(1))
    targets = PAIRS.encode(encode_bases("ACGTTC"))
    expected = 0.0
    for row, target in zip(logits.double(), targets.tolist(), strict=True):
        p = row[5:].softmax(-1)
        for place in range(2):
            base = PAIRS.decode([target])[place]
            same = [n for n in range(16) if PAIRS.decode([5 + n])[place] == base]
            expected -= float(p[same].sum().log()) / 2
    found = sums_of(logits, torch.from_numpy(targets).long(), "base")[0]
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_the_base_loss_of_a_model_that_factorises_is_the_token_loss_by_k() -> None:
    places = torch.randn(2, 4, generator=torch.Generator().manual_seed(2)).log_softmax(-1)
    logits = torch.full((1, PAIRS.vocab_size), -torch.inf)
    for n, (first, second) in enumerate(itertools.product(range(4), repeat=2)):
        logits[0, 5 + n] = places[0, first] + places[1, second]
    target = torch.tensor([11])
    token, base = (float(sums_of(logits.clamp_min(-90), target, kind)[0]) for kind in
                   ("token", "base"))  # fmt: skip
    assert base == pytest.approx(token / 2, rel=1e-5)


def test_special_tokens_lend_no_probability_to_a_base() -> None:
    logits = torch.zeros(1, PAIRS.vocab_size)
    raised = logits.clone()
    raised[0, :5] = 7.0
    target = torch.tensor([8])
    assert float(sums_of(logits, target, "base")[0]) == pytest.approx(np.log(4))
    assert float(sums_of(raised, target, "base")[0]) == pytest.approx(np.log(4))


def test_a_special_target_counts_its_cross_entropy_by_k() -> None:
    logits = torch.randn(1, PAIRS.vocab_size, generator=torch.Generator().manual_seed(3))
    end = torch.tensor([PAIRS.eos_id])
    token, base = (float(sums_of(logits, end, kind)[0]) for kind in ("token", "base"))
    assert base == pytest.approx(token / 2)


def test_mixed_is_the_mean_of_both_in_nats_per_base() -> None:
    logits = torch.randn(1, PAIRS.vocab_size, generator=torch.Generator().manual_seed(4))
    target = torch.tensor([12])
    token, base, mixed = (
        float(sums_of(logits, target, kind)[0]) for kind in ("token", "base", "mixed")
    )
    assert mixed == pytest.approx((token / 2 + base) / 2)


@pytest.mark.parametrize(
    "vocabulary", [BpeVocabulary(bpe_json()), nucleotide_gpt_kmers(is_overlapping=True)]
)
def test_the_base_loss_needs_bases_at_fixed_places(vocabulary) -> None:
    with pytest.raises(ConfigError, match="needs k-mers that do not overlap"):
        CausalLoss(vocabulary, "base")


@pytest.mark.parametrize("kind", ["token", "base"])
def test_chunks_give_the_loss_and_gradient_of_one_pass(
    kind: LossName, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch, found = batch_of([random_dna(40), random_dna(26, 1)]), []
    for size in (2048, 5):
        monkeypatch.setattr("genet5.lm.causal_loss.POSITIONS_AT_ONCE", size)
        model = trainable(kind)
        model(batch)[0, 0].backward()
        found.append([p.grad for p in model.parameters()])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


def trainable(kind: LossName = "token", family: str = "generator") -> TrainableLm:
    lm = tiny_lm(family)
    lm.network.requires_grad_(True)
    return TrainableLm(lm, CausalLoss(lm.vocabulary, kind))


def gradient_of(batches: Sequence[CausalBatch], kind: LossName) -> list[Tensor]:
    model, objective = trainable(kind), causal_objective()
    counts = step_counts(objective, batches, Ranks())
    for batch in batches:
        (objective.sums(model(batch), batch)["causal"].sum / counts["causal"]).backward()
    return [parameter.grad for parameter in model.parameters()]


@pytest.mark.parametrize("kind", ["token", "base"])
def test_one_batch_of_eight_has_the_gradient_of_four_of_two(kind: LossName) -> None:
    texts = [random_dna(12 + n, n) for n in range(8)]
    texts[3] = texts[3].lower()
    how = {"repeat_weight": 0.5}
    whole = gradient_of([batch_of(texts, **how)], kind)
    parts = gradient_of([batch_of(texts[n : n + 2], **how) for n in range(0, 8, 2)], kind)
    for one, other in zip(whole, parts, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("family", ["generator", "nucleotide_gpt"])
def test_repeat_weights_count_soft_masked_targets_and_normalise(family: str) -> None:
    text, model = "ACGTacgtacGGCATT", trainable("token", family)
    vocabulary = pair_vocabulary() if family == "generator" else nucleotide_gpt_vocabulary()
    objective, means = causal_objective(), {}
    for weight in (0.0, 0.5, 1.0):
        batch = batch_of([text], vocabulary, repeat_weight=weight)
        term = objective.sums(model(batch), batch)["causal"]
        means[weight] = float(term.sum.detach() / term.count)
    batch = batch_of([text], vocabulary)
    log_p = model.network(batch.ids).logits[0, :-1].log_softmax(-1)
    nll = -log_p.gather(-1, batch.ids[0, 1:, None])[:, 0]
    is_lower = batch.is_lower[0, 1:]
    assert means[1.0] == pytest.approx(float(nll.mean()), rel=1e-5)
    assert means[0.0] == pytest.approx(float(nll[~is_lower].mean()), rel=1e-5)
    weights = torch.where(is_lower, 0.5, 1.0)
    expected = float((nll * weights).sum() / weights.sum())
    assert means[0.5] == pytest.approx(expected, rel=1e-5)


def test_measures_are_accuracies_by_case_and_bits_per_base() -> None:
    model, objective = trainable(), causal_objective()
    batch = batch_of(["ACGTacgtacGGCATT", "ACG"])
    found = {n: float(t.sum / t.count) for n, t in objective.sums(model(batch), batch).items()}
    logits, targets = model.network(batch.ids).logits[0, :-1], batch.ids[0, 1:]
    right = (logits.argmax(-1) == targets).float()
    is_lower = batch.is_lower[0, 1:]
    assert int(is_lower.sum()) == 3
    assert found["lower_accuracy"] == pytest.approx(float(right[is_lower].mean()))
    assert objective.name("accuracy") == "accuracy"
    assert objective.name("causal") == "loss_causal"
    assert found["bits_per_base"] == pytest.approx(found["causal"] / np.log(2) / 2, rel=1e-5)


@pytest.mark.parametrize(
    ("text", "is_lower"), [("acgTTT", False), ("acgtTT", True), ("ACGTTT", False)]
)
def test_a_6_mer_is_soft_masked_if_more_than_three_bases_are(text: str, is_lower: bool) -> None:
    batch = batch_of([text], generator_vocabulary())
    assert batch.is_lower.tolist() == [[False, is_lower]]


def test_padding_unknown_tokens_and_the_beginning_are_no_targets() -> None:
    batch = batch_of(["ACNTGGCA", "AC"])
    assert batch.ids.shape == (2, 5)
    assert batch.weights.tolist() == [[0, 1, 0, 1, 1], [0, 1, 0, 0, 0]]
    assert batch.bases.sum() == 8
    assert (batch.sizes.tokens, batch.sizes.bases, batch.sizes.padded_tokens) == (7, 10, 10)


def test_a_silent_batch_has_no_target() -> None:
    collator = CausalCollator(PAIRS)
    batch = collator.collate([window("ACGT")], epoch=0, first_row=0, silent=True)
    assert float(batch.weights.sum()) == float(batch.bases.sum()) == 0.0


def test_start_phases_follow_from_seed_epoch_and_row_alone() -> None:
    texts, vocabulary = [random_dna(40, n) for n in range(6)], generator_vocabulary()

    def ids(seed: int | None, epoch: int) -> list[list[int]]:
        collator = CausalCollator(vocabulary, seed=seed)
        windows = [window(text) for text in texts]
        return collator.collate(windows, epoch=epoch, first_row=3, silent=False).ids.tolist()

    assert ids(7, 0) == ids(7, 0)
    assert ids(7, 0) != ids(7, 1)
    assert ids(7, 0) != ids(8, 0)
    plain = [[1, *vocabulary.encode(encode_bases(text)).tolist()] for text in texts]
    assert ids(None, 0) == ids(None, 5) == plain


@pytest.mark.parametrize("kind", ["token", "base", "mixed"])
def test_the_slope_in_closed_form_is_that_of_differences(kind: LossName) -> None:
    generator = torch.Generator().manual_seed(6)
    logits = torch.randn(3, PAIRS.vocab_size, generator=generator).double()
    targets, weights = torch.tensor([7, PAIRS.eos_id, 19]), torch.tensor([1.0, 0.5, 0.0]).double()
    loss = CausalLoss(PAIRS, kind).double()
    slope = logits.clone()
    loss.losses(slope, targets, slope_of=weights)
    for row, column in itertools.product(range(3), range(PAIRS.vocab_size)):
        values = []
        for step in (1e-5, -1e-5):
            moved = logits.clone()
            moved[row, column] += step
            values.append(float((loss.losses(moved, targets).loss * weights).sum()))
        assert float(slope[row, column]) == pytest.approx((values[0] - values[1]) / 2e-5, abs=1e-8)


def test_without_gradients_each_window_has_its_sums() -> None:
    batch, model = batch_of([random_dna(40), random_dna(26, 1), "NNNN"]), trainable("mixed")
    with torch.no_grad():
        rows = model(batch)
    assert rows.shape == (3, 4)
    torch.testing.assert_close(rows.sum(0, keepdim=True), model(batch).detach())
    assert rows[2].tolist() == [0, 0, 0, 0]


def test_a_group_has_the_loss_of_its_windows() -> None:
    texts, model, objective = [random_dna(40), random_dna(26, 1)], trainable(), causal_objective()
    both, alone = batch_of(texts), batch_of(texts[1:])
    assert objective.some_sums is not None
    with torch.no_grad():
        part = objective.some_sums(model(both), both, torch.tensor([False, True]))["causal"]
        whole = objective.sums(model(alone), alone)["causal"]
    assert float(part.sum) == pytest.approx(float(whole.sum), rel=1e-5)
    assert part.count == whole.count


def test_attention_that_is_not_installed_is_named() -> None:
    how = {"checkpointing": False, "compiled": False}
    with pytest.raises(ConfigError, match="flash_attention_2': cannot be used"):
        trainable().prepare(attention="flash_attention_2", **how)
