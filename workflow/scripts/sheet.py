"""The sheet of genomes: a TSV file with a header line and one genome on each line.

Columns are name and fasta, and where wanted model, clade, genetic_code, reference and lineage, in
any order; an empty cell or `-` means none. Paths are relative to the sheet's folder. Only the
standard library is used: Snakemake may run in an environment of its own.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

REQUIRED = ("name", "fasta")
OPTIONAL = ("model", "clade", "genetic_code", "reference", "lineage")
_NAME = re.compile(r"[A-Za-z0-9](?:[\w .,+()'=@-]*[\w.)+'=@-])?")
"""Folder names that Snakemake does not take for patterns and no program for a flag."""


class SheetError(ValueError):
    """The sheet of genomes is wrong; says where, and what is expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Genome:
    """One line of the sheet."""

    name: str
    """Also the name of its folder in the results."""
    fasta: str
    model: str = ""
    clade: str = ""
    genetic_code: str = ""
    reference: str = ""
    """Annotation held to be true; empty: the genome is not evaluated."""
    lineage: str = ""
    """Folder of a BUSCO lineage; empty: no BUSCO."""

    def annotate_flags(self, model: str) -> list[str]:
        """Return the flags of `genet5 annotate` for this genome; `model` is the default one."""
        clade = ["--clade", self.clade] if self.clade else []
        return ["--model", self.model or model, *clade, *self.code_flags()]

    def code_flags(self) -> list[str]:
        """Return the flag that names the genetic code, if the sheet does."""
        return ["--genetic_code", self.genetic_code] if self.genetic_code else []


def read_sheet(path: Path) -> dict[str, Genome]:
    """Read a sheet; return its genomes by name, in its order.

    Raises:
        SheetError: A column, name, file or code is missing or wrong; with the line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise SheetError(f"{path}: {error.strerror}; expected a sheet of genomes (TSV)") from None
    lines = [line for line in csv.reader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)]
    if not lines:
        raise SheetError(f"{path}: empty; expected a header line: {' '.join(REQUIRED + OPTIONAL)}")
    columns = _columns(lines[0], path)
    genomes: dict[str, Genome] = {}
    for number, cells in enumerate(lines[1:], 2):
        if not any(cell.strip() for cell in cells) or cells[0].startswith("#"):
            continue
        genome = _genome(columns, cells, f"{path}:{number}", path.parent)
        if genome.name.lower() in {name.lower() for name in genomes}:
            raise SheetError(f"{path}:{number}: name {genome.name!r} again; expected each once")
        genomes[genome.name] = genome
    if not genomes:
        raise SheetError(f"{path}: no genome; expected a line for each below the header")
    return genomes


def _columns(header: list[str], path: Path) -> list[str]:
    """Check the header line."""
    columns = [cell.strip().lstrip("#").lower() for cell in header]
    missing = [name for name in REQUIRED if name not in columns]
    unknown = [name for name in columns if name not in REQUIRED + OPTIONAL]
    twice = sorted({name for name in columns if columns.count(name) > 1})
    for what, names in (("no", missing), ("unknown", unknown), ("twice the", twice)):
        if names:
            raise SheetError(
                f"{path}:1: {what} column {', '.join(map(repr, names))}; expected, divided by "
                f"tabs, {' '.join(REQUIRED)} and any of {' '.join(OPTIONAL)}"
            )
    return columns


def _genome(columns: list[str], cells: list[str], where: str, folder: Path) -> Genome:
    """Turn one line into a genome."""
    if len(cells) > len(columns):
        raise SheetError(f"{where}: {len(cells)} columns; expected {len(columns)}, as the header")
    values = dict(zip(columns, (cell.strip() for cell in cells), strict=False))
    row = {name: "" if value == "-" else value for name, value in values.items()}
    name = row.get("name", "")
    if not _NAME.fullmatch(name):
        raise SheetError(
            f"{where}: name {name!r}; expected letters, digits, blanks and .,_+()'=@- that begin "
            "with a letter or digit"
        )
    if not row.get("fasta"):
        raise SheetError(f"{where}: no FASTA file for {name!r}")
    code = row.get("genetic_code", "")
    if code and not code.isdigit():
        raise SheetError(f"{where}: genetic_code {code!r}; expected NCBI's number, such as 11")
    return Genome(**row | _paths(row, where, folder))


def _paths(row: Mapping[str, str], where: str, folder: Path) -> dict[str, str]:
    """Return the cells that name files, relative to the sheet's folder, and check that they are."""
    found = {}
    for column in ("fasta", "reference", "lineage"):
        if value := row.get(column, ""):
            path = folder / value
            if not (path.is_dir() if column == "lineage" else path.is_file()):
                kind = "folder" if column == "lineage" else "file"
                raise SheetError(f"{where}: {column}: no {kind} {path}")
            found[column] = str(path)
    return found
