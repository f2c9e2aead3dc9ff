"""Covariates of samples as a design matrix: numbers standardized, words as indicators.

What a design is made of (columns, levels, means, spreads) follows from the rows that it is fitted
on and is stored, so that new rows get the same columns. A level that was not there, or a missing
value, is an error: a silent zero would put the row into the first level.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genet5.errors import DataError
from genet5.lm.tables import read_rows

NAME = "name"
Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Column:
    """A covariate: a number with mean and spread, or a word with its levels."""

    name: str
    levels: tuple[str, ...] = ()
    """Of a word, sorted; the first one has no column of its own."""
    mean: float = 0.0
    spread: float = 1.0


@dataclass(frozen=True, slots=True)
class Design:
    """The columns of a design matrix, after the intercept."""

    columns: tuple[Column, ...]

    @property
    def width(self) -> int:
        """Number of columns, the intercept included."""
        return 1 + sum(max(1, len(each.levels) - 1) for each in self.columns)

    def matrix(self, rows: Sequence[Mapping[str, str]]) -> Matrix:
        """Return (rows, width).

        Raises:
            DataError: A value is missing, no number, or a level that the design does not have.
        """
        parts: list[Matrix] = [np.ones((len(rows), 1))]
        for column in self.columns:
            values = [row.get(column.name, "") for row in rows]
            parts.append(_words(column, values) if column.levels else _numbers(column, values))
        return np.concatenate(parts, axis=1)

    def to_dict(self) -> list[dict[str, Any]]:
        """Return plain JSON values."""
        return [
            {"name": c.name, "levels": list(c.levels), "mean": c.mean, "spread": c.spread}
            for c in self.columns
        ]

    @classmethod
    def from_dict(cls, values: Sequence[Mapping[str, Any]]) -> Design:
        """Build a design from `to_dict`."""
        return cls(
            tuple(Column(v["name"], tuple(v["levels"]), v["mean"], v["spread"]) for v in values)
        )


def read_covariates(path: Path) -> dict[str, dict[str, str]]:
    """Read a table with the column `name` and one column for each covariate.

    Raises:
        DataError: There is no such column, or a name stands twice.
    """
    found: dict[str, dict[str, str]] = {}
    for line, row in read_rows(path):
        if NAME not in row:
            columns = ", ".join(row)
            raise DataError(f"columns {columns}", expected=f"a column {NAME}", path=path)
        name = str(row.pop(NAME))
        if name in found:
            raise DataError(f"{name} for the second time", path=path, line=line)
        found[name] = {key: "" if value is None else str(value) for key, value in row.items()}
    return found


def fit_design(rows: Collection[Mapping[str, str]]) -> Design:
    """Return the design of some rows: a column of numbers alone is a number, else words.

    Raises:
        DataError: A covariate is the same everywhere, or a value is missing.
    """
    names = list(next(iter(rows), {}))
    return Design(tuple(_column(name, [row[name] for row in rows]) for name in names))


def _column(name: str, values: Sequence[str]) -> Column:
    if any(not value.strip() for value in values):
        raise _wrong(name, "")
    if len(set(values)) < 2:
        raise DataError(
            f"covariate {name} is {values[0] if values else 'nothing'!r} in all rows",
            expected="two values or more", remedy="Leave it out",
        )  # fmt: skip
    numbers = [_number(value) for value in values]
    if any(number is None for number in numbers):
        return Column(name, levels=tuple(sorted(set(values))))
    array = np.array(numbers, dtype=np.float64)
    return Column(name, mean=float(array.mean()), spread=float(array.std()))


def _numbers(column: Column, values: Sequence[str]) -> Matrix:
    numbers = [_number(value) for value in values]
    for number, value in zip(numbers, values, strict=True):
        if number is None:
            raise _wrong(column.name, value)
    array = np.array(numbers, dtype=np.float64)
    return ((array - column.mean) / column.spread)[:, None]


def _words(column: Column, values: Sequence[str]) -> Matrix:
    for value in values:
        if value not in column.levels:
            raise _wrong(column.name, value)
    return np.array([[float(value == level) for level in column.levels[1:]] for value in values])


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _wrong(name: str, value: str) -> DataError:
    if not value:
        return DataError(
            f"covariate {name} is missing", expected="a value in each row",
            remedy="Fill it in, or leave the row or the column out",
        )  # fmt: skip
    return DataError(
        f"covariate {name} = {value!r}", expected="a number, or a word that training rows have"
    )
