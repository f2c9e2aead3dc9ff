"""Genomes on disk and baked windows, for the tests of baking."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from genet5.config.bake import BakeConfig
from genet5.config.json_files import config_from_dict
from genet5.dataset.header import Header, combine_digests, count_content
from genet5.dataset.packed import PackedReader, PackedWriter
from genet5.dataset.windows import Window
from genet5.genome.gene import Gene
from genet5.genome.io.fasta import Contig, read_fasta, write_fasta
from genet5.genome.io.gff3 import write_gff3

CODES = {"one": 11, "two": 4, "three": 11}
"""Genomes and their genetic codes."""


def write_genome(folder: Path, contigs: Mapping[str, str], genes: Iterable[Gene]) -> None:
    """Write FOLDER/genome.fa and FOLDER/annotation.gff3."""
    folder.mkdir(parents=True, exist_ok=True)
    write_fasta(folder / "genome.fa", contigs.items())
    with (folder / "annotation.gff3").open("w") as out:
        write_gff3(out, genes, {name: len(bases) for name, bases in contigs.items()})


def baked(settings: BakeConfig, split: str = "training") -> list[Window]:
    """The windows of a split's file."""
    return list(PackedReader(settings.output_dir / f"{split}.packed").windows())


def spans_of(windows: list[Window]) -> list[tuple[str, int, int]]:
    """Genome/contig, start and end of each window."""
    return [(f"{w.genome}/{w.contig}", w.start, w.start + len(w.bases)) for w in windows]


def write_packed(path: Path, rows: Sequence[Sequence[Window]], header: Header) -> Header:
    """Write rows that are all in memory; return the header with counts and checksum filled in."""
    digests = (window.digest() for row in rows for window in row)
    values = asdict(header) | {"counts": count_content(rows), "checksum": combine_digests(digests)}
    full = config_from_dict(Header, values, path)
    with PackedWriter(path, full) as writer:
        for row in rows:
            writer.write_row(row)
    return full


def read_genome(path: Path) -> dict[str, Contig]:
    """Read a whole FASTA file into memory: name -> contig, in the file's order."""
    return {contig.name: contig for contig in read_fasta(path)}
