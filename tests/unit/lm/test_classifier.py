"""Classifiers: heads, padding, long inputs, adapters, and folders that stock classes load."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from genet5.config.lm.finetune import LoraConfig, TaskConfig
from genet5.errors import CheckpointError, ConfigError
from genet5.lm import local_attention
from genet5.lm.classifier import Classifier, load_classifier, new_classifier, with_lora
from genet5.lm.encoders import padded
from genet5.lm.folders import load_model
from genet5.lm.targets import LabelSpace
from lm_toys import random_dna, tiny_lm, write_published_generator

SPACE = LabelSpace("single_label_classification", ("a", "b", "c"))
TEXTS = [random_dna(length, length) for length in (40, 12, 26)]


@pytest.fixture(scope="module", params=["generator", "nucleotide_gpt"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp(request.param)
    tiny_lm(request.param).save(path)
    return path


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("llama")
    tiny_lm().save(path)
    return path


def classifier(folder: Path, **how) -> Classifier:
    found = new_classifier(str(folder), SPACE, TaskConfig(**how), seed=1)
    found.network.eval().requires_grad_(False)
    return found


def logits(model: Classifier, texts: list[str], side: str = "right") -> torch.Tensor:
    rows = [model.encoder.encode("x", text)[0] for text in texts]
    ids, mask = padded(rows, model.encoder.pad_id, side)
    return model.network(input_ids=ids, attention_mask=mask).logits


@pytest.mark.parametrize("side", ["right", "left"])
def test_a_padded_batch_equals_single_sequences(folder: Path, side: str) -> None:
    model = classifier(folder)
    alone = torch.cat([logits(model, [text]) for text in TEXTS])
    torch.testing.assert_close(logits(model, TEXTS, side), alone, atol=1e-5, rtol=1e-4)


def test_a_saved_classifier_loads_in_the_stock_class_with_its_head(
    folder: Path, tmp_path: Path
) -> None:
    model = classifier(folder)
    model.save(tmp_path)
    stock = AutoModelForSequenceClassification.from_pretrained(tmp_path, trust_remote_code=False)
    again = load_classifier(str(tmp_path))
    ids = torch.from_numpy(model.encoder.encode("x", TEXTS[0])[0].astype("int64"))[None]
    torch.testing.assert_close(stock(ids).logits, logits(model, TEXTS[:1]))
    torch.testing.assert_close(logits(again, TEXTS), logits(model, TEXTS))
    assert stock.config.id2label == {0: "a", 1: "b", 2: "c"}
    assert (again.space, again.encoder.task) == (SPACE, model.encoder.task)


def test_the_separator_is_kept_when_a_sequence_is_cut(llama: Path) -> None:
    model = classifier(llama, max_tokens=5)
    ids, is_cut = model.encoder.encode("x", "AAAAAACCCC")
    assert (ids[0], ids[-1], len(ids), is_cut) == (1, 1, 5, True)
    left = classifier(llama, max_tokens=5, padding_side="left").encoder.encode("x", "AAAACCCCCC")
    assert left[0].tolist() == ids[[0, 0, 0, 0, 0]].tolist()[:1] + [15] * 3 + [1]


@pytest.mark.parametrize("how", ["yarn", "chunks"])
def test_more_tokens_than_the_model_was_trained_with(
    folder: Path, tmp_path: Path, how: str
) -> None:
    model = classifier(folder, max_tokens=160, long_inputs=how, chunk_tokens=50)
    texts = [random_dna(150, 1), random_dna(8, 2)]
    alone = torch.cat([logits(model, [text]) for text in texts])
    assert alone.isfinite().all()
    torch.testing.assert_close(logits(model, texts), alone, atol=1e-5, rtol=1e-4)
    model.save(tmp_path)
    torch.testing.assert_close(logits(load_classifier(str(tmp_path)), texts), alone)


def test_chunks_join_the_last_states_of_pieces(llama: Path) -> None:
    model = classifier(llama, max_tokens=90, long_inputs="chunks", chunk_tokens=30)
    ids = torch.from_numpy(model.encoder.encode("x", random_dna(80))[0].astype("int64"))[None]
    parts = [model.network.model(part).last_hidden_state[0, -1] for part in ids.split(30, dim=1)]
    joined = torch.cat([*parts, torch.zeros(3 * 32 - 32 * len(parts))])
    torch.testing.assert_close(model.network.score(joined)[None], model.network(ids).logits)


@pytest.mark.parametrize("side", ["right", "left"])
def test_a_sliding_window_is_mistrals_in_linear_memory(
    llama: Path, tmp_path: Path, side: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_attention, "_QUERIES_AT_ONCE", 50)
    model = classifier(llama, max_tokens=300, long_inputs="sliding_window")
    model.save(tmp_path)
    stock = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert stock.config.model_type == "mistral"
    assert stock.config.sliding_window == 64
    rows = [model.encoder.encode("x", random_dna(size, size))[0] for size in (460, 200)]
    ids, mask = padded(rows, model.encoder.pad_id, side)
    ours = model.network(input_ids=ids, attention_mask=mask).logits
    theirs = stock(input_ids=ids, attention_mask=mask).logits.detach()
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"max_tokens": 100}, "must be at most 64"),
        ({"max_tokens": 60, "long_inputs": "yarn"}, "has no effect: the model takes 64"),
    ],
)
def test_lengths_that_do_not_fit_are_refused(llama: Path, how: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        classifier(llama, **how)


def test_a_sliding_window_needs_llamas_layers(tmp_path: Path) -> None:
    tiny_lm("nucleotide_gpt").save(tmp_path)
    with pytest.raises(ConfigError, match="is not known for nucleotide_gpt"):
        classifier(tmp_path, max_tokens=100, long_inputs="sliding_window")


def test_a_published_checkpoint_gets_a_head_and_its_code_is_not_run(tmp_path: Path) -> None:
    write_published_generator(tmp_path, with_auto_map=True)
    model = classifier(tmp_path)
    assert type(model.network).__name__ == "LlamaForSequenceClassification"
    assert model.network.config.pad_token_id == 3
    ids, _ = model.encoder.encode("x", "AAAAAATTTTTTA")
    assert ids.tolist() == [1, 32, 1397, 1]


def test_unknown_model_types_and_missing_weights_are_refused(llama: Path, tmp_path: Path) -> None:
    config = json.loads((llama / "config.json").read_text())
    for name in ("dna_tokenizer.json", "model.safetensors"):
        (tmp_path / name).write_bytes((llama / name).read_bytes())
    (tmp_path / "config.json").write_text(json.dumps(config | {"model_type": "caduceus"}))
    with pytest.raises(CheckpointError, match="'caduceus' is none that transformers knows"):
        classifier(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))
    with pytest.raises(CheckpointError, match="are missing or have another shape"):
        classifier(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config | {"hidden_size": 64}))
    with pytest.raises(CheckpointError, match=r"weights and config.json do not fit each other"):
        load_model(str(tmp_path))
    config["rope_parameters"] = {"rope_type": "unheard", "rope_theta": 1e4}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=r"cannot be loaded \(KeyError: 'unheard'\)"):
        load_model(str(tmp_path))


def test_low_rank_changes_leave_the_trunk_and_train_the_head(folder: Path) -> None:
    adapted = with_lora(classifier(folder).network, LoraConfig(lora_rank=2))
    trained = {name for name, weight in adapted.named_parameters() if weight.requires_grad}
    assert all("lora_" in name or "score" in name for name in trained)
    assert any("score" in name for name in trained)
    assert any("q_proj" in name for name in trained)
    with pytest.raises(ConfigError, match="must be among"):
        with_lora(classifier(folder).network, LoraConfig(lora_rank=2, lora_targets=("wq",)))


def test_the_same_seed_gives_the_same_head(llama: Path) -> None:
    first, second = (classifier(llama).network.score.weight for _ in range(2))
    assert torch.equal(first, second)
