"""Genes as columns, one row for each gene, transcript, exon or CDS part; for data frames.

Example:
    >>> from genet5.genome.gene import Cds, Exon, Gene, Transcript
    >>> transcript = Transcript(id="t", exons=(Exon(3, 9), Exon(20, 26)), cds=(Cds(3, 9, 0),))
    >>> gene = Gene(id="g", contig="c", strand=-1, transcripts=(transcript,))
    >>> gene_table([gene], "exon")["number"]
    [2, 1]
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, TypeAlias, get_args

from genet5.errors import ConfigError
from genet5.genome.frames import in_reading_order
from genet5.genome.gene import Cds, Exon, Gene, Transcript

Level: TypeAlias = Literal["gene", "transcript", "exon", "cds"]
Row: TypeAlias = tuple[Any, ...]

_PLACE = ("contig", "start", "end", "strand")
COLUMNS: dict[Level, tuple[str, ...]] = {
    "gene": (
        *_PLACE,
        "gene",
        "name",
        "type",
        "pseudo",
        "genetic_code",
        "transcripts",
        "score",
        "start_score",
    ),
    "transcript": (
        *(*_PLACE, "gene", "transcript", "type", "exons", "cds_bp"),
        *("partial_5", "partial_3", "score"),
    ),
    "exon": (*_PLACE, "gene", "transcript", "number", "score"),
    "cds": (*_PLACE, "gene", "transcript", "number", "phase", "score"),
}
"""The columns of each level, in their order."""


def gene_table(genes: Iterable[Gene], level: Level) -> dict[str, list[Any]]:
    """Return the columns of a table of genes, by name.

    `number` counts the exons or CDS parts of a transcript from its 5' end, beginning at 1.

    Raises:
        ConfigError: There is no such level.
    """
    if level not in COLUMNS:
        raise ConfigError("level", level, f"must be one of {', '.join(get_args(Level))}")
    rows = [row for gene in genes for row in _rows(gene, level)]
    names = COLUMNS[level]
    return {name: [row[at] for row in rows] for at, name in enumerate(names)}


def _rows(gene: Gene, level: Level) -> Iterator[Row]:
    if level == "gene":
        yield (
            *(gene.contig, gene.start, gene.end, gene.strand, gene.id, gene.name, gene.type),
            *(gene.pseudo, gene.genetic_code, len(gene.transcripts), gene.score),
            gene.start_score,
        )
        return
    for transcript in gene.transcripts:
        if level == "transcript":
            yield _transcript_row(gene, transcript)
        else:
            yield from _part_rows(gene, transcript, level)


def _transcript_row(gene: Gene, transcript: Transcript) -> Row:
    return (
        *(gene.contig, transcript.start, transcript.end, gene.strand, gene.id, transcript.id),
        *(transcript.type, len(transcript.exons), transcript.cds_length),
        *(transcript.partial_5, transcript.partial_3, gene.score),
    )


def _part_rows(gene: Gene, transcript: Transcript, level: Level) -> Iterator[Row]:
    parts: Sequence[Exon | Cds] = transcript.cds if level == "cds" else transcript.exons
    numbers = in_reading_order(range(1, len(parts) + 1), gene.strand)
    for at, (number, part) in enumerate(zip(numbers, parts, strict=True)):
        phase = (transcript.cds[at].phase,) if level == "cds" else ()
        place = (gene.contig, part.start, part.end, gene.strand)
        yield (*place, gene.id, transcript.id, number, *phase, gene.score)
