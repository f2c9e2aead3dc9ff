"""Several packed files as one source of rows, each with a weight.

The weight of a file is how often an epoch passes over it: 1 takes each row once, 2 twice, 0.25 a
quarter of the rows. Rows are drawn without replacement: each pass is a random order of its own, and
the epochs take consecutive parts of the passes, so that every row of a file is seen once before any
is seen twice. Where clades have weights, too, the rows of a clade are drawn so within each file, as
often as the product of both weights says. What an epoch takes depends on seed and epoch alone.

Example:
    mixture = Mixture({Path("a.packed"): 1.0, Path("b.packed"): 0.25})
    rows = mixture.rows_of(epoch=0, seed=1)
    windows = mixture.row(int(rows[0]))
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genet5.dataset.header import Header
from genet5.dataset.packed import PackedReader, RowSizes
from genet5.dataset.windows import Window
from genet5.errors import DataError

Rows = NDArray[np.int64]


class Mixture:
    """Rows of one file or more, numbered through.

    Args:
        weights: Passes over each file in an epoch, above 0.
        clade_weights: Clade -> factor of that for its rows, above 0; 1 for those not named. A row
            is of the clade of its first window.

    Raises:
        DataError: A file has no row, or a clade is in none.
        FormatError: A file is missing or damaged.
    """

    def __init__(
        self, weights: Mapping[Path, float], clade_weights: Mapping[str, float] | None = None
    ) -> None:
        self._readers = [PackedReader(path) for path in weights]
        self._weights, self._clade_weights = list(weights.values()), dict(clade_weights or {})
        for reader in self._readers:
            if not len(reader):
                remedy = "Bake more genomes into it"
                raise DataError("no windows in the file", path=reader.path, remedy=remedy)
        self._firsts = np.cumsum([0, *map(len, self._readers)])
        self._strata = [*self._by_clade()] if self._clade_weights else [*self._by_file()]
        self.header = self._joined()

    def __len__(self) -> int:
        return int(self._firsts[-1])

    @property
    def headers(self) -> list[tuple[Path, Header]]:
        """The files with their own headers."""
        return [(reader.path, reader.header) for reader in self._readers]

    def place(self, row: int) -> tuple[Path, int]:
        """Return the file of a row, and its number there."""
        file = int(np.searchsorted(self._firsts, row, side="right")) - 1
        return self._readers[file].path, row - int(self._firsts[file])

    def row(self, index: int) -> tuple[Window, ...]:
        """Return the windows of a row."""
        file = int(np.searchsorted(self._firsts, index, side="right")) - 1
        return self._readers[file].row(index - int(self._firsts[file]))

    def row_sizes(self) -> RowSizes:
        """Return the sizes of all rows."""
        return RowSizes.joined([reader.row_sizes() for reader in self._readers])

    def rows_of(self, epoch: int, seed: int) -> Rows:
        """Return the rows that an epoch takes, in file order; some may be there several times."""
        parts = [
            stratum.rows[_part(len(stratum.rows), stratum.weight, epoch, [seed, *stratum.seed])]
            for stratum in self._strata
        ]
        return np.sort(np.concatenate(parts))

    def _by_file(self) -> Iterator[_Stratum]:
        for file, weight in enumerate(self._weights):
            yield _Stratum(np.arange(*self._firsts[file : file + 2]), weight, (file,))

    def _by_clade(self) -> Iterator[_Stratum]:
        clades = [np.array(reader.row_clades()) for reader in self._readers]
        known = sorted({str(clade) for own in clades for clade in np.unique(own)})
        if unknown := sorted(self._clade_weights.keys() - {*known}):
            raise DataError(
                f"no row of clade {', '.join(unknown)}", expected=f"of {', '.join(known)}",
                path=self._readers[0].path, remedy="Mend --mix_clades",
            )  # fmt: skip
        for file, (own, weight) in enumerate(zip(clades, self._weights, strict=True)):
            for number, clade in enumerate(known):
                rows = int(self._firsts[file]) + np.flatnonzero(own == clade)
                if len(rows):
                    factor = self._clade_weights.get(clade, 1.0)
                    yield _Stratum(rows, weight * factor, (file, number))

    def _joined(self) -> Header:
        """Return the header of all files: the longest list of gene types, sums, a checksum."""
        headers = [reader.header for reader in self._readers]
        first = max(headers, key=lambda header: len(header.gene_types))
        if self._weights == [1.0] and not self._clade_weights:
            return first
        counted = dict.fromkeys(name for header in headers for name in header.counts)
        content = [f"{h.checksum} {w}" for h, w in zip(headers, self._weights, strict=True)]
        content += [f"{clade} {weight}" for clade, weight in sorted(self._clade_weights.items())]
        return replace(
            first,
            sources=tuple(source for header in headers for source in header.sources),
            counts={name: sum(h.counts.get(name, 0) for h in headers) for name in counted},
            checksum=hashlib.sha256("\n".join(content).encode()).hexdigest(),
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Stratum:
    """Rows that are drawn together."""

    rows: Rows
    """Ascending."""
    weight: float
    """Passes over them in an epoch."""
    seed: tuple[int, ...]


def _part(size: int, weight: float, epoch: int, seed: list[int]) -> Rows:
    """Return what an epoch takes of a file's passes."""
    begin, end = (math.floor(number * weight * size + 1e-9) for number in (epoch, epoch + 1))
    return np.concatenate([np.empty(0, np.int64), *_parts(size, begin, end, seed)])


def _parts(size: int, begin: int, end: int, seed: list[int]) -> Iterator[Rows]:
    """Yield the parts of passes that lie between two places in their sequence."""
    for number in range(begin // size, -(-end // size)):
        order = np.random.default_rng([*seed, number, 0x3D5]).permutation(size)
        yield order[max(begin - number * size, 0) : end - number * size]
