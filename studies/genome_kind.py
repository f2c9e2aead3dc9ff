#!/usr/bin/env python3
"""How well open frames tell prokaryotes from eukaryotes, and genetic code 4 from 11.

Surveys every genome of DATA/splits.tsv, fits the logistic model of a prokaryote to those of the
training split, and prints a table: what the shipped weights say of each genome. Genomes of other
splits are shown, not fitted.

    python studies/genome_kind.py [DATA]        default ../shared/data
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from genet5.genome.io.fasta import read_fasta
from genet5.genome.survey import Survey, survey_genome


def main(argv: list[str]) -> int:
    """Print the table and the fitted distributions."""
    data = Path(argv[0] if argv else "../shared/data")
    features: list[tuple[float, float]] = []
    is_prokaryote: list[bool] = []
    print("clade\tgenome\tsplit\tpairs\toperon_share\tdensity\tprokaryote\tcode")
    for clade, genome, split in _genomes(data):
        survey = survey_genome(read_fasta(data / "raw" / clade / genome / "genome.fa.gz"))
        if split == "train":
            features.append((survey.operon_share, survey.density))
            is_prokaryote.append(clade == "prokaryotes")
        print("\t".join([clade, genome, split, *_columns(survey)]), flush=True)
    bias, operon, density = _fitted(np.array(features), np.array(is_prokaryote))
    print(
        f"# bias {bias:.2f}, operon_share {operon:.2f}, density {density:.2f}, n = {len(features)}"
    )
    return 0


def _genomes(data: Path) -> list[tuple[str, str, str]]:
    """Return clade, genome and split; train only where all of its contigs are."""
    found: dict[tuple[str, str], set[str]] = {}
    with (data / "splits.tsv").open() as file:
        for row in csv.DictReader(file, delimiter="\t"):
            found.setdefault((row["taxon"], row["genome"]), set()).add(row["split"])
    return [
        (clade, genome, "train" if splits == {"train"} else min(splits - {"train"}))
        for (clade, genome), splits in found.items()
    ]


def _columns(survey: Survey) -> list[str]:
    probability = survey.prokaryote_probability
    return [
        str(survey.frames.pairs),
        f"{survey.operon_share:.3f}",
        f"{survey.density:.3f}",
        "?" if probability is None else f"{probability:.4f}",
        str(survey.genetic_code or "?"),
    ]


def _fitted(features: NDArray[np.float64], labels: NDArray[np.bool_]) -> list[float]:
    """Fit a logistic model with a weak penalty, both kinds weighing the same."""
    means, scales = features.mean(0), features.std(0)
    model = LogisticRegression(C=10.0, class_weight="balanced")
    model.fit((features - means) / scales, labels)
    weights = model.coef_[0] / scales
    return [float(model.intercept_[0] - weights @ means), *map(float, weights)]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
