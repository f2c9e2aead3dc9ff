"""Causal fine-tuning: whole sequences, prompt tokens, one loop with pretraining, generation."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from genet5.cli import main
from genet5.config.lm.tune import FamilyConfig, LmTuneConfig
from genet5.config.train import (
    BatchConfig,
    CheckpointConfig,
    ComputeConfig,
    DurationConfig,
    LogConfig,
    OptimConfig,
)
from genet5.errors import ConfigError, DataError
from genet5.genome.io.fasta import read_fasta
from genet5.genome.sequence import checked_bases
from genet5.lm.bpe import BpeVocabulary
from genet5.lm.causal_batch import CausalCollator
from genet5.lm.folders import load_model
from genet5.lm.packed_windows import token_window
from genet5.lm.prompts import with_prompt_tokens
from genet5.lm.tune import tune
from lm_toys import bpe_json, pair_vocabulary, tiny_lm


def write_families(folder: Path) -> Path:
    """Sequences of A and C with the label rich, of G and T with the label poor."""
    lines = ["sequence,label,value"]
    for index in range(16):
        unit, label = ("AC", "rich") if index % 2 else ("GT", "poor")
        lines.append(f"{unit * 6}{unit[: index % 3 % 2]},{label},{index}")
    path = folder / "families.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def config(folder: Path, *, name: str = "out", **how) -> LmTuneConfig:
    base = folder / "base"
    if not base.exists():
        tiny_lm(how.pop("network", "generator")).save(base)
    return LmTuneConfig(
        model=str(base),
        data=str(write_families(folder)),
        out=folder / name,
        family=FamilyConfig(**{"prompt": "label", "valid_share": 0.25, **how.pop("family", {})}),
        duration=DurationConfig(max_steps=how.pop("max_steps", 3)),
        batch=BatchConfig(batch_size=4, num_workers=0),
        optim=OptimConfig(lr=0.01),
        checkpoints=CheckpointConfig(save_every=None, resume=how.pop("resume", False)),
        compute=ComputeConfig(device="cpu", precision="fp32"),
        log=LogConfig(log_every_steps=1),
        **how,
    )


def test_a_row_is_beginning_prompt_sequence_and_end_and_the_prompt_no_target() -> None:
    vocabulary = with_prompt_tokens(tiny_lm(), ["<high>"]).vocabulary
    collator = CausalCollator(vocabulary, prompts=vocabulary.special_ids, has_end=True)
    texts = {"<high>": "AATT", "": "CC"}
    windows = [
        token_window(checked_bases(text), vocabulary, clade=clade, genome="f", contig="s")
        for clade, text in texts.items()
    ]
    batch = collator.collate(windows, epoch=0, first_row=0, silent=False)
    assert batch.ids.tolist() == [[1, 21, 5, 10, 2], [1, 15, 2, 3, 3]]
    assert batch.is_target.int().tolist() == [[0, 0, 1, 1, 1], [0, 1, 1, 0, 0]]
    assert batch.bases.tolist() == [[0, 0, 2, 2, 0], [0, 2, 0, 0, 0]]


def test_new_tokens_leave_all_other_predictions_as_they_were() -> None:
    ids = torch.tensor([[1, 5, 9, 20, 2]])
    before = tiny_lm().network(ids).logits
    lm = with_prompt_tokens(tiny_lm(), ["<high>", "<low>", "<high>"])
    after = lm.network(ids).logits
    torch.testing.assert_close(after[..., :21], before)
    assert lm.vocabulary.special_ids["<low>"] == 22 == after.shape[-1] - 1
    assert with_prompt_tokens(lm, ["<low>"]) is lm
    with pytest.raises(ConfigError, match="must be a word between"):
        with_prompt_tokens(lm, ["high"])


def test_byte_pair_vocabularies_get_tokens_too() -> None:
    lm = with_prompt_tokens(tiny_lm("generator", BpeVocabulary(bpe_json())), ["<high>"])
    assert lm.vocabulary.special_ids["<high>"] == 12
    assert lm.vocabulary.encode(checked_bases("ACGTA")).tolist() == [11, 5]
    assert lm.network.get_output_embeddings().weight.shape[0] == 13


@pytest.mark.slow
@pytest.mark.parametrize("network", ["generator", "nucleotide_gpt"])
def test_a_prompt_decides_what_a_tuned_model_writes(tmp_path: Path, network: str, capsys) -> None:
    tune(config(tmp_path, network=network, max_steps=40))
    lm = load_model(str(tmp_path / "out"))
    assert {"<rich>", "<poor>"} <= set(lm.vocabulary.special_ids)
    found = {}
    for word in ("rich", "poor"):
        out = tmp_path / f"{word}.fa"
        words = [str(tmp_path / "out"), "-o", str(out), "--prompt_tokens", f"<{word}>"]
        how = ["--temperature", "0", "--length_bp", "8"]
        assert main(["lm", "generate", *words, *how]) == 0
        found[word] = next(iter(read_fasta(out))).bases.tobytes().decode()
    assert found == {"rich": "ACACACAC", "poor": "GTGTGTGT"}
    if network == "generator":  # the other has no token of the end
        whole = ["--temperature", "0", "--length_bp", "90", "--until_end"]
        assert main(["lm", "generate", *words, *whole]) == 0
        assert 8 <= len(next(iter(read_fasta(out))).bases) <= 16
    words[-1] = "<other>"
    assert main(["lm", "generate", *words]) == 2
    assert "is no token of the model" in capsys.readouterr().err


@pytest.mark.slow
def test_values_become_low_and_high_by_their_quantiles(tmp_path: Path) -> None:
    how = config(tmp_path, family={"prompt": "value", "quantiles": (0.2, 0.8)})
    tune(replace(how, examples=replace(how.examples, label_column=("value",))))
    assert {"<low>", "<high>"} <= set(load_model(str(tmp_path / "out")).vocabulary.special_ids)


@pytest.mark.slow
def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    tune(config(tmp_path, name="whole", max_steps=4))
    part = config(tmp_path, name="parts", max_steps=4)
    tune(replace(part, duration=DurationConfig(max_steps=4, max_minutes=1e-9)))
    tune(config(tmp_path, name="parts", max_steps=4, resume=True))
    losses = []
    for name in ("whole", "parts"):
        with (tmp_path / name / "metrics.csv").open() as lines:
            losses.append([row["loss"] for row in csv.DictReader(lines)])
    assert losses[0] == losses[1]


@pytest.mark.slow
def test_an_earlier_run_on_other_data_is_not_replaced(tmp_path: Path) -> None:
    how = config(tmp_path, max_steps=1)
    tune(how)
    with pytest.raises(ConfigError, match="holds an earlier run on other data"):
        tune(config(tmp_path, max_steps=1, seed=1, resume=True))


@pytest.mark.parametrize(
    ("family", "text", "message"),
    [
        ({}, "ACG," + "a b", "label 'a b'; expected letters, digits"),
        ({"length": "error", "prompt": "none"}, "ACG,x", "3 bases; expected a multiple of 2"),
        ({"prompt": "none"}, "AC" * 100 + ",x", "100 tokens; expected 1 to 62"),
        ({}, "ACG,", "no label; expected one, for its prompt token"),
    ],
)
def test_sequences_that_cannot_be_used_are_named(
    tmp_path: Path, family: dict, text: str, message: str
) -> None:
    how = config(tmp_path, family=family)
    (tmp_path / "bad.csv").write_text(f"sequence,label\n{text}\n{text}\n{text}\n")
    with pytest.raises(DataError, match=message):
        tune(replace(how, data=str(tmp_path / "bad.csv")))


def test_start_phases_would_break_the_frame(tmp_path: Path, capsys) -> None:
    words = [str(tmp_path), str(tmp_path / "x.fa"), str(tmp_path / "o"), "--random_phase"]
    assert main(["lm", "tune", *words]) == 2
    assert "would break the frame" in capsys.readouterr().err


def test_pairs_stay_as_they_were_for_pretraining() -> None:
    vocabulary = pair_vocabulary()
    window = token_window(checked_bases("AATT"), vocabulary, clade="", genome="g", contig="c")
    batch = CausalCollator(vocabulary).collate([window], epoch=0, first_row=0, silent=False)
    assert batch.ids.tolist() == [[1, 5, 10]]
