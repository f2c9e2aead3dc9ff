"""How a model calls genes: the content of `annotate.json`, the file beside its weights.

Keys on disk are the names of the fields, but for two that keep their former names (`_DISK_KEYS`). A
file may leave keys out: they take the defaults, which are those of a prokaryote. Every key is
described in docs/reference/runs.md.

Example:
    >>> from genet5.model.folders import SHIPPED
    >>> load_calling_config(SHIPPED / "nano", max_window_bp=8192).window_bp
    6144
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from genet5.annotate.adapt.rescore import StartWeights
from genet5.annotate.gene_score import ScoringConfig
from genet5.annotate.overlaps import OverlapConfig
from genet5.config.json_files import config_from_dict, config_to_dict, load_json, save_json
from genet5.config.manifest import record_checksums
from genet5.decode.path_weights import PathWeights
from genet5.errors import FormatError
from genet5.tokens.grammar import GrammarOptions, prokaryote_options

FILE_NAME = "annotate.json"
FORMAT = 1
_DISK_KEYS = {"clade": "taxon", "head_only": "overlooked"}
"""Fields that have another name on disk: that of the first version of the format."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AdaptConfig:
    """Weights of what is learned from the genome at hand (`annotate.adapt`)."""

    starts: StartWeights = field(default_factory=StartWeights)
    """How a gene's start is chosen."""
    scoring: ScoringConfig = field(default_factory=ScoringConfig)
    """How evidence becomes a probability, with what was learned."""
    min_score: float = 0.5
    """Genes with a lower probability are dropped."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CallingConfig:
    """Everything in `annotate.json`."""

    format: int = FORMAT
    """Version of the file's format."""
    window_bp: int = 8192
    """Length of windows; at most the model's num_latents * bin_bp."""
    overlap_bp: int = 4096
    """Bases that neighbouring windows share at least."""
    segment_windows: int = 1
    """Windows that are read together if they follow each other, where the model's attention is
    local (`decode.segments`)."""
    genetic_code: int = 11
    """NCBI number of the genetic code when the user names none."""
    clade: str | None = None
    """Clade to name in the prompt, if the model was trained with clades."""
    min_coding_bp: int = 60
    """Shorter genes are dropped; those at a contig's end too."""
    min_score: float = 0.5
    """Genes with a lower probability are dropped."""
    head_only: bool = False
    """Propose genes that only the per-base heads support, too."""
    grammar: GrammarOptions = field(default_factory=prokaryote_options)
    """What a legal gene is."""
    path: PathWeights = field(default_factory=PathWeights)
    """How evidence counts on the best path of the per-base heads, where genes have introns."""
    overlaps: OverlapConfig = field(default_factory=OverlapConfig)
    """How much two genes may share."""
    scoring: ScoringConfig = field(default_factory=ScoringConfig)
    """How evidence becomes a probability."""
    adapt: AdaptConfig | None = None
    """How what is learned from a genome's own genes counts; None: nothing is learned."""
    scores_of_base: bool = False
    """Whether `scoring`, `adapt` and thresholds were fitted to the model that training started
    from, not to these weights; calibration ends that. Stands in the file only if so."""


def load_calling_config(folder: Path, max_window_bp: int) -> CallingConfig:
    """Read a model's `annotate.json`; without one, the defaults with windows that fit the model.

    Raises:
        FormatError: The file has an unknown key, a wrong value, another format or windows too long
            for the model.
    """
    path = folder / FILE_NAME
    if not path.exists():
        window_bp = min(CallingConfig().window_bp, max_window_bp)
        return CallingConfig(window_bp=window_bp, overlap_bp=window_bp // 2)
    config = config_from_dict(CallingConfig, _from_disk(load_json(path)), path)
    if config.format != FORMAT:
        raise FormatError(f"format {config.format}", expected=f"format {FORMAT}", path=path)
    if config.window_bp > max_window_bp:
        raise FormatError(
            f"window_bp {config.window_bp}", expected=f"at most {max_window_bp}", path=path
        )
    return config


def save_calling_config(config: CallingConfig, folder: Path) -> None:
    """Write `annotate.json` into a model's folder."""
    values = config_to_dict(config)
    if not config.scores_of_base:
        del values["scores_of_base"]
    save_json(folder / FILE_NAME, {_DISK_KEYS.get(k, k): v for k, v in values.items()})
    record_checksums(folder, FILE_NAME)


def _from_disk(values: dict[str, Any]) -> dict[str, Any]:
    """Name the fields, and fill in the grammar: its own defaults are a eukaryote's."""
    names = {disk: name for name, disk in _DISK_KEYS.items()}
    named = {names.get(key, key): value for key, value in values.items()}
    if isinstance(named.get("grammar"), dict):
        named["grammar"] = {**asdict(prokaryote_options()), **named["grammar"]}
    return named
