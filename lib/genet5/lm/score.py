"""Log-likelihoods of the sequences of a FASTA file, streamed to a table."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from genet5.config.lm.compute import StrandName
from genet5.config.lm.score import LmScoreConfig
from genet5.errors import DataError
from genet5.genome.io.fasta import Contig, read_fasta
from genet5.genome.sequence import Bases, reverse_complement
from genet5.lm.folders import LanguageModel
from genet5.lm.likelihood import Row, combine, likelihood_rows, log_probabilities
from genet5.lm.tables import TableWriter

COLUMNS = {
    "name": str,
    "length_bp": int,
    "scored_bp": int,
    "log_likelihood": float,
    "bits_per_base": float,
}
_ROWS_AT_ONCE = 256


def strands(bases: Bases, strand: StrandName) -> list[Bases]:
    """Return the sequence as each strand that is scored reads it, 5' to 3'."""
    if strand == "forward":
        return [bases]
    reverse = reverse_complement(bases)
    return [reverse] if strand == "reverse" else [bases, reverse]


def score_fasta(lm: LanguageModel, config: LmScoreConfig) -> int:
    """Write a row for each sequence; return how many there were.

    Raises:
        DataError: A sequence cannot be scored; it is named.
    """
    count = 0
    with TableWriter(config.output, COLUMNS) as table:
        for group in _grouped(lm, config):
            for contig, parts in group:
                count += 1
                length = len(contig.bases)
                (log_p, scored_bp) = parts
                table.write(
                    {
                        "name": contig.name,
                        "length_bp": length,
                        "scored_bp": scored_bp,
                        "log_likelihood": log_p,
                        "bits_per_base": -log_p / math.log(2) / scored_bp if scored_bp else None,
                    }
                )
    return count


def sequence_likelihoods(
    lm: LanguageModel, strand_rows: Sequence[Sequence[Sequence[Row]]], batch_tokens: int
) -> list[tuple[float, int]]:
    """Return each sequence's log-likelihood in nats, the mean over its strands, and its bases.

    Args:
        lm: The model.
        strand_rows: For each sequence, for each strand that is scored, its rows.
        batch_tokens: Tokens of a batch.
    """
    rows = [row for strand in strand_rows for part in strand for row in part]
    log_p = log_probabilities(lm, rows, batch_tokens=batch_tokens)
    found, begin = [], 0
    for strand in strand_rows:
        values = []
        for part in strand:
            values.append(combine(part, log_p[begin : begin + len(part)]))
            begin += len(part)
        mean = sum(value for value, _ in values) / len(values)
        found.append((mean, values[0][1]))
    return found


def _grouped(
    lm: LanguageModel, config: LmScoreConfig
) -> Iterator[list[tuple[Contig, tuple[float, int]]]]:
    """Yield sequences with their figures, some at a time."""
    contigs: list[Contig] = []
    rows: list[list[list[Row]]] = []
    for contig in read_fasta(config.fasta):
        contigs.append(contig)
        rows.append([_rows(lm, each, config, contig) for each in _both(contig, config)])
        if sum(len(part) for strand in rows for part in strand) >= _ROWS_AT_ONCE:
            yield _scored(lm, config, contigs, rows)
            contigs, rows = [], []
    if contigs:
        yield _scored(lm, config, contigs, rows)


def _both(contig: Contig, config: LmScoreConfig) -> list[Bases]:
    return strands(contig.bases, config.likelihood.strand)


def _rows(lm: LanguageModel, bases: Bases, config: LmScoreConfig, contig: Contig) -> list[Row]:
    how = config.ambiguous, config.likelihood, lm.max_tokens
    try:
        return likelihood_rows(lm.vocabulary, bases, *how)
    except DataError as error:
        path: Path = config.fasta
        raise DataError(
            f"{contig.name}: {error.found}",
            expected=error.expected, remedy=error.remedy, path=path,
        ) from error  # fmt: skip


def _scored(
    lm: LanguageModel,
    config: LmScoreConfig,
    contigs: list[Contig],
    rows: list[list[list[Row]]],
) -> list[tuple[Contig, tuple[float, int]]]:
    found = sequence_likelihoods(lm, rows, config.compute.batch_tokens)
    return list(zip(contigs, found, strict=True))
