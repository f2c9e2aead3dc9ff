"""The assembled model: sizes, causality, padding, cache."""

import dataclasses

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from genet5.blocks import anchored
from genet5.config.model import (
    DecoderConfig,
    preset,
)
from genet5.dataset.batch import Batch, Inputs, Targets
from genet5.dataset.collate import silence
from genet5.errors import ConfigError
from genet5.model.network import GeneT5, count_parameters
from genet5.model.results import Encoded
from genet5.train.loss import LossWeights, loss_sums
from genet5.train.objective import gene_objective
from small_models import make_batch, make_model, tiny_config

TOLERANCE = 2e-5  # fp32, a few layers, sums in another order


def map_tensors(batch, change):
    """The batch with every tensor changed."""
    parts = {}
    for name in ("inputs", "targets"):
        part = getattr(batch, name)
        values = {f.name: change(getattr(part, f.name)) for f in dataclasses.fields(part)}
        parts[name] = type(part)(**values)
    return dataclasses.replace(batch, **parts)


def row_of(batch, row, size):
    """The one-window batch that holds row `row` without padding."""
    tokens = -(-size // 3)
    inputs = Inputs(
        input_ids=batch.inputs.input_ids[row : row + 1, :tokens],
        token_start_bp=batch.inputs.token_start_bp[row : row + 1, :tokens],
        num_tokens=batch.inputs.num_tokens[row : row + 1],
        bases=batch.inputs.bases[row : row + 1, :size],
        num_bases=batch.inputs.num_bases[row : row + 1],
        genetic_code=batch.inputs.genetic_code[row : row + 1],
        evidence=batch.inputs.evidence[row : row + 1, :, :size],
    )
    t = batch.targets
    targets = Targets(
        t.labels[row : row + 1],
        t.label_weights[row : row + 1],
        t.position_steps[row : row + 1],
        t.states[row : row + 1, :, :size],
        t.boundaries[row : row + 1, :, :size],
        t.base_weights[row : row + 1, :, :size],
        t.starts[row : row + 1],
    )
    return Batch(inputs, targets, batch.window_ids[row : row + 1])


def test_base_has_the_published_size_and_shape():
    with torch.device("meta"):
        model = GeneT5(preset("base"))
    assert count_parameters(model)["total"] == pytest.approx(1.55e9, rel=0.01)
    shape = model.config.decoder
    assert (shape.heads, shape.kv_heads, shape.num_experts, shape.moe_top_k) == (12, 3, 16, 2)
    assert model.compressor.latents.shape == (1024, 768)
    assert len(model.encoder.layers) == len(model.decoder.layers) == 12


def test_nano_is_small_and_dense():
    with torch.device("meta"):
        model = GeneT5(preset("nano"))
    assert 6.0e6 <= count_parameters(model)["total"] <= 7.0e6
    assert model.config.decoder.num_experts == 0


@pytest.mark.parametrize("num_experts", [0, 4])
@pytest.mark.parametrize("norm_first", [True, False])
@torch.no_grad()
def test_padded_windows_equal_windows_alone(num_experts, norm_first):
    model, lengths = make_model(num_experts=num_experts, norm_first=norm_first), (96, 61)
    batch = make_batch(lengths)
    together = model(batch)
    for row, size in enumerate(lengths):
        alone = model(row_of(batch, row, size))
        torch.testing.assert_close(
            together.token_logits[row : row + 1], alone.token_logits, atol=TOLERANCE, rtol=0
        )
        count = alone.position_logits.shape[1]
        torch.testing.assert_close(
            together.position_logits[row, :count, :size],
            alone.position_logits[0],
            atol=TOLERANCE,
            rtol=0,
        )
        assert (together.position_logits[row, :, size:] == float("-inf")).all()
        torch.testing.assert_close(
            together.encoded.state_logits[row, : size - 8],
            alone.encoded.state_logits[0, : size - 8],
            atol=TOLERANCE,
            rtol=0,
        )


@torch.no_grad()
def test_windows_encoded_in_parts_equal_those_encoded_together():
    model, inputs = make_model(), make_batch((96, 61)).inputs
    together = model.encode(inputs)
    joined = Encoded.joined([model.encode(part) for part in inputs.split(1)])
    assert joined.num_latents.tolist() == together.num_latents.tolist()
    for name in ("latents", "features", "state_logits", "boundary_logits"):
        one, other = getattr(together, name), getattr(joined, name)
        torch.testing.assert_close(other, one, atol=TOLERANCE, rtol=0)
    for one, other in zip(together.keys, joined.keys, strict=True):
        torch.testing.assert_close(other, one, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("norm_first", [True, False])
@torch.no_grad()
def test_interleaved_model_encodes_the_same_as_before(norm_first):
    model, inputs = make_model(norm_first=norm_first), make_batch((96, 61)).inputs
    before = model.encode(inputs)
    model.interleave()
    after = model.encode(inputs)
    for name in ("latents", "features", "state_logits", "boundary_logits"):
        one, other = getattr(before, name), getattr(after, name)
        torch.testing.assert_close(other, one, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("pieces", [(1,) * 20, (3, 1, 4, 20), (20,)])
@pytest.mark.parametrize("num_experts", [0, 4])
@torch.no_grad()
def test_labels_read_piece_by_piece_equal_the_whole_row_at_once(num_experts, pieces):
    model, batch = make_model(num_experts=num_experts), make_batch()
    labels, whole = batch.targets.labels[:, :-1], model(batch)
    encoded = model.encode(batch.inputs)
    cache, states, places = model.start_decoding(encoded), [], []
    for size in pieces:
        piece = labels[:, sum(pieces[: len(states)]) :][:, :size]
        if piece.shape[1]:
            states.append(model.extend(encoded, cache, piece))
    state, places = torch.cat(states, dim=1), cache.places[:, : labels.shape[1]]
    torch.testing.assert_close(
        model.token_logits(state), whole.token_logits, atol=TOLERANCE, rtol=0
    )
    steps = batch.targets.position_steps
    pointing = state.gather(1, steps[..., None].expand(-1, -1, state.shape[-1]))
    scores = model.position_logits(encoded, pointing, places.gather(1, steps))
    torch.testing.assert_close(scores, whole.position_logits, atol=TOLERANCE, rtol=0)


@torch.no_grad()
def test_rows_that_are_at_different_labels_read_on_as_they_would_alone():
    model, batch = make_model(), make_batch()
    encoded, labels = model.encode(batch.inputs), batch.targets.labels
    whole = model.extend(encoded, model.start_decoding(encoded), labels[:, :6])
    cache = model.start_decoding(encoded)
    model.extend(encoded, cache, torch.cat((labels[:, :3], torch.full((2, 4), 1)), dim=1))
    cache.lengths = np.array([3, 2])  # what the second row read third is taken back
    assert cache.place().tolist() == [
        int(cache.places[0, 2]),
        int(cache.places[1, 1]),
    ]
    ragged = torch.stack((labels[0, 3:6], labels[1, 2:5]))
    states = model.extend(encoded, cache, ragged)
    torch.testing.assert_close(states[0], whole[0, 3:6], atol=TOLERANCE, rtol=0)
    torch.testing.assert_close(states[1], whole[1, 2:5], atol=TOLERANCE, rtol=0)


PASSES = pytest.mark.parametrize("norm_first", [False, True])


def training_pass(model, batch, device):
    with torch.autocast(device, torch.bfloat16):
        output = model(batch)
    terms = loss_sums(output, batch, LossWeights())
    torch.stack([term.weight * term.sum / 7 for term in terms.values()]).sum().backward()


@pytest.mark.slow
@PASSES
def test_no_value_is_read_in_a_training_pass(norm_first, monkeypatch):
    """Fake tensors have none: item, nonzero, bincount or a mask as index raise."""
    monkeypatch.setattr(anchored, "_AT_HAND", frozenset())  # as on a GPU
    batch = make_batch()
    with FakeTensorMode() as fakes:
        model = GeneT5(tiny_config(num_experts=4, encoder_experts=4, norm_first=norm_first))
        training_pass(model, map_tensors(batch, fakes.from_tensor), "cpu")
    assert model.stem.conv1.weight.grad.shape == model.stem.conv1.weight.shape


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@PASSES
def test_a_training_pass_on_cuda_does_not_synchronise(norm_first):
    model = make_model(num_experts=4, encoder_experts=4, norm_first=norm_first).cuda().train()
    batch = make_batch().to("cuda")
    training_pass(model, batch, "cuda")  # first use: libraries load, flex compiles
    torch.cuda.set_sync_debug_mode("error")
    try:
        training_pass(model, batch, "cuda")
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.isfinite(model.stem.conv1.weight.grad).all()


@torch.no_grad()
def test_dropping_rows_does_not_change_the_others():
    model, batch = make_model(), make_batch()
    encoded, labels = model.encode(batch.inputs), batch.targets.labels
    cache = model.start_decoding(encoded)
    model.extend(encoded, cache, labels[:, :1])
    expected = model.extend(encoded, cache, labels[:, 1:2])
    places = cache.place()
    cache = model.start_decoding(encoded)
    model.extend(encoded, cache, labels[:, :1])
    cache.keep(np.array([1]))
    state = model.extend(encoded, cache, labels[1:, 1:2])
    torch.testing.assert_close(state, expected[1:], atol=TOLERANCE, rtol=0)
    assert cache.rows.tolist() == [1]
    assert cache.place().tolist() == places[1:].tolist()


@torch.no_grad()
def test_no_label_changes_what_is_predicted_before_it():
    model, batch = make_model(), make_batch()
    before = model(batch)
    for changed in (3, 7):
        labels = batch.targets.labels.clone()
        labels[:, changed] = 5
        other = model(
            dataclasses.replace(batch, targets=dataclasses.replace(batch.targets, labels=labels))
        )
        torch.testing.assert_close(
            other.token_logits[:, :changed], before.token_logits[:, :changed], atol=0, rtol=0
        )
        assert not torch.equal(other.token_logits[:, changed:], before.token_logits[:, changed:])


def test_every_weight_gets_a_gradient_and_losses_are_finite():
    model, batch = make_model(num_experts=2).train(), make_batch()
    terms = loss_sums(model(batch), batch, LossWeights())
    assert set(terms) == {"token", "position", "state", "boundary", "balance", "router_z"}
    sum(term.weight * term.sum / term.count for term in terms.values()).backward()
    without = [n for n, w in model.named_parameters() if w.grad is None or not w.grad.any()]
    assert without == []


def test_experts_in_the_encoder_have_losses_of_their_own_that_a_silenced_batch_leaves_out():
    model, batch = make_model(encoder_experts=4, norm_first=False).train(), make_batch()
    experts = {n.split(".")[2] for n, _ in model.named_parameters() if n.endswith("router.weight")}
    assert experts == {"1"}  # every second layer, the last one among them
    objective = gene_objective(model, LossWeights())
    terms = objective.sums(model(batch), batch)
    assert terms["encoder_balance"].count == batch.inputs.num_tokens.sum()
    assert "balance" not in terms
    sum(term.weight * term.sum / term.count for term in terms.values()).backward()
    without = [n for n, w in model.named_parameters() if w.grad is None or not w.grad.any()]
    assert without == []
    for name, count in objective.counts(batch).items():
        assert count == terms[name].count
    silent = silence(batch)
    terms = objective.sums(model(silent), silent)
    assert terms["encoder_balance"].sum == terms["encoder_router_z"].sum == 0
    assert objective.counts(silent)["encoder_balance"] == 0


@pytest.mark.parametrize("every", [None, 1, 2])
def test_recomputed_layers_count_their_tokens_once(every):
    model = make_model(num_experts=4).train()
    if every:
        model.enable_gradient_checkpointing(every)
    batch = make_batch()
    loss_sums(model(batch), batch, LossWeights())["token"].sum.backward()
    routed = [layer.feedforward.take_routed().sum().item() for layer in model.decoder.layers]
    assert routed == [2 * 11 * 2] * 2  # windows, labels after the first, experts


@pytest.mark.parametrize("every", [1, 2])
def test_checkpointed_layers_give_the_same_gradients(every):
    batch, gradients = make_batch(), []
    for checkpointed in (False, True):
        model = make_model().train()
        if checkpointed:
            model.enable_gradient_checkpointing(every)
        loss_sums(model(batch), batch, LossWeights())["token"].sum.backward()
        gradients.append([w.grad for w in model.parameters() if w.grad is not None])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)


@torch.no_grad()
def test_added_base_features_start_without_effect():
    model = GeneT5(tiny_config())
    model.init_weights(1)
    batch = make_batch()
    added = (
        model.stem.pool(torch.randn(2, 96, 16), torch.zeros(2, 96, dtype=torch.int64), 32)
        + model.code_embedding(batch.inputs.genetic_code)[:, None]
    )
    assert not added.any()


def test_a_model_is_made_where_torch_is_told_to():
    with torch.device("meta"):
        model = GeneT5(tiny_config())
    assert all(t.is_meta for t in (*model.parameters(), *model.buffers()))


def test_same_seed_gives_the_same_weights_and_another_does_not():
    one, same, other = (GeneT5(tiny_config()) for _ in range(3))
    for model, seed in ((one, 3), (same, 3), (other, 4)):
        model.init_weights(seed)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), same.parameters(), strict=True))
    assert not torch.equal(one.pointer.key_where.weight, other.pointer.key_where.weight)


def test_window_beyond_the_latents_is_refused():
    with pytest.raises(ValueError, match="takes up to 128 bp"):
        make_model().encode(make_batch((132,)).inputs)


def test_wrong_shapes_name_the_field():
    with pytest.raises(ConfigError, match=r"decoder\.kv_heads"):
        dataclasses.replace(tiny_config(), decoder=DecoderConfig(heads=4, kv_heads=3, moe_top_k=1))
