"""Propose genes that the network never wrote: open reading frames that look coding to the genome.

Nearly all genes that are missed are short, or lie under a call on the other strand that shut them
out. Of every open reading frame that is not a candidate yet, the start with the best coding and
motif scores is taken; those whose coding score is at least `LEAST_CODING` become candidates without
any evidence of the network, and are scored like the others. Cost: a look-up for every codon of six
reading frames.

Source: Hyatt et al. 2010 (Prodigal scores every open reading frame by the genome's own hexamers).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator

import numpy as np
from numpy.typing import NDArray

from genet5.annotate.adapt.model import GenomeModel
from genet5.annotate.adapt.ragged import (
    Floats,
    Ints,
    place_in_row,
    row_argmax,
    row_firsts,
    row_index,
    row_maxima,
)
from genet5.annotate.adapt.rescore import StartWeights
from genet5.annotate.adapt.strand import UPSTREAM_BP, StrandReader
from genet5.annotate.candidate import GeneCandidate
from genet5.decode.evidence import NAN, Evidence
from genet5.decode.fragment import Interval
from genet5.genome.frames import leftmost_frame

LEAST_CODING = 10.0
"""Coding score, natural log, under which nothing is proposed."""
LEAST_PROPOSED_BP = 90
_NO_EVIDENCE = Evidence(type_logp=NAN, splice_logp=NAN, state=NAN, splice_boundary=NAN)


def propose(
    reader: StrandReader,
    genome: GenomeModel,
    weights: StartWeights,
    known: Collection[tuple[int, int]],
    gene_type: str,
) -> list[GeneCandidate]:
    """Return new candidates of one strand.

    Args:
        reader: The strand.
        genome: What was learned.
        weights: Of the features of starts; coding and motif count.
        known: Strand and last base of the candidates that there are.
        gene_type: Of the new candidates.
    """
    found = []
    for frame in range(3):
        for place, stop in _best_starts(reader, frame, genome, weights):
            first, last = reader.base(np.array([place, stop + 2])).tolist()
            if (reader.sign, last) not in known:
                span = (first, last + 1) if reader.sign > 0 else (last, first + 1)
                found.append(
                    GeneCandidate(
                        gene_type,
                        reader.sign,
                        (Interval("cds", *span),),
                        leftmost_frame(reader.sign),
                        evidence=_NO_EVIDENCE,
                        structure_share=math.nan,
                        is_proposed=True,
                    )
                )
    return found


def _best_starts(
    reader: StrandReader, frame: int, genome: GenomeModel, weights: StartWeights
) -> Iterator[tuple[int, int]]:
    """Yield the places of the best start and of the stop codon of each frame that looks coding."""
    stops = reader.stops[frame]
    stops = stops[(stops >= reader.shift) & (stops + 3 <= reader.shift + reader.contig_bp)]
    firsts, start = _starts_by_stop(reader.starts[frame], stops, reader.shift)
    if not len(start):
        return
    usage = genome.usage[reader.hexamers[frame::3]]
    before = np.concatenate(([0.0], np.cumsum(usage)))
    coding = before[stops[row_index(firsts)] // 3 - 1] - before[start // 3]
    hopeful = row_maxima(coding, firsts) >= LEAST_CODING
    scores = _scores(reader, start, coding, hopeful[row_index(firsts)], genome, weights)
    best = row_argmax(scores, firsts)
    for row in np.flatnonzero(hopeful).tolist():
        yield int(start[best[row]]), int(stops[row])


def _starts_by_stop(starts: Ints, stops: Ints, first: int) -> tuple[Ints, Ints]:
    """Places of the starts of each open frame, ragged: between the stop before it and its own."""
    starts = starts[starts >= first]
    low = np.searchsorted(starts, np.concatenate(([-1], stops[:-1])), side="right")
    high = np.searchsorted(starts, stops + 3 - LEAST_PROPOSED_BP, side="right")
    sizes = np.maximum(high - low, 0) if len(stops) else np.zeros(0, dtype=np.int64)
    firsts = row_firsts(sizes)
    return firsts, starts[np.repeat(low[: len(sizes)], sizes) + place_in_row(firsts)]


def _scores(
    reader: StrandReader,
    start: Ints,
    coding: Floats,
    counted: NDArray[np.bool_],
    genome: GenomeModel,
    weights: StartWeights,
) -> Floats:
    """Weighted coding and motif scores of the counted starts; -inf of others."""
    around = start[counted][:, None] + np.arange(-UPSTREAM_BP, 0)
    scores = np.full(len(start), -np.inf)
    scores[counted] = weights.weights["coding"] * coding[counted]
    scores[counted] += weights.weights["motif"] * genome.motif.score(reader.index[around])
    return scores
