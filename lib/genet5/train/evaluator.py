"""Validation by decoding: the model writes the genes of some windows, and they are compared.

Windows are decoded in batches that do not depend on the number of ranks. Each rank takes every
`world_size`-th batch, and counts of genes are summed, so any number of ranks gives the same
figures.

Example:
    evaluator = GeneEvaluator(config.val, config.base, num_windows=16)
    figures = evaluate(evaluator, parallel, ranks)       # {"gene_f1": 0.81, "stop_f1": 0.93}
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from genet5.dataset.packed import PackedReader
from genet5.decode.greedy import decode_windows
from genet5.decode.packed_grammar import packed_grammar
from genet5.tokens.structure import decode_window
from genet5.tokens.tokenizer_file import load_tokenizer
from genet5.tokens.window import WindowGene
from genet5.train.distributed.parallel import Parallel
from genet5.train.distributed.processes import Ranks

WINDOWS_PER_BATCH = 8
"""Windows decoded together."""


class Evaluator(Protocol):
    """Further validation figures of a model, from counts that add up over ranks."""

    num_batches: int
    """How many batches there are to decode."""
    num_counts: int
    """Length of the vector of counts."""

    def count(self, model: Any, batch: int) -> Tensor:
        """Return the counts of one batch, a float64 vector on the CPU."""

    def figures(self, counts: Tensor) -> dict[str, float]:
        """Return the figures that summed counts amount to."""


def evaluate(evaluator: Evaluator, parallel: Parallel, ranks: Ranks) -> dict[str, float]:
    """Decode with the present weights, in evaluation mode; every rank calls it.

    The run's random state stays as it is. A model that the ranks share (FSDP2) is gathered whole on
    every rank that has a batch to decode: decoding takes as many passes as genes need, and shares
    would have to be exchanged in each.
    """
    mine = range(ranks.rank, evaluator.num_batches, ranks.world_size)
    counts = torch.zeros(evaluator.num_counts, dtype=torch.float64)
    device = ranks.device
    with torch.random.fork_rng([device] if device.type == "cuda" else []), torch.no_grad():
        model = parallel.undivided(is_wanted=bool(mine))
        if model is not None:
            counts = _count(evaluator, model, mine, counts)
    return evaluator.figures(ranks.sum(counts))


def _count(evaluator: Evaluator, model: nn.Module, batches: range, counts: Tensor) -> Tensor:
    was_training = model.training
    model.eval()
    try:
        for batch in batches:
            counts = counts + evaluator.count(model, batch)
    finally:
        model.train(was_training)
    return counts


class GeneEvaluator:
    """F1 of the genes that a model decodes in windows spread evenly over a packed file.

    "gene_f1" counts genes that are right in every position, "stop_f1" those whose 3' end is.

    Args:
        packed: Validation file.
        base: Folder of the model's tokenizer.
        num_windows: How many windows to decode.
    """

    num_counts = 4

    def __init__(self, packed: Path, base: Path, num_windows: int) -> None:
        reader = PackedReader(packed)
        rows = range(0, len(reader), max(1, len(reader) // num_windows))
        windows = [reader.row(row)[0] for row in rows][:num_windows]
        vocabulary = reader.header.vocabulary
        self._bases = [window.bases for window in windows]
        self._codes = [window.genetic_code for window in windows]
        self._references = [decode_window(w.labels, vocabulary).genes for w in windows]
        self._tokenizer, self._grammar = load_tokenizer(base), packed_grammar(reader.header)
        self.num_batches = -(-len(windows) // WINDOWS_PER_BATCH)

    def count(self, model: Any, batch: int) -> Tensor:
        """Return the counts of `count_equal` for whole genes, then those for 3' ends."""
        part = slice(batch * WINDOWS_PER_BATCH, (batch + 1) * WINDOWS_PER_BATCH)
        decoded = decode_windows(
            model, self._tokenizer, self._bases[part], self._codes[part], self._grammar
        )
        predicted = [decode_window(w.labels, self._tokenizer.structure).genes for w in decoded]
        references = self._references[part]
        counts = (
            *count_equal(predicted, references, lambda gene: gene),
            *count_equal(predicted, references, three_prime_end),
        )
        return torch.tensor(counts, dtype=torch.float64)

    def figures(self, counts: Tensor) -> dict[str, float]:
        """Return both F1 scores."""
        genes, genes_right, ends, ends_right = counts.tolist()
        return {"gene_f1": f1(genes, genes_right), "stop_f1": f1(ends, ends_right)}


def three_prime_end(gene: WindowGene) -> Hashable:
    """Return what identifies a gene's 3' end in its window."""
    transcript = gene.transcripts[0]
    if not transcript.parts:
        return gene
    is_forward = gene.strand > 0
    last = transcript.parts[-1].last if is_forward else transcript.parts[0].first
    return gene.strand, last, transcript.cut_right if is_forward else transcript.cut_left


def count_equal(
    predicted: Sequence[Sequence[WindowGene]],
    references: Sequence[Sequence[WindowGene]],
    key: Callable[[WindowGene], Hashable],
) -> tuple[int, int]:
    """Return how many genes both sides have together, and how many on one side have an equal.

    Genes of one window with one key count once.
    """
    total = right = 0
    for ours, theirs in zip(predicted, references, strict=True):
        our_keys, their_keys = {key(gene) for gene in ours}, {key(gene) for gene in theirs}
        total += len(our_keys) + len(their_keys)
        right += len(our_keys & their_keys)
    return total, right


def f1(total: float, right: float) -> float:
    """Return the F1 score; 1 where neither side has a gene."""
    return 2 * right / total if total else 1.0
