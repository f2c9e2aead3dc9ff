"""Micro-batches of artificial gene windows, as a loader would give them, made in memory.

A bacterial genome of `genome.simulate` is cut into windows of one length, each with the labels and
per-base targets that `bake` and `collate` would make of it: about one gene per kilobase, seven
labels a gene."""

from __future__ import annotations

from collections.abc import Sequence

import machine  # noqa: F401  (it finds genet5 where it is not installed)
import numpy as np

from genet5.dataset.batch import Batch
from genet5.dataset.collate import collate
from genet5.dataset.windows import Window
from genet5.simulate.prokaryote import simulate_bacterium
from genet5.tokens.cut import GeneIndex
from genet5.tokens.sequence import KmerTokenizer
from genet5.tokens.structure import encode_window
from genet5.tokens.vocabulary import StructureVocabulary
from genet5.tokens.window import WindowStructure

CODE = 11
TOKENIZER = KmerTokenizer(6)
VOCABULARY = TOKENIZER.vocab_size


def gene_windows(window_bp: int, count: int, seed: int = 1) -> list[Window]:
    """Return `count` windows of `window_bp` bases with their genes, tokenized by 6-mers."""
    contigs, genes = simulate_bacterium(max(20_000, window_bp * count), seed)
    (contig,) = contigs
    index, vocabulary = GeneIndex(genes), StructureVocabulary()
    windows = []
    for start in range(0, window_bp * count, window_bp):
        bases = contig.bases[start : start + window_bp]
        ids, starts = TOKENIZER.encode(bases)
        shown = index.cut(start, start + window_bp)
        labels = encode_window(WindowStructure(CODE, None, shown), vocabulary)
        windows.append(
            Window(
                bases=bases,
                input_ids=ids,
                token_start_bp=starts,
                labels=labels,
                label_weights=np.ones(len(labels), dtype=np.float32),
                genetic_code=CODE,
                clade="prokaryotes",
                genome="artificial",
                contig=contig.name,
                start=start,
                strand=1,
            )
        )
    return windows


def micro_batches(windows: Sequence[Window], per_batch: int) -> list[Batch]:
    """Collate windows, `per_batch` together; what is left over at the end is left out."""
    starts = range(0, len(windows) - per_batch + 1, per_batch)
    return [collate(windows[start : start + per_batch]) for start in starts]
