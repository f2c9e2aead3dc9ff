r"""Read annotations in any format: GFF3, GTF or GenBank, recognised by their content.

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
from genet5.genome.io.attributes import unquoted
from genet5.genome.io.files import damage_as_data_error, open_seekable
from genet5.genome.io.genbank import parse_genbank
from genet5.genome.io.gff3 import Gff3File
from genet5.genome.io.gtf import GtfFile
from genet5.genome.io.read_options import ReadOptions

Format: TypeAlias = Literal["gff3", "gtf", "genbank"]
"""What is read."""
OutputFormat: TypeAlias = Literal["gff3", "gtf", "genbank", "bed", "tsv", "tbl"]
"""What is written; bed is BED12, tsv a table of transcripts, tbl NCBI's feature table."""

_SUFFIXES: dict[str, OutputFormat] = {
    ".gff3": "gff3",
    ".gff": "gff3",
    ".gtf": "gtf",
    ".gb": "genbank",
    ".gbk": "genbank",
    ".gbff": "genbank",
    ".genbank": "genbank",
    ".bed": "bed",
    ".tsv": "tsv",
    ".tbl": "tbl",
}
_GTF_WORDS = re.compile(
    r"(?:^|;)\s*(?:(?:gene_id|transcript_id)(?:\s+|\s*=\s*)[\"\w]"
    r"|(?:name|transcriptId|proteinId)\s+[\"\w])"
)
"""Of GTF, its variants with "=", and the GFF2 of JGI."""
_GFF3_WORDS = re.compile(r"(?:^|;)\s*(?:ID|Parent)\s*=")
_HEAD_LINES = 2_000


def read_annotation(
    path: Path,
    *,
    skip_bad: bool = False,
    stop_codon_outside: bool = False,
    keep_attributes: bool = False,
) -> Annotation:
    """Read all genes of a GFF3, GTF or GenBank file: plain, gzip or bgzip; `-` is standard input.

    Args:
        path: The file; its name does not matter.
        skip_bad: Leave bad records out and count them by cause, instead of raising.
        stop_codon_outside: The file leaves stop codons out of its CDS: extend each complete CDS.
        keep_attributes: Keep products, cross-references, notes ... for a writer.

    Raises:
        DataError: The file is empty, damaged or of another kind, a record is bad, or bad records
            were skipped and no gene is left; names the file and the line.
    """
    with open_annotation(
        path,
        skip_bad=skip_bad,
        stop_codon_outside=stop_codon_outside,
        keep_attributes=keep_attributes,
    ) as file:
        return file.read_all()


@contextmanager
def open_annotation(
    path: Path,
    *,
    skip_bad: bool = False,
    stop_codon_outside: bool = False,
    keep_attributes: bool = False,
) -> Iterator[AnnotationFile]:
    """Open a GFF3, GTF or GenBank file to read it contig by contig.

    Arguments and errors are those of `read_annotation`. Of GFF3 and GTF one contig at a time is in
    memory. GenBank is held whole: its identifiers are made unique in the file's order. A file whose
    contigs were all read ends with a line in the log: genes, transcripts, and what was inferred.

    Example:
        with open_annotation(Path("genes.gff3.gz")) as file:
            for contig in file.contigs:
                print(contig, len(file.read(contig).genes))
    """
    options = ReadOptions(
        skip_bad=skip_bad, stop_codon_outside=stop_codon_outside, keep_attributes=keep_attributes
    )
    with open_seekable(path) as raw:
        with damage_as_data_error(path):
            kind = recognise_format(map(bytes.decode, islice(raw, _HEAD_LINES)), path)
            raw.seek(0)
        file: AnnotationFile
        if kind == "genbank":
            file = HeldAnnotation(
                parse_genbank(map(bytes.decode, raw), path, options), path, options
            )
        else:
            file = (Gff3File if kind == "gff3" else GtfFile)(raw, path, options)
        yield file
        file.finish()


def recognise_format(head: Iterable[str], path: Path) -> Format:
    """Recognise the format by the first lines of a file; GFF3 when in doubt.

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
        columns = line.rstrip("\r\n").split("\t")
        if line.startswith("#") or len(columns) < 9:
            if re.match("#+ ?gtf", line) or re.match(r"##gff-version +2", line):
                return "gtf"
            continue
        text = unquoted(columns[8])
        if _GTF_WORDS.search(text) and not _GFF3_WORDS.search(text):
            return "gtf"
        if "=" in text:
            return "gff3"
    if empty:
        raise DataError(
            "an empty file", expected="GFF3, GTF or GenBank", path=path,
            remedy="A file without genes needs a header line such as ##gff-version 3",
        )  # fmt: skip
    return "gff3"


def format_of_name(path: Path) -> OutputFormat | None:
    """The format to write by a file's name, `.gz` aside; None for other names."""
    name = Path(path.name.removesuffix(".gz"))
    return _SUFFIXES.get(name.suffix.lower())


def _refuse_others(line: str, number: int, path: Path) -> None:
    """Raise for files of other kinds that are often mistaken for annotations."""
    kinds = {
        ">": "a FASTA file", "ID   ": "an EMBL file", "@": "a FASTQ or SAM file",
        "track ": "a BED file", "\x00": "a binary file", "{": "a JSON file",
    }  # fmt: skip
    for start, kind in kinds.items():
        if line.startswith(start):
            raise DataError(
                kind, expected="GFF3, GTF or GenBank", path=path, line=number,
                remedy="Give the file with the annotation",
            )  # fmt: skip
