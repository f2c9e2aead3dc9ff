#!/usr/bin/env python3
r"""How much the state head should weigh in the best path.

Whole genes that the path finds in validation windows, by weight.

Example:
    python studies/study_path.py WORK/pombe --genome GENOME.fa.gz --contig II \
        --reference ANNOTATION.gff3.gz
"""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import tyro

from genet5.cli.parse import run

BATCH = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyConfig:
    """What to measure on."""

    model: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """Model directory, trained on spliced genes."""
    genome: Path
    """FASTA file of a validation genome."""
    reference: Path
    """Its annotation."""
    contig: str
    """Contig to read."""
    windows: int = 64
    """Windows to read, side by side from the contig's start."""
    weights: tuple[float, ...] = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003)
    """Weights of the state head; the boundary head's is 1."""


def main(argv: Sequence[str] | None = None) -> int:
    summary = "Count whole genes on the best path by the state head's weight."
    return run(_study, StudyConfig, argv, name="study_path", description=summary)


def _study(settings: StudyConfig) -> int:
    import numpy as np
    import torch

    from genet5.annotate.calling_config import load_calling_config
    from genet5.dataset.collate import make_inputs
    from genet5.decode.best_path import PathWeights, best_paths
    from genet5.genome.io.fasta import read_fasta
    from genet5.genome.io.formats import read_annotation
    from genet5.model.network import GeneT5
    from genet5.tokens.cut import GeneIndex
    from genet5.tokens.signals import build_signals
    from genet5.tokens.tokenizer_file import load_tokenizer

    model, tokenizer = GeneT5.from_pretrained(settings.model).eval(), load_tokenizer(settings.model)
    known = load_calling_config(settings.model, model.config.max_window_bp)
    (bases,) = (c.bases for c in read_fasta(settings.genome) if c.name == settings.contig)
    genes = read_annotation(settings.reference).genes
    index = GeneIndex([g for g in genes if g.contig == settings.contig and g.is_regular])
    size = known.window_bp
    starts = range(0, min(settings.windows * size, len(bases) - size), size)
    windows = [bases[start : start + size] for start in starts]
    truth = [_whole(index.cut(start, start + size)) for start in starts]
    codes = [known.genetic_code] * len(windows)
    tracks = []
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        for i in range(0, len(windows), BATCH):
            part = windows[i : i + BATCH]
            encoded = model.encode(make_inputs(part, codes[: len(part)], tokenizer.sequence))
            tracks.append(
                (encoded.state_logits.float().numpy(), encoded.boundary_logits.float().numpy())
            )
    states, edges = (np.concatenate([track[k] for track in tracks]) for k in (0, 1))
    options = known.grammar
    signals = build_signals(windows, codes, options)
    for weight in settings.weights:
        weights = PathWeights(state=weight)
        paths = best_paths(signals, options, states, edges, weights)
        found = [_whole(genes) for genes in paths]
        right = sum(len(a & b) for a, b in zip(found, truth, strict=True))
        print(
            f"weight {weight}: {right} of {sum(map(len, truth))} genes right, "
            f"{sum(map(len, found))} found"
        )
    return 0


def _whole(genes: Iterable) -> set:
    """Strand and coding parts of the genes that the window shows whole."""
    shown = [(gene.strand, gene.transcripts[0]) for gene in genes]
    return {(strand, t.parts) for strand, t in shown if not (t.cut_left or t.cut_right)}


if __name__ == "__main__":
    sys.exit(main())
