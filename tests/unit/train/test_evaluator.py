"""Validation by decoding: which genes count as right, and how ranks share the windows."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from genet5.config.bake import BakeConfig
from genet5.dataset.bake import bake
from genet5.dataset.packed import PackedReader
from genet5.dataset.windows import Window
from genet5.model.network import GeneT5
from genet5.tokens.window import Part, WindowGene, WindowTranscript
from genet5.train.distributed.parallel import Parallel
from genet5.train.distributed.processes import Ranks
from genet5.train.evaluator import (
    GeneEvaluator,
    _of_nearest,
    count_equal,
    evaluate,
    f1,
    three_prime_end,
)


def gene(strand: int, first: int, last: int, **cut: bool) -> WindowGene:
    return WindowGene(
        type="protein_coding",
        strand=strand,
        transcripts=(WindowTranscript(parts=(Part("cds", first, last),), **cut),),
    )


@pytest.mark.parametrize(("strand", "end"), [(1, 98), (-1, 0)])
def test_the_3_prime_end_is_the_last_base_in_the_genes_direction(strand: int, end: int) -> None:
    assert three_prime_end(gene(strand, 0, 98)) == (strand, end, False)


def test_genes_are_counted_once_per_window_and_key() -> None:
    ours = [[gene(1, 0, 98), gene(1, 3, 98)], []]
    theirs = [[gene(1, 0, 98)], [gene(-1, 6, 50)]]
    assert count_equal(ours, theirs, lambda each: each) == (4, 1)
    assert count_equal(ours, theirs, three_prime_end) == (3, 1)


def test_f1_without_any_gene_is_one() -> None:
    assert (f1(0, 0), f1(4, 1), f1(2, 1)) == (1.0, 0.5, 1.0)


@pytest.mark.slow
@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_any_number_of_ranks_counts_the_same(
    toy_run: Path, monkeypatch: pytest.MonkeyPatch, world_size: int
) -> None:
    monkeypatch.setattr("genet5.train.evaluator.WINDOWS_PER_BATCH", 2)
    model = GeneT5.from_pretrained(toy_run / "base").train()
    evaluator = GeneEvaluator(toy_run / "validation.packed", toy_run / "base", num_windows=5)
    assert evaluator.num_batches == 3
    shares = []
    monkeypatch.setattr(Ranks, "sum", lambda self, counts: shares.append(counts) or counts)
    for rank in range(world_size):
        ranks = Ranks(rank)
        parallel = Parallel(model, ranks, "ddp", use_bf16=False)
        evaluate(evaluator, parallel, Ranks(rank, world_size))
    whole = sum(evaluator.count(model.eval(), batch) for batch in range(3))
    assert whole[0] > 0
    assert torch.equal(sum(shares), whole)
    assert set(evaluator.figures(whole)) == {"gene_f1", "stop_f1"}


def test_the_model_stays_in_training_mode(toy_run: Path) -> None:
    model = GeneT5.from_pretrained(toy_run / "base").train()
    evaluator = GeneEvaluator(toy_run / "validation.packed", toy_run / "base", num_windows=1)
    evaluate(evaluator, Parallel(model, Ranks(), "ddp", use_bf16=False), Ranks())
    assert model.training


@pytest.fixture
def two_clades(toy_run: Path, tmp_path: Path) -> Path:
    """Validation windows of genes that bake chose, of two clades."""
    for clade in ("unicellular", "prokaryotes"):
        (tmp_path / clade / clade[:4]).mkdir(parents=True)
        for name in ("g.fa", "g.gff3"):
            shutil.copy(toy_run / name, tmp_path / clade / clade[:4])
    bake(
        BakeConfig(
            raw_dir=tmp_path, output_dir=tmp_path / "baked", tokenizer=toy_run / "base",
            window_size=1500, target=400, hard_limit=750, valid_genes=2, valid_share=0.0,
        )
    )  # fmt: skip
    return tmp_path / "baked" / "validation.packed"


def test_clades_and_difficulties_have_figures_of_their_own(
    two_clades: Path, toy_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = PackedReader(two_clades).header
    assert {*header.validation_genes} == {"unic", "prok"}
    evaluator = GeneEvaluator(two_clades, toy_run / "base", num_windows=8)
    windows = evaluator._windows
    assert sorted(window.clade for window in windows) == ["prokaryotes"] * 4 + ["unicellular"] * 4
    empty = replace(windows[0], labels=windows[0].labels[[0, 1, -1]])

    def decoded(model: Any, tokenizer: Any, bases: Any, codes: Any, grammar: Any) -> list[Window]:
        chosen = [w for w in windows if any(w.bases is each for each in bases)]
        return [w if w.clade == "unicellular" else empty for w in chosen]

    monkeypatch.setattr("genet5.train.evaluator.decode_windows", decoded)
    counts = sum(evaluator.count(None, batch) for batch in range(evaluator.num_batches))
    figures = evaluator.figures(counts)
    assert figures["unicellular_gene_f1"] == figures["unicellular_stop_f1"] == 1.0
    assert figures["prokaryotes_gene_f1"] == 0.0
    assert 0 < figures["gene_f1"] < 1
    for difficulty in ("easy", "normal", "hard"):
        assert 0 < figures[f"{difficulty}_stop_f1"] < 1


def test_a_decoded_gene_has_the_difficulty_of_the_true_gene_that_it_shares_most_bases_with() -> (
    None
):
    true = [gene(1, 0, 98), gene(1, 90, 300), gene(-1, 60, 200)]
    difficulties = ["easy", "hard", "normal"]
    assert _of_nearest(gene(1, 60, 120), true, difficulties) == "easy"
    assert _of_nearest(gene(1, 80, 120), true, difficulties) == "hard"
    assert _of_nearest(gene(-1, 0, 80), true, difficulties) == "normal"
    assert _of_nearest(gene(1, 400, 500), true, difficulties) is None
