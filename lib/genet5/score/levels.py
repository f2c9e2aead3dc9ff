"""The result of a comparison of genes: counts and ratios by level, as text or JSON values."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from genet5.score.causes import CAUSES, Cause
from genet5.score.stops import StopOffsets

LEVELS = ("nucleotide", "exon", "intron", "transcript", "gene")
LEVELS_PROKARYOTE = (*LEVELS, "stop", "exact")

PROTOCOL = """\
Scored is coding sequence (CDS, stop codon included); UTRs and genes without CDS are not.
nucleotide  bases in any CDS, each strand by itself
exon        distinct CDS intervals, both ends right (those that touch are one)
intron      distinct gaps between CDS intervals of a transcript, both ends right
transcript  distinct CDS chains, every interval right
gene        right if any isoform's CDS chain is; a second prediction of one gene is wrong"""
PROTOCOL_PROKARYOTE = """
stop        contig, strand and stop coordinate (3' end) right; references with one stop count once
exact       stop and start (5' end) right"""
PROTOCOL_IGNORED = """
Ignored references: pseudogenes, partial genes, exceptions (slippage, selenocysteine ...){split}.
A prediction is ignored if half or more of its coding bases lie in ignored references of its strand,
unless it has the stop of a counted reference or half of it lies in counted references. Predictions
on contigs that the reference does not name are left out. Precision is tp/predicted, sensitivity
tp/reference, F1 their harmonic mean."""


@dataclass(frozen=True, slots=True)
class Level:
    """Counts of one level, and the ratios that follow from them.

    Example:
        >>> level = Level(tp=3, predicted=4, reference=6)
        >>> level.sensitivity, level.precision, level.f1
        (0.5, 0.75, 0.6)
    """

    tp: int
    """True positives: predicted and in the reference."""
    predicted: int
    reference: int

    def __add__(self, other: Level) -> Level:
        return Level(
            self.tp + other.tp, self.predicted + other.predicted, self.reference + other.reference
        )

    @property
    def sensitivity(self) -> float:
        """Share of the reference that was found; 0 without reference."""
        return self.tp / self.reference if self.reference else 0.0

    @property
    def precision(self) -> float:
        """Share of the predictions that are right; 0 without predictions."""
        return self.tp / self.predicted if self.predicted else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of sensitivity and precision."""
        total = self.predicted + self.reference
        return 2 * self.tp / total if total else 0.0

    def to_dict(self) -> dict[str, float]:
        """Return counts and ratios as plain values."""
        return {
            "tp": self.tp,
            "predicted": self.predicted,
            "reference": self.reference,
            "sensitivity": self.sensitivity,
            "precision": self.precision,
            "f1": self.f1,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """The result of a comparison."""

    levels: dict[str, Level]
    """By name: nucleotide, exon, intron, transcript, gene; for prokaryotes also stop and exact."""
    causes: dict[str, Cause]
    """Genes of level "gene" by cause of error; the columns add up to that level's counts."""
    prokaryote: bool
    ignored_references: dict[str, int]
    """Reference genes left out, by cause."""
    ignored_predictions: int
    """Predicted genes left out since they lie in ignored references."""
    elsewhere: int
    """Predicted genes left out since the reference does not name their contig."""
    stops: StopOffsets
    """Canonical transcripts of the predicted genes of level "gene"."""

    @classmethod
    def zero(cls, prokaryote: bool) -> Scores:
        """Return the scores of nothing, to add to."""
        return cls(
            levels=dict.fromkeys(LEVELS_PROKARYOTE if prokaryote else LEVELS, Level(0, 0, 0)),
            causes=dict.fromkeys(CAUSES, Cause()),
            prokaryote=prokaryote,
            ignored_references={},
            ignored_predictions=0,
            elsewhere=0,
            stops=StopOffsets(),
        )

    def __add__(self, other: Scores) -> Scores:
        """Add the scores of two sets of contigs that were scored by the same rules."""
        assert self.prokaryote == other.prokaryote
        ignored = Counter(self.ignored_references) + Counter(other.ignored_references)
        return Scores(
            levels={name: level + other.levels[name] for name, level in self.levels.items()},
            causes={name: cause + other.causes[name] for name, cause in self.causes.items()},
            prokaryote=self.prokaryote,
            ignored_references=dict(sorted(ignored.items())),
            ignored_predictions=self.ignored_predictions + other.ignored_predictions,
            elsewhere=self.elsewhere + other.elsewhere,
            stops=self.stops + other.stops,
        )

    @property
    def protocol(self) -> str:
        """The rules that were applied."""
        split = ", genes with introns" if self.prokaryote else ""
        middle = PROTOCOL_PROKARYOTE if self.prokaryote else ""
        return PROTOCOL + middle + PROTOCOL_IGNORED.format(split=split)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON values."""
        return {
            "prokaryote": self.prokaryote,
            "levels": {name: level.to_dict() for name, level in self.levels.items()},
            "gene_causes": {name: asdict(cause) for name, cause in self.causes.items()},
            "ignored_references": dict(self.ignored_references),
            "ignored_predictions": self.ignored_predictions,
            "predictions_on_unknown_contigs": self.elsewhere,
            "predicted_stops": asdict(self.stops),
            "protocol": self.protocol,
        }

    def table(self) -> str:
        """Return a plain-text table, one line per level, and what was ignored."""
        lines = [
            f"{'level':<11}{'sens.':>7}{'prec.':>7}{'F1':>7}{'right':>11}{'pred.':>11}{'ref.':>11}"
        ]
        for name, level in self.levels.items():
            ratios = f"{level.sensitivity:>7.3f}{level.precision:>7.3f}{level.f1:>7.3f}"
            counts = f"{level.tp:>11}{level.predicted:>11}{level.reference:>11}"
            empty = f"{'-':>7}" * 3
            lines.append(
                f"{name:<11}{ratios if level.reference or level.predicted else empty}{counts}"
            )
        causes = ", ".join(f"{count} {cause}" for cause, count in self.ignored_references.items())
        lines.append(
            f"ignored: {sum(self.ignored_references.values())} reference genes"
            f"{f' ({causes})' if causes else ''}, {self.ignored_predictions} predicted genes"
        )
        if self.elsewhere:
            lines.append(
                f"left out: {self.elsewhere} predicted genes on contigs unknown to the reference"
            )
        return "\n".join([*lines, "", self.causes_table()])

    def causes_table(self) -> str:
        """Return a plain-text table of the genes of both sides by cause."""
        lines = [f"{'genes':<18}{'ref.':>11}{'pred.':>11}"]
        for name, words in CAUSES.items():
            cause = self.causes[name]
            sides = (
                "-" if name == "extra" else cause.reference,
                "-" if name == "missed" else cause.predicted,
            )
            lines.append(f"{words:<18}{sides[0]:>11}{sides[1]:>11}")
        return "\n".join(lines)
