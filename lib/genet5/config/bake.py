"""Settings of `genet5 bake`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from genet5.errors import ConfigError

LONGEST_WINDOW_BP = 65_535


@dataclass(frozen=True, kw_only=True, slots=True)
class BakeSettings:
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
    """Folder for training.packed, validation.packed and bake_report.json."""
    tokenizer: Path | None = None
    """tokenizer.json, or a model directory that holds one."""
    check: Path | None = None
    """Verify this packed file, print a summary, and bake nothing."""

    window_size: int = 5_000
    """Bases of a window; at most 65,535."""
    window_overlap: int = 0
    """Bases that neighbouring windows of one pass share."""
    target: int = 4_500
    """Encoder tokens up to which windows are packed into one row."""
    hard_limit: int = 5_000
    """Most encoder tokens of a row; longer windows are halved."""
    passes: int = 1
    """Tilings of each training contig, each with another phase; validation contigs are tiled once."""
    strands: Literal["random", "both", "forward"] = "random"
    """Strand of a window: one of the two by chance, both (two windows), or always the forward one."""
    negatives: float | None = None
    """Largest share of windows without a gene, 0 to 1; surplus ones are left out by chance. None keeps all."""
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
    overwrite: bool = False
    """Replace packed files that are in the output folder."""
    dry_run: bool = False
    """Print what would be baked, and stop."""

    def __post_init__(self) -> None:
        if self.check is None:
            _check_paths(self)
        _check_numbers(self)
        _check_shares(self)


def _check_paths(settings: BakeSettings) -> None:
    if (settings.raw_dir is None) == (settings.fasta is None):
        raise ConfigError("raw_dir", settings.raw_dir, "give either --raw_dir or --fasta and --gff")
    if (settings.fasta is None) != (settings.gff is None):
        raise ConfigError("gff", settings.gff, "--fasta and --gff go together")
    for name in ("output_dir", "tokenizer"):
        if getattr(settings, name) is None:
            raise ConfigError(name, None, "must be given")


def _check_numbers(settings: BakeSettings) -> None:
    least = {
        "passes": 1,
        "isoforms": 1,
        "n_workers": 0,
        "target": 1,
        "seed": 0,
        "window_overlap": 0,
    }
    for name, smallest in least.items():
        if getattr(settings, name) < smallest:
            raise ConfigError(name, getattr(settings, name), f"must be at least {smallest}")
    window = settings.window_size
    if not 16 <= window <= LONGEST_WINDOW_BP:
        raise ConfigError("window_size", window, f"must be in 16..{LONGEST_WINDOW_BP}")
    if settings.window_overlap >= window:
        rule = f"must be smaller than window_size = {window}"
        raise ConfigError("window_overlap", settings.window_overlap, rule)
    if settings.hard_limit < settings.target:
        rule = f"must not be smaller than target = {settings.target}"
        raise ConfigError("hard_limit", settings.hard_limit, rule)


def _check_shares(settings: BakeSettings) -> None:
    for name in ("valid_share", "recode_share", "negatives"):
        value = getattr(settings, name)
        if value is not None and not 0 <= value <= 1:
            raise ConfigError(name, value, "must be in 0..1")
    if settings.negatives == 1:
        raise ConfigError("negatives", 1, "must be below 1; leave it out to keep all windows")
