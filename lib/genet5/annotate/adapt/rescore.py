"""Move candidates to their most probable starts, with a probability for each start.

The probability that a start is the gene's, given that its 3' end is right, is that of a conditional
logit: with features f and weights w,

    p(start) = ceiling * exp(w . f(start)) / sum over the call's starts of exp(w . f)

`ceiling` is the share of genes whose true start is among the considered ones at all. Source:
McFadden 1974 (conditional logit); the weights are fitted by `conditional_logit`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from genet5.annotate.adapt.calls import ContigCalls
from genet5.annotate.adapt.model import START_FEATURES, GenomeModel
from genet5.annotate.adapt.ragged import Floats, row_argmax, row_softmax
from genet5.annotate.candidate import GeneCandidate, Parts
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


def rescored(
    calls: ContigCalls,
    genes: Sequence[GeneCandidate],
    genome: GenomeModel,
    weights: StartWeights,
) -> list[GeneCandidate]:
    """Return the candidates at their most probable starts, sorted by start.

    Candidates without starts stay as they are.

    Args:
        calls: A contig's calls.
        genes: The contig's genes: what ends upstream of a start.
        genome: What was learned.
        weights: Of the features of starts.
    """
    scores = weights.scores(genome.start_features(calls, genes))
    share = weights.ceiling * row_softmax(scores, calls.firsts)
    best = row_argmax(scores, calls.firsts).tolist()
    coding, per_codon = (values.tolist() for values in genome.coding(calls))
    motif = genome.motif.score(calls.upstream).tolist()
    base, shares, firsts = calls.base.tolist(), share.tolist(), calls.firsts.tolist()
    moved = []
    for i, candidate in enumerate(calls.candidates):
        if (j := best[i]) < 0:
            moved.append(candidate)
            continue
        low, high = firsts[i], firsts[i + 1]
        moved.append(
            replace(
                candidate,
                parts=parts_from(candidate, base[j]),
                starts=tuple(zip(base[low:high], shares[low:high], strict=True)),
                start_score=shares[j],
                coding_score=coding[j],
                coding_per_codon=per_codon[j],
                motif=motif[j],
            )
        )
    moved.sort(key=lambda c: (c.start, c.end, c.strand, c.type, c.parts))
    return moved


def parts_from(candidate: GeneCandidate, base: int) -> Parts:
    """Return a candidate's parts with another 5' end."""
    parts = candidate.parts
    if candidate.strand > 0:
        return (parts[0]._replace(start=base), *parts[1:])
    return (*parts[:-1], parts[-1]._replace(end=base + 1))
