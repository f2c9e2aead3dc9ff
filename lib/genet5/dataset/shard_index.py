"""Index of a data set in several packed files: `training.index.json` lists the shards.

The index holds for each shard its name, rows, windows, bytes and checksum, for all of them counts
and checksum as one file would have, and a checksum of itself. Shards lie beside their index; each
is a packed file of its own. The index appears last, so that it never names a file that is not
complete.

Example:
    index = read_index(Path("training.index.json"))
    index.paths(Path("training.index.json"))
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from genet5.config.json_files import config_from_dict, load_json, save_json
from genet5.dataset.header import Header
from genet5.errors import FormatError

_FORMAT = 1
_REMEDY = "Bake it again, or copy index and shards together"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """One file of an index."""

    file: str
    """Its name; it lies beside the index."""
    rows: int
    windows: int
    bytes: int
    checksum: str
    """As in the shard's header."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardIndex:
    """What an index file holds."""

    format: int = _FORMAT
    split: str
    counts: dict[str, int]
    """Rows, windows, bases, tokens, labels of all shards."""
    checksum: str
    """SHA-256 over all windows' digests in order: that of the same rows in one file."""
    shards: tuple[Shard, ...]
    crc32: str = ""
    """Of all other values; empty in the files of former versions."""

    def summed(self) -> str:
        """The checksum of the other values."""
        values = {name: value for name, value in asdict(self).items() if name != "crc32"}
        return f"{zlib.crc32(json.dumps(values, sort_keys=True).encode()):08x}"

    def paths(self, index: Path) -> list[Path]:
        """The shards' files, in order.

        Args:
            index: The index file.
        """
        for shard in self.shards:
            if Path(shard.file).name != shard.file:
                raise FormatError(
                    f'shard "{shard.file}"', expected="a name without folders", path=index
                )
        return [index.with_name(shard.file) for shard in self.shards]

    def joined(self, headers: Sequence[Header], paths: Sequence[Path]) -> Header:
        """The header that all shards would have in one file.

        Raises:
            FormatError: A shard is not the one that the index names.
        """
        for shard, header, path in zip(self.shards, headers, paths, strict=True):
            for what, found, expected, by in (
                ("checksum", header.checksum, shard.checksum, "the index"),
                ("rows", header.counts.get("rows"), shard.rows, "the index"),
                ("tokenizer", header.tokenizer_hash, headers[0].tokenizer_hash, "the first shard"),
            ):
                if found != expected:
                    raise FormatError(
                        f"{what} {found}", expected=f"{expected} as in {by}", path=path,
                        remedy=_REMEDY,
                    )  # fmt: skip
        return replace(headers[0], counts=self.counts, checksum=self.checksum)


def shard_name(split: str, number: int, total: int) -> str:
    """File name of shard `number` (from 0) of `total`."""
    return f"{split}-{number:05d}-of-{total:05d}.packed"


def index_name(split: str) -> str:
    """File name of a split's index."""
    return f"{split}.index.json"


def is_index(path: Path) -> bool:
    """Whether a file is JSON rather than Arrow, by its first byte."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(1) == b"{"


def read_index(path: Path) -> ShardIndex:
    """Read an index.

    Raises:
        FormatError: It is no index, or of another format.
    """
    values = load_json(path)
    if values.get("format") != _FORMAT or not values.get("shards"):
        raise FormatError(
            f"index format {values.get('format')}, {len(values.get('shards', []))} shards",
            expected=f"format {_FORMAT} and one shard or more", path=path, remedy=_REMEDY,
        )  # fmt: skip
    index = config_from_dict(ShardIndex, values, path)
    if index.crc32 and index.crc32 != index.summed():
        raise FormatError("another checksum than was written", path=path, remedy=_REMEDY)
    return index


def write_index(path: Path, header: Header, shards: Sequence[tuple[Path, Header]]) -> None:
    """Write the index of shards that are complete.

    Args:
        path: The index file.
        header: Of all rows.
        shards: The files with their own headers.
    """
    index = ShardIndex(
        split=header.split,
        counts=header.counts,
        checksum=header.checksum,
        shards=tuple(
            Shard(
                file=file.name,
                rows=own.counts["rows"],
                windows=own.counts["windows"],
                bytes=file.stat().st_size,
                checksum=own.checksum,
            )
            for file, own in shards
        ),
    )
    save_json(path, asdict(replace(index, crc32=index.summed())))
