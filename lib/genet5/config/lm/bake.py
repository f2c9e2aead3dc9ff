"""Configuration of `genet5 lm bake`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from genet5.config.checks import by_default, require


@dataclass(frozen=True, kw_only=True, slots=True)
class LmBakeConfig:
    """Which windows of which genomes a language model is trained on."""

    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    """Folder for training.packed and validation.packed."""
    base: Annotated[str, tyro.conf.arg(metavar="MODEL")]
    """Language model whose tokenizer is used: a folder, or a name on the hub."""
    raw_dir: Annotated[Path | None, by_default("--fasta or --windows")] = None
    """Genomes as RAW/CLADE/SPECIES/."""
    fasta: Annotated[Path | None, by_default("--raw_dir or --windows")] = None
    """One genome, plain or compressed."""
    windows: Annotated[
        tuple[Path, ...], tyro.conf.arg(metavar="FILE ..."), by_default("--raw_dir or --fasta")
    ] = ()
    """Windows that are cut already: Nucleotide GPT's TFRecord files, or tables with the columns
    Chrom, Start and Sequence."""
    gff: Annotated[Path | None, by_default("none")] = None
    """Its annotation, for --regions genes."""
    clades: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="CLADE ..."), by_default("all in --raw_dir")
    ] = ()
    """Clades to bake."""
    species: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="NAME ..."), by_default("all in --raw_dir")
    ] = ()
    """Genomes to bake, by the names of their folders."""
    splits: Annotated[Path | None, by_default("by --valid_share")] = None
    """Split table (tab-separated: taxon, genome, contigs, split); contigs that are neither train
    nor valid are left out."""
    valid_share: float = 0.05
    """Without --splits: share of each genome's bases that is held out: whole contigs, or the end
    of the only one."""
    regions: Literal["genome", "genes"] = "genome"
    """Whole genomes, or genes of all types with their flanks, overlapping ones joined."""
    flank_bp: int = 0
    """With genes: bases before and after each that are taken along."""
    window_bp: int = 8192
    """Bases of a window; the last one of a region is shorter."""
    shortest_bp: int = 64
    """Windows of fewer bases are left out."""
    most_ambiguous: int = 100
    """Windows with more letters other than A, C, G, T are left out."""
    strand: Literal["forward", "both", "random"] = "forward"
    """Strand of a window: as in the file, both (two windows), or either by chance."""
    seed: int = 0
    """Seed of strands and of the split."""
    overwrite: bool = False
    """Replace packed files in OUT."""

    def __post_init__(self) -> None:
        given = sum((self.raw_dir is not None, self.fasta is not None, bool(self.windows)))
        rule = "or --fasta or --windows must be given, one of them"
        require(given == 1, "raw_dir", self.raw_dir and str(self.raw_dir), rule)
        for name in ("gff", "splits"):
            value = getattr(self, name)
            rule = "has no effect on --windows"
            require(value is None or not self.windows, name, value and str(value), rule)
        is_whole = self.regions == "genome" or not self.windows
        require(is_whole, "regions", self.regions, "needs genomes, not --windows")
        for name, least in (
            *(("window_bp", 2), ("shortest_bp", 1), ("flank_bp", 0), ("most_ambiguous", 0)),
            ("seed", 0),
        ):
            value = getattr(self, name)
            require(value >= least, name, value, f"must be at least {least}")
        require(0 <= self.valid_share < 1, "valid_share", self.valid_share, "must be in 0..1")
        needs_gff = self.regions == "genes" and self.fasta is not None
        require(not needs_gff or self.gff is not None, "gff", None, "is needed by --regions genes")
