"""Move candidates to their most probable starts, with a probability for each start.

The probability that a start is the gene's, given that its 3' end is right, is that of a conditional
logit: with features f and weights w,

    p(start) = ceiling * exp(w . f(start)) / sum over the call's starts of exp(w . f)

`ceiling` is the share of genes whose true start is among the considered ones at all. Source:
McFadden 1974 (conditional logit); the weights are fitted by `conditional_logit`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from genet5.annotate.adapt.calls import ContigCalls
from genet5.annotate.adapt.model import START_FEATURES, GenomeModel
from genet5.annotate.adapt.ragged import Floats, Ints, row_argmax, row_softmax
from genet5.annotate.adapt.spans import Spans
from genet5.annotate.candidate import GeneCandidate, Learning, Parts
from genet5.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class StartWeights:
    """The conditional logit of starts."""

    weights: dict[str, float] = field(default_factory=lambda: dict.fromkeys(START_FEATURES, 0.0))
    """Weight of each of START_FEATURES."""
    ceiling: float = 1.0
    """Share of the genes whose start is among the considered ones."""

    def __post_init__(self) -> None:
        if set(self.weights) != set(START_FEATURES):
            names = ", ".join(START_FEATURES)
            raise ConfigError("starts.weights", sorted(self.weights), f"must have {names}")
        if not 0 < self.ceiling <= 1:
            raise ConfigError("starts.ceiling", self.ceiling, "must be over 0, at most 1")

    def scores(self, features: Floats) -> Floats:
        """Return w . f of each row of `GenomeModel.start_features`."""
        return np.asarray(features @ np.array([self.weights[name] for name in START_FEATURES]))


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """A contig's calls at their most probable starts, as arrays."""

    calls: ContigCalls
    features: Floats
    """(m, len(START_FEATURES)) of all starts."""
    share: Floats
    """(m,) Probability of each start."""
    best: Ints
    """(n,) Index of each call's most probable start; -1 if it has none."""
    spans: Spans
    """(n,) Where the calls lie with these starts."""


def placed(calls: ContigCalls, genes: Spans, genome: GenomeModel, weights: StartWeights) -> Placed:
    """Choose the starts of a contig's calls.

    Args:
        calls: A contig's calls.
        genes: The contig's genes: what ends upstream of a start.
        genome: What was learned.
        weights: Of the features of starts.
    """
    features = genome.start_features(calls, genes)
    scores = weights.scores(features)
    best = row_argmax(scores, calls.firsts)
    base = np.append(calls.base, 0)[best]
    old = calls.spans
    spans = Spans(
        start=np.where((best >= 0) & (old.strand > 0), base, old.start),
        end=np.where((best >= 0) & (old.strand < 0), base + 1, old.end),
        strand=old.strand,
    )
    share = weights.ceiling * row_softmax(scores, calls.firsts)
    return Placed(calls, features, share, best, spans)


def rescored(starts: Placed, genome: GenomeModel, sure: Spans) -> list[GeneCandidate]:
    """Return the candidates at their most probable starts, with what speaks for them.

    They stand as the calls do; those without starts stay as they are.

    Args:
        starts: Of a contig's calls.
        genome: What was learned.
        sure: Confident genes of the contig, at their most probable starts.
    """
    calls, best = starts.calls, starts.best
    if not len(calls.base):
        return list(calls.candidates)
    columns = {name: starts.features[:, i][best] for i, name in enumerate(START_FEATURES)}
    same, opposite = shares_in_others(starts.spans, sure)
    coding, coding_per_codon = genome.coding(calls)[best], genome.coding_per_codon(calls)[best]
    base, shares, firsts = calls.base.tolist(), starts.share.tolist(), calls.firsts.tolist()
    moved = []
    for i, (candidate, j) in enumerate(zip(calls.candidates, best.tolist(), strict=True)):
        if j < 0:
            moved.append(candidate)
            continue
        low, high = firsts[i], firsts[i + 1]
        learned = Learning(
            coding=float(coding[i]),
            coding_per_codon=float(coding_per_codon[i]),
            motif=float(columns["motif"][i]),
            codon=float(columns["codon"][i]),
            distance=float(columns["distance"][i]),
            same=float(same[i]),
            opposite=float(opposite[i]),
        )
        moved.append(
            replace(
                candidate,
                parts=parts_from(candidate, base[j]),
                starts=tuple(zip(base[low:high], shares[low:high], strict=True)),
                start_score=shares[j],
                learned=learned,
            )
        )
    return moved


def shares_in_others(genes: Spans, sure: Spans) -> tuple[Floats, Floats]:
    """Return the shares of genes that lie in sure genes of the same, and of the opposite, strand.

    A gene does not lie in itself: in a sure gene that has its 3' end.

    Returns:
        (n,) each, 0..1.
    """
    length = genes.end - genes.start
    same, opposite = np.zeros(len(length)), np.zeros(len(length))
    own = np.isin(genes.three_prime * genes.strand, sure.three_prime * sure.strand)
    for sign in (1, -1):
        others = sure.take(np.flatnonzero(sure.strand == sign))
        covered = others.covered(genes.start, genes.end)
        covered_by_others = covered - np.where(own, length, 0)
        mine = genes.strand == sign
        same[mine], opposite[~mine] = covered_by_others[mine], covered[~mine]
    return np.clip(same / length, 0, 1), np.clip(opposite / length, 0, 1)


def parts_from(candidate: GeneCandidate, base: int) -> Parts:
    """Return a candidate's parts with another 5' end."""
    parts = candidate.parts
    if candidate.strand > 0:
        return (parts[0]._replace(start=base), *parts[1:])
    return (*parts[:-1], parts[-1]._replace(end=base + 1))
