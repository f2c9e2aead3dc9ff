"""Repeats of artificial genomes: families of diverged copies and simple repeats, soft-masked, and runs of N.

Example:
    letters = add_repeats(bases, free, 0.2, dna.take, rng)
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
    """Write repeats and runs of N over free bases; return the contig's letters, repeats in lower case.

    Args:
        bases: (L,) the contig; changed in place.
        free: (L,) what each base may become: 0 nothing, 1 a repeat, 2 a repeat or N.
        share: Of the bases that are free for both, how many repeats shall cover.
        take: Gives so many bases of DNA, for the families.
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
        wanted -= len(copy)  # counts where no room was found, too: a full contig ends the loop
    letters = as_letters(bases)
    letters[masked] |= _LOWER_CASE
    letters[unknown] = _N
    return letters


def _cover(
    covered: NDArray[np.bool_], allowed: NDArray[np.bool_], length: int, rng: np.random.Generator
) -> int | None:
    """Cover a stretch of allowed bases, which are then no longer allowed; return its start, None without room."""
    if length > len(allowed):
        return None
    for start in rng.integers(0, len(allowed) - length + 1, _TRIES).tolist():
        if allowed[start : start + length].all():
            covered[start : start + length] = True
            allowed[start : start + length] = False
            return int(start)
    return None


def _copy(families: list[Indices], rng: np.random.Generator) -> Indices:
    """A copy of a family: its 3' end (as retrotransposons lose their 5' end), mutated, on either strand."""
    family = families[int(rng.integers(len(families)))]
    length = int(rng.integers(min(_MIN_COPY_BP, len(family)), len(family) + 1))
    copy = family[len(family) - length :].copy()
    mutated = rng.random(length) < rng.uniform(*_DIVERGENCE)
    copy[mutated] = rng.integers(0, 4, int(mutated.sum()))
    return turn(copy, 1 if rng.random() < 0.5 else -1)


def _simple(rng: np.random.Generator) -> Indices:
    unit = rng.integers(0, 4, int(rng.integers(1, 5))).astype(np.int8)
    return np.tile(unit, int(rng.integers(*_SIMPLE_COPIES)))
