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
    compute: LmComputeConfig = field(default_factory=LmComputeConfig)

    def __post_init__(self) -> None:
        require(self.layer is None or self.layer >= 0, "layer", self.layer, "must not be negative")
        kinds = (".parquet", ".npy")
        require(
            self.output.suffix in kinds, "output", str(self.output), "must end in .parquet or .npy"
        )
