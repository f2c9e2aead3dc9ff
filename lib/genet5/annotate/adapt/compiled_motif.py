"""Loops over the sites before starts, compiled: likelihood ratios and counts of a motif's bases.

Of upstream bases (m, B), 0..3 and 4 = unknown, the site with the k-th spacer begins at column
`first - k`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from genet5.annotate.adapt.ragged import Floats
from genet5.decode.compiled import compiled


@compiled
def site_odds(upstream: NDArray[np.uint8], ratio: Floats, first: int, odds: Floats) -> None:
    """Fill in the product of the columns' ratios at each site.

    Args:
        upstream: (m, B)
        ratio: (width, 5) likelihood ratio of each base in each column.
        first: Where the site with the first spacer begins.
        odds: (m, spacers), filled.
    """
    for row in range(odds.shape[0]):
        for k in range(odds.shape[1]):
            product = 1.0
            for column in range(ratio.shape[0]):
                product *= ratio[column, upstream[row, first - k + column]]
            odds[row, k] = product


@compiled
def site_counts(upstream: NDArray[np.uint8], belief: Floats, first: int, counts: Floats) -> None:
    """Add up the bases of each column, weighted by the belief in each site.

    Args:
        upstream: (m, B)
        belief: (m, spacers)
        first: Where the site with the first spacer begins.
        counts: (width, 5), added to.
    """
    for row in range(belief.shape[0]):
        for k in range(belief.shape[1]):
            for column in range(counts.shape[0]):
                counts[column, upstream[row, first - k + column]] += belief[row, k]
