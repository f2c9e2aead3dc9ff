"""Configuration of `genet5 bake`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from genet5.config.checks import by_default
from genet5.config.clades import CLADES, Clade, traits_of
from genet5.errors import ConfigError

LONGEST_WINDOW_BP = 65_535
_SHORTEST_WINDOW_BP = 16
TILE_BP = 5_000
"""Bases of the windows that tile contigs."""

RARE_FIELDS = frozenset(
    {
        *("clade_windows", "clade_genes", "target", "hard_limit", "recode_share", "split_by"),
        *("valid_genes", "isoforms", "noncoding", "utr", "clade_token", "grammar"),
        *("unsure_starts", "short_gene_weight", "short_gene_bp", "unusual_gene_weight"),
        *("species_parallel", "shard_size"),
    }
)
"""Fields that `bake --help` leaves out and `--help_all` lists."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BakeConfig:
    """Turn genomes and annotations into packed training files.

    Genomes are RAW/CLADE/SPECIES/ with one FASTA and one annotation file each (--raw_dir), or one
    pair of files (--fasta, --gff).
    """

    raw_dir: Annotated[Path | None, by_default("--fasta and --gff")] = None
    """Folder with CLADE/SPECIES/ folders, each with one FASTA file and one annotation (GFF3, GTF
    or GenBank)."""
    fasta: Annotated[Path | None, by_default("--raw_dir")] = None
    """FASTA file of a single genome; plain, gzip or bgzip."""
    gff: Annotated[Path | None, by_default("--raw_dir")] = None
    """Annotation of the --fasta genome: GFF3, GTF or GenBank; plain, gzip or bgzip."""
    clade: Annotated[Clade, tyro.conf.arg(aliases=["--taxon"], metavar="CLADE")] = "prokaryotes"
    """Clade of the --fasta genome: prokaryotes, unicellular, invertebrates, vertebrates, plants."""
    output_dir: Annotated[Path | None, by_default("required unless --check")] = None
    """Folder for training.packed, validation.packed (or their shards) and bake_report.json."""
    tokenizer: Annotated[Path | None, by_default("required unless --check")] = None
    """A tokenizer.json, or a model folder that contains one."""
    check: Annotated[Path | None, by_default("bake")] = None
    """Verify this packed file, or the shards of this index, print a summary, and exit."""

    windows: Literal["whole_genome", "gene_centric"] = "whole_genome"
    """whole_genome tiles the contigs with windows; gene_centric places windows around genes, at
    random offsets."""
    window_size: Annotated[
        int | None,
        by_default("5000; gene_centric: 9000 to 30000 by clade"),
    ] = None
    """Window length in bases for all clades, at most 65535."""
    clade_windows: Annotated[
        tuple[str, ...],
        tyro.conf.arg(aliases=["--taxon_windows"], metavar="CLADE=BASES ..."),
        by_default("--window_size"),
    ] = ()
    """Window lengths of single clades, as CLADE=BASES; --window_size applies to the others."""
    clade_genes: Annotated[
        tuple[str, ...],
        tyro.conf.arg(aliases=["--taxon_genes"], metavar="CLADE=NUMBER ..."),
        by_default("10000 for prokaryotes, 15000 for other clades"),
    ] = ()
    """gene_centric: most genes that get windows, as CLADE=NUMBER, drawn evenly from the genomes of
    the clade."""
    window_overlap: int = 0
    """Overlap of neighbouring windows of a tiling, in bases."""
    target: int = 4_500
    """Encoder tokens up to which windows are packed into one row."""
    hard_limit: int = 5_000
    """Most encoder tokens in a row; longer windows are halved."""
    passes: int = 1
    """Tilings of each training contig, each with another phase, or windows per training gene;
    validation has one."""
    strands: Literal["random", "both", "forward"] = "random"
    """Strand of a window: either by chance, both (two windows), or always the forward strand."""
    negatives: Annotated[float | None, by_default("whole_genome: all; gene_centric: none")] = None
    """Largest share of windows without a gene, 0 to 1: whole_genome drops surplus ones at random,
    gene_centric adds windows between genes up to this share."""
    recode_share: float = 0.0
    """Windows of genomes with genetic code 11 that are added as copies recoded to code 4, as a
    share of those genomes' windows."""

    clades: Annotated[
        tuple[str, ...],
        tyro.conf.arg(aliases=["--taxa"], metavar="CLADE ..."),
        by_default("all in --raw_dir"),
    ] = ()
    """Clades to bake."""
    species: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="NAME ..."), by_default("all in --raw_dir")
    ] = ()
    """Genomes to bake, by the names of their folders."""
    splits: Annotated[Path | None, by_default("by --valid_share")] = None
    """Split table (tab-separated: taxon, genome, contigs, split): which contigs are train and
    valid; all others are left out."""
    valid_share: float = 0.05
    """Without --splits: share of the bases that is held out for validation."""
    split_by: Literal["auto", "species", "contig"] = "auto"
    """Without --splits: hold out whole species or whole contigs; auto takes species if there are
    several."""
    valid_genes: int = 0
    """Hard, normal and easy genes of each species (each this many, a third of its genes at most)
    that get validation windows, instead of --valid_share; training windows that overlap these are
    dropped."""
    genetic_code: Annotated[
        int | None, by_default("transl_table, else 11 for prokaryotes and 1 for other clades")
    ] = None
    """NCBI genetic code of all genomes."""
    contig_codes: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="CONTIG=NUMBER ..."), by_default("as all others")
    ] = ()
    """NCBI genetic code of single contigs, as of a mitochondrion: chrM=2."""
    stop_codon_outside: bool = False
    """Annotations leave stop codons out of their CDS, without stop_codon lines: extend each
    complete CDS by its stop codon."""

    utr: bool = False
    """Label untranslated regions of coding genes."""
    isoforms: int = 1
    """Transcripts per gene that are labelled, the canonical one first."""
    noncoding: bool = False
    """Label non-coding genes and pseudogenes of the types that the tokenizer knows."""
    clade_token: Annotated[bool, tyro.conf.arg(aliases=["--taxon_token"])] = False
    """Begin the labels with a token of the clade."""
    grammar: Literal["strict", "splice_free", "off"] = "strict"
    """Rules that a gene must obey; the labels of others get weight 0 in the loss."""
    unsure_starts: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="NAME ..."), by_default("none")
    ] = ()
    """Genomes whose start codons are not to be learnt, by the names of their folders: their stops
    are learnt, and whatever the choice of the start does not change."""
    short_gene_weight: float = 1.0
    """Weight in the loss of coding genes below --short_gene_bp, and of their bases; at least 1."""
    short_gene_bp: int = 300
    """Coding bases below which a gene is short."""
    unusual_gene_weight: float = 1.0
    """Weight in the loss of the genes whose codon use is least like their genome's (15 % of
    them), and of their bases; at least 1. Of two weights a gene has the larger."""
    skip_bad: bool = False
    """Drop and count invalid annotation records instead of stopping at the first."""

    seed: int = 0
    """Seed of phases, strands and the order of windows."""
    n_workers: int = 1
    """Worker processes; the files do not depend on their number."""
    species_parallel: Annotated[int | None, by_default("--n_workers")] = None
    """Most genomes processed at the same time, to limit memory."""
    shard_size: Annotated[int | None, by_default("one file")] = None
    """Rows per file, about 15 bytes per encoder token: writes several files and an index
    (training.index.json), which is passed in place of a file."""
    resume: bool = False
    """Resume an interrupted bake; finished genomes are kept if configuration and input files are
    unchanged."""
    overwrite: bool = False
    """Replace packed files in the output folder."""
    dry_run: bool = False
    """Print what would be baked, and exit."""

    def __post_init__(self) -> None:
        if self.check is None:
            _check_paths(self)
        _check_numbers(self)
        _check_windows(self)
        _check_shares(self)

    def window_bp(self, clade: str) -> int:
        """Return the window length of a clade."""
        chosen = _by_clade("clade_windows", self.clade_windows).get(clade, self.window_size)
        if chosen is not None:
            return chosen
        return traits_of(clade).window_bp if self.windows == "gene_centric" else TILE_BP

    def gene_limit(self, clade: str) -> int:
        """Return the most genes of a clade, over all its genomes, that get gene-centric windows."""
        chosen = _by_clade("clade_genes", self.clade_genes).get(clade)
        return traits_of(clade).max_genes if chosen is None else chosen


def _by_clade(field: str, words: tuple[str, ...]) -> dict[str, int]:
    """Parse CLADE=NUMBER words."""
    values: dict[str, int] = {}
    for word in words:
        clade, _, number = word.partition("=")
        if clade not in CLADES or not number.isdecimal() or clade in values:
            clades = ", ".join(CLADES)
            raise ConfigError(
                field, word, f"must be CLADE=NUMBER, each clade once; clades: {clades}"
            )
        values[clade] = int(number)
    return values


def _check_paths(config: BakeConfig) -> None:
    if (config.raw_dir is None) == (config.fasta is None):
        raise ConfigError("raw_dir", config.raw_dir, "give either --raw_dir or --fasta and --gff")
    if (config.fasta is None) != (config.gff is None):
        raise ConfigError("gff", config.gff, "--fasta and --gff go together")
    for name in ("output_dir", "tokenizer"):
        if getattr(config, name) is None:
            raise ConfigError(name, None, "must be given")


def _check_numbers(config: BakeConfig) -> None:
    least = {
        "passes": 1, "isoforms": 1, "n_workers": 0, "target": 1, "seed": 0, "window_overlap": 0,
        "valid_genes": 0, "shard_size": 1, "short_gene_bp": 1, "short_gene_weight": 1,
        "unusual_gene_weight": 1,
    }  # fmt: skip
    for name, smallest in least.items():
        value = getattr(config, name)
        if value is not None and value < smallest:
            raise ConfigError(name, value, f"must be at least {smallest}")
    if config.hard_limit < config.target:
        rule = f"must not be smaller than target = {config.target}"
        raise ConfigError("hard_limit", config.hard_limit, rule)


def _check_windows(config: BakeConfig) -> None:
    given = _by_clade("clade_windows", config.clade_windows)
    sizes = {"window_size": config.window_size} | {
        f"clade_windows {k}": v for k, v in given.items()
    }
    for name, size in sizes.items():
        if size is not None and not _SHORTEST_WINDOW_BP <= size <= LONGEST_WINDOW_BP:
            raise ConfigError(name, size, f"must be in {_SHORTEST_WINDOW_BP}..{LONGEST_WINDOW_BP}")
    shortest = min(map(config.window_bp, CLADES))
    if config.window_overlap >= shortest:
        rule = f"must be smaller than the shortest window, {shortest} bases"
        raise ConfigError("window_overlap", config.window_overlap, rule)
    _by_clade("clade_genes", config.clade_genes)
    if config.clade_genes and config.windows != "gene_centric":
        rule = "limits --windows gene_centric only"
        raise ConfigError("clade_genes", config.clade_genes, rule)


def _check_shares(config: BakeConfig) -> None:
    for name in ("valid_share", "recode_share", "negatives"):
        value = getattr(config, name)
        if value is not None and not 0 <= value <= 1:
            raise ConfigError(name, value, "must be in 0..1")
    if config.negatives == 1:
        raise ConfigError("negatives", 1, "must be below 1; leave it out to keep all windows")
