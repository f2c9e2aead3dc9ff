"""A model learns new gene types: append, resize, and train on files that were baked before."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file

from genet5.cli import main
from genet5.dataset.packed import PackedReader
from genet5.model.network import GeneT5
from genet5.tokens.tokenizer_file import load_tokenizer
from genet5.tokens.vocabulary import DEFAULT_GENE_TYPES

SETTINGS = [
    "--max_steps",
    "2",
    "--batch_size",
    "2",
    "--lr",
    "1e-2",
    "--eval_windows",
    "0",
    "--eval_steps",
    "2",
    "--eval_batches",
    "1",
    "--log_every_steps",
    "1",
    "--num_workers",
    "0",
]


@pytest.fixture
def model(toy_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(toy_run / "base", tmp_path / "base"))


def finet(toy_run: Path, training: Path, out: Path, base: Path) -> int:
    return main(
        ["finet", str(training), str(toy_run / "validation.packed"), str(out), str(base), *SETTINGS]
    )


def test_an_old_file_trains_a_resized_model(toy_run, model, tmp_path, capsys) -> None:
    training = toy_run / "training.packed"
    assert main(["append_tokens", str(model), "--gene_types", "scRNA", "miRNA"]) == 0
    assert finet(toy_run, training, tmp_path / "run", model) == 1
    assert f"genet5 resize_model {model} OUT" in capsys.readouterr().err
    larger = tmp_path / "larger"
    assert main(["resize_model", str(model), str(larger)]) == 0
    assert finet(toy_run, training, tmp_path / "run", larger) == 0
    assert "baked before the model got scRNA, miRNA" in capsys.readouterr().err
    trained = GeneT5.from_pretrained(tmp_path / "run")
    types = load_tokenizer(tmp_path / "run").structure.gene_types
    assert types == (*DEFAULT_GENE_TYPES, "scRNA", "miRNA")
    assert trained.config.structure_vocab == len(load_tokenizer(tmp_path / "run").structure)


def test_annotate_refuses_a_model_that_was_not_resized(model, tmp_path, capsys) -> None:
    (tmp_path / "g.fa").write_text(">c\n" + "ACGT" * 100 + "\n")
    assert main(["append_tokens", str(model), "--gene_types", "scRNA"]) == 0
    words = [str(tmp_path / "g.fa"), "-o", str(tmp_path / "o.gff3"), "--model", str(model)]
    assert main(["annotate", *words, "--device", "cpu"]) == 1
    assert "genet5 resize_model" in capsys.readouterr().err


def test_a_subset_trains_like_any_packed_file(toy_run, tmp_path) -> None:
    tenth = tmp_path / "tenth" / "training.packed"
    assert (
        main(["subset_packed", str(toy_run / "training.packed"), str(tenth), "--fraction", "0.2"])
        == 0
    )
    whole, part = PackedReader(toy_run / "training.packed"), PackedReader(tenth)
    assert len(part) == round(0.2 * len(whole))
    assert part.header.tokenizer_hash == whole.header.tokenizer_hash
    part.verify()
    assert finet(toy_run, tenth, tmp_path / "run", toy_run / "base") == 0
    assert load_file(tmp_path / "run" / "model.safetensors")


def test_init_takes_a_tokenizer_with_its_gene_types(tmp_path) -> None:
    tokens = tmp_path / "tokenizer.json"
    assert main(["init_tokens", str(tokens), "--tokenizer", "kmer:3", "--gene_types", "scRNA"]) == 0
    words = ["--decoder_layers", "1", "--decoder_ff_dim", "16", "--num_latents", "8"]
    words += ["--tokenizer", str(tokens), "--gene_types", "miRNA"]
    assert main(["init", str(tmp_path / "m"), *words]) == 0
    made = load_tokenizer(tmp_path / "m")
    assert made.sequence.to_dict() == {"kind": "kmer", "k": 3}
    assert made.structure.gene_types == (*DEFAULT_GENE_TYPES, "scRNA", "miRNA")
    assert GeneT5.from_pretrained(tmp_path / "m").config.structure_vocab == len(made.structure)
