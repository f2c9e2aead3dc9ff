"""The task of a worker, one genome, and what it reports back.

Both are plain values: they cross to worker processes and, as far as a stopped bake needs them, into
`dataset.spills`.
"""

from __future__ import annotations

import hashlib
import time
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from genet5.config.bake import TILE_BP, BakeConfig
from genet5.config.clades import CLADES
from genet5.config.json_files import config_to_dict
from genet5.dataset.sources import Source, Split
from genet5.dataset.windows import Window
from genet5.tokens.tokenizer_file import Tokenizer

SPLITS: tuple[Split, ...] = ("training", "validation")

_CONTENT_SETTINGS = (
    "window_size", "window_overlap", "target", "hard_limit", "passes", "strands", "negatives",
    "recode_share", "valid_share", "split_by", "genetic_code", "utr", "isoforms", "noncoding",
    "clade_token", "grammar", "skip_bad", "seed",
)  # fmt: skip
_KEYS = {"clade_token": "taxon_token"}
"""Settings that files name differently."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GenomeTask:
    """What a worker needs to bake one genome."""

    source: Source
    lengths: Mapping[str, int]
    """Contigs of the FASTA file with their lengths, in its order."""
    splits: Mapping[str, Split]
    """Contigs to bake."""
    config: BakeConfig
    tokenizer: Tokenizer
    spill: Path
    """Folder and stem of the files to write; the split is appended."""
    gene_quota: int | None = None
    """Most genes that get windows; None if the contigs are tiled."""
    resume: bool = False
    """Take what an earlier run finished."""

    def rng(self, purpose: str, name: str) -> np.random.Generator:
        """A generator that depends on the seed, the purpose and the names alone."""
        text = f"{self.config.seed}\t{purpose}\t{self.source.id}\t{name}"
        return np.random.default_rng(
            int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big")
        )


def _no_seconds() -> defaultdict[str, float]:
    return defaultdict(float)


def _no_lengths() -> dict[Split, dict[str, array[int]]]:
    return {split: {name: array("i") for name in ("bases", "tokens", "labels")} for split in SPLITS}


@dataclass(slots=True)
class GenomeResult:
    """What a worker reports about one genome."""

    source: Source
    spills: dict[Split, Path] = field(default_factory=dict)
    lengths: dict[Split, dict[str, array[int]]] = field(default_factory=_no_lengths)
    """Bases, tokens and labels of each window."""
    digests: dict[Split, list[bytes]] = field(default_factory=lambda: {s: [] for s in SPLITS})
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    """By topic ("genes", "windows", ...) and cause."""
    seconds: dict[str, float] = field(default_factory=_no_seconds)
    """Processor time by stage."""
    hashes: dict[str, str] = field(default_factory=dict)
    """SHA-256 of the FASTA and the GFF file."""
    validation_genes: dict[str, list[str]] = field(default_factory=dict)
    """By difficulty: the genes that were chosen for validation windows."""

    def add(self, split: Split, window: Window) -> None:
        """Take note of a window that was written to the split's spill file."""
        self.digests[split].append(window.digest())
        own = self.lengths[split]
        own["bases"].append(len(window.bases))
        own["tokens"].append(len(window.input_ids))
        own["labels"].append(len(window.labels))

    def count(self, topic: str, cause: str, number: int = 1) -> None:
        """Add to a count."""
        if number:
            self.counts.setdefault(topic, Counter())[cause] += number

    @contextmanager
    def clock(self, stage: str) -> Iterator[None]:
        """Add the block's processor time to a stage."""
        begin = time.process_time()
        yield
        self.seconds[stage] += time.process_time() - begin


def content_settings(config: BakeConfig) -> dict[str, Any]:
    """The settings that decide a file's content; no paths and no worker counts.

    Those that came later stand there only where they are in use, so that older recipes keep their
    bytes.
    """
    values = config_to_dict(config)
    chosen = {_KEYS.get(name, name): values[name] for name in _CONTENT_SETTINGS}
    by_gene = config.windows == "gene_centric"
    if not by_gene and config.window_size is None:
        chosen["window_size"] = TILE_BP
    if by_gene:
        chosen["windows"] = config.windows
        chosen["taxon_genes"] = {clade: config.gene_limit(clade) for clade in CLADES}
    if by_gene or config.clade_windows:
        chosen["taxon_windows"] = {clade: config.window_bp(clade) for clade in CLADES}
    for name in ("valid_genes", "contig_codes", "stop_codon_outside", "unsure_starts"):
        if values[name]:
            chosen[name] = values[name]
    for name in ("short_gene_weight", "unusual_gene_weight"):
        if values[name] > 1:
            chosen[name] = values[name]
    if config.short_gene_weight > 1:
        chosen["short_gene_bp"] = config.short_gene_bp
    return chosen
