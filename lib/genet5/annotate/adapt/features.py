"""What speaks for a start: its votes, its codon, and how far the next gene upstream ends.

Codon and distance are log-ratios of counts over the starts that are held true and over the others.
With T the counts weighted by p, D those weighted by 1 - p, and b the pooled shares,

    score(x) = ln((T(x) + k b(x)) / (sum T + k)) - ln((D(x) + k b(x)) / (sum D + k))

where k is the number of pseudocounts: what is rare keeps the score 0.

Example:
    >>> log_ratio(np.array([90.0, 10.0, 0.0]), np.array([10.0, 90.0, 0.0]), 8).round(2).tolist()
    [1.9, -1.9, 0.0]
"""

from __future__ import annotations

import numpy as np

from genet5.annotate.adapt.calls import ContigCalls
from genet5.annotate.adapt.ragged import Floats, Ints, row_index
from genet5.annotate.adapt.spans import Spans

LEAST_SHARE = 0.003
"""Added to a start's share of the votes: windows that saw nothing exclude nothing."""
GAP_EDGES = (
    *(-60, -30, -15, -10, -4.5, -3.5, -1.5, -0.5, 1.5, 5),
    *(10, 15, 20, 30, 50, 75, 100, 150, 200, 300),
)  # fmt: skip
"""Edges (bp) of the bins of the gap between a start and the gene end upstream; genes of one operon
often share the 4 bases ATGA or the one of TAATG."""
NUM_GAPS = 2 * (len(GAP_EDGES) + 1)
"""Bins for ends of genes of the same strand, then as many for genes of the other strand."""
MOST_OVERLAP_BP = 90
"""An end this far inside the gene still counts as upstream."""


def log_ratio(true: Floats, other: Floats, pseudocounts: float) -> Floats:
    """Return the score of each class, as in the module's formula."""
    pooled = true + other
    total = pooled.sum()
    share = pooled / total if total else np.zeros_like(pooled)
    smoothed = [(c + pseudocounts * share) / (c.sum() + pseudocounts) for c in (true, other)]
    known = share > 0
    score = np.zeros_like(pooled)
    score[known] = np.log(smoothed[0][known]) - np.log(smoothed[1][known])
    return score


def start_posterior(calls: ContigCalls) -> Floats:
    """Return the probability of each start by the votes alone: share + LEAST_SHARE, normalised."""
    raised = calls.share + LEAST_SHARE
    rows = row_index(calls.firsts)
    totals = np.bincount(rows, weights=raised, minlength=len(calls.candidates))
    return np.asarray(raised / totals[rows])


def gap_bins(calls: ContigCalls, genes: Spans) -> Ints:
    """Return the bin of the gap between each start and the nearest end of a gene upstream.

    The gap is the number of bases between them, negative if they overlap. A start without a gene
    upstream is in the last bin of its own strand.

    Args:
        calls: The contig's calls.
        genes: Those of the contig, a call itself among them or not.
    """
    rows = row_index(calls.firsts)
    strand, own = calls.spans.strand[rows], calls.spans.three_prime[rows]
    return start_gaps(calls.base, strand, own, genes)


def start_gaps(base: Ints, strand: Ints, stop: Ints, genes: Spans) -> Ints:
    """Return the bin of each start's gap, as `gap_bins`.

    Args:
        base: (m,) starts' first bases.
        strand: (m,)
        stop: (m,) last bases of their genes.
        genes: What may end upstream.
    """
    bins = np.full(len(base), len(GAP_EDGES), dtype=np.int64)
    for sign in (1, -1):
        here = np.flatnonzero(strand == sign)
        if not len(genes.start) or not len(here):
            continue
        place = base[here] if sign > 0 else -1 - base[here]
        ends = genes.end if sign > 0 else -genes.start
        order = np.argsort(ends, kind="stable")
        edge, same, last = ends[order], genes.strand[order] == sign, genes.three_prime[order]
        nearest = np.searchsorted(edge, place + MOST_OVERLAP_BP, side="right") - 1
        is_own = same[nearest] & (last[nearest] == stop[here])
        nearest -= (nearest >= 0) & is_own
        bin_ = np.searchsorted(GAP_EDGES, place - edge[nearest])
        bin_ += np.where(same[nearest], 0, len(GAP_EDGES) + 1)
        bins[here] = np.where(nearest >= 0, bin_, len(GAP_EDGES))
    return bins
