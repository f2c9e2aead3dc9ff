"""Comparing models: adapters of published layouts, refusals, protocols and intervals."""

from __future__ import annotations

import csv
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForMaskedLM, EsmConfig, EsmForMaskedLM, set_seed

from genet5.cli import main
from genet5.config.lm.bench import LmBenchConfig
from genet5.config.lm.finetune import FinetuneComputeConfig, FinetuneOptimConfig, TaskConfig
from genet5.errors import CheckpointError, ConfigError, FormatError
from genet5.genome.sequence import checked_bases
from genet5.lm.bench import bench, intervals
from genet5.lm.classifier import load_classifier, new_classifier, read_vocabulary
from genet5.lm.encoders import padded
from genet5.lm.examples import Example
from genet5.lm.frozen import drawn, kmer_shares, mean_states
from genet5.lm.targets import LabelSpace
from lm_toys import bpe_json, random_dna, tiny_lm

SPACE = LabelSpace("single_label_classification", ("poor", "rich"))
SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
         "intermediate_size": 24}  # fmt: skip


def words(k: int) -> list[str]:
    return ["".join(word) for word in itertools.product("ATCG", repeat=k)]


def write_dnabert(folder: Path) -> Path:
    """A small BERT with overlapping 3-mers, in the layout of DNABERT."""
    set_seed(0)
    vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words(3)]
    config = BertConfig(vocab_size=len(vocab), max_position_embeddings=40, **SIZES)
    BertForMaskedLM(config).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(vocab) + "\n")
    return folder


def write_nucleotide_transformer(folder: Path) -> Path:
    """A small ESM with 2-mers and letters, in the layout of the Nucleotide Transformer."""
    set_seed(0)
    vocab = ["<unk>", "<pad>", "<mask>", "<cls>", "<eos>", "<bos>", *words(2), *"ATCGN"]
    config = EsmConfig(
        vocab_size=len(vocab), max_position_embeddings=34, pad_token_id=1, mask_token_id=2,
        token_dropout=False, **SIZES,
    )  # fmt: skip
    EsmForMaskedLM(config).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(vocab) + "\n")
    return folder


def write_foreign(folder: Path, model_type: str) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": model_type, "auto_map": {}}))
    return folder


def write_task(path: Path, number: int = 60) -> Path:
    lines = ["sequence,label,split"]
    for index in range(number):
        text, gc = random_dna(20, index), index % 2
        text = text.replace("A", "G") if gc else text.replace("G", "A")
        lines.append(f"{text},{SPACE.names[gc]},{'test' if index >= number // 2 else 'train'}")
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    tiny_lm().save(folder / "ours")
    return {
        "ours": folder / "ours",
        "bert": write_dnabert(folder / "bert"),
        "esm": write_nucleotide_transformer(folder / "esm"),
        "hyenadna": write_foreign(folder / "hyenadna", "hyenadna"),
        "caduceus": write_foreign(folder / "caduceus", "caduceus"),
    }


def config(folder: Path, names: list[str], **how) -> LmBenchConfig:
    return LmBenchConfig(
        out=folder / "out",
        models=tuple(names),
        data=(str(write_task(folder / "gc.csv")),),
        resamples=9,
        compute=FinetuneComputeConfig(device="cpu"),
        **how,
    )


def test_dnaberts_words_overlap_between_its_own_ends(models: dict[str, Path]) -> None:
    model = new_classifier(str(models["bert"]), SPACE, TaskConfig(), seed=0)
    ids, _ = model.encoder.encode("x", "AAATNAA")
    assert ids.tolist() == [2, 5, 6, 1, 1, 1, 3]


def test_the_nucleotide_transformer_reads_words_and_then_letters(
    models: dict[str, Path],
) -> None:
    model = new_classifier(str(models["esm"]), SPACE, TaskConfig(), seed=0)
    ids, _ = model.encoder.encode("x", "AAuTNACGAR")
    vocab = (models["esm"] / "vocab.txt").read_text().split()
    assert [vocab[each] for each in ids] == ["<cls>", "AA", "TT", "N", "AC", "GA", "<unk>"]
    assert model.encoder.max_tokens == 32


@pytest.mark.parametrize("name", ["bert", "esm"])
def test_other_networks_are_saved_loaded_and_padded_as_ours(
    models: dict[str, Path], tmp_path: Path, name: str
) -> None:
    model = new_classifier(str(models[name]), SPACE, TaskConfig(), seed=0)
    model.network.eval().requires_grad_(False)
    model.save(tmp_path)
    again = load_classifier(str(tmp_path))
    rows = [again.encoder.encode("x", random_dna(size, size))[0] for size in (20, 9)]
    ids, mask = padded(rows, again.encoder.pad_id, "right")
    batch = model.network(input_ids=ids, attention_mask=mask).logits
    for index, row in enumerate(rows):
        alone = again.network(input_ids=torch.from_numpy(row.astype("int64"))[None]).logits
        torch.testing.assert_close(batch[index : index + 1], alone.detach(), atol=1e-5, rtol=1e-4)


def test_a_checkpoint_of_other_layers_is_refused_though_it_says_bert(
    models: dict[str, Path], tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    for name in ("config.json", "vocab.txt"):
        (tmp_path / name).write_bytes((models["bert"] / name).read_bytes())
    weights = load_file(models["bert"] / "model.safetensors")
    renamed = {n.replace("attention.self.query", "attention.self.Wqkv"): w
               for n, w in weights.items()}  # fmt: skip
    save_file(renamed, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"query\.\w+: the checkpoint needs code of its own"):
        new_classifier(str(tmp_path), SPACE, TaskConfig(), seed=0)


def test_byte_pairs_of_a_bert_are_read_from_its_tokenizer(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(bpe_json())
    assert read_vocabulary(tmp_path, "bert").encode(checked_bases("ACGTA")).tolist() == [11, 5]
    with pytest.raises(FormatError, match=r"expected vocab\.txt"):
        read_vocabulary(tmp_path, "esm")


@pytest.mark.slow
def test_frozen_models_are_compared_in_one_table_and_others_refused(
    models: dict[str, Path], tmp_path: Path
) -> None:
    names = [str(models[name]) for name in ("ours", "bert", "esm", "hyenadna", "caduceus")]
    rows = bench(config(tmp_path, [*names, "kmers:1"], shots=(0, 5)))
    with (tmp_path / "out" / "bench.tsv").open() as lines:
        table = list(csv.DictReader(lines, delimiter="\t"))
    assert len(table) == len(rows)
    refused = {Path(row["model"]).name: row["refused"] for row in table if row["refused"]}
    assert set(refused) == {"hyenadna", "caduceus"}
    assert "code from a hub is never run" in refused["caduceus"]
    mcc = {(Path(row["model"]).name, row["shots"]): row for row in table if row["metric"] == "mcc"}
    assert len(mcc) == 8
    best = mcc["kmers:1", "0"]
    assert float(best["value"]) > 0.9
    assert (best["train"], best["test"], mcc["esm", "5"]["train"]) == ("30", "30", "10")
    for row in mcc.values():
        assert float(row["low"]) <= float(row["high"])


@pytest.mark.slow
def test_fine_tuned_models_are_compared_and_their_runs_reused(
    models: dict[str, Path], tmp_path: Path
) -> None:
    optim = FinetuneOptimConfig(lr=1e-2, max_steps=2, batch_size=8)
    how = config(tmp_path, [str(models["ours"]), "kmers:2"], protocol="finetune", optim=optim)
    rows = bench(how)
    (value,) = (row["value"] for row in rows if row.get("metric") == "accuracy")
    run = tmp_path / "out" / "runs" / "ours-gc.csv"
    assert json.loads((run / "test.json").read_text())["accuracy"] == pytest.approx(value)
    assert "cannot be fine-tuned" in rows[-1]["refused"]
    (run / "metrics.json").unlink()
    assert bench(how) == rows
    assert not (run / "metrics.json").exists()


def test_intervals_are_percentiles_of_resampled_test_rows() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(2, size=400)
    right = rng.random(400) < 0.8
    chosen = np.where(right, truth, 1 - truth)
    predicted = np.stack([1 - chosen, chosen], axis=1).astype(float)
    found = intervals(SPACE, [predicted], truth, resamples=200, seed=1)["accuracy"]
    value, low, high = found
    assert value == right.mean()
    spread = 1.96 * (value * (1 - value) / 400) ** 0.5
    assert high - value == pytest.approx(spread, rel=0.3)
    assert value - low == pytest.approx(spread, rel=0.3)


def test_shots_are_drawn_of_each_class_by_seed() -> None:
    classes = np.array([0, 0, 0, 1, 1, 2])
    rows = drawn(classes, 2, 13)
    assert np.bincount(classes[rows]).tolist() == [2, 2, 1]
    assert drawn(classes, 2, 13).tolist() == rows.tolist()
    assert drawn(classes, 0, 13).tolist() == [0, 1, 2, 3, 4, 5]


def test_mean_states_leave_padding_out(models: dict[str, Path]) -> None:
    model = new_classifier(str(models["ours"]), SPACE, TaskConfig(), seed=0)
    model.network.eval()
    texts = [Example("a", random_dna(30)), Example("b", random_dna(8))]
    both = mean_states(model, texts, batch_tokens=1000)
    alone = [mean_states(model, [each], batch_tokens=1000)[0] for each in texts]
    np.testing.assert_allclose(both, alone, atol=1e-5)


def test_counts_of_kmers_need_a_small_k() -> None:
    assert kmer_shares(2, [Example("x", "AAC")])[0, :2].tolist() == [0.5, 0.5]
    with pytest.raises(ConfigError, match="kmers:9"):
        kmer_shares(9, [Example("x", "A")])


def test_the_command_prints_the_main_metric(
    models: dict[str, Path], tmp_path: Path, capsys
) -> None:
    data = write_task(tmp_path / "gc.csv")
    places = [str(tmp_path / "out"), "--models", "kmers:1", "--data", str(data)]
    assert main(["lm", "bench", *places, "--resamples", "5"]) == 0
    assert "kmers:1  gc.csv  mcc " in capsys.readouterr().out
    places[2] = str(models["caduceus"])
    assert main(["lm", "bench", *places]) == 1
    assert "no model could be loaded" in capsys.readouterr().err
