"""What was learned from a genome, for people: one line for the log, JSON for the run's record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from genet5.annotate.adapt.model import GenomeModel
from genet5.annotate.adapt.motif import SPACERS, Motif
from genet5.genome.codes import CODONS


@dataclass(frozen=True, slots=True)
class Learned:
    """What some contigs taught together."""

    contigs: tuple[str, ...]
    num_genes: int
    """Confident genes it was learned from."""
    motif: Motif
    start_codons: dict[str, float]
    """Share of the confident genes that start with each codon, most common first."""
    coding_per_codon: float
    """Mean log-likelihood ratio of a codon of a gene against the whole genome, natural log."""
    spliced: bool = False
    """Whether genes may have introns."""

    @classmethod
    def of(cls, genome: GenomeModel, contigs: Sequence[str], *, spliced: bool) -> Learned:
        """Take what is for people from what was learned."""
        shares = genome.codon_counts / max(genome.codon_counts.sum(), 1)
        ranked = np.argsort(-shares, kind="stable")
        return cls(
            tuple(contigs),
            genome.num_genes,
            genome.motif,
            {CODONS[i]: float(shares[i]) for i in ranked if shares[i] > 0},
            genome.mean_coding,
            spliced,
        )

    @property
    def motif_name(self) -> str:
        """What the motif upstream of starts is: eukaryotic ribosomes bind at the mRNA's cap."""
        return "motif before starts" if self.spliced else "ribosome binding site"

    def __str__(self) -> str:
        codons = " ".join(
            f"{codon} {100 * share:.0f}" for codon, share in self.start_codons.items()
        )
        return (
            f"{self.motif_name} {self.motif.consensus}, spacer {self.motif.best_spacer}"
            f" (in {100 * self.motif.share:.0f} % of genes); starts {codons} %;"
            f" learned from {self.num_genes} genes"
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values: what a sequence logo and a table of starts are drawn from."""
        return {
            "contigs": list(self.contigs),
            "num_genes": self.num_genes,
            "start_codons": {codon: round(x, 4) for codon, x in self.start_codons.items()},
            "coding_per_codon": round(self.coding_per_codon, 4),
            "motif": {
                "consensus": self.motif.consensus,
                "share": round(self.motif.share, 4),
                "columns": [
                    dict(zip("ACGT", np.round(row, 4).tolist(), strict=True))
                    for row in self.motif.columns
                ],
                "bits": np.round(self.motif.information, 4).tolist(),
                "background": dict(
                    zip("ACGT", np.round(self.motif.background, 4).tolist(), strict=True)
                ),
                "spacers": {
                    str(s): round(float(p), 4)
                    for s, p in zip(SPACERS, self.motif.spacers, strict=True)
                },
            },
        }
