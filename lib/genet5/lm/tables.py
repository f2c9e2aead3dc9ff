"""Tables in and out, row by row: TSV, CSV and parquet by the file's name.

Numbers are written with the digits that their type holds. Parquet is written in row groups, so
memory does not grow with the table.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from genet5.errors import DataError
from genet5.genome.io.files import open_text
from genet5.outputs import atomic_writer

_ROWS_AT_ONCE = 4096
_TYPES = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}


def table_kind(path: Path) -> str:
    """Return parquet, csv or tsv by a file's name, `.gz` left aside; tsv if it says nothing."""
    suffix = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    return {".parquet": "parquet", ".pq": "parquet", ".csv": "csv"}.get(suffix.lower(), "tsv")


def is_table(path: Path) -> bool:
    """Whether a file is a table by its name."""
    return path.name.lower().endswith((".parquet", ".pq", ".tsv", ".csv", ".tsv.gz", ".csv.gz"))


class TableWriter:
    """Writes rows; the file appears when the block ends without an error.

    Args:
        path: Its name decides the format; `-` is standard output, as TSV.
        columns: Name -> str, int, float or bool.
    """

    def __init__(self, path: Path, columns: Mapping[str, type]) -> None:
        self._path, self._columns = path, dict(columns)
        self._rows: list[Sequence[Any]] = []
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        kind = table_kind(self._path)
        is_parquet = kind == "parquet"
        if is_parquet:
            schema = pa.schema([(name, _TYPES[kind]) for name, kind in self._columns.items()])
            raw = self._stack.enter_context(atomic_writer(self._path, binary=True))
            self._parquet = self._stack.enter_context(pq.ParquetWriter(raw, schema))
        else:
            text = self._stack.enter_context(atomic_writer(self._path))
            delimiter = "," if kind == "csv" else "\t"
            self._lines = csv.writer(text, delimiter=delimiter, lineterminator="\n")
            self._lines.writerow(self._columns)
        self._is_parquet = is_parquet
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

    def write(self, row: Mapping[str, Any]) -> None:
        """Add a row; a column that it lacks is empty."""
        self._rows.append([row.get(name) for name in self._columns])
        if len(self._rows) >= _ROWS_AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        if self._is_parquet and self._rows:
            columns = zip(*self._rows, strict=True)
            arrays = [
                pa.array(list(values), _TYPES[kind])
                for values, kind in zip(columns, self._columns.values(), strict=True)
            ]
            self._parquet.write_table(pa.table(arrays, names=list(self._columns)))
        elif not self._is_parquet:
            self._lines.writerows(self._rows)
        self._rows = []


def read_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield line (of text, else row) number from 1 on and values by column of a table.

    Raises:
        DataError: A line has not as many values as there are columns.
    """
    if table_kind(path) == "parquet":
        number = 0
        for batch in pq.ParquetFile(path).iter_batches(_ROWS_AT_ONCE):
            for row in batch.to_pylist():
                number += 1
                yield number, row
        return
    delimiter = "," if table_kind(path) == "csv" else "\t"
    with open_text(path) as text:
        lines = csv.reader(text, delimiter=delimiter)
        header = next(lines, [])
        for values in lines:
            if len(values) != len(header):
                raise DataError(
                    f"{len(values)} values", expected=f"{len(header)}, as there are columns",
                    path=path, line=lines.line_num,
                )  # fmt: skip
            yield lines.line_num, dict(zip(header, values, strict=True))
