"""Coding usage: how much more often a hexamer stands in frame in the genome's genes than anywhere.

    score(h) = ln((g(h) + k b(h)) / (sum g + k)) - ln b(h)

g counts the hexamers in frame in confident genes, from 30 bases after their starts (which may be
wrong); b is the share of the hexamer on both strands of the whole genome, k = 4096 pseudocounts.
The score of a gene is the sum over its codons, so that of a longer one adds what lies between the
two starts. Neighbouring hexamers depend on each other, so long intervals would count for more than
they prove: between starts of one gene, differences to the network's start level off at `LIMIT`.

Sources: Fickett and Tung 1992 (hexamers separate coding sequence best among 21 measures); Hyatt et
al. 2010 (Prodigal: hexamer log-likelihoods from the genome's own genes).

Example:
    >>> counts = np.zeros(4096); counts[7] = 4096
    >>> usage = coding_usage(counts, np.ones(4096))
    >>> usage[[7, 8, 4096]].round(2).tolist()
    [7.62, -0.69, 0.0]
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from genet5.annotate.adapt.calls import ContigCalls
from genet5.annotate.adapt.ragged import Floats, Ints, row_index
from genet5.annotate.adapt.strand import NUM_HEXAMERS

PSEUDOCOUNTS = 4096
LIMIT = 10.0
"""Coding score, natural log, at which the differences between starts level off."""
SKIPPED_CODONS = 10
"""Codons after a start that do not count in learning."""


def coding_usage(genes: NDArray[np.number], background: NDArray[np.number]) -> Floats:
    """Return the score of each hexamer, (NUM_HEXAMERS + 1,); 0 for UNKNOWN.

    Args:
        genes: (NUM_HEXAMERS,) counts in frame in genes.
        background: (NUM_HEXAMERS,) counts anywhere; each gets one more.
    """
    share = (background + 1) / (background.sum() + len(background))
    smoothed = (genes + PSEUDOCOUNTS * share) / (genes.sum() + PSEUDOCOUNTS)
    return np.append(np.log(smoothed) - np.log(share), 0.0)


def gene_hexamers(calls: ContigCalls, genes: Ints, starts: Ints) -> Ints:
    """Count the hexamers in frame of some genes from SKIPPED_CODONS after their starts.

    Args:
        calls: The contig's calls.
        genes: Indices of calls.
        starts: Index of the start of each.
    """
    least = np.full(len(calls.candidates), np.iinfo(np.int64).max)
    least[genes] = calls.skipped[starts] + SKIPPED_CODONS
    rows = row_index(calls.hexamer_firsts)
    place = np.arange(len(rows)) - calls.hexamer_firsts[rows]
    counted = calls.hexamers[place >= least[rows]]
    return np.bincount(counted, minlength=NUM_HEXAMERS + 1)[:NUM_HEXAMERS].astype(np.int64)


def coding_scores(calls: ContigCalls, usage: Floats) -> tuple[Floats, Ints]:
    """Return the coding score of each start, and the number of hexamers it adds up, (m,) each."""
    before = np.concatenate(([0.0], np.cumsum(usage[calls.hexamers])))
    rows = row_index(calls.firsts)
    end = calls.hexamer_firsts[1:][rows]
    begin = np.minimum(calls.hexamer_firsts[:-1][rows] + calls.skipped, end)
    return before[end] - before[begin], end - begin


def levelled(difference: Floats) -> Floats:
    """Return differences of coding scores that level off at LIMIT, in units of small ones."""
    return np.asarray(LIMIT * np.tanh(difference / LIMIT))
