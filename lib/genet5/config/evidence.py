"""Configuration of simulated evidence: how many windows have hints, and how wrong these are."""

from __future__ import annotations

from dataclasses import dataclass

from genet5.config.checks import require


@dataclass(frozen=True, kw_only=True, slots=True)
class EvidenceConfig:
    """Hints that are simulated from the labels of each window, and corrupted."""

    evidence: bool = False
    """Train with channels of evidence, so that `annotate --hints` can use them: hints as from
    RNA-seq and proteins are simulated from the labels. BASE gets the channels if it has none."""
    evidence_absent: float = 0.5
    """Share of windows without any hint, so that the model finds genes without them, too."""
    evidence_false: float = 0.05
    """Share of the hints that are false."""
    evidence_shifted: float = 0.03
    """Share of the introns and coding parts with one border in a wrong place."""

    def __post_init__(self) -> None:
        for name in ("evidence_absent", "evidence_shifted"):
            value = getattr(self, name)
            require(0 <= value <= 1, name, value, "must be between 0 and 1")
        rule = "must be at least 0 and below 1"
        require(0 <= self.evidence_false < 1, "evidence_false", self.evidence_false, rule)
