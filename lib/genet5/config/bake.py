"""Settings of `genet5 bake`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from genet5.errors import ConfigError

LONGEST_WINDOW_BP = 65_535
_SHORTEST_WINDOW_BP = 16
TILE_BP = 5_000
"""Bases of the windows that tile contigs."""

TAXON_WINDOWS_BP = {
    "prokaryotes": 9_000,
    "unicellular": 15_000,
    "invertebrates": 25_000,
    "vertebrates": 30_000,
    "plants": 25_000,
}
"""Bases of gene-centric windows by taxon."""

TAXON_GENES = {
    "prokaryotes": 10_000,
    "unicellular": 15_000,
    "invertebrates": 15_000,
    "vertebrates": 15_000,
    "plants": 15_000,
}
"""Most genes of a taxon round which gene-centric windows are laid, over all its genomes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BakeConfig:
    """Turn genomes and annotations into packed training files.

    Genomes are RAW/TAXON/SPECIES/ with one FASTA and one GFF3 each (--raw_dir), or one pair of files (--fasta, --gff).
    """

    raw_dir: Path | None = None
    """Folder with TAXON/SPECIES/ folders, each with one FASTA and one GFF3 file."""
    fasta: Path | None = None
    """One genome instead of --raw_dir: its FASTA file (plain, gzip or bgzip)."""
    gff: Path | None = None
    """Its annotation: GFF3, GTF or GenBank (plain, gzip or bgzip)."""
    taxon: str = "prokaryotes"
    """Taxon of the --fasta genome: prokaryotes, unicellular, invertebrates, vertebrates or plants."""
    output_dir: Path | None = None
    """Folder for training.packed, validation.packed (or their shards) and bake_report.json."""
    tokenizer: Path | None = None
    """tokenizer.json, or a model directory that holds one."""
    check: Path | None = None
    """Verify this packed file, or the shards of this index, print a summary, and bake nothing."""

    windows: Literal["whole_genome", "gene_centric"] = "whole_genome"
    """whole_genome tiles the contigs with windows; gene_centric lays them round genes, at random places."""
    window_size: int | None = None
    """Bases of a window for all taxa, at most 65535. None: 5000 in whole_genome; in gene_centric 9000 for prokaryotes, 15000 unicellular, 25000 invertebrates and plants, 30000 vertebrates."""
    taxon_windows: tuple[str, ...] = ()
    """Bases of the windows of single taxa, as TAXON=BASES; --window_size is for the others."""
    taxon_genes: tuple[str, ...] = ()
    """gene_centric: most genes of single taxa that get windows, as TAXON=NUMBER, drawn evenly from a taxon's genomes. Without it 10000 for prokaryotes, 15000 for others."""
    window_overlap: int = 0
    """Bases that neighbouring windows of one tiling share."""
    target: int = 4_500
    """Encoder tokens up to which windows are packed into one row."""
    hard_limit: int = 5_000
    """Most encoder tokens of a row; longer windows are halved."""
    passes: int = 1
    """Tilings of each training contig, each with another phase, or windows round each training gene; validation has one."""
    strands: Literal["random", "both", "forward"] = "random"
    """Strand of a window: one of the two by chance, both (two windows), or always the forward one."""
    negatives: float | None = None
    """Largest share of windows without a gene, 0 to 1. whole_genome leaves surplus ones out by chance, and keeps all for None; gene_centric adds so many from between genes, and for None none."""
    recode_share: float = 0.0
    """Windows of code-11 genomes that are added as copies in genetic code 4, as a share of those genomes' windows."""

    taxa: tuple[str, ...] = ()
    """Bake these taxa only."""
    species: tuple[str, ...] = ()
    """Bake these genomes only."""
    splits: Path | None = None
    """Table (tab-separated: taxon, genome, contigs, split) of what is train and valid; the rest is left out."""
    valid_share: float = 0.05
    """Without --splits: share of the bases that goes to validation."""
    split_by: Literal["auto", "species", "contig"] = "auto"
    """Without --splits: keep species or contigs whole; auto takes species where there are several."""
    valid_genes: int = 0
    """So many hard, normal and easy genes of each species (a third of its genes at most) get validation windows; training windows that overlap these are left out. Takes the place of --valid_share."""
    genetic_code: int | None = None
    """NCBI number for all genomes; None takes it from the GFF3 (transl_table), else 11 for prokaryotes and 1 for others."""

    utr: bool = False
    """Write untranslated parts of coding genes."""
    isoforms: int = 1
    """Transcripts of a gene that are written, canonical first."""
    noncoding: bool = False
    """Write non-coding genes and pseudogenes of types that the tokenizer knows."""
    taxon_token: bool = False
    """Write the taxon into the labels."""
    grammar: Literal["strict", "splice_free", "off"] = "strict"
    """Genes that break the grammar at this level get weight 0 in the loss of the labels."""
    skip_bad: bool = False
    """Leave bad GFF3 records out and count them, instead of stopping."""

    seed: int = 0
    """Decides phases, strands and the order of windows."""
    n_workers: int = 1
    """Processes; the files are the same for any number."""
    species_parallel: int | None = None
    """Most genomes in work at a time (memory); None = n_workers."""
    shard_size: int | None = None
    """Rows of a file: several files and an index (training.index.json) that is given in place of a file. None = one file. A row takes about 15 bytes per encoder token."""
    resume: bool = False
    """Go on with a bake that was stopped: finished genomes are kept if settings and files are the same."""
    overwrite: bool = False
    """Replace packed files that are in the output folder."""
    dry_run: bool = False
    """Print what would be baked, and stop."""

    def __post_init__(self) -> None:
        if self.check is None:
            _check_paths(self)
        _check_numbers(self)
        _check_windows(self)
        _check_shares(self)

    def window_bp(self, taxon: str) -> int:
        """Bases of a taxon's windows."""
        chosen = _by_taxon("taxon_windows", self.taxon_windows).get(taxon, self.window_size)
        if chosen is not None:
            return chosen
        return TAXON_WINDOWS_BP[taxon] if self.windows == "gene_centric" else TILE_BP

    def gene_limit(self, taxon: str) -> int:
        """Most genes of a taxon, over all its genomes, round which gene-centric windows are laid."""
        return (TAXON_GENES | _by_taxon("taxon_genes", self.taxon_genes))[taxon]


def _by_taxon(field: str, words: tuple[str, ...]) -> dict[str, int]:
    """Read TAXON=NUMBER words."""
    values: dict[str, int] = {}
    for word in words:
        taxon, _, number = word.partition("=")
        if taxon not in TAXON_GENES or not number.isdecimal() or taxon in values:
            taxa = ", ".join(TAXON_GENES)
            raise ConfigError(field, word, f"must be TAXON=NUMBER, each taxon once; taxa: {taxa}")
        values[taxon] = int(number)
    return values


def _check_paths(settings: BakeConfig) -> None:
    if (settings.raw_dir is None) == (settings.fasta is None):
        raise ConfigError("raw_dir", settings.raw_dir, "give either --raw_dir or --fasta and --gff")
    if (settings.fasta is None) != (settings.gff is None):
        raise ConfigError("gff", settings.gff, "--fasta and --gff go together")
    for name in ("output_dir", "tokenizer"):
        if getattr(settings, name) is None:
            raise ConfigError(name, None, "must be given")


def _check_numbers(settings: BakeConfig) -> None:
    least = {
        "passes": 1, "isoforms": 1, "n_workers": 0, "target": 1, "seed": 0, "window_overlap": 0,
        "valid_genes": 0, "shard_size": 1,
    }  # fmt: skip
    for name, smallest in least.items():
        value = getattr(settings, name)
        if value is not None and value < smallest:
            raise ConfigError(name, value, f"must be at least {smallest}")
    if settings.hard_limit < settings.target:
        rule = f"must not be smaller than target = {settings.target}"
        raise ConfigError("hard_limit", settings.hard_limit, rule)


def _check_windows(settings: BakeConfig) -> None:
    given = _by_taxon("taxon_windows", settings.taxon_windows)
    sizes = {"window_size": settings.window_size} | {
        f"taxon_windows {k}": v for k, v in given.items()
    }
    for name, size in sizes.items():
        if size is not None and not _SHORTEST_WINDOW_BP <= size <= LONGEST_WINDOW_BP:
            raise ConfigError(name, size, f"must be in {_SHORTEST_WINDOW_BP}..{LONGEST_WINDOW_BP}")
    shortest = min(map(settings.window_bp, TAXON_WINDOWS_BP))
    if settings.window_overlap >= shortest:
        rule = f"must be smaller than the shortest window, {shortest} bases"
        raise ConfigError("window_overlap", settings.window_overlap, rule)
    _by_taxon("taxon_genes", settings.taxon_genes)
    if settings.taxon_genes and settings.windows != "gene_centric":
        rule = "limits --windows gene_centric only"
        raise ConfigError("taxon_genes", settings.taxon_genes, rule)


def _check_shares(settings: BakeConfig) -> None:
    for name in ("valid_share", "recode_share", "negatives"):
        value = getattr(settings, name)
        if value is not None and not 0 <= value <= 1:
            raise ConfigError(name, value, "must be in 0..1")
    if settings.negatives == 1:
        raise ConfigError("negatives", 1, "must be below 1; leave it out to keep all windows")
