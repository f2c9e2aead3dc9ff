"""Evidence for a gene: log-probabilities of the decoder's choices, logits of the per-base heads.

Evidence of two fragments of one gene adds up, so that a gene longer than a window is scored like
any other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

NAN = math.nan


@dataclass(frozen=True, slots=True)
class Evidence:
    """How sure the model was of a fragment; log-probabilities are those without the grammar's mask.

    Sums over bases and splice sites cover the fragment's share only (its core where it is cut), so
    that those of joined fragments add up. NaN: the fragment does not show that end.
    """

    type_logp: float = 0.0
    """Log-probability of gene type and strand."""
    start_logp: float = NAN
    """Log-probability of the position of the 5' end."""
    stop_logp: float = NAN
    """Log-probability of the position of the 3' end."""
    splice_logp: float = 0.0
    """Sum over the positions of splice sites."""
    splices: int = 0
    state: float = 0.0
    """Sum over coding bases of the logit of the expected codon position."""
    coding: int = 0
    start_boundary: float = NAN
    """Boundary logit at the 5' end."""
    stop_boundary: float = NAN
    """Boundary logit at the 3' end."""
    splice_boundary: float = 0.0
    """Sum of boundary logits over splice sites."""

    def joined(self, other: Evidence) -> Evidence:
        """Return the evidence of a gene that has these two fragments."""
        return Evidence(
            min(self.type_logp, other.type_logp),
            _known(self.start_logp, other.start_logp),
            _known(self.stop_logp, other.stop_logp),
            self.splice_logp + other.splice_logp,
            self.splices + other.splices,
            self.state + other.state,
            self.coding + other.coding,
            _known(self.start_boundary, other.start_boundary),
            _known(self.stop_boundary, other.stop_boundary),
            self.splice_boundary + other.splice_boundary,
        )


def _known(first: float, second: float) -> float:
    return second if math.isnan(first) else first
