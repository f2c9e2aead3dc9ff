"""Bases of a reference genome by contig and place, whatever the contigs are called.

Variants say "1" where the genome says "chr1", or "MT" for "chrM": names are matched as they are,
then with and without "chr". Plain and bgzip FASTA are read in place; gzip, which cannot be, and
parquet (columns ID and Sequence, as published beside GENERator) are held in memory.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from genet5.errors import DataError
from genet5.genome.io.fasta import read_fasta
from genet5.genome.io.files import damage_as_data_error
from genet5.genome.io.regions import IndexedFasta, Region
from genet5.genome.sequence import Bases, checked_bases
from genet5.lm.tables import read_rows, table_kind

_GZIP, _BGZIP_FIELD = b"\x1f\x8b", b"BC"


class ReferenceGenome:
    """A genome that gives any part of any contig; a context manager."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stack = ExitStack()
        self._held: dict[str, Bases] = {}
        self._indexed: IndexedFasta | None = None

    def __enter__(self) -> Self:
        if table_kind(self._path) == "parquet":
            self._held = _from_parquet(self._path)
        elif _is_plain_gzip(self._path):
            self._held = {contig.name: contig.bases for contig in read_fasta(self._path)}
        else:
            self._indexed = self._stack.enter_context(IndexedFasta(self._path))
        indexed = self._indexed
        held = {name: len(bases) for name, bases in self._held.items()}
        self.lengths = held if indexed is None else indexed.lengths
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def find(self, name: str) -> str | None:
        """Return the genome's name of a contig, or None if it has none.

        Example:
            With contigs chr1 and chrM, "1", "chr1" and "Chr1" are chr1, "MT" is chrM.
        """
        bare = name[3:] if name.lower().startswith("chr") else name
        bares = [bare, *{"M": ["MT"], "MT": ["M"]}.get(bare, [])]
        candidates = [name, *(prefix + each for each in bares for prefix in ("chr", "", "Chr"))]
        return next((each for each in candidates if each in self.lengths), None)

    def bases(self, contig: str, start: int, end: int) -> Bases:
        """Return bases of a contig, 0-based half-open; what lies beyond its ends is left out."""
        start, end = max(0, start), min(end, self.lengths[contig])
        if start >= end:
            return checked_bases("")
        if self._indexed is not None:
            return self._indexed.bases(Region(contig, start, end))
        return self._held[contig][start:end]


def _is_plain_gzip(path: Path) -> bool:
    if not path.is_file():
        raise DataError("file not found", path=path, remedy="Check the path")
    with damage_as_data_error(path), path.open("rb") as file:
        head = file.read(14)
    return head.startswith(_GZIP) and head[12:14] != _BGZIP_FIELD


def _from_parquet(path: Path) -> dict[str, Bases]:
    held = {}
    for _, row in read_rows(path):
        if not {"ID", "Sequence"} <= set(row):
            raise DataError(
                f"columns {', '.join(row)}", expected="the columns ID and Sequence", path=path
            )
        held[str(row["ID"])] = checked_bases(row["Sequence"])
    return held
