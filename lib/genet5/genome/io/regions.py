"""Random access to a FASTA file: some regions of a genome without reading the rest.

pyfaidx finds the bases by an index. One that lies beside the file (`genome.fa.fai`, for bgzip with
`genome.fa.gz.gzi`) is used when it is not older than the file; else an index is made in a
temporary folder, which reads the file once. Coordinates are 0-based half-open; only the text form
of a region ("NAME:START-END") is 1-based and closed, as in samtools.

Example:
    with IndexedFasta(Path("genome.fa")) as fasta:
        regions = fasta.locate(["chr1:1000-2000"])
        bases = fasta.bases(regions[0])
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Self

import pyfaidx

from genet5.errors import ConfigError, DataError
from genet5.genome.io.fasta import StoredContig, header_words
from genet5.genome.io.files import damage_as_data_error
from genet5.genome.sequence import Bases, checked_bases

_GZIP, _BGZIP_FIELD = b"\x1f\x8b", b"BC"
_RANGE = re.compile(r"(?P<name>.+):(?P<start>[\d,]+)-(?P<end>[\d,]+)")


@dataclass(frozen=True, slots=True, order=True)
class Region:
    """An interval of a contig."""

    contig: str
    start: int
    end: int

    def __str__(self) -> str:
        return f"{self.contig}:{self.start + 1}-{self.end}"


@dataclass(frozen=True, slots=True)
class IndexedBases:
    """The bases of a region in an open file: `len` and slices of step 1, as those of an array."""

    fasta: IndexedFasta
    region: Region

    def __len__(self) -> int:
        return self.region.end - self.region.start

    def __getitem__(self, span: slice) -> Bases:
        start, end, _ = span.indices(len(self))
        first = self.region.start + start
        last = self.region.start + max(end, start)
        return self.fasta.bases(Region(self.region.contig, first, last))


class IndexedFasta:
    """A FASTA file, plain or bgzip, that gives any part of any contig; a context manager."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Self:
        with damage_as_data_error(self._path):
            packed = _is_bgzip(self._path)
        self._folder = tempfile.TemporaryDirectory(prefix="genet5_")
        # pyfaidx goes by names, and would write its index beside the genome
        link = Path(self._folder.name) / ("genome.fa.gz" if packed else "genome.fa")
        link.symlink_to(self._path.resolve())
        suffixes = (".fai", ".gzi") if packed else (".fai",)
        indices = [self._path.with_name(self._path.name + suffix) for suffix in suffixes]
        if all(index.is_file() and _is_current(index, self._path) for index in indices):
            for index, suffix in zip(indices, suffixes, strict=True):
                link.with_name(link.name + suffix).symlink_to(index.resolve())
        try:
            self._fasta = pyfaidx.Fasta(str(link), as_raw=True)
        except (pyfaidx.FastaIndexingError, ValueError) as error:
            self._folder.cleanup()
            raise DataError(
                f"cannot be indexed ({error})".replace(str(link), self._path.name),
                path=self._path,
                remedy="Fold all lines of a sequence to one length, and name each contig once",
            ) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._fasta.close()
        self._folder.cleanup()

    @property
    def lengths(self) -> dict[str, int]:
        """Length of each contig, in the file's order."""
        return {name: len(self._fasta[name]) for name in self._fasta.keys()}  # noqa: SIM118

    def bases(self, region: Region) -> Bases:
        """Return a region's bases.

        Raises:
            DataError: A letter is no DNA.
        """
        with damage_as_data_error(self._path):
            text = self._fasta[region.contig][region.start : region.end]
        return checked_bases(text)

    def contig(self, region: Region) -> StoredContig:
        """Return a region as a contig of its own, whose bases are read when they are asked for."""
        _, description = header_words(self._fasta[region.contig].long_name)
        return StoredContig(region.contig, IndexedBases(self, region), description)

    def locate(self, texts: Sequence[str]) -> tuple[Region, ...]:
        """Find regions; they come back in the file's order.

        Args:
            texts: "NAME:START-END", 1-based closed, or "NAME" for a whole contig.

        Raises:
            ConfigError: There is no such contig or place, or two regions overlap.
        """
        lengths = self.lengths
        order = {name: number for number, name in enumerate(lengths)}
        regions = [_parse(text, lengths) for text in texts]
        regions.sort(key=lambda region: (order[region.contig], region.start, region.end))
        for first, second in pairwise(regions):
            if first.contig == second.contig and second.start < first.end:
                raise ConfigError("region", str(second), f"must not overlap region {first}")
        return tuple(regions)


def _parse(text: str, lengths: dict[str, int]) -> Region:
    if text in lengths:
        return Region(text, 0, lengths[text])
    match = _RANGE.fullmatch(text)
    if match is None or match["name"] not in lengths:
        raise ConfigError(
            "region", text, "must be CONTIG or CONTIG:START-END, a contig of the genome"
        )
    start, end = (int(match[name].replace(",", "") or 0) for name in ("start", "end"))
    length = lengths[match["name"]]
    if not 1 <= start <= end <= length:
        raise ConfigError("region", text, f"must lie within 1-{length}, its start first")
    return Region(match["name"], start - 1, end)


def _is_current(index: Path, genome: Path) -> bool:
    with suppress(OSError):
        return index.stat().st_mtime >= genome.stat().st_mtime
    return False


def _is_bgzip(path: Path) -> bool:
    """Whether the file is bgzip; False for a plain one.

    Raises:
        DataError: There is no such file, or it is compressed in another way.
    """
    if not path.is_file():
        raise DataError("file not found", path=path)
    with path.open("rb") as file:
        head = file.read(14)
    if not head.startswith(_GZIP):
        return False
    if head[12:14] != _BGZIP_FIELD:
        raise DataError(
            "a gzip file, whose regions cannot be read by themselves",
            expected="plain FASTA or bgzip",
            path=path,
            remedy="Compress it with bgzip: gunzip -c genome.fa.gz | bgzip > genome.bgz",
        )
    return True
