"""Freezing parts of a model, and learning rates by part and layer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from genet5.config.parts import PartsConfig
from genet5.config.train import OptimConfig
from genet5.errors import ConfigError
from genet5.model.adapters import merged
from genet5.train.optim import FACTOR, build_optimizer, set_learning_rate
from genet5.train.parts import (
    count_trained,
    describe_parts,
    freeze,
    learning_rates,
    settle_parts,
)


def test_a_frozen_part_keeps_its_weights_while_the_others_move(toy: Any, tmp_path: Path) -> None:
    model, parts = toy.Model(), PartsConfig(freeze=("linear",))
    settle_parts(model, parts)
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    toy.trainer(toy.config(tmp_path, parts=parts, max_steps=2), model=model).run()
    after = dict(model.named_parameters())
    assert torch.equal(before["linear.weight"], after["linear.weight"])
    assert torch.equal(before["linear.bias"], after["linear.bias"])
    assert not torch.equal(before["norm.weight"], after["norm.weight"])


def test_a_run_with_frozen_and_slow_parts_resumes_exactly(toy: Any, tmp_path: Path) -> None:
    parts = PartsConfig(freeze=("norm",), lr_scale=("linear=0.1",))

    def trainer(out: str, resumed: Path | None = None) -> Any:
        torch.manual_seed(0)
        model = toy.Model()
        settle_parts(model, parts)
        config = toy.config(tmp_path / out, parts=parts, max_steps=4, checkpoints={"save_steps": 2})
        made = toy.trainer(config, model=model)
        if resumed is not None:
            made.resume(resumed)
        made.run()
        return model.state_dict()

    whole = trainer("whole")
    resumed = trainer("resumed", tmp_path / "whole" / "checkpoints" / "step-00000002")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_the_embedding_of_a_tied_head_is_frozen_with_it(toy: Any) -> None:
    model = toy.Model()
    freeze(model, ["head"])
    assert not model.embedding.weight.requires_grad
    assert count_trained(model) == 16 * 16 + 16 + 32 + 3


def test_a_single_layer_can_be_frozen(toy: Any) -> None:
    model = toy.tiny_gene_model()
    freeze(model, ["encoder.layers.1"])
    layers = model.encoder.layers
    assert [count_trained(layer) > 0 for layer in layers] == [True, False]


@pytest.mark.parametrize("config", [PartsConfig(freeze=("enc",)), PartsConfig(lr_scale=("enc=2",))])
def test_an_unknown_part_is_refused_with_the_known_ones(toy: Any, config: PartsConfig) -> None:
    with pytest.raises(ConfigError, match=r"'enc'.* stem, code_embedding, encoder, "):
        settle_parts(toy.tiny_gene_model(), config)


def test_something_must_be_left_to_train(toy: Any) -> None:
    names = ("embedding", "norm", "linear", "unused")
    with pytest.raises(ConfigError, match="must leave something to train"):
        settle_parts(toy.Model(), PartsConfig(freeze=names))


@pytest.mark.parametrize("word", ["encoder", "encoder=fast", "=0.1", "encoder=0", "encoder=nan"])
def test_a_factor_is_a_number_above_zero(word: str) -> None:
    with pytest.raises(ConfigError, match="lr_scale"):
        PartsConfig(lr_scale=(word,))


def test_the_longest_name_that_fits_gives_the_rate(toy: Any) -> None:
    factor = learning_rates(
        toy.tiny_gene_model(), PartsConfig(lr_scale=("encoder=0.5", "encoder.layers.1=0.25"))
    )
    assert factor("encoder.layers.0.norm1.weight") == 0.5
    assert factor("encoder.layers.1.norm1.weight") == 0.25
    assert factor("decoder.layers.1.norm1.weight") == 1.0


def test_rates_fall_from_layer_to_layer_below(toy: Any) -> None:
    factor = learning_rates(toy.tiny_gene_model(), PartsConfig(layer_decay=0.5))
    names = ("decoder.x", "encoder.layers.1.x", "encoder.layers.0.x", "stem.x", "encoder.embedding")
    assert [factor(name) for name in names] == [1.0, 0.5, 0.25, 0.125, 0.125]
    assert factor("network.model.layers.0.x") == 0.25


def test_each_group_of_the_optimizer_learns_at_its_rate(toy: Any) -> None:
    parts = PartsConfig(lr_scale=("linear=0.1",))
    optimizer = build_optimizer(toy.Model(), OptimConfig(), parts)
    set_learning_rate(optimizer, 2.0)
    rates = [(group[FACTOR], round(group["lr"], 9)) for group in optimizer.param_groups]
    assert rates == [(1.0, 2.0), (0.1, 0.2), (0.1, 0.2)]


def test_parts_are_listed_with_counts_and_rates(toy: Any) -> None:
    model, parts = toy.Model(), PartsConfig(freeze=("norm",), lr_scale=("linear=0.1",))
    settle_parts(model, parts)
    lines = describe_parts(model, parts)
    assert "norm: 32 parameters, 0 trained" in lines
    assert "linear: 272 parameters, 272 trained, learning rate x 0.1" in lines


@pytest.mark.slow
@pytest.mark.parametrize("num_experts", [0, 4])
def test_adapters_begin_without_effect_and_are_all_that_is_trained(
    toy: Any, num_experts: int
) -> None:
    pytest.importorskip("peft", reason="the extra `lm` is not installed")
    model, batch = toy.tiny_gene_model(num_experts).eval(), toy.gene_batch()
    before = model(batch).token_logits
    settle_parts(model, PartsConfig(lora_rank=2), seed=1)
    assert torch.equal(model(batch).token_logits, before)
    trained = [name for name, weight in model.named_parameters() if weight.requires_grad]
    assert trained
    assert all(".lora_" in name and ".layers." in name for name in trained)
    output = model(batch)
    (output.token_logits.sum() + output.encoded.state_logits.sum()).backward()
    ups = [weight for name, weight in model.named_parameters() if ".lora_B." in name]
    assert all(weight.grad is not None for weight in ups)


def test_merged_adapters_compute_what_they_did_apart(toy: Any) -> None:
    pytest.importorskip("peft", reason="the extra `lm` is not installed")
    model, batch = toy.tiny_gene_model().eval(), toy.gene_batch()
    plain = model.stored().keys()
    settle_parts(model, PartsConfig(lora_rank=2), seed=1)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if ".lora_B." in name:
                weight.normal_(0, 0.1)
        apart = model(batch)
        weights = merged(model.stored())
        together = model.rebuilt(weights).eval()(batch)
    assert weights.keys() == plain
    torch.testing.assert_close(together.token_logits, apart.token_logits)
    torch.testing.assert_close(together.encoded.state_logits, apart.encoded.state_logits)


def test_equal_seeds_make_equal_adapters_and_leave_the_random_state(toy: Any) -> None:
    pytest.importorskip("peft", reason="the extra `lm` is not installed")
    models = [toy.tiny_gene_model() for _ in range(2)]
    state = torch.get_rng_state()
    for model in models:
        settle_parts(model, PartsConfig(lora_rank=2), seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    first, second = (model.state_dict() for model in models)
    assert all(torch.equal(first[name], second[name]) for name in first)
