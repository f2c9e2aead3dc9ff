"""An artificial genome whose genes have a ribosome binding site and codons of their own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from genet5.annotate.adapt.calls import ContigCalls, contig_calls
from genet5.annotate.adapt.strand import ContigReader
from genet5.annotate.candidate import GeneCandidate
from genet5.decode.fragment import Interval
from genet5.genome.codes import CODONS
from genet5.genome.sequence import Bases, encode_bases, reverse_complement

STARTS = ("ATG", "GTG", "TTG")
STOPS = ("TAA", "TAG", "TGA")
SITE = "AGGAGG"
SPACER = 7


@dataclass(frozen=True)
class Genome:
    """One contig with genes on both strands; the network wavers between two starts of each."""

    bases: Bases
    candidates: list[GeneCandidate]
    true: list[int]
    """First base of each candidate's true start."""

    @property
    def calls(self) -> ContigCalls:
        return contig_calls("chr", self.candidates, ContigReader(self.bases, 11, STARTS))


def candidate(start: int, end: int, strand: int, **changes: object) -> GeneCandidate:
    parts = (Interval("cds", start, end),)
    frame = 0 if strand > 0 else 2
    return GeneCandidate("protein_coding", strand, parts, frame, **changes)  # type: ignore[arg-type]


def artificial(num_genes: int, seed: int, *, site: bool = True, right_votes: float = 0.5) -> Genome:
    """Genes with a second ATG 20 codons into them.

    Args:
        num_genes: How many.
        seed: Of the random numbers.
        site: Whether the true start has the ribosome binding site.
        right_votes: Mean share of the votes that the true start has.
    """
    rng = np.random.default_rng(seed)
    usage = rng.dirichlet(np.full(64, 0.5))
    usage[[CODONS.index(stop) for stop in STOPS]] = 0
    usage /= usage.sum()
    text, candidates, true = [], [], []
    length = 0
    for _ in range(num_genes):
        strand = 1 if rng.random() < 0.5 else -1
        before = _random(rng, 40)
        if site:
            before = before[: 40 - SPACER - 6] + SITE + before[40 - SPACER :]
        codons = [CODONS[i] for i in rng.choice(64, 80, p=usage)]
        body = "ATG" + "".join(codons[:20]) + "ATG" + "".join(codons[20:]) + "TAA"
        piece = _random(rng, 30) + before + body
        left = 70 if strand > 0 else 0
        gene = (length + left, length + left + len(body))
        share = float(np.clip(rng.normal(right_votes, 0.2), 0.02, 0.98))
        own, inner = (gene[0], gene[0] + 63) if strand > 0 else (gene[1] - 1, gene[1] - 64)
        votes = ((own, share), (inner, 1 - share))
        wrong = share < 0.5
        span = gene
        if wrong:
            span = (inner, gene[1]) if strand > 0 else (gene[0], inner + 1)
        candidates.append(candidate(*span, strand, starts=votes))
        true.append(own)
        coded = encode_bases(piece)
        text.append(coded if strand > 0 else reverse_complement(coded))
        length += len(piece)
    order = sorted(range(num_genes), key=lambda i: candidates[i].start)
    return Genome(np.concatenate(text), [candidates[i] for i in order], [true[i] for i in order])


def _random(rng: np.random.Generator, size: int) -> str:
    return "".join(np.array(list("ACGT"))[rng.integers(0, 4, size)])
