"""Configuration of `genet5 lm vep`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from genet5.config.checks import by_default, require
from genet5.config.lm.compute import LmComputeConfig, StrandName
from genet5.config.lm.score import AmbiguousName

RecipeName = Literal["next_token", "window"]


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelConfig:
    """Known effects, to measure the scores by."""

    label: Annotated[str | None, by_default("none")] = None
    """Column of the table, or key in the VCF's INFO, with the known effect."""
    positive: Annotated[tuple[str, ...], tyro.conf.arg(metavar="WORD ...")] = (
        *("1", "1.0", "true", "pathogenic", "likely_pathogenic", "pathogenic/likely_pathogenic"),
    )
    """Labels of damaging variants; case does not matter."""
    negative: Annotated[tuple[str, ...], tyro.conf.arg(metavar="WORD ...")] = (
        *("0", "0.0", "false", "benign", "likely_benign", "benign/likely_benign"),
    )
    """Labels of harmless variants; variants with any other label are scored, but not counted."""
    metrics: Annotated[Path | None, by_default("none")] = None
    """Write AUROC, AUPRC and average precision to this JSON file."""

    def __post_init__(self) -> None:
        both = {word.lower() for word in self.positive} & {word.lower() for word in self.negative}
        require(not both, "positive", sorted(both), "must not be among --negative")
        require(
            self.metrics is None or self.label is not None,
            "metrics",
            self.metrics and str(self.metrics),
            "needs --label",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class LmVepConfig:
    """Which variants to score, and how."""

    model: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """Folder of a language model, or its name on the hub."""
    genome: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="GENOME")]
    """Reference: FASTA (plain and bgzip are read in place, gzip into memory), or parquet with the
    columns ID and Sequence."""
    variants: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="VARIANTS")]
    """VCF, plain or compressed, or a table (.tsv, .csv, .parquet) with the columns chrom, pos
    (from 1), ref, alt. Order does not matter."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FILE")] = Path("-")
    """Scores: .vcf or .vcf.gz (the input's lines with INFO fields added; from a VCF only), .tsv,
    .csv or .parquet; - is standard output, as TSV."""
    recipe: RecipeName = "window"
    """window is the log-likelihood of a whole window with the one allele against the other, indels
    too; next_token is GENERator's published score, ln(p_ref / p_alt) of the base after the left
    context, for single bases."""
    strand: StrandName = "forward"
    """Score the forward strand, the reverse complement, or the mean of both."""
    context_bp: int = 8192
    """Bases of the window, or before the variant with next_token."""
    ambiguous: AmbiguousName = "oov"
    """Letters other than A, C, G, T in a window: see genet5 lm score --help."""
    most_mismatches: float = 0.1
    """Share of alleles whose REF may differ from the genome; they are skipped and counted. More
    of them mean another assembly, and end the run."""
    labels: LabelConfig = field(default_factory=LabelConfig)
    compute: LmComputeConfig = field(default_factory=LmComputeConfig)

    def __post_init__(self) -> None:
        require(self.context_bp >= 2, "context_bp", self.context_bp, "must be at least 2")
        require(
            0 <= self.most_mismatches <= 1,
            "most_mismatches",
            self.most_mismatches,
            "must be between 0 and 1",
        )
