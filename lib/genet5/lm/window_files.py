"""Windows that others have cut: Nucleotide GPT's TFRecord files, and tables of sequences.

A record has tokens (`x`), which of them are real (`segment_ids`), which are soft-masked
(`lowercase_mask`), and the window's place (`chromosome`, `start_pos`, `end_pos`). Tokens are single
bases or 6-mers that do not overlap; which of them follows from how many there are for so many
bases. The columns of a table are Chrom, Start, End (not needed) and Sequence, as in the file that
the records were made of.

Example:
    for window in read_window_files([Path("record_0.tfrecord")]):
        window.contig, window.start, window.bases          # soft-masked bases in lower case
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from genet5.errors import DataError, FormatError, clipped
from genet5.genome.io.contig_lines import whole_number
from genet5.genome.sequence import Bases, checked_bases
from genet5.lm.tables import is_table, read_rows
from genet5.lm.tfrecord import Value, read_examples
from genet5.lm.vocabulary import (
    KmerVocabulary,
    nucleotide_gpt_kmers,
    nucleotide_gpt_vocabulary,
)

_COLUMNS = ("chrom", "start", "sequence")
_NUMBERS = ("x", "segment_ids", "lowercase_mask", "start_pos", "end_pos")
_LOWER = 0x20  # the bit of ASCII letters


@dataclass(frozen=True, slots=True)
class PlacedSequence:
    """An interval of a contig, and its sequence."""

    contig: str
    start: int
    """Its first base, 0-based."""
    bases: Bases


def read_window_files(paths: Sequence[Path]) -> Iterator[PlacedSequence]:
    """Yield the windows of record files and tables, in their order.

    Raises:
        DataError: A file is damaged, or a window is none of the known forms.
    """
    for path in paths:
        if is_table(path):
            for line, row in read_rows(path):
                yield _from_row(row, path, line)
        else:
            for number, features in enumerate(read_examples(path)):
                yield _from_record(features, path, number)


def _from_row(row: Mapping[str, Any], path: Path, line: int) -> PlacedSequence:
    values = {str(name).lower(): value for name, value in row.items()}
    if not set(_COLUMNS) <= set(values):
        raise DataError(
            f"columns {', '.join(row)}", expected="the columns Chrom, Start and Sequence",
            path=path, line=line,
        )  # fmt: skip
    start = whole_number(str(values["start"]).strip())
    if start is None:
        raise DataError(
            f"Start {clipped(str(values['start']))!r}", expected="a whole number", path=path,
            line=line,
        )  # fmt: skip
    try:
        bases = checked_bases(str(values["sequence"]).strip())
    except DataError as error:
        raise DataError(error.found, expected=error.expected, path=path, line=line) from error
    return PlacedSequence(str(values["chrom"]), start, bases)


def _from_record(features: Mapping[str, Value], path: Path, number: int) -> PlacedSequence:
    numbers = {name: features.get(name) for name in _NUMBERS}
    wrong = [name for name, found in numbers.items() if not isinstance(found, np.ndarray)]
    contig = features.get("chromosome")
    if wrong or not isinstance(contig, tuple) or len(contig) != 1:
        name = wrong[0] if wrong else "chromosome"
        raise FormatError(
            f"record {number}: no {name}", expected="the features of Nucleotide GPT's records",
            path=path,
        )  # fmt: skip
    ids, segments, mask, start, end = (np.asarray(numbers[name]) for name in _NUMBERS)
    if not len(ids) == len(segments) == len(mask) or len(start) != 1 or len(end) != 1:
        raise FormatError(
            f"record {number}: {len(ids)} tokens, {len(segments)} segments, {len(mask)} masks",
            expected="as many of each, and one start and end", path=path,
        )  # fmt: skip
    is_real, span = segments > 0, int(end[0] - start[0])
    try:
        vocabulary = _vocabulary(int(is_real.sum()), span)
        bases = _bases(vocabulary, ids[is_real], mask[is_real] > 0)
    except DataError as error:
        raise FormatError(
            f"record {number}: {error.found}", expected=error.expected, path=path,
            remedy=error.remedy,
        ) from error  # fmt: skip
    return PlacedSequence(
        contig[0].decode("utf-8"), int(start[0]), bases[:span] if span > 0 else bases
    )


def _vocabulary(tokens: int, span: int) -> KmerVocabulary:
    """Return what a window's tokens are; ends that are counted with or without differ by one."""
    if abs(span - tokens) <= 1:
        return nucleotide_gpt_vocabulary()
    if abs(span - tokens - 5) <= 1:
        raise DataError(
            "6-mers that overlap", expected="single bases or 6-mers that do not",
            remedy="Bake the genome itself, or the table that the records were made of",
        )  # fmt: skip
    if -1 <= 6 * tokens - span <= 6:
        return nucleotide_gpt_kmers(is_overlapping=False)
    raise DataError(f"{tokens} tokens for {span} bases", expected="single bases or 6-mers")


def _bases(vocabulary: KmerVocabulary, ids: Any, is_lower: Any) -> Bases:
    """Return the letters of tokens; padding's id within a window stands for an unknown letter."""
    if len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < vocabulary.vocab_size:
        raise DataError(f"token {int(ids.max())}", expected=f"ids below {vocabulary.vocab_size}")
    known = np.where(ids == vocabulary.pad_id, vocabulary.unk_id, ids)
    bases = checked_bases(vocabulary.decode(known.tolist()))
    return np.where(np.repeat(is_lower, vocabulary.k), bases | _LOWER, bases).astype(np.uint8)
