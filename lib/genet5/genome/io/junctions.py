"""Introns from spliced alignments of RNA-seq: what BAM files of STAR, HISAT2 and minimap2 hold.

A read is split where its alignment skips bases of the genome (N in the CIGAR string). Its strand is
that of the XS tag (STAR, HISAT2), else of minimap2's ts tag, which counts in the read's direction;
without either it is not known. Secondary and supplementary alignments, duplicates and reads that
failed their checks do not count. Memory grows with the number of different introns.

Example:
    hints = list(read_junctions(Path("rna.bam"), overhang=8))
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from genet5.errors import DataError
from genet5.genome.hints import Hint

_ALIGNED, _DELETED, _SKIPPED, _EQUAL, _DIFFERENT = 0, 2, 3, 7, 8
_ON_GENOME = (_ALIGNED, _DELETED, _SKIPPED, _EQUAL, _DIFFERENT)
_UNUSED = 0x4 | 0x100 | 0x200 | 0x400 | 0x800
"""Unmapped, secondary, failed, duplicate, supplementary."""
_STRANDS = {"+": 1, "-": -1}
Junction = tuple[str, int, int, int]
"""Contig, start, end, strand."""


def is_alignment(path: Path) -> bool:
    """Whether a file is BAM or CRAM, by its name."""
    return path.suffix in (".bam", ".cram")


def read_junctions(path: Path, *, overhang: int) -> Iterator[Hint]:
    """Yield the introns of a BAM file, each once, with the number of its reads.

    Args:
        path: The file; it needs neither order nor index.
        overhang: Bases that a read must align on both sides.

    Raises:
        DataError: The file cannot be read.
    """
    import pysam

    found = Counter[Junction]()
    try:
        with pysam.AlignmentFile(str(path), check_sq=False) as file:
            for read in file.fetch(until_eof=True):
                if not read.flag & _UNUSED and read.cigartuples:
                    found.update(_junctions(read, overhang))
    except (OSError, ValueError) as error:
        raise DataError(f"cannot be read: {error}", expected="BAM", path=path) from error
    for (contig, start, end, strand), number in sorted(found.items()):
        yield Hint(contig, "intron", start, end, strand, multiplicity=number, source="E")


def _junctions(read: Any, overhang: int) -> Iterator[Junction]:
    """Yield the introns of one read."""
    steps: list[tuple[int, int]] = read.cigartuples
    strand, base = _strand(read), read.reference_start
    aligned = [size if kind in (_ALIGNED, _EQUAL, _DIFFERENT) else 0 for kind, size in steps]
    before, after = 0, sum(aligned)
    for (kind, size), own in zip(steps, aligned, strict=True):
        before, after = before + own, after - own
        if kind == _SKIPPED and min(before, after) >= overhang:
            yield read.reference_name, base, base + size, strand
        base += size if kind in _ON_GENOME else 0


def _strand(read: Any) -> int:
    if read.has_tag("XS"):
        return _STRANDS.get(str(read.get_tag("XS")), 0)
    if read.has_tag("ts"):
        own = _STRANDS.get(str(read.get_tag("ts")), 0)
        return -own if read.is_reverse else own
    return 0
