"""The packed format: an Arrow IPC file whose rows hold several whole windows each.

Reading is memory-mapped and copies nothing: a `Window` of a `PackedReader` is views into the file.
The schema's metadata hold a JSON header (`Header`) with the format version, the tokenizer and its
hash, the bake settings, the sources, the counts and a checksum: SHA-256 over the windows' BLAKE2b
digests in file order, so that the writer knows it before the first byte is written. Columns are
listed in docs/reference/formats.md. pyarrow and polars open the file as it is. Where an index
(`dataset.shard_index`) stands for several files, a reader takes it like one file.

Each byte is under a checksum (`dataset.checksums`): that of header and footer is compared when the
file is opened, that of a record batch when a window of it is first read, once for a reader and the
worker processes that it is forked into. Files of format 1 have none.

Example:
    with PackedWriter(path, header) as writer:
        writer.write_row(windows)
    reader = PackedReader(path)
    first = reader.row(0)[0]
"""

from __future__ import annotations

import itertools
import json
import logging
import mmap
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, fields, replace
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from genet5.dataset.checksums import SummedSink
from genet5.dataset.header import FORMAT, Header, combine_digests, count_content
from genet5.dataset.packed_file import DAMAGED, METADATA_KEY, PackedFile
from genet5.dataset.record_batch import OFFSETS, TEXT, VALUES, RecordBatch
from genet5.dataset.shard_index import is_index, read_index
from genet5.dataset.windows import Window
from genet5.errors import DataError, FormatError
from genet5.outputs import atomic_writer

log = logging.getLogger(__name__)

_ATTRIBUTES = {"taxon": "clade"}
"""Columns that are not named as the window's attribute."""
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
        text = json.dumps(replace(self._header, format=FORMAT).to_dict(), sort_keys=True)
        schema = pa.schema(
            [pa.field(name, pa.list_(kind), nullable=False) for name, kind in VALUES.items()],
            metadata={METADATA_KEY: text.encode()},
        )
        self._schema = schema
        out = self._stack.enter_context(atomic_writer(self._path, binary=True))
        self._sink = SummedSink(out)
        self._file = pa.ipc.new_file(self._sink, schema)
        self._stack.push(self._complete)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def _complete(self, kind: type[BaseException] | None, *_: object) -> None:
        """Write what is left, and the end; what fails here fails within the file's block."""
        if kind is None:
            self._flush()
            self._sink.hold()
            self._file.close()
            self._sink.finish()

    def write_row(self, windows: Sequence[Window]) -> None:
        """Add one row of one window or more."""
        self._rows.append(tuple(windows))
        self._pending += len(windows)
        if self._pending >= _WINDOWS_PER_RECORD_BATCH:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            columns = [_column(name, self._rows) for name in VALUES]
            self._file.write_batch(pa.record_batch(columns, schema=self._schema))
            self._sink.end_piece()
            self._rows, self._pending = [], 0


def _column(name: str, rows: Sequence[Sequence[Window]]) -> pa.ListArray:
    values_of_rows = [_row_values(name, row) for row in rows]
    offsets = np.zeros(len(rows) + 1, dtype=np.int32)
    np.cumsum([len(each) for each in values_of_rows], out=offsets[1:])
    if name in TEXT:
        values = pa.array(list(itertools.chain.from_iterable(values_of_rows)), pa.string())
    else:
        kind = VALUES[name].to_pandas_dtype()
        values = pa.array(np.concatenate(values_of_rows).astype(kind, copy=False), VALUES[name])
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values)


_PARTS = {  # offsets column -> what it counts in a window
    "base_offsets": "bases",
    "token_offsets": "input_ids",
    "label_offsets": "labels",
    "ignore_offsets": "ignore",
}


def _row_values(name: str, row: Sequence[Window]) -> Any:
    """One row's values of a column: an array, or a list of texts."""
    if name in TEXT:
        return [getattr(window, _ATTRIBUTES.get(name, name)) for window in row]
    if name in OFFSETS:
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

    @classmethod
    def joined(cls, parts: Sequence[RowSizes]) -> RowSizes:
        """Put the rows of several files one after the other."""
        columns = [[getattr(part, each.name) for part in parts] for each in fields(cls)]
        return cls(*(np.concatenate(column) for column in columns))

    def taken(self, rows: NDArray[np.int64]) -> RowSizes:
        """Return the sizes of some rows, in their order."""
        return RowSizes(*(getattr(self, each.name)[rows] for each in fields(self)))


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
        files = [PackedFile(each) for each in paths]
        headers = [file.header for file in files]
        self.header = headers[0] if self.index is None else self.index.joined(headers, paths)
        self._slots = [
            (file, number) for file in files for number in range(file.arrow.num_record_batches)
        ]
        self._batches: list[RecordBatch | None] = [None] * len(self._slots)
        # Anonymous memory is shared with forked workers: what one has checked is checked for all.
        self._checked = mmap.mmap(-1, max(1, len(self._slots)))
        sizes = [self._batch(index).num_rows for index in range(len(self._batches))]
        self._ends = np.cumsum(sizes, dtype=np.int64)
        old = [file.path for file in files if file.checksums is None]
        if old:
            log.warning(
                "%s: written without checksums (format 1): damage in it may stay unnoticed;"
                " genet5 bake --check FILE finds it, a new bake has them", old[0],
            )  # fmt: skip

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
        if not self._checked[batch]:
            file, number = self._slots[batch]
            file.check(number, rows=(before, int(self._ends[batch])))
            self._checked[batch] = 1
        return tuple(self._batch(batch).windows(index - before))

    def row_clades(self) -> list[str]:
        """Clade of each row's first window."""
        return [
            clade
            for i in range(len(self._batches))
            for clade in self._batch(i).first_texts("taxon")
        ]

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
                    remedy=DAMAGED,
                )  # fmt: skip

    def _batch(self, index: int) -> RecordBatch:
        batch = self._batches[index]
        if batch is None:
            file, number = self._slots[index]
            batch = self._batches[index] = file.batch(number)
        return batch
