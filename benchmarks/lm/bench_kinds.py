#!/usr/bin/env python3
"""Bits per base of held-out human DNA by its kind: coding, unique, or repeats.

Windows are of the test slice of chromosome 9, upper case for the models as all DNA is: `coding`
ones lie around coding intervals, `repeats` are soft-masked by three quarters or more, `unique` ones
by a quarter or less and away from genes. Models are arms of `pretrain_nano.py` that were trained on
the slices of chromosome 1; each is compared with the first one on the same windows. Beside them a
5th-order chain of the same training windows.

Example:
    python benchmarks/lm/bench_kinds.py HUMAN --models kmer_equal_bases kmer_repeats_half kmer_genes
"""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import numpy as np
from bench_likelihood import Bits, lm_bits, peer_bits
from held_out import HeldOutConfig, genome_file, interval, models_of
from machine import environment, result_path
from markov import fifth_order

from genet5.cli.parse import run
from genet5.config.json_files import load_json, save_json
from genet5.dataset.packed import PackedReader
from genet5.genome.io.fasta import read_fasta
from genet5.genome.io.formats import read_annotation
from genet5.genome.sequence import BASE_INDEX, Bases

GENOME, CLADE = "Homo_sapiens_GRCh38_chr9_0-1Mb", "vertebrates"
LOWER = 0x20  # the bit of ASCII letters
KINDS = ("coding", "unique", "repeats")


@dataclass(frozen=True, kw_only=True, slots=True)
class KindsConfig(HeldOutConfig):
    """How many windows; `windows` are those of each kind."""

    windows: int = 60
    window_bp: int = 768


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print a table, and write benchmarks/results/DATE_cpu_lm_kinds.json."""
    return run(_bench, KindsConfig, argv, name="bench_kinds", description=__doc__ or "")


def _bench(config: KindsConfig) -> int:
    windows = windows_by_kind(config)
    training = PackedReader(config.work / "baked_kmer" / "training.packed").windows()
    chain = fifth_order().fit(window.bases for window in training)
    contenders: dict[str, Bits] = {"markov_5": partial(peer_bits, chain)}
    contenders |= {name: partial(lm_bits, lm) for name, lm in models_of(config).items()}
    found = {
        name: {kind: np.array(bits(windows[kind])) for kind in KINDS}
        for name, bits in contenders.items()
    }
    first = next(name for name in found if name != "markov_5")
    rows: dict[str, Any] = {name: _row(each, found[first]) for name, each in found.items()}
    for name, row in rows.items():
        if name != "markov_5":
            row["trained"] = load_json(config.work / name / "done.json")
        words = (f"{row[k]['bits_per_base']:.4f} {row[k]['less_than_first']}" for k in KINDS)
        sys.stdout.write(f"{name:<20} {' '.join(words)}\n")
    numbers = {kind: len(each) for kind, each in windows.items()}
    about = {"note": config.note, "windows": numbers, "bp": config.window_bp, "first": first}
    result = environment("torch", "transformers") | about | {"models": rows}
    save_json(result_path("lm_kinds"), result)
    return 0


def _row(bits: dict[str, Any], first: dict[str, Any]) -> dict[str, Any]:
    """Return means, and the mean differences to the first model with their intervals."""
    return {
        kind: {
            "bits_per_base": round(float(bits[kind].mean()), 4),
            "bits_interval": interval(bits[kind]),
            "less_than_first": round(float((first[kind] - bits[kind]).mean()), 4),
            "less_interval": interval(first[kind] - bits[kind]),
        }
        for kind in KINDS
    }


def windows_by_kind(config: KindsConfig) -> dict[str, list[Bases]]:
    """Draw windows of each kind, none of which overlap within a kind."""
    (contig,) = read_fasta(genome_file(config.data, GENOME, clade=CLADE))
    bases, size = contig.bases, config.window_bp
    is_coding, in_gene = np.zeros(len(bases), bool), np.zeros(len(bases), bool)
    path = genome_file(config.data, GENOME, "annotation.gff3.gz", CLADE)
    for gene in read_annotation(path).genes:
        in_gene[gene.start : gene.end] = True
        for transcript in gene.transcripts:
            for cds in transcript.cds:
                is_coding[cds.start : cds.end] = True
    found: dict[str, list[Bases]] = {kind: [] for kind in KINDS}
    for start in np.random.default_rng(3).permutation(len(bases) // size) * size:
        part = slice(int(start), int(start) + size)
        if (BASE_INDEX[bases[part]] > 3).any():
            continue
        lower = float(((bases[part] & LOWER) != 0).mean())
        if is_coding[part].mean() >= 0.15:
            found["coding"].append(bases[part])
        elif lower >= 0.75:
            found["repeats"].append(bases[part])
        elif lower <= 0.25 and not in_gene[part].any():
            found["unique"].append(bases[part])
    return {kind: each[: config.windows] for kind, each in found.items()}


if __name__ == "__main__":
    sys.exit(main())
