"""Repeats of artificial genomes, soft-masked, and runs of N.

Repeats are diverged copies of a few families, and simple repeats.

Example:
    >>> bases, free = np.zeros(3_000, dtype=np.int8), np.full(3_000, 2, dtype=np.int8)
    >>> rng = np.random.default_rng(1)
    >>> letters = add_repeats(bases, free, 0.2, lambda length: np.zeros(length, np.int8), rng)
    >>> 400 < int((letters > ord("Z")).sum()) < 800
    True
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from genet5.genome.sequence import Bases
from genet5.simulate.dna import Indices, as_letters, turn

_FAMILY_BP = (300, 900, 2_500)
_DIVERGENCE = (0.03, 0.2)
_SIMPLE_SHARE = 0.25
_SIMPLE_COPIES = (8, 40)
_MIN_COPY_BP = 60
_TRIES = 40
_BP_PER_GAP = 100_000
_GAP_BP = (10, 100, 100, 500)  # 100 is the length for gaps of unknown size
_LOWER_CASE, _N = 0x20, ord("N")


def add_repeats(
    bases: Indices,
    free: NDArray[np.int8],
    share: float,
    take: Callable[[int], Indices],
    rng: np.random.Generator,
) -> Bases:
    """Write repeats and runs of N over free bases; return letters, repeats in lower case.

    Args:
        bases: (L,) the contig; changed in place.
        free: (L,) what each base may become: 0 nothing, 1 a repeat, 2 a repeat or N.
        share: Part of the bases that are free for both to cover by repeats.
        take: Returns a given number of bases, for the families.
        rng: The generator.
    """
    families = [take(length) for length in _FAMILY_BP]
    masked = np.zeros(len(bases), dtype=np.bool_)
    unknown = np.zeros(len(bases), dtype=np.bool_)
    allowed = free == 2
    wanted = share * np.count_nonzero(allowed)
    for _ in range(int(rng.poisson(len(bases) / _BP_PER_GAP))):
        _cover(unknown, allowed, int(rng.choice(_GAP_BP)), rng)
    allowed = (free > 0) & ~unknown
    while wanted >= _MIN_COPY_BP:
        copy = _simple(rng) if rng.random() < _SIMPLE_SHARE else _copy(families, rng)
        start = _cover(masked, allowed, len(copy), rng)
        if start is not None:
            bases[start : start + len(copy)] = copy
        wanted -= len(copy)  # also without room: a full contig ends the loop
    letters = as_letters(bases)
    letters[masked] |= _LOWER_CASE
    letters[unknown] = _N
    return letters


def _cover(
    covered: NDArray[np.bool_], allowed: NDArray[np.bool_], length: int, rng: np.random.Generator
) -> int | None:
    """Cover an interval of allowed bases and withdraw the permission.

    Returns:
        Its start; None if no room was found.
    """
    if length > len(allowed):
        return None
    for start in rng.integers(0, len(allowed) - length + 1, _TRIES).tolist():
        if allowed[start : start + length].all():
            covered[start : start + length] = True
            allowed[start : start + length] = False
            return int(start)
    return None


def _copy(families: list[Indices], rng: np.random.Generator) -> Indices:
    """Return a family's 3' end (retrotransposons lose their 5' end), mutated, on either strand."""
    family = families[int(rng.integers(len(families)))]
    length = int(rng.integers(min(_MIN_COPY_BP, len(family)), len(family) + 1))
    copy = family[len(family) - length :].copy()
    mutated = rng.random(length) < rng.uniform(*_DIVERGENCE)
    copy[mutated] = rng.integers(0, 4, int(mutated.sum()))
    return turn(copy, 1 if rng.random() < 0.5 else -1)


def _simple(rng: np.random.Generator) -> Indices:
    unit = rng.integers(0, 4, int(rng.integers(1, 5))).astype(np.int8)
    return np.tile(unit, int(rng.integers(*_SIMPLE_COPIES)))
