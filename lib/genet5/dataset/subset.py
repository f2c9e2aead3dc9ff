"""A random sample of a packed file's rows as another packed file, for small trial runs.

All rows are put into an order that the seed alone decides, and the first ones are taken: of one
file and seed the 5 % subset lies within the 10 % subset. They are written in the file's order. The
file is read twice, once for the checksum that the header holds and once to copy; memory is a record
batch and 16 bytes for each window that is kept.

Example:
    subset_packed(Path("w5k/training.packed"), Path("w5k_5pct/training.packed"), 0.05, seed=0)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from genet5.dataset.header import Header, combine_digests, count_content
from genet5.dataset.packed import PackedReader, PackedWriter
from genet5.errors import ConfigError, DataError
from genet5.outputs import check_outputs, is_stream

Progress = Callable[[str, int, int], None]
"""Called with a stage ("reading", "writing"), the rows done, and all rows of the stage."""


def choose_rows(num_rows: int, fraction: float, seed: int) -> list[int]:
    """Draw a share of the rows 0..num_rows - 1, at least one if there is any; ascending.

    Example:
        >>> set(choose_rows(1000, 0.05, seed=3)) < set(choose_rows(1000, 0.1, seed=3))
        True
        >>> len(choose_rows(1000, 0.05, seed=3))
        50
    """
    if not 0 < fraction <= 1:
        raise ConfigError("fraction", fraction, "must be above 0 and at most 1")
    order = np.random.default_rng(seed).permutation(num_rows)
    count = max(1, round(fraction * num_rows))
    return sorted(order[:count].tolist())


def subset_packed(
    source: Path,
    target: Path,
    fraction: float,
    *,
    seed: int = 0,
    overwrite: bool = False,
    progress: Progress = lambda *_: None,
) -> Header:
    """Write a random share of the rows of `source` to `target`; return the new header.

    The header's settings get an entry "subset": for each step fraction, seed, and the checksum of
    the file it took from.

    Raises:
        ConfigError: `fraction` is out of range, `target` is `source`, or it is there and
            `overwrite` is off.
        DataError: `source` is no packed file, or it has no rows.
    """
    reader = PackedReader(source)
    shards = reader.index.paths(source) if reader.index is not None else []
    _check_target(target, [source, *shards], overwrite)
    if not len(reader):
        raise DataError("a packed file without rows", expected="at least one row", path=source)
    rows = choose_rows(len(reader), fraction, seed)
    step = {"fraction": fraction, "seed": seed, "of": reader.header.checksum}
    header = _header(reader, rows, step, progress)
    with PackedWriter(target, header) as writer:
        for done, row in enumerate(rows, 1):
            writer.write_row(reader.row(row))
            progress("writing", done, len(rows))
    return header


def _check_target(target: Path, sources: list[Path], overwrite: bool) -> None:
    check_outputs({"OUT": target})
    if not target.exists() or is_stream(target):
        return
    if any(target.samefile(source) for source in sources):
        raise ConfigError("OUT", str(target), "must be another file than IN")
    if not overwrite:
        raise ConfigError("OUT", str(target), "is there already; --overwrite replaces it")


def _header(
    reader: PackedReader, rows: list[int], step: dict[str, Any], progress: Progress
) -> Header:
    """The header of the subset: counts, checksum and sources of the rows alone."""
    digests: list[bytes] = []
    counts: Counter[str] = Counter()
    genomes: set[tuple[str, str]] = set()
    for done, row in enumerate(rows, 1):
        windows = reader.row(row)
        digests += [window.digest() for window in windows]
        counts.update(count_content([windows]))
        genomes |= {(window.clade, window.genome) for window in windows}
        progress("reading", done, len(rows))
    old = reader.header
    return replace(
        old,
        settings={**old.settings, "subset": [*old.settings.get("subset", []), step]},
        sources=tuple(s for s in old.sources if (s["taxon"], s["genome"]) in genomes),
        counts=dict(counts),
        checksum=combine_digests(digests),
    )
