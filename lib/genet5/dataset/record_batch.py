"""The columns of a packed file, and one of its record batches as NumPy views.

Nothing is believed that could lead out of the file: Arrow's own validation comes first, then the
offsets of windows within their rows, so that no content makes a reader crash.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from genet5.dataset.windows import Window

VALUES: dict[str, pa.DataType] = {
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
"""Column -> type of its values; each row holds a list of them."""
TEXT = ("taxon", "genome", "contig")
OFFSETS = {
    "base_offsets": ("bases",),
    "token_offsets": ("input_ids", "token_bp"),
    "label_offsets": ("labels", "label_weights"),
    "ignore_offsets": ("ignore_start", "ignore_end"),
}
"""Column of a row's offsets, one more than its windows -> the columns that it divides."""
_OF_WINDOWS = ("genetic_code", *TEXT, "start", "strand", "recoded")


class StructureError(Exception):
    """A record batch is not built as a packed file's; the text says why."""


class RecordBatch:
    """NumPy views of one record batch's columns, by DLPack: `to_numpy` would import pandas.

    Args:
        batch: As read; touched are the pages of its offsets alone.

    Raises:
        StructureError: Its offsets lead out of it, or do not fit each other.
    """

    def __init__(self, batch: pa.RecordBatch) -> None:
        try:
            batch.validate(full=True)
        except (pa.ArrowInvalid, UnicodeDecodeError) as error:
            raise StructureError(str(error)) from error
        self._columns: dict[str, tuple[Any, Any]] = {}
        for index, name in enumerate(VALUES):
            column = batch.column(index)
            if column.null_count or column.values.null_count:
                raise StructureError(f"column {name} has gaps")
            values = column.values if name in TEXT else np.from_dlpack(column.values)
            self._columns[name] = (np.from_dlpack(column.offsets), values)
        self.num_rows: int = batch.num_rows
        self._check_offsets()

    def values(self, name: str, row: int) -> Any:
        """Return a row's values of a column: a view, or a list of texts."""
        offsets, values = self._columns[name]
        found = values[offsets[row] : offsets[row + 1]]
        return found.to_pylist() if name in TEXT else found

    def first_texts(self, name: str) -> list[str]:
        """Return the first text of each row in a column."""
        offsets, values = self._columns[name]
        texts: list[str] = values.take(pa.array(offsets[:-1])).to_pylist()
        return texts

    def windows(self, row: int) -> Iterator[Window]:
        """Yield the windows of a row."""
        value = {name: self.values(name, row) for name in VALUES}
        bounds = [value[name].tolist() for name in OFFSETS]
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

    def _check_offsets(self) -> None:
        """Check that each row's windows divide its columns, and that it has one at least."""
        firsts = {name: offsets for name, (offsets, _) in self._columns.items()}
        for name, (offsets, values) in self._columns.items():
            if offsets[0] != 0 or offsets[-1] != len(values):
                raise StructureError(f"rows do not fill column {name}")
        windows = np.diff(firsts["base_offsets"]) - 1
        if self.num_rows and windows.min() < 1:
            raise StructureError("a row without a window")
        for name in _OF_WINDOWS:
            if (np.diff(firsts[name]) != windows).any():
                raise StructureError(f"columns {name} and base_offsets differ in windows")
        for name, divided in OFFSETS.items():
            values = self._columns[name][1]
            if (np.diff(firsts[name]) - 1 != windows).any():
                raise StructureError(f"columns {name} and base_offsets differ in windows")
            begins, ends = values[firsts[name][:-1]], values[firsts[name][1:] - 1]
            is_ordered = self.num_rows == 0 or (self.lengths(name)[0].min() >= 0)
            for column in divided:
                if begins.any() or not is_ordered or (ends != np.diff(firsts[column])).any():
                    raise StructureError(f"{name} do not divide {column}")
