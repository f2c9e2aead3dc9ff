"""Validation by decoding: the model writes the genes of some windows, and they are compared.

Windows are decoded in batches that do not depend on the number of ranks. Each rank takes every
`world_size`-th batch, and counts of genes are summed, so any number of ranks gives the same
figures. Clades, and genes that bake chose as hard, normal or easy, have figures of their own
(`dataset.groups`).

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

from genet5.dataset.groups import WindowGroups
from genet5.dataset.packed import PackedReader
from genet5.dataset.placement import share_evenly
from genet5.dataset.windows import Window
from genet5.decode.greedy import decode_windows
from genet5.decode.packed_grammar import packed_grammar
from genet5.genome.frames import interval_on_strand
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
    """F1 of the genes that a model decodes in windows spread evenly over clades and rows of a file.

    "gene_f1" counts genes that are right in every position, "stop_f1" those whose 3' end is;
    "fungi_gene_f1" and so on are those of a group. A decoded gene has the difficulty of the true
    gene on its strand with which it shares most bases.

    Args:
        packed: Validation file.
        base: Folder of the model's tokenizer.
        num_windows: How many windows to decode.
    """

    def __init__(self, packed: Path, base: Path, num_windows: int) -> None:
        reader = PackedReader(packed)
        windows = [reader.row(row)[0] for row in spread_rows(reader.row_clades(), num_windows)]
        vocabulary = reader.header.vocabulary
        self._windows, self._groups = windows, WindowGroups(reader.header, packed)
        self._names = ("", *self._groups.names)
        self.num_counts = 4 * len(self._names)
        self._bases = [window.bases for window in windows]
        self._codes = [window.genetic_code for window in windows]
        self._references = [decode_window(w.labels, vocabulary).genes for w in windows]
        self._tokenizer, self._grammar = load_tokenizer(base), packed_grammar(reader.header)
        self.num_batches = -(-len(windows) // WINDOWS_PER_BATCH)

    def count(self, model: Any, batch: int) -> Tensor:
        """Return for all genes, then for each group, the counts of whole genes and of 3' ends."""
        part = slice(batch * WINDOWS_PER_BATCH, (batch + 1) * WINDOWS_PER_BATCH)
        decoded = decode_windows(
            model, self._tokenizer, self._bases[part], self._codes[part], self._grammar
        )
        predicted = [decode_window(w.labels, self._tokenizer.structure).genes for w in decoded]
        sides = [
            self._grouped(*each)
            for each in zip(self._windows[part], predicted, self._references[part], strict=True)
        ]
        counts: list[int] = []
        for name in self._names:
            ours, theirs = ([side[k].get(name, []) for side in sides] for k in (0, 1))
            counts += count_equal(ours, theirs, lambda gene: gene)
            counts += count_equal(ours, theirs, three_prime_end)
        return torch.tensor(counts, dtype=torch.float64)

    def figures(self, counts: Tensor) -> dict[str, float]:
        """Return both F1 scores, and those of the groups that have a gene."""
        found = {}
        for name, values in zip(self._names, counts.view(-1, 4).tolist(), strict=True):
            genes, genes_right, ends, ends_right = values
            prefix = f"{name}_" if name else ""
            if genes or not name:
                found[f"{prefix}gene_f1"] = f1(genes, genes_right)
                found[f"{prefix}stop_f1"] = f1(ends, ends_right)
        return found

    def _grouped(
        self, window: Window, predicted: Sequence[WindowGene], true: Sequence[WindowGene]
    ) -> tuple[_ByGroup, _ByGroup]:
        """Return decoded and true genes of a window by group; "" has all of them."""
        if len(self._names) == 1:
            return {"": predicted}, {"": true}
        difficulties = [_difficulty(gene, window, self._groups) for gene in true]
        sides = (
            (predicted, [_of_nearest(gene, true, difficulties) for gene in predicted]),
            (true, difficulties),
        )
        ours, theirs = (
            {name: [g for g, its in zip(genes, of, strict=True) if its == name] for name in {*of}}
            | {"": genes, window.clade: genes}
            for genes, of in sides
        )
        return ours, theirs


_ByGroup = dict[str | None, Sequence[WindowGene]]


def spread_rows(clades: Sequence[str], number: int) -> list[int]:
    """Return rows spread evenly over the clades, and over each clade's rows.

    Example:
        >>> spread_rows(["a", "b", "a", "a", "a"], 3)
        [0, 3, 1]
    """
    names = sorted({*clades})
    rows = [[row for row, clade in enumerate(clades) if clade == name] for name in names]
    shares = share_evenly([len(own) for own in rows], number)
    return [
        own[k * len(own) // share]
        for own, share in zip(rows, shares, strict=True)
        for k in range(share)
    ]


def _difficulty(gene: WindowGene, window: Window, groups: WindowGroups) -> str | None:
    """Return how difficult a true gene is, if bake chose it."""
    first, last = _span(gene)
    length = len(window.bases)
    forward = interval_on_strand(first, last + 1, length, window.strand)
    start, end = (window.start + each for each in forward)
    strand = gene.strand * window.strand
    return groups.difficulty(f"{window.genome}/{window.contig}", start, end, strand)


def _of_nearest(
    gene: WindowGene, true: Sequence[WindowGene], difficulties: Sequence[str | None]
) -> str | None:
    """Return the difficulty of the true gene that shares most bases with a decoded one."""
    first, last = _span(gene)
    shared = [
        min(last, _span(other)[1]) - max(first, _span(other)[0]) + 1
        if other.strand == gene.strand
        else 0
        for other in true
    ]
    best = max(range(len(true)), key=lambda index: shared[index], default=None)
    return None if best is None or shared[best] <= 0 else difficulties[best]


def _span(gene: WindowGene) -> tuple[int, int]:
    """Return a gene's first and last base in its window; (0, -1) if nothing of it is shown."""
    parts = [part for transcript in gene.transcripts for part in transcript.parts]
    return min((p.first for p in parts), default=0), max((p.last for p in parts), default=-1)


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
