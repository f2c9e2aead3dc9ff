"""Configuration of `genet5 lm sae`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from genet5.config.checks import by_default, require
from genet5.config.lm.compute import LmComputeConfig

SparsityName = Literal["topk", "l1"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SaeShapeConfig:
    """The autoencoder, and how it is trained."""

    features: Annotated[int | None, by_default("four times the model's width")] = None
    """Number of features."""
    sparsity: SparsityName = "topk"
    """topk leaves the --active strongest features of a token; l1 adds the mean over tokens of the
    sum of all features, times --l1_weight, to the loss."""
    active: int = 32
    """With topk: features that a token may have."""
    l1_weight: float = 0.01
    """With l1: weight of sparsity; the reconstruction's loss is a share of the variance."""
    steps: int = 2000
    """Training steps."""
    windows: int = 8
    """Windows in a step, drawn without replacement from all; every token of them counts."""
    lr: float = 1e-3
    """Learning rate of Adam; the last fifth of the steps decays to 0."""

    def __post_init__(self) -> None:
        for name in ("active", "steps", "windows"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "must be at least 1")
        require(
            self.features is None or self.features >= 1,
            "features",
            self.features,
            "must be at least 1",
        )
        require(self.l1_weight >= 0, "l1_weight", self.l1_weight, "must not be negative")
        require(self.lr > 0, "lr", self.lr, "must be above 0")


@dataclass(frozen=True, kw_only=True, slots=True)
class SaeReportConfig:
    """What is written about the features."""

    annotation: Annotated[Path | None, by_default("none")] = None
    """GFF3, GTF, GenBank or BED file in which each feature's enrichment is tested: introns, CDS,
    codon positions, starts, stops and splice sites of each strand, or a BED's names. Soft-masked
    repeats are tested in any case."""
    examples: int = 20
    """Strongest places of each feature that are listed."""
    context_bp: int = 15
    """Bases on either side of a token in lists and logos."""
    tracks: int = 10
    """Features with a bedGraph and a logo: those most enriched, else the strongest."""
    bigwig: bool = False
    """Write tracks as bigWig too (requires pyBigWig)."""

    def __post_init__(self) -> None:
        for name, least in (("examples", 1), ("context_bp", 0), ("tracks", 0)):
            value = getattr(self, name)
            require(value >= least, name, value, f"must be at least {least}")


@dataclass(frozen=True, kw_only=True, slots=True)
class LmSaeConfig:
    """Whose states are taken apart, over which genome."""

    model: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """Folder of a language model, or its name on the hub."""
    fasta: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FASTA")]
    """Genome to train on and to describe features by: FASTA, plain or bgzip."""
    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    """Folder of the autoencoder and its report."""
    layer: Annotated[int | None, by_default("the middle one")] = None
    """Layer whose output is taken apart; 0 is the embedding of tokens."""
    window_bp: Annotated[int | None, by_default("as the model takes, 6144 at most")] = None
    """Bases that the model reads at a time."""
    seed: int = 0
    """Seed of the weights and of the windows' order."""
    save_steps: int = 200
    """Steps between checkpoints."""
    resume: bool = False
    """Continue a run in OUT."""
    overwrite: bool = False
    """Replace a run in OUT."""
    shape: SaeShapeConfig = field(default_factory=SaeShapeConfig)
    report: SaeReportConfig = field(default_factory=SaeReportConfig)
    compute: LmComputeConfig = field(default_factory=LmComputeConfig)

    def __post_init__(self) -> None:
        require(self.layer is None or self.layer >= 0, "layer", self.layer, "must not be negative")
        require(
            self.window_bp is None or self.window_bp >= 8,
            "window_bp",
            self.window_bp,
            "must be at least 8",
        )
        require(self.save_steps >= 1, "save_steps", self.save_steps, "must be at least 1")
        both = self.resume and self.overwrite
        require(not both, "resume", True, "cannot be combined with --overwrite")
