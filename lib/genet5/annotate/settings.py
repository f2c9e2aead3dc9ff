"""What a model says about how it wants to annotate: `annotate.json` in its directory, and where shipped models lie."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from genet5.annotate.choose import OverlapRule
from genet5.annotate.gene_score import Scoring
from genet5.config.json_files import config_from_dict, config_to_dict, load_json, save_json
from genet5.dataset.packed import PackedReader
from genet5.errors import CheckpointError, FormatError
from genet5.tokens.grammar import GrammarOptions

FILE_NAME = "annotate.json"
FORMAT = 1
_SAMPLED_ROWS = 64
MODELS = Path(__file__).resolve().parents[1] / "models"
"""Folder of the shipped models, one folder each."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GrammarSettings:
    """What genes of the model's organisms look like; the defaults are a prokaryote's."""

    level: Literal["strict", "splice_free", "off"] = "strict"
    """How strictly genes must follow the rules of coding sequence."""
    introns: bool = False
    """Whether genes may have introns."""
    start_codons: tuple[str, ...] = ("ATG", "GTG", "TTG")
    """Codons that may start a gene."""
    min_intron: int = 20
    """Shortest intron in bases."""
    at_ac: bool = False
    """Whether AT-AC introns are legal."""
    utr: bool = False
    """Whether the model writes untranslated regions."""
    gene_types: tuple[str, ...] = ("protein_coding",)
    """Types of genes it writes."""
    max_labels: int = 512
    """Most labels of one window."""

    def options(self) -> GrammarOptions:
        """Return the grammar's options."""
        return GrammarOptions(
            level=self.level,
            start_codons=self.start_codons,
            introns=self.introns,
            min_intron=self.min_intron,
            at_ac=self.at_ac,
            utr=self.utr,
            gene_types=self.gene_types,
            max_labels=self.max_labels,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class AnnotateSettings:
    """Everything in `annotate.json`."""

    format: int = FORMAT
    """Version of the file's format."""
    window_bp: int = 8192
    """Length of windows; at most the model's num_latents * bin_bp."""
    overlap_bp: int = 4096
    """Bases that neighbouring windows share at least."""
    genetic_code: int = 11
    """NCBI number of the genetic code when the user names none."""
    taxon: str | None = None
    """Taxon to name in the prompt, if the model was trained so."""
    min_coding_bp: int = 60
    """Shorter genes are dropped; those at a contig's end too."""
    min_score: float = 0.5
    """Genes with a lower probability are dropped."""
    overlooked: bool = False
    """Propose genes that the per-base heads see, too."""
    grammar: GrammarSettings = field(default_factory=GrammarSettings)
    overlaps: OverlapRule = field(default_factory=OverlapRule)
    scoring: Scoring = field(default_factory=Scoring)


def load_settings(folder: Path, max_window_bp: int) -> AnnotateSettings:
    """Read a model's `annotate.json`; without one, the defaults with windows that the model can read."""
    path = folder / FILE_NAME
    if not path.exists():
        window_bp = min(AnnotateSettings().window_bp, max_window_bp)
        return AnnotateSettings(window_bp=window_bp, overlap_bp=window_bp // 2)
    settings = config_from_dict(AnnotateSettings, load_json(path), path)
    if settings.format != FORMAT:
        raise FormatError(f"format {settings.format}", expected=f"format {FORMAT}", path=path)
    if settings.window_bp > max_window_bp:
        raise FormatError(
            f"window_bp {settings.window_bp}", expected=f"at most {max_window_bp}", path=path
        )
    return settings


def save_settings(settings: AnnotateSettings, folder: Path) -> None:
    """Write `annotate.json` into a model's folder."""
    save_json(folder / FILE_NAME, config_to_dict(settings))


def settings_for(packed: Path, max_window_bp: int) -> AnnotateSettings:
    """Return how a model trained on a packed file should annotate: with its windows, code, kinds of genes; scores unfitted.

    Genes get introns and start at ATG alone unless all genomes of the file are prokaryotes'.

    Args:
        packed: Training file, or its index.
        max_window_bp: Longest window that the model can read.
    """
    reader = PackedReader(packed)
    header = reader.header
    rows = range(0, len(reader), max(1, len(reader) // _SAMPLED_ROWS))
    windows = [window for row in rows for window in reader.row(row)]
    codes = Counter(w.genetic_code for w in windows if not w.recoded)
    taxa = {str(source["taxon"]) for source in header.sources}
    bare = taxa == {"prokaryotes"}
    window_bp = min(max(len(window.bases) for window in windows), max_window_bp)
    grammar = GrammarSettings() if bare else GrammarSettings(introns=True, start_codons=("ATG",))
    gene_types = header.gene_types if header.settings.get("noncoding") else grammar.gene_types
    return AnnotateSettings(
        window_bp=window_bp,
        overlap_bp=window_bp // 2,
        genetic_code=codes.most_common(1)[0][0],
        taxon=min(taxa) if header.settings.get("taxon_token") else None,
        overlooked=True,
        grammar=replace(
            grammar, utr=bool(header.settings.get("utr")), gene_types=tuple(gene_types)
        ),
    )


def find_model(name: str) -> Path:
    """Return the folder of a model, named by its path or as one of the shipped models.

    Raises:
        CheckpointError: There is no such model.
    """
    for folder in (Path(name), MODELS / name):
        if (folder / "config.json").is_file():
            return folder
    shipped = [p.parent.name for p in sorted(MODELS.glob("*/config.json"))]
    known = ", ".join(shipped) if shipped else "none"
    raise CheckpointError(
        f"model {name!r}: no model directory and no shipped model of this name (shipped: {known})"
    )
