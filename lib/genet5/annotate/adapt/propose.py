"""Propose genes that the network never wrote: open reading frames that look coding to the genome.

Nearly all genes that are missed are short, or lie under a call on the other strand that shut them
out. Of every open reading frame that is not a candidate yet, the start with the best coding and
motif scores is taken; those whose coding score is at least `LEAST_CODING` become candidates without
any evidence of the network, and are scored like the others. Cost: a look-up for every codon of six
reading frames, interval by interval.

Source: Hyatt et al. 2010 (Prodigal scores every open reading frame by the genome's own hexamers).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator

import numpy as np

from genet5.annotate.adapt.coding import levelled
from genet5.annotate.adapt.compiled_strand import open_frames
from genet5.annotate.adapt.model import GenomeModel
from genet5.annotate.adapt.ragged import Floats, Ints, row_argmax, row_index, row_maxima
from genet5.annotate.adapt.rescore import StartWeights
from genet5.annotate.adapt.strand import REACH_BP, UPSTREAM_BP, ContigReader, StrandReader
from genet5.annotate.candidate import GeneCandidate
from genet5.decode.evidence import NAN, Evidence
from genet5.decode.fragment import Interval
from genet5.genome.frames import leftmost_frame

LEAST_CODING = 10.0
"""Coding score, natural log, under which nothing is proposed."""
LEAST_PROPOSED_BP = 90
_NO_EVIDENCE = Evidence(type_logp=NAN, splice_logp=NAN, state=NAN, splice_boundary=NAN)


def propose(
    reader: ContigReader,
    genome: GenomeModel,
    weights: StartWeights,
    known: Collection[tuple[int, int]],
    gene_type: str,
) -> list[GeneCandidate]:
    """Return new candidates, sorted by start.

    Args:
        reader: The contig.
        genome: What was learned.
        weights: Of the features of starts; coding and motif count.
        known: Strand and last base of the candidates that there are.
        gene_type: Of the new candidates.
    """
    found = [
        _candidate(sign, first, last, gene_type)
        for low, high in reader.intervals()
        for strand in reader.strands(low, high)
        for sign, first, last in _best_starts(strand, (low, high), reader, genome, weights)
        if (sign, last) not in known
    ]
    return sorted(found, key=lambda c: (c.start, c.end, c.strand))


def _candidate(sign: int, first: int, last: int, gene_type: str) -> GeneCandidate:
    """Make a candidate of the first and last base of a gene in reading direction."""
    return GeneCandidate(
        gene_type,
        sign,
        (Interval("cds", min(first, last), max(first, last) + 1),),
        leftmost_frame(sign),
        evidence=_NO_EVIDENCE,
        structure_share=math.nan,
        is_proposed=True,
    )


def _best_starts(
    strand: StrandReader,
    interval: tuple[int, int],
    reader: ContigReader,
    genome: GenomeModel,
    weights: StartWeights,
) -> Iterator[tuple[int, int, int]]:
    """Yield strand, first and last base of what looks coding and has its stop in an interval."""
    start, stop, coding = _hopeful(strand, interval, reader.contig_bp, genome)
    if not len(start):
        return
    around = start[:, None] + np.arange(-UPSTREAM_BP, 0)
    firsts = np.append(np.flatnonzero(np.diff(stop, prepend=-1)), len(stop))
    most = row_maxima(coding, firsts)[row_index(firsts)]
    scores = weights.weights["coding"] * levelled(coding - most)
    scores += weights.weights["motif"] * genome.motif.score(strand.index[around])
    best = row_argmax(scores, firsts)
    bases = zip(strand.base(start[best]), strand.base(stop[best] + 2), strict=True)
    yield from ((strand.sign, int(first), int(last)) for first, last in bases)


def _hopeful(
    strand: StrandReader, interval: tuple[int, int], contig_bp: int, genome: GenomeModel
) -> tuple[Ints, Ints, Floats]:
    """Places of starts, of their stops, and coding scores; those of a stop stand together.

    Stop codons begin in the interval and lie on the contig, and so do starts.
    """
    low, high = interval
    stops = (low, min(high, contig_bp - 2)) if strand.sign > 0 else (max(low, 2), high)
    places = sorted(strand.place(np.array([stops[0], stops[1] - 1])).tolist())
    edge = strand.place(np.array(0 if strand.sign > 0 else contig_bp - 1))
    first = max(strand.first, int(edge))
    limits = (places[0], places[1] + 1, first, REACH_BP, LEAST_PROPOSED_BP)
    found, coding = np.empty((len(strand.codons), 2), dtype=np.int64), np.empty(len(strand.codons))
    size = open_frames(
        strand.codons, strand.is_start, strand.is_stop, genome.usage, limits,
        LEAST_CODING, found, coding,
    )  # fmt: skip
    return found[:size, 0], found[:size, 1], coding[:size]
