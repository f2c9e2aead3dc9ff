"""Regions of a genome by name: BED, genes of an annotation, or features of GFF3 and GTF.

Coordinates are 0-based half-open. Bases are those of the region's strand, 5' to 3'.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from genet5.errors import DataError
from genet5.genome.io.attributes import parse_attributes, unescape, unquoted
from genet5.genome.io.contig_lines import whole_number
from genet5.genome.io.files import open_text
from genet5.genome.io.formats import read_annotation
from genet5.genome.sequence import Bases, on_strand
from genet5.lm.reference import ReferenceGenome

_BED_FIELDS = ("name", "score", "strand")
_GTF = (".gtf", ".gtf.gz")
_STRANDS = {"+": 1, "-": -1, ".": 1, "?": 1}


@dataclass(frozen=True, slots=True)
class Region:
    """An interval of a contig."""

    name: str
    contig: str
    start: int
    end: int
    strand: int
    """1 or -1."""
    values: Mapping[str, str] = field(default_factory=dict)
    """What its line says of it: name and score in BED, type and attributes in GFF3 and GTF."""


def is_bed(path: Path) -> bool:
    """Whether a file is BED by its name."""
    return path.name.lower().endswith((".bed", ".bed.gz"))


def read_regions(path: Path) -> Iterator[Region]:
    """Yield the regions of a BED file, or the genes of GFF3, GTF or GenBank.

    Raises:
        DataError: A line is none of the format.
    """
    if is_bed(path):
        yield from _from_bed(path)
        return
    for gene in read_annotation(path).genes:
        yield Region(gene.id, gene.contig, gene.start, gene.end, gene.strand)


def read_features(path: Path, types: Collection[str] = ()) -> Iterator[Region]:
    """Yield the regions of a BED file, or the features of GFF3 or GTF, each line by itself.

    Args:
        path: The file.
        types: Types of features to take; none = all.

    Raises:
        DataError: A line is none of the format.
    """
    if is_bed(path):
        yield from _from_bed(path)
        return
    for region in _from_lines(path):
        if not types or region.values["type"] in types:
            yield region


def region_bases(genome: ReferenceGenome, region: Region, path: Path) -> Bases:
    """Return a region's bases on its strand.

    Raises:
        DataError: The genome has no such region; `path` is where it stands.
    """
    known = genome.find(region.contig)
    if known is None or not 0 <= region.start < region.end <= genome.lengths[known]:
        raise DataError(
            f"region {region.name}, {region.contig}:{region.start + 1}-{region.end}",
            expected="a region of the genome", path=path,
        )  # fmt: skip
    return on_strand(genome.bases(known, region.start, region.end), region.strand)


def _from_bed(path: Path) -> Iterator[Region]:
    with open_text(path) as lines:
        for number, line in enumerate(lines, 1):
            words = line.rstrip("\n").split("\t")
            if not line.strip() or line.startswith(("#", "track", "browser")):
                continue
            start, end = (whole_number(word) for word in [*words[1:3], "", ""][:2])
            if start is None or end is None:
                raise DataError(
                    f"line {line.strip()[:60]!r}", expected="contig, start, end (tab-separated)",
                    path=path, line=number,
                )  # fmt: skip
            values = dict(zip(_BED_FIELDS, words[3:], strict=False))
            name = values.get("name", f"{words[0]}:{start + 1}-{end}")
            strand = -1 if values.get("strand") == "-" else 1
            yield Region(name, words[0], start, end, strand, values)


def _from_lines(path: Path) -> Iterator[Region]:
    is_gtf = path.name.lower().endswith(_GTF)
    with open_text(path) as lines:
        for number, line in enumerate(lines, 1):
            if line.startswith("##FASTA"):
                return
            if not line.strip() or line.startswith("#"):
                continue
            words = line.rstrip("\n").split("\t")
            first, last = (whole_number(word) for word in [*words[3:5], "", ""][:2])
            if len(words) != 9 or first is None or last is None:
                raise DataError(
                    f"line {line.strip()[:60]!r}", expected="nine columns of GFF3 or GTF",
                    path=path, line=number,
                )  # fmt: skip
            values = {"type": words[2], "score": words[5], **_attributes(words[8], is_gtf=is_gtf)}
            name = values.get("ID") or f"{words[2]}:{words[0]}:{words[3]}-{words[4]}"
            place = first - 1, last, _STRANDS.get(words[6], 1)
            yield Region(name, unescape(words[0]), *place, values)


def _attributes(text: str, *, is_gtf: bool) -> dict[str, str]:
    if not is_gtf:
        return {key: unescape(value) for key, value in parse_attributes(text).items()}
    pairs = (each.strip().partition(" ") for each in text.split(";") if each.strip())
    return {key: unquoted(value.strip()) for key, _, value in pairs}
