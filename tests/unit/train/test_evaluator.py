"""Validation by decoding: which genes count as right, and how ranks share the windows."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from genet5.model.network import GeneT5
from genet5.tokens.window import Part, WindowGene, WindowTranscript
from genet5.train.distributed.parallel import Parallel
from genet5.train.distributed.processes import Ranks
from genet5.train.evaluator import GeneEvaluator, count_equal, evaluate, f1, three_prime_end


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
