"""Windows of language models in packed files: bases and tokens, without labels."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from genet5.dataset.header import Header, combine_digests
from genet5.dataset.packed import PackedWriter
from genet5.dataset.windows import Window
from genet5.genome.sequence import Bases
from genet5.lm.bpe import BpeVocabulary
from genet5.lm.text import Vocabulary

_NO_WEIGHTS = np.zeros(0, dtype=np.float32)
_NO_LABELS = np.zeros(0, dtype=np.int32)


def token_window(
    bases: Bases,
    vocabulary: Vocabulary,
    *,
    clade: str,
    genome: str,
    contig: str,
    start: int = 0,
    strand: int = 1,
) -> Window:
    """Return the window of bases, tokenized from the first one on.

    Args:
        bases: As the window's strand reads them.
        vocabulary: The model's.
        clade: What the sequence is of.
        genome: Name of the genome or file.
        contig: Name of the contig or sequence.
        start: First base of the interval on the contig.
        strand: 1 or -1.
    """
    ids = vocabulary.encode(bases)
    if isinstance(vocabulary, BpeVocabulary):
        lengths = vocabulary.token_lengths(bases)
        starts = (np.cumsum(lengths) - lengths).astype(np.int32)
    else:
        starts = np.arange(len(ids), dtype=np.int32) * np.int32(vocabulary.bp_per_token)
    return Window(
        bases=bases,
        input_ids=ids,
        token_start_bp=starts,
        labels=_NO_LABELS,
        label_weights=_NO_WEIGHTS,
        genetic_code=0,
        clade=clade,
        genome=genome,
        contig=contig,
        start=start,
        strand=strand,
    )


def write_windows(
    path: Path, header: Header, windows: Callable[[], Iterable[Window]]
) -> dict[str, int]:
    """Write windows, a row each, unless there are none; return their counts.

    Args:
        path: The packed file.
        header: What it says beside counts and checksum, which are found here.
        windows: Gives the same windows at each call; it is called twice, as the header comes first.
    """
    counts = dict.fromkeys(("rows", "windows", "bases", "tokens", "labels"), 0)
    digests = []
    for window in windows():
        digests.append(window.digest())
        counts["rows"] += 1
        counts["windows"] += 1
        counts["bases"] += len(window.bases)
        counts["tokens"] += len(window.input_ids)
    if digests:
        whole = replace(header, counts=counts, checksum=combine_digests(digests))
        with PackedWriter(path, whole) as writer:
            for window in windows():
                writer.write_row([window])
    return counts
