"""The packed format: an Arrow IPC file whose rows hold several whole windows each.

Reading is memory-mapped and copies nothing: a `Window` of a `PackedReader` is views into the file.
The schema's metadata hold a JSON header (`Header`) with the format version, the tokenizer and its
hash, the bake settings, the sources, the counts and a checksum: SHA-256 over the windows' BLAKE2b
digests in file order, so that the writer knows it before the first byte is written. Columns are
listed in docs/reference/formats.md. pyarrow and polars open the file as it is. Where an index
(`dataset.shard_index`) stands for several files, a reader takes it like one file.

Example:
    with PackedWriter(path, header) as writer:
        writer.write_row(windows)
    reader = PackedReader(path)
    first = reader.row(0)[0]
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from genet5.config.json_files import config_from_dict
from genet5.dataset.header import FORMAT, Header, combine_digests, count_content
from genet5.dataset.shard_index import is_index, read_index
from genet5.dataset.windows import Window
from genet5.errors import DataError, FormatError
from genet5.outputs import atomic_writer, is_stream

METADATA_KEY = b"genet5"

_VALUES: dict[str, pa.DataType] = {
    "bases": pa.uint8(),
    "input_ids": pa.int32(),
    "token_bp": pa.uint16(),
    "labels": pa.int32(),
    "label_weights": pa.float32(),
    "base_offsets": pa.int32(),
    "token_offsets": pa.int32(),
    "label_offsets": pa.int32(),
    "ignore_start": pa.int32(),
    "ignore_end": pa.int32(),
    "ignore_offsets": pa.int32(),
    "genetic_code": pa.int32(),
    "taxon": pa.string(),
    "genome": pa.string(),
    "contig": pa.string(),
    "start": pa.int64(),
    "strand": pa.int8(),
    "recoded": pa.uint8(),
}
_TEXT = ("taxon", "genome", "contig")
_ATTRIBUTES = {"taxon": "clade"}
"""Columns that are not named as the window's attribute."""
_OFFSETS = ("base_offsets", "token_offsets", "label_offsets", "ignore_offsets")
_COUNTS = ("rows", "windows", "bases", "tokens", "labels")
_WINDOWS_PER_RECORD_BATCH = 512


class PackedWriter:
    """Writes rows of windows; the file appears only when the block ends without an error."""

    def __init__(self, path: Path, header: Header) -> None:
        self._path, self._header = path, header
        self._rows: list[tuple[Window, ...]] = []
        self._pending = 0
        self._stack = ExitStack()

    def __enter__(self) -> PackedWriter:
        text = json.dumps(asdict(self._header), sort_keys=True)
        schema = pa.schema(
            [pa.field(name, pa.list_(kind), nullable=False) for name, kind in _VALUES.items()],
            metadata={METADATA_KEY: text.encode()},
        )
        self._schema = schema
        sink = self._stack.enter_context(atomic_writer(self._path, binary=True))
        self._file = self._stack.enter_context(pa.ipc.new_file(sink, schema))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._flush()
        self._stack.__exit__(kind, error, trace)

    def write_row(self, windows: Sequence[Window]) -> None:
        """Add one row of one window or more."""
        self._rows.append(tuple(windows))
        self._pending += len(windows)
        if self._pending >= _WINDOWS_PER_RECORD_BATCH:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            columns = [_column(name, self._rows) for name in _VALUES]
            self._file.write_batch(pa.record_batch(columns, schema=self._schema))
            self._rows, self._pending = [], 0


def _column(name: str, rows: Sequence[Sequence[Window]]) -> pa.ListArray:
    pieces = [_row_values(name, row) for row in rows]
    offsets = np.zeros(len(rows) + 1, dtype=np.int32)
    np.cumsum([len(piece) for piece in pieces], out=offsets[1:])
    if name in _TEXT:
        values = pa.array(list(itertools.chain.from_iterable(pieces)), pa.string())
    else:
        kind = _VALUES[name].to_pandas_dtype()
        values = pa.array(np.concatenate(pieces).astype(kind, copy=False), _VALUES[name])
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values)


_PARTS = {  # offsets column -> what it counts in a window
    "base_offsets": "bases",
    "token_offsets": "input_ids",
    "label_offsets": "labels",
    "ignore_offsets": "ignore",
}


def _row_values(name: str, row: Sequence[Window]) -> Any:
    """One row's values of a column: an array, or a list of texts."""
    if name in _TEXT:
        return [getattr(window, _ATTRIBUTES.get(name, name)) for window in row]
    if name in _OFFSETS:
        lengths = [len(getattr(window, _PARTS[name])) for window in row]
        return np.cumsum([0, *lengths])
    if name == "token_bp":
        return np.concatenate([_token_bp(window) for window in row])
    if name in ("ignore_start", "ignore_end"):
        return np.concatenate([window.ignore[:, int(name == "ignore_end")] for window in row])
    if name in ("bases", "input_ids", "labels", "label_weights"):
        return np.concatenate([getattr(window, name) for window in row])
    return np.array([getattr(window, name) for window in row])


def _token_bp(window: Window) -> NDArray[np.int64]:
    lengths = np.diff(window.token_start_bp, append=len(window.bases))
    if len(lengths) and (lengths.min() < 0 or lengths.max() > np.iinfo(np.uint16).max):
        raise DataError(
            f"a token of {lengths.max()} bases in {window.id}", expected="at most 65,535"
        )
    return lengths


class _RecordBatch:
    """NumPy views of one record batch's columns, by DLPack: `to_numpy` would import pandas."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        self._columns: dict[str, tuple[Any, Any]] = {}
        for index, name in enumerate(_VALUES):
            column = batch.column(index)
            values = column.values if name in _TEXT else np.from_dlpack(column.values)
            self._columns[name] = (np.from_dlpack(column.offsets), values)
        self.num_rows: int = batch.num_rows

    def values(self, name: str, row: int) -> Any:
        offsets, values = self._columns[name]
        piece = values[offsets[row] : offsets[row + 1]]
        return piece.to_pylist() if name in _TEXT else piece

    def windows(self, row: int) -> Iterator[Window]:
        value = {name: self.values(name, row) for name in _VALUES}
        bounds = [value[name].tolist() for name in _OFFSETS]
        ignore = np.stack([value["ignore_start"], value["ignore_end"]], axis=1)
        for index in range(len(bounds[0]) - 1):
            base, token, label, hole = (slice(b[index], b[index + 1]) for b in bounds)
            starts = np.zeros(token.stop - token.start, dtype=np.int32)
            np.cumsum(value["token_bp"][token][:-1], out=starts[1:], dtype=np.int32)
            yield Window(
                bases=value["bases"][base],
                input_ids=value["input_ids"][token],
                token_start_bp=starts,
                labels=value["labels"][label],
                label_weights=value["label_weights"][label],
                ignore=ignore[hole],
                genetic_code=int(value["genetic_code"][index]),
                clade=value["taxon"][index],
                genome=value["genome"][index],
                contig=value["contig"][index],
                start=int(value["start"][index]),
                strand=int(value["strand"][index]),
                recoded=bool(value["recoded"][index]),
            )

    def lengths(self, name: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """All windows' lengths by an offsets column, and the number of windows of each row."""
        offsets, values = self._columns[name]
        per_row = np.diff(offsets).astype(np.int64)
        inside = np.ones(max(len(values) - 1, 0), dtype=np.bool_)
        inside[offsets[1:-1] - 1] = False  # from one row's last offset to the next row's first
        return np.diff(values)[inside].astype(np.int64), per_row - 1


@dataclass(frozen=True, slots=True)
class RowSizes:
    """Sizes by which rows are put into micro-batches; one entry a row."""

    num_windows: NDArray[np.int64]
    longest_tokens: NDArray[np.int64]
    """Tokens of the row's longest window."""
    longest_labels: NDArray[np.int64]
    """Labels of the row's longest window."""
    num_tokens: NDArray[np.int64]
    """Tokens of all the row's windows."""


class PackedReader:
    """Reads a packed file, or all shards of an index, through memory maps; may be pickled.

    Shards are read as if they were one file: the same rows in the same order under one header.

    Args:
        path: A packed file, or an index of shards (recognised by content).

    Raises:
        FormatError: A file is missing, no packed file, or does not belong to the index.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = Path(path)
        self.index = read_index(self.path) if is_index(self.path) else None
        paths = [self.path] if self.index is None else self.index.paths(self.path)
        files = [_open(each) for each in paths]
        headers = [_read_header(f.schema, each) for f, each in zip(files, paths, strict=True)]
        self.header = headers[0] if self.index is None else self.index.joined(headers, paths)
        self._slots = [
            (file, number) for file in files for number in range(file.num_record_batches)
        ]
        self._batches: list[_RecordBatch | None] = [None] * len(self._slots)
        sizes = [self._batch(index).num_rows for index in range(len(self._batches))]
        self._ends = np.cumsum(sizes, dtype=np.int64)

    def __reduce__(self) -> tuple[type[PackedReader], tuple[Path]]:
        return PackedReader, (self.path,)

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def row(self, index: int) -> tuple[Window, ...]:
        """The windows of a row; their arrays are views into the file."""
        if not 0 <= index < len(self):
            raise IndexError(f"row {index} of {len(self)}")
        batch = int(np.searchsorted(self._ends, index, side="right"))
        before = int(self._ends[batch - 1]) if batch else 0
        return tuple(self._batch(batch).windows(index - before))

    def windows(self) -> Iterator[Window]:
        """All windows in file order."""
        for index in range(len(self)):
            yield from self.row(index)

    def row_sizes(self) -> RowSizes:
        """Sizes of all rows; touches only the offsets' pages of the file."""
        columns: list[list[NDArray[np.int64]]] = [[], [], [], []]
        for index in range(len(self._batches)):
            tokens, windows = self._batch(index).lengths("token_offsets")
            labels, _ = self._batch(index).lengths("label_offsets")
            firsts = np.cumsum(windows) - windows
            for column, values in zip(
                columns,
                (
                    windows,
                    np.maximum.reduceat(tokens, firsts),
                    np.maximum.reduceat(labels, firsts),
                    np.add.reduceat(tokens, firsts),
                ),
                strict=True,
            ):
                column.append(values)
        empty = [np.zeros(0, dtype=np.int64)]
        return RowSizes(*(np.concatenate(column or empty) for column in columns))

    def verify(self) -> dict[str, int]:
        """Compare content with the header, of each shard too; return the counts.

        Raises:
            FormatError: The checksum or a count differs.
        """
        if self.index is None:
            digests, counts = self._content()
        else:
            digests, counts = [], dict.fromkeys(_COUNTS, 0)
            for path in self.index.paths(self.path):
                shard = PackedReader(path)
                own_digests, own_counts = shard._content()
                shard._check(own_digests, own_counts)
                digests += own_digests
                counts = {name: counts[name] + own_counts[name] for name in counts}
        self._check(digests, counts)
        return counts

    def _content(self) -> tuple[list[bytes], dict[str, int]]:
        """All windows' digests, and the counts, as found in the file."""
        digests, counts = [], dict.fromkeys(_COUNTS, 0)
        for index in range(len(self)):
            row = self.row(index)
            digests += [window.digest() for window in row]
            for name, number in count_content([row]).items():
                counts[name] += number
        return digests, counts

    def _check(self, digests: list[bytes], counts: dict[str, int]) -> None:
        checksum = combine_digests(digests)
        for what, found, expected in (
            ("counts", counts, self.header.counts),
            ("checksum", checksum, self.header.checksum),
        ):
            if found != expected:
                raise FormatError(
                    f"{what} {found}", expected=f"{expected} as in its header", path=self.path,
                    remedy="The file is damaged; bake it again",
                )  # fmt: skip

    def _batch(self, index: int) -> _RecordBatch:
        batch = self._batches[index]
        if batch is None:
            file, number = self._slots[index]
            batch = self._batches[index] = _RecordBatch(file.get_batch(number))
        return batch


def _open(path: Path) -> pa.ipc.RecordBatchFileReader:
    if is_stream(path):
        raise FormatError(
            "a pipe or device", expected="a packed file, which is read in any order", path=path,
            remedy="Give a file",
        )  # fmt: skip
    try:
        return pa.ipc.open_file(pa.memory_map(str(path)))
    except FileNotFoundError as error:
        raise FormatError("file not found", path=path) from error
    except (pa.ArrowInvalid, OSError) as error:
        raise FormatError(
            f"no packed file: {error}", expected="an Arrow IPC file", path=path,
            remedy="Bake it again with genet5 bake",
        ) from error  # fmt: skip


def _read_header(schema: pa.Schema, path: Path) -> Header:
    text = (schema.metadata or {}).get(METADATA_KEY)
    if text is None:
        raise FormatError(
            "an Arrow file without GeneT5's header", expected="a packed file", path=path
        )
    values = json.loads(text)
    if values.get("format") != FORMAT:
        raise FormatError(
            f"packed format {values.get('format')}", expected=f"format {FORMAT}", path=path,
            remedy="Bake it again with this version",
        )  # fmt: skip
    if schema.names != list(_VALUES):
        raise FormatError(f"columns {schema.names}", expected=f"{list(_VALUES)}", path=path)
    return config_from_dict(Header, values, path)
