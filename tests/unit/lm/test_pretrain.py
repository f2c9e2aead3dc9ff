"""Baking windows and training on them: learns, resumes exactly, and loads as a stock model."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from genet5.cli import main
from genet5.config.lm.bake import LmBakeConfig
from genet5.config.lm.pretrain import CausalLossConfig, LmPretrainConfig
from genet5.config.parts import PartsConfig
from genet5.config.train import (
    BatchConfig,
    CheckpointConfig,
    ComputeConfig,
    DurationConfig,
    LogConfig,
    OptimConfig,
    ValidationConfig,
)
from genet5.dataset.packed import PackedReader
from genet5.errors import ConfigError, DataError
from genet5.genome.sequence import decode_bases
from genet5.lm.bake import bake
from genet5.lm.folders import LanguageModel, load_model
from genet5.lm.pretrain import pretrain
from lm_toys import pair_vocabulary, random_dna, tiny_lm

GENOME = {"a": "ACGTTGCA" * 40, "b": "acgttgca" * 10 + "ACGTTGCA" * 10, "c": "NNNNNNNNN" * 7}
SPLIT = {"a": "train", "b": "valid"}
GFF = "##gff-version 3\n" + "".join(
    f"a\t.\tgene\t{start}\t{end}\t.\t+\t.\tID={start}\n"
    f"a\t.\tmRNA\t{start}\t{end}\t.\t+\t.\tID=t{start};Parent={start}\n"
    f"a\t.\tCDS\t{start}\t{end}\t.\t+\t0\tID=c{start};Parent=t{start}\n"
    for start, end in ((11, 40), (31, 60), (201, 230))
)


def write_genome(folder: Path) -> tuple[Path, Path]:
    fasta, gff = folder / "g.fa", folder / "g.gff3"
    fasta.write_text("".join(f">{name}\n{text}\n" for name, text in GENOME.items()))
    gff.write_text(GFF)
    return fasta, gff


def bake_config(folder: Path, **how) -> LmBakeConfig:
    fasta, gff = write_genome(folder)
    how = {"window_bp": 64, "shortest_bp": 8, "most_ambiguous": 5, "valid_share": 0.3, **how}
    return LmBakeConfig(out=folder, base="-", fasta=fasta, gff=gff, **how)


@pytest.fixture(scope="module", params=["generator", "nucleotide_gpt"])
def toy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with training.packed, validation.packed and base."""
    folder = tmp_path_factory.mktemp(request.param)
    lm = tiny_lm(request.param)
    size = 64 if request.param == "generator" else 32
    bake(bake_config(folder, window_bp=size, valid_share=0.2), lm.vocabulary)
    lm.save(folder / "base")
    return folder


def run_config(toy: Path, out: Path, **how) -> LmPretrainConfig:
    causal = how.pop("causal", CausalLossConfig(repeat_weight=0.5))
    return LmPretrainConfig(
        train=toy / "training.packed",
        val=toy / "validation.packed",
        out=out,
        base=toy / "base",
        causal=causal,
        duration=DurationConfig(max_steps=how.pop("max_steps", 6)),
        batch=BatchConfig(batch_size=2, num_workers=0, grad_accum=how.pop("grad_accum", 1)),
        optim=how.pop("optim", OptimConfig(lr=0.01)),
        checkpoints=CheckpointConfig(
            save_steps=3, save_every=None, resume=how.pop("resume", False)
        ),
        validation=ValidationConfig(eval_windows=0, export="last"),
        compute=ComputeConfig(device="cpu", precision="fp32", **how.pop("compute", {})),
        log=LogConfig(log_every_steps=1),
        **how,
    )


def windows_of(path: Path) -> list[tuple[str, int, int, str]]:
    found = PackedReader(path).windows()
    return [(w.contig, w.start, w.strand, decode_bases(w.bases)) for w in found]


def rows_of(out: Path, kind: str) -> list[dict[str, str]]:
    name = {"train": "metrics.csv", "validation": "validation.csv"}[kind]
    with (out / name).open() as lines:
        return list(csv.DictReader(lines))


def test_windows_tile_whole_contigs_and_keep_their_case(tmp_path: Path) -> None:
    counts = bake(bake_config(tmp_path), pair_vocabulary())
    rows = windows_of(tmp_path / "training.packed") + windows_of(tmp_path / "validation.packed")
    for name in "ab":
        assert "".join(text for contig, _, _, text in rows if contig == name) == GENOME[name]
    assert not [row for row in rows if row[0] == "c"]  # too many N
    assert counts["training"]["bases"] + counts["validation"]["bases"] == 480
    PackedReader(tmp_path / "training.packed").verify()


def test_no_contig_is_in_both_files(tmp_path: Path) -> None:
    bake(bake_config(tmp_path), pair_vocabulary())
    names = [{row[0] for row in windows_of(tmp_path / f"{n}.packed")} for n in
             ("training", "validation")]  # fmt: skip
    assert names[0].isdisjoint(names[1])


def test_genes_are_taken_with_their_flanks_and_joined(tmp_path: Path) -> None:
    config = bake_config(tmp_path, regions="genes", flank_bp=4, window_bp=1000)
    table = tmp_path / "splits.tsv"
    table.write_text("\tg\ta\ttrain\n\tg\tb\tvalid\n")
    with pytest.raises(DataError, match="no validation window"):
        bake(replace(config, splits=table), pair_vocabulary())
    rows = windows_of(tmp_path / "training.packed")
    assert [(start, len(text)) for _, start, _, text in rows] == [(6, 58), (196, 38)]


def test_both_strands_are_two_windows(tmp_path: Path) -> None:
    bake(bake_config(tmp_path, strand="both"), pair_vocabulary())
    first, second = windows_of(tmp_path / "training.packed")[:2]
    assert (first[:2], first[2], second[2]) == (second[:2], 1, -1)
    assert first[3] != second[3]


def test_packed_files_are_not_replaced_unasked(tmp_path: Path) -> None:
    config = bake_config(tmp_path)
    bake(config, pair_vocabulary())
    with pytest.raises(ConfigError, match="--overwrite replaces it"):
        bake(config, pair_vocabulary())
    bake(replace(config, overwrite=True), pair_vocabulary())


def test_the_only_contig_is_cut_into_training_and_validation(tmp_path: Path) -> None:
    fasta = tmp_path / "one.fa"
    fasta.write_text(f">x\n{random_dna(400)}\n")
    bake(LmBakeConfig(out=tmp_path, base="-", fasta=fasta, valid_share=0.25), pair_vocabulary())
    assert [row[1] for row in windows_of(tmp_path / "validation.packed")] == [300]


@pytest.mark.slow
def test_training_learns_and_writes_a_stock_model(toy: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    result = pretrain(run_config(toy, tmp_path / "run", max_steps=30))
    assert result.reason == "finished"
    rows = rows_of(tmp_path / "run", "train")
    losses = [float(row["loss"]) for row in rows]
    assert np.mean(losses[-3:]) < 0.6 * np.mean(losses[:3])
    assert {"accuracy", "upper_accuracy", "lower_accuracy", "bits_per_base"} <= set(rows[0])
    found = float(rows_of(tmp_path / "run", "validation")[-1]["bits_per_base"])
    assert 0 < found < 2
    ours = load_model(str(tmp_path / "run"))
    stock = AutoModelForCausalLM.from_pretrained(tmp_path / "run", trust_remote_code=False)
    ids = torch.tensor([[1, 2, 3, 4]])
    torch.testing.assert_close(ours.network(ids).logits, stock(ids).logits)
    base = json.loads((toy / "base" / "dna_tokenizer.json").read_text())
    assert json.loads((tmp_path / "run" / "dna_tokenizer.json").read_text()) == base


@pytest.mark.slow
def test_a_resumed_run_equals_an_uninterrupted_one_to_the_bit(toy: Path, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    pretrain(run_config(toy, whole))
    config = run_config(toy, parts)
    pretrain(replace(config, duration=DurationConfig(max_steps=6, max_minutes=1e-9)))
    assert len(rows_of(parts, "train")) < 6
    pretrain(run_config(toy, parts, resume=True))
    losses = [[row["loss"] for row in rows_of(out, "train")] for out in (whole, parts)]
    assert losses[0] == losses[1]
    one, other = (load_model(str(out)).network.state_dict() for out in (whole, parts))
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.slow
def test_a_checkpoint_and_a_run_that_has_no_model_yet_are_bases(toy: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    pretrain(run_config(toy, first))
    last = first / "checkpoints" / "step-00000006"
    assert_equal(load_model(str(last)), load_model(str(first)))
    (first / "config.json").unlink()
    pretrain(replace(run_config(toy, second, max_steps=1), base=first))
    assert not {"trainer.json", "rank-00000.json"} & {path.name for path in second.iterdir()}
    assert (
        load_model(str(second)).vocabulary.to_dict() == load_model(str(last)).vocabulary.to_dict()
    )


def assert_equal(one: LanguageModel, other: LanguageModel) -> None:
    first, second = (each.network.state_dict() for each in (one, other))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.slow
def test_the_loss_of_each_clade_is_reported(tmp_path: Path) -> None:
    for clade, text in (("unicellular", "ACGTTGCA" * 20), ("plants", "GGATCCAT" * 20)):
        for name in ("a", "b"):
            folder = tmp_path / "raw" / clade / (clade + name)
            folder.mkdir(parents=True)
            (folder / "genome.fa").write_text(f">c{name}\n{text}\n")
            (folder / "genes.gff3").write_text("##gff-version 3\n")
    rows = [f"{c}\t{c}{n}\t*\t{s}" for c in ("plants", "unicellular") for n, s in SPLIT.items()]
    (tmp_path / "splits.tsv").write_text("\n".join(rows) + "\n")
    lm = tiny_lm("generator")
    lm.save(tmp_path / "base")
    places = {"raw_dir": tmp_path / "raw", "splits": tmp_path / "splits.tsv"}
    bake(LmBakeConfig(out=tmp_path, base="-", window_bp=64, **places), lm.vocabulary)
    pretrain(run_config(tmp_path, tmp_path / "run", max_steps=1))
    found = rows_of(tmp_path / "run", "validation")[-1]
    whole, *parts = (float(found[n]) for n in ("loss", "unicellular_loss", "plants_loss"))
    assert parts[0] != parts[1]
    assert np.mean(parts) == pytest.approx(whole, rel=1e-4)


@pytest.mark.slow
def test_the_originals_optimizer_and_recomputation_train_as_well(toy: Path, tmp_path: Path) -> None:
    adam = OptimConfig(lr=0.01, weight_decay=0.0, beta2=0.999, max_grad_norm=0.1, clip="tensor")
    how = {"optim": adam, "max_steps": 3, "causal": CausalLossConfig(loss="base")}
    plain = pretrain(run_config(toy, tmp_path / "a", **how)).out
    again = run_config(toy, tmp_path / "b", **how, compute={"gradient_checkpointing": True})
    losses = [
        [float(row["loss"]) for row in rows_of(out, "train")]
        for out in (plain, pretrain(again).out)
    ]
    np.testing.assert_allclose(*losses, rtol=1e-5)


@pytest.mark.slow
def test_data_of_another_tokenizer_are_refused(toy: Path, tmp_path: Path) -> None:
    other = "nucleotide_gpt" if "generator" in toy.name else "generator"
    tiny_lm(other).save(tmp_path / "base")
    config = replace(run_config(toy, tmp_path / "run"), base=tmp_path / "base")
    with pytest.raises(DataError, match="baked with another tokenizer"):
        pretrain(config)
    assert not (tmp_path / "run").exists()


def test_windows_longer_than_the_model_takes_are_refused(tmp_path: Path) -> None:
    lm = tiny_lm("generator")
    lm.save(tmp_path / "base")
    bake(bake_config(tmp_path, window_bp=300, valid_share=0.2), lm.vocabulary)
    with pytest.raises(DataError, match="at most 63, which the model takes"):
        pretrain(run_config(tmp_path, tmp_path / "run"))


@pytest.mark.parametrize("words", [["--label_budget", "5"], ["--label_smoothing", "0.1"]])
def test_settings_of_gene_models_are_refused(words: list[str], tmp_path: Path, capsys) -> None:
    paths = [str(tmp_path / name) for name in ("t", "v", "o", "b")]
    assert main(["lm", "pretrain", *paths, *words]) == 2
    assert "has no effect on language models" in capsys.readouterr().err


@pytest.mark.slow
def test_the_commands_bake_and_train(tmp_path: Path, capsys) -> None:
    tiny_lm("generator").save(tmp_path / "base")
    fasta, _ = write_genome(tmp_path)
    how = ["--window_bp", "64", "--shortest_bp", "8", "--valid_share", "0.2"]
    words = ["lm", "bake", str(tmp_path / "data"), "--base", str(tmp_path / "base")]
    assert main([*words, "--fasta", str(fasta), *how]) == 0
    assert "training" in capsys.readouterr().out
    files = [str(tmp_path / "data" / f"{name}.packed") for name in ("training", "validation")]
    places = [*files, str(tmp_path / "run"), str(tmp_path / "base")]
    few = ["--max_steps", "2", "--batch_size", "2", "--num_workers", "0", "--device", "cpu"]
    assert main(["lm", "pretrain", *places, *few]) == 0
    assert load_model(str(tmp_path / "run")).vocabulary.bos_id == 1


@pytest.mark.slow
def test_adapters_of_a_run_are_merged_in_its_model(toy: Path, tmp_path: Path) -> None:
    """Only the layers above the frozen one move, and a stock class loads them."""
    pytest.importorskip("peft", reason="peft is not installed")
    parts = PartsConfig(lora_rank=2, freeze=("model.layers.0",))
    pretrain(run_config(toy, tmp_path / "out", parts=parts, max_steps=2))
    before, after = (
        load_model(str(folder), "cpu").network.state_dict()
        for folder in (toy / "base", tmp_path / "out")
    )
    assert before.keys() == after.keys()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved
    assert all("layers." in name and "layers.0." not in name for name in moved)
