"""Configuration of `genet5 lm embed`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from genet5.config.checks import by_default, require
from genet5.config.lm.compute import LmComputeConfig, StrandName

PoolName = Literal["mean", "max", "last", "separator"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ReductionConfig:
    """What is taken from the embeddings, and how many dimensions are left."""

    pca: Annotated[int | None, by_default("all dimensions")] = None
    """Write this many principal components instead of all dimensions."""
    covariates: Annotated[Path | None, by_default("none")] = None
    """Table (.tsv, .csv, .parquet) with the column name and covariates such as age, sex, ancestry
    components and batch: what a linear fit on them predicts is taken from each dimension. Columns
    of numbers are numbers, others are words."""
    train_rows: Annotated[Path | None, by_default("all")] = None
    """File with the names of the rows that components and covariates are fitted on, one a line."""
    reduction: Annotated[Path | None, by_default("FILE.reduction.safetensors")] = None
    """Where the fit is stored."""
    apply: Annotated[Path | None, by_default("fit one")] = None
    """Apply a stored fit instead of making one."""

    def __post_init__(self) -> None:
        require(self.pca is None or self.pca >= 1, "pca", self.pca, "must be at least 1")
        is_fitted = self.pca is not None or self.covariates is not None
        for name in ("train_rows", "reduction"):
            value = getattr(self, name)
            has_use = value is None or (is_fitted and self.apply is None)
            require(has_use, name, value and str(value), "needs --pca or --covariates to be fitted")
        both = self.apply is not None and self.pca is not None
        require(not both, "pca", self.pca, "is that of --apply; leave it out")


@dataclass(frozen=True, kw_only=True, slots=True)
class LmEmbedConfig:
    """Which sequences to embed, and how."""

    model: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """Folder of a language model, or its name on the hub."""
    fasta: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FASTA")]
    """Sequences, or with --regions a genome, plain or bgzip."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FILE")]
    """File to write: .parquet (name and embedding), or .npy with the names in FILE.names.tsv."""
    regions: Annotated[Path | None, by_default("whole sequences")] = None
    """Embed these regions of a genome: BED, or genes of GFF3, GTF or GenBank; those on the reverse
    strand are reverse-complemented."""
    layer: Annotated[int | None, by_default("the last one, after the final norm")] = None
    """0 is the embedding of tokens, then each layer's output."""
    pool: PoolName = "mean"
    """One vector of a sequence: the mean or maximum over its tokens, the last token, or a
    separator (a second token of the beginning, as in GENERator's scripts) put after it."""
    strand: StrandName = "forward"
    """Embed the sequence, its reverse complement, or the mean of both embeddings."""
    length: Literal["error", "pad_left", "pad_right", "trim_left", "trim_right"] = "trim_right"
    """A length that is no multiple of k: refuse it, fill it up with A, or cut it."""
    ambiguous: Literal["error", "unknown"] = "unknown"
    """Letters other than A, C, G, T: refuse them, or read their tokens as unknown ones."""
    truncate: bool = False
    """Cut sequences that are longer than the model takes, instead of refusing them."""
    reduce: ReductionConfig = field(default_factory=ReductionConfig)
    compute: LmComputeConfig = field(default_factory=LmComputeConfig)

    def __post_init__(self) -> None:
        require(self.layer is None or self.layer >= 0, "layer", self.layer, "must not be negative")
        kinds = (".parquet", ".npy")
        require(
            self.output.suffix in kinds, "output", str(self.output), "must end in .parquet or .npy"
        )
