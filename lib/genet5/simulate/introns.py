"""Introns of artificial genes: positions in the coding sequence, lengths, and signals.

Positions follow the shares of the three phases and prefer (C or A)AG|G, as real introns do; lengths
are log-normal above a minimum. An intron's own signals are the donor (GTRAGT, one in eighty
GCAAGT), a branch point (CTRAY), a tract of pyrimidines without AG, and the acceptor (YAG).

Example:
    >>> from genet5.simulate.dna import as_letters
    >>> intron = np.zeros(80, dtype=np.int8)
    >>> write_signals(intron, np.random.default_rng(1))
    >>> letters = as_letters(intron).tobytes()
    >>> letters[:2], letters[-2:]
    (b'GT', b'AG')
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from genet5.simulate.codon_usage import Floats
from genet5.simulate.dna import Indices, as_indices

MIN_INTRON_BP = 50
MIN_EXON_BP = 24

_PHASE_SHARES = np.array([0.48, 0.29, 0.23])  # Long et al. 1995, doi:10.1073/pnas.92.26.12495
_SEARCH_BP = 18  # how far a position may move to fit its neighbours
_EXON_SPREAD = 0.55  # sigma of the logarithm of exon lengths
_INTRON_SPREAD = 0.8
_A, _C, _G, _T = range(4)

# Weights of A, C, G, T next to an intron: the last two bases of the exon before it and the first
# one of the exon after it (MAG|intron|G).
_EXON_SIDE = np.array([[4.0, 1.0, 1.0, 1.0], [1.0, 0.5, 8.0, 1.0], [1.2, 1.0, 3.0, 0.8]])
_GC_DONOR = 0.012
_DONOR = np.array(  # bases 3 to 6 of the intron
    [
        [0.58, 0.03, 0.36, 0.03],
        [0.70, 0.08, 0.12, 0.10],
        [0.07, 0.05, 0.81, 0.07],
        [0.17, 0.16, 0.19, 0.48],
    ]
)
_BRANCH = np.array(  # CTRAY; the fourth base is the branch point
    [
        [0.10, 0.70, 0.10, 0.10],
        [0.05, 0.08, 0.02, 0.85],
        [0.60, 0.02, 0.36, 0.02],
        [1.00, 0.00, 0.00, 0.00],
        [0.03, 0.67, 0.03, 0.27],
    ]
)
_TRACT = np.array([0.08, 0.34, 0.08, 0.50])
_BEFORE_AG = np.array([0.06, 0.64, 0.01, 0.29])
_TRACT_BP, _SPACER_BP = (9, 17), (2, 11)


def choose_places(coding: Indices, count: int, rng: np.random.Generator) -> list[int]:
    """Choose where introns interrupt a sequence.

    Args:
        coding: (n,) bases from 5' to 3', in frame from the first one on.
        count: Wanted introns; fewer if the sequence is too short for exons of MIN_EXON_BP.
        rng: The generator.

    Returns:
        Positions p, ascending: an intron lies between base p - 1 and base p.
    """
    count = min(count, len(coding) // (2 * MIN_EXON_BP) - 1)
    if count < 1:
        return []
    shares = rng.lognormal(0.0, _EXON_SPREAD, count + 1).cumsum()
    targets = (shares[:-1] / shares[-1] * len(coding)).astype(int).tolist()
    places = [0]
    for target in targets:
        low = max(target - _SEARCH_BP, places[-1] + MIN_EXON_BP)
        high = min(target + _SEARCH_BP, len(coding) - MIN_EXON_BP)
        if low < high:
            at = np.arange(low, high)
            weights = _PHASE_SHARES[at % 3] * _EXON_SIDE[0, coding[at - 2]]
            weights *= _EXON_SIDE[1, coding[at - 1]] * _EXON_SIDE[2, coding[at]]
            places.append(int(rng.choice(at, p=weights / weights.sum())))
    return places[1:]


def intron_lengths(count: int, mean_bp: float, rng: np.random.Generator) -> list[int]:
    """Draw lengths of at least MIN_INTRON_BP with this mean."""
    mu = np.log(max(mean_bp - MIN_INTRON_BP, 1.0)) - _INTRON_SPREAD**2 / 2
    drawn: list[int] = rng.lognormal(mu, _INTRON_SPREAD, count).astype(int).tolist()
    return [MIN_INTRON_BP + extra for extra in drawn]


def write_signals(intron: Indices, rng: np.random.Generator) -> None:
    """Write donor, branch point, pyrimidine tract and acceptor into an intron, in place.

    It must have at least MIN_INTRON_BP bases.
    """
    intron[:2] = _G, _T
    intron[2:6] = _draw(_DONOR, rng)
    if rng.random() < _GC_DONOR:
        intron[:6] = as_indices("GCAAGT")
    end = len(intron) - 3
    tract = end - int(rng.integers(*_TRACT_BP))
    branch = tract - int(rng.integers(*_SPACER_BP)) - len(_BRANCH)
    intron[branch : branch + len(_BRANCH)] = _draw(_BRANCH, rng)
    intron[tract:end] = _draw(np.repeat(_TRACT[None], end - tract, axis=0), rng)
    intron[end:] = _draw(_BEFORE_AG[None], rng)[0], _A, _G
    between = intron[branch + len(_BRANCH) - 2 : end + 1]
    between[1:][(between[:-1] == _A) & (between[1:] == _G)] = _T  # the first AG is the acceptor


def _draw(weights: Floats, rng: np.random.Generator) -> NDArray[np.int8]:
    """Draw one base for each row of weights (n, 4) that sum to 1."""
    chance = weights.cumsum(axis=1)[:, :3]
    drawn: NDArray[np.int8] = (rng.random(len(weights))[:, None] > chance).sum(
        axis=1, dtype=np.int8
    )
    return drawn
