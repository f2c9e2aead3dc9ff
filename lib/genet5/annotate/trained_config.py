"""How a freshly trained model calls genes: as its training file was made."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

from genet5.annotate.calling_config import (
    FILE_NAME,
    CallingConfig,
    load_calling_config,
    save_calling_config,
)
from genet5.annotate.gene_score import ScoringConfig
from genet5.dataset.packed import PackedReader
from genet5.decode.packed_grammar import packed_clades, packed_grammar
from genet5.model.folders import CONFIG_FILE, load_config

_SAMPLED_ROWS = 64


def trained_config(packed: Path, max_window_bp: int) -> CallingConfig:
    """Return the gene calling of a model trained on a packed file; its scores are not calibrated.

    Args:
        packed: Training file, or its index.
        max_window_bp: Longest window that the model can read.
    """
    reader = PackedReader(packed)
    header = reader.header
    rows = range(0, len(reader), max(1, len(reader) // _SAMPLED_ROWS))
    windows = [window for row in rows for window in reader.row(row)]
    codes = Counter(w.genetic_code for w in windows if not w.recoded)
    window_bp = min(max(len(window.bases) for window in windows), max_window_bp)
    return CallingConfig(
        window_bp=window_bp,
        overlap_bp=window_bp // 2,
        genetic_code=codes.most_common(1)[0][0],
        clade=min(packed_clades(header)) if header.settings.get("taxon_token") else None,
        head_only=True,
        grammar=packed_grammar(header),
    )


def write_trained_config(packed: Path, base: Path, out: Path) -> None:
    """Give a trained model its annotate.json, unless it has one.

    It is that of the model's base if its genes are of the training file's kind, with its scores
    marked as the base's, or else a new one.

    Args:
        packed: Training file, or its index.
        base: Folder of the model that training started from.
        out: Folder of the trained model.
    """
    if (out / FILE_NAME).exists() or not (out / CONFIG_FILE).exists():
        return
    limit = load_config(out).max_window_bp
    calling = trained_config(packed, limit)
    if (base / FILE_NAME).exists():
        before = load_calling_config(base, limit)
        kinds = [(c.grammar, c.genetic_code, c.clade) for c in (before, calling)]
        if kinds[0] == kinds[1]:
            has_fit = before != replace(before, scoring=ScoringConfig(), adapt=None)
            calling = replace(before, scores_of_base=has_fit)
    save_calling_config(calling, out)
