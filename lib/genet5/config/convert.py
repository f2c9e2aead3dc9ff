"""Settings of `genet5 convert`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro


@dataclass(frozen=True, kw_only=True, slots=True)
class ConvertSettings:
    """What to rewrite, and how."""

    annotation: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="IN")]
    """Annotation to read: GFF3, GTF or GenBank, told by its content; plain or compressed, - is standard input."""
    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    """File to write; .gz compresses it, - is standard output."""
    genome: Annotated[Path | None, tyro.conf.arg(metavar="FASTA")] = None
    """The genome: checks that it fits the annotation, gives contigs their lengths; GenBank output needs it."""
    format: Literal["auto", "gff3", "gtf", "genbank"] = "auto"
    """What to write; auto goes by OUT's name (.gff3, .gff, .gtf, .gb, .gbk, .gbff)."""
    genetic_code: int = 1
    """NCBI number for genes that do not state their own (GenBank output)."""
    skip_bad: bool = False
    """Drop and count records that break the format, instead of stopping at the first."""
