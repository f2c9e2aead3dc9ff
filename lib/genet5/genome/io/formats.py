r"""Read annotations in any format: GFF3, GTF or GenBank, told by their content.

Example:
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "genes")
    >>> _ = path.write_text('c1\t.\tCDS\t1\t9\t.\t+\t0\tgene_id "g"; transcript_id "t";\n')
    >>> read_annotation(path).genes[0].id
    'g'
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Literal, TypeAlias

from genet5.errors import DataError
from genet5.genome.io.annotation import Annotation, AnnotationFile, HeldAnnotation
from genet5.genome.io.files import damage_as_data_error, open_seekable
from genet5.genome.io.genbank import parse_genbank
from genet5.genome.io.gff3 import Gff3File
from genet5.genome.io.gtf import GtfFile

Format: TypeAlias = Literal["gff3", "gtf", "genbank"]

_SUFFIXES: dict[str, Format] = {
    ".gff3": "gff3",
    ".gff": "gff3",
    ".gtf": "gtf",
    ".gb": "genbank",
    ".gbk": "genbank",
    ".gbff": "genbank",
    ".genbank": "genbank",
}
_GTF_WORDS = re.compile(r"(?:^|;)\s*(?:gene_id|transcript_id)\s+[\"\w]")
_HEAD_LINES = 2_000


def read_annotation(path: Path, *, skip_bad: bool = False) -> Annotation:
    """Read all genes of a GFF3, GTF or GenBank file: plain, gzip or bgzip; `-` is standard input.

    Args:
        path: The file; its name says nothing about its format.
        skip_bad: Leave bad records out and count them by cause, instead of raising.

    Raises:
        DataError: The file is empty, damaged or of another kind, or a record is bad; names the file and the line.
    """
    with open_annotation(path, skip_bad=skip_bad) as file:
        return file.read_all()


@contextmanager
def open_annotation(path: Path, *, skip_bad: bool = False) -> Iterator[AnnotationFile]:
    """Open a GFF3, GTF or GenBank file to read it contig by contig; arguments and errors as those of `read_annotation`.

    Of GFF3 and GTF one contig at a time is in memory. GenBank is held whole: its identifiers are made unique in the file's order.

    Example:
        with open_annotation(Path("genes.gff3.gz")) as file:
            for contig in file.contigs:
                print(contig, len(file.read(contig).genes))
    """
    with open_seekable(path) as raw:
        with damage_as_data_error(path):
            kind = tell_format(map(bytes.decode, islice(raw, _HEAD_LINES)), path)
            raw.seek(0)
        if kind == "genbank":
            lines = map(bytes.decode, raw)
            yield HeldAnnotation(parse_genbank(lines, path, skip_bad=skip_bad))
        else:
            reader = Gff3File if kind == "gff3" else GtfFile
            yield reader(raw, path, skip_bad=skip_bad)


def tell_format(head: Iterable[str], path: Path) -> Format:
    """Tell the format by the first lines of a file; GFF3 when in doubt. `path` is for messages.

    Raises:
        DataError: The file is empty, or of a kind that holds no genes.
    """
    empty = True
    for number, line in enumerate(head, 1):
        if not line.strip():
            continue
        if empty:
            _refuse_others(line, number, path)
            if line.startswith("LOCUS"):
                return "genbank"
        empty = False
        column_9 = line.rstrip("\r\n").split("\t")[8:9]
        if line.startswith("#") or not column_9:
            if re.match("#+ ?gtf", line) or re.match(r"##gff-version +2", line):
                return "gtf"
        elif _GTF_WORDS.search(column_9[0]):
            return "gtf"
        elif "=" in column_9[0]:
            return "gff3"
    if empty:
        raise DataError(
            "an empty file", expected="GFF3, GTF or GenBank", path=path,
            remedy="A file without genes needs a header line such as ##gff-version 3",
        )  # fmt: skip
    return "gff3"


def format_of_name(path: Path) -> Format | None:
    """The format that the name of a file says, `.gz` aside; None when it says none."""
    name = Path(path.name.removesuffix(".gz"))
    return _SUFFIXES.get(name.suffix.lower())


def _refuse_others(line: str, number: int, path: Path) -> None:
    """Raise for files of other kinds that are often mistaken for annotations."""
    kinds = {">": "a FASTA file", "ID   ": "an EMBL file", "@": "a FASTQ or SAM file", "track ": "a BED file", "\x00": "a binary file", "{": "a JSON file"}  # fmt: skip
    for start, kind in kinds.items():
        if line.startswith(start):
            raise DataError(
                kind, expected="GFF3, GTF or GenBank", path=path, line=number,
                remedy="Give the file with the annotation",
            )  # fmt: skip
