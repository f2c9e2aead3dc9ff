"""A gene on the contig before it is chosen: what stitching and merging make of fragments.

Stitching fills structure and evidence; merging adds how far the windows agree (`support` and the
shares). Intervals are 0-based half-open on the contig's forward strand; on a circular contig they
may lie past its end.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from genet5.decode.evidence import Evidence
from genet5.decode.fragment import Interval, Starts, coding_bases, moved
from genet5.genome.frames import five_prime_base, three_prime_base

Parts = tuple[Interval, ...]


@dataclass(frozen=True, slots=True)
class Learning:
    """How a gene looks by what its genome's own genes teach (`adapt.rescore`)."""

    coding: float
    """Coding score of all its codons, natural log."""
    coding_per_codon: float
    """Coding score of a codon, as a multiple of the genome's mean."""
    motif: float
    """Score of the ribosome binding site."""
    codon: float
    """Log-ratio of its start codon."""
    distance: float
    """Log-ratio of the gap to the gene upstream."""
    same: float
    """Share of its bases in other confident genes of its strand."""
    opposite: float
    """Share of its bases in confident genes of the opposite strand."""


@dataclass(frozen=True, slots=True)
class GeneCandidate:
    """A gene that is whole, or ends at the contig's ends."""

    type: str
    strand: int
    parts: Parts
    frame: int
    """Codon position of the leftmost coding base."""
    partial_left: bool = False
    partial_right: bool = False
    evidence: Evidence = field(default_factory=Evidence)
    """Of one gene; after merging the weighted mean over the windows that show it."""
    starts: Starts = ()
    """Possible 5' ends, the chosen one among them, with their shares of the votes (after merging)
    or probabilities (after re-scoring)."""
    tile: int = 0
    """Index of the window that shows the 3' end."""
    is_joined: bool = False
    """Whether no window shows it whole."""
    support: float = 0.0
    """Share (0..1, weighted) of the windows that could show the 3' end and do."""
    structure_share: float = 0.0
    """Share of the votes that this structure got."""
    path_share: float = 0.0
    """Share (0..1, weighted) of the windows that could show the 3' end whose best path is this very
    structure."""
    margin: float = 0.0
    """Lead of its boundary logits over the best other candidate's on its bases; 0 if there is
    none."""
    start_score: float = math.nan
    """Probability of its 5' end, given its 3' end (`adapt.rescore`); NaN = not known."""
    learned: Learning | None = None
    """How it looks by what was learned from the genome; None: nothing was."""
    is_proposed: bool = False
    """Whether only what was learned from the genome proposes it (`adapt.propose`)."""

    @property
    def start(self) -> int:
        """First base."""
        return self.parts[0].start

    @property
    def end(self) -> int:
        """One past the last base."""
        return self.parts[-1].end

    @property
    def start_base(self) -> int:
        """The base of the 5' end."""
        return five_prime_base(self.start, self.end, self.strand)

    @property
    def stop_base(self) -> int:
        """The base of the 3' end."""
        return three_prime_base(self.start, self.end, self.strand)

    @property
    def coding_bp(self) -> int:
        """Coding bases."""
        return coding_bases(self.parts)

    @property
    def is_partial(self) -> bool:
        """Whether an end of the contig cuts it."""
        return self.partial_left or self.partial_right

    def moved(self, by_bp: int) -> GeneCandidate:
        """Return the candidate moved along the contig."""
        return replace(
            self,
            parts=moved(self.parts, by_bp),
            starts=tuple((base + by_bp, share) for base, share in self.starts),
        )
