#!/usr/bin/env python3
"""Fine-tuning of nano models on tasks from real annotation, beside logistic regression on 6-mers.

Tasks, made of bacteria: coding or not (150 bases of a gene in frame, or of the interval between
genes), true starts against decoys (60 bases on either side of an annotated start, or of another
start codon of the same gene in frame), and species of origin (three held-out genomes). Training
rows are of one genome's first half, test rows of its second half; species are of all. Of human
genes, `donors` and `acceptors`: 60 bases on either side of an intron's first or last base, or of
another GT or AG of the same gene; test rows are of chromosome 9, the others of chromosome 1. Peers:
a logistic regression on 6-mer counts (regularisation chosen on the validation rows), and the same
network with random weights.

Example:
    python benchmarks/lm/bench_finetune.py WORK --models kmer --rows 100 --epochs 1
    python benchmarks/lm/bench_finetune.py HUMAN --models kmer_genes --tasks donors acceptors
"""

from __future__ import annotations

import csv
import pathlib
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import itertools
from functools import partial

import numpy as np
from held_out import HeldOutConfig, genome_file, models_of
from machine import environment, result_path
from numpy.typing import NDArray

from genet5.cli.parse import run
from genet5.config.json_files import save_json
from genet5.config.lm.finetune import (
    FinetuneComputeConfig,
    FinetuneOptimConfig,
    LmFinetuneConfig,
)
from genet5.genome.extract import span_bases
from genet5.genome.gene import Gene
from genet5.genome.io.fasta import read_fasta
from genet5.genome.io.formats import read_annotation
from genet5.genome.sequence import BASE_INDEX, Bases, checked_bases, decode_bases
from genet5.lm.designs import kmer_codes
from genet5.lm.finetune import finetune

ORIGINS = (
    "Bacillus_subtilis_168",
    "Chlamydia_trachomatis_A2497",
    "Methanocaldococcus_jannaschii_DSM2661",
)
GENOME = ORIGINS[0]
TASKS = ("coding", "starts", "origin")
STARTS = {"ATG", "GTG", "TTG"}
HUMAN = {"Homo_sapiens_GRCh38_chr1_slices": False, "Homo_sapiens_GRCh38_chr9_0-1Mb": True}
"""Genomes of the tasks on splice sites, and which are for the test."""
Rows = list[tuple[str, str, str]]
"""(sequence, label, split)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FinetuneBenchConfig(HeldOutConfig):
    """How much is trained."""

    rows: int = 600
    """Training rows of a task; a quarter as many for validation, half as many for the test."""
    epochs: float = 6.0
    """Passes over the training rows."""
    lr: float = 5e-4
    """Learning rate of the networks."""
    tasks: tuple[str, ...] = TASKS
    """Which tasks."""


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, and write benchmarks/results/DATE_cpu_lm_finetune.json."""
    return run(_bench, FinetuneBenchConfig, argv, name="bench_finetune", description=__doc__ or "")


def _bench(config: FinetuneBenchConfig) -> int:
    makers: dict[str, Callable[[FinetuneBenchConfig], Iterator[tuple[str, str, bool]]]] = {
        **{"coding": _coding, "starts": _starts, "origin": _origin},
        **{"donors": partial(_splice_sites, "GT", 0), "acceptors": partial(_splice_sites, "AG", 2)},
    }
    results: dict[str, Any] = {}
    for task in config.tasks:
        rows = _split(makers[task](config), config.rows)
        found = {"logistic_6mers": _logistic(rows)}
        for name in models_of(config):
            found[name] = _tuned(config, rows, name, from_scratch=False)
            found[f"{name}, random weights"] = _tuned(config, rows, name, from_scratch=True)
        results[task] = found
        for name, row in found.items():
            sys.stdout.write(f"{task:<8} {name:<28} {row['mcc']:.3f} {row['interval']}\n")
    about = {"note": config.note, "rows": config.rows, "epochs": config.epochs, "lr": config.lr}
    result = environment("torch", "transformers", "scikit-learn") | about | {"tasks": results}
    tasks = () if config.tasks == TASKS else config.tasks
    save_json(result_path("_".join(["lm_finetune", *config.models, *tasks])), result)
    return 0


# ---- tasks ---------------------------------------------------------------------------------------


def _genes(
    config: FinetuneBenchConfig, genome: str, clade: str = "prokaryotes"
) -> tuple[dict[str, Bases], list[Gene]]:
    fasta = genome_file(config.data, genome, clade=clade)
    contigs = {c.name: c.bases for c in read_fasta(fasta)}
    found = read_annotation(genome_file(config.data, genome, "annotation.gff3.gz", clade)).genes
    return contigs, [gene for gene in found if gene.is_regular and gene.contig in contigs]


def _coding(config: FinetuneBenchConfig) -> Iterator[tuple[str, str, bool]]:
    """Yield sequences, labels, and whether they are of the genome's second half."""
    contigs, genes = _genes(config, GENOME)
    for one, other in itertools.pairwise(genes):
        length = len(contigs[one.contig])
        if one.end - one.start > 450 and one.end <= length:
            middle = (one.end - one.start) // 6 * 3
            left = one.start + middle if one.strand > 0 else one.end - middle - 150
            bases = span_bases(contigs[one.contig], left, left + 150, one.strand)
            yield decode_bases(bases), "coding", 2 * one.start > length
        if one.contig == other.contig and other.start - one.end >= 150:
            bases = contigs[one.contig][one.end : one.end + 150]
            yield decode_bases(bases), "between", 2 * one.start > length


def _starts(config: FinetuneBenchConfig) -> Iterator[tuple[str, str, bool]]:
    contigs, genes = _genes(config, GENOME)
    rng = np.random.default_rng(0)
    for gene in genes:
        length = len(contigs[gene.contig])
        if not gene.end - gene.start > 400 or gene.start < 200 or gene.end + 200 > length:
            continue
        strand = span_bases(contigs[gene.contig], gene.start - 60, gene.end + 60, gene.strand)
        text = decode_bases(strand).upper()
        decoys = [at for at in range(63, len(text) - 160, 3) if text[at : at + 3] in STARTS]
        if decoys:
            late = 2 * gene.start > length
            yield text[:120], "start", late
            at = int(rng.choice(decoys))
            yield text[at - 60 : at + 60], "decoy", late


def _splice_sites(
    motif: str, before: int, config: FinetuneBenchConfig
) -> Iterator[tuple[str, str, bool]]:
    """Yield sites whose motif begins so many bases before the border, and as many decoys."""
    rng = np.random.default_rng(0)
    for genome, is_test in HUMAN.items():
        contigs, genes = _genes(config, genome, "vertebrates")
        for gene in genes:
            bases = contigs[gene.contig]
            if gene.start < 60 or gene.end + 60 > len(bases):
                continue
            strand = span_bases(bases, gene.start - 60, gene.end + 60, gene.strand)
            text = decode_bases(strand).upper()
            places = {at + before for at in range(60, len(text) - 61) if text.startswith(motif, at)}
            true = {60 + each for each in _borders(gene, is_last=before > 0)} & places
            decoys = rng.choice(sorted(places - true), size=len(true), replace=False)
            for label, found in (("site", sorted(true)), ("decoy", decoys.tolist())):
                yield from ((text[at - 60 : at + 60], label, is_test) for at in found)


def _borders(gene: Gene, *, is_last: bool) -> Iterator[int]:
    """Yield where introns begin, or end, in bases after the gene's 5' end."""
    for transcript in gene.transcripts:
        for left, right in itertools.pairwise(transcript.exons):
            begin, end = left.end - gene.start, right.start - gene.start
            if gene.strand < 0:
                length = gene.end - gene.start
                begin, end = length - end, length - begin
            yield end if is_last else begin


def _origin(config: FinetuneBenchConfig) -> Iterator[tuple[str, str, bool]]:
    rng = np.random.default_rng(0)
    for genome in ORIGINS:
        for contig in read_fasta(genome_file(config.data, genome)):
            for _ in range(config.rows if len(contig.bases) > 100_000 else 0):
                at = int(rng.integers(len(contig.bases) - 150))
                bases = contig.bases[at : at + 150]
                yield decode_bases(bases), genome, 2 * at > len(contig.bases)


def _split(rows: Iterator[tuple[str, str, bool]], number: int) -> Rows:
    """Draw as many rows of each label: the second half of a genome is for the test."""
    every = [row for row in rows if (BASE_INDEX[checked_bases(row[0])] < 4).all()]
    labels = sorted({label for _, label, _ in every})
    rng, found = np.random.default_rng(1), Rows()
    for label in labels:
        for is_late, parts in (
            (False, {"train": number, "valid": number // 4}),
            (True, {"test": number // 2}),
        ):
            pool = [text for text, each, late in every if (each, late) == (label, is_late)]
            order, begin = rng.permutation(len(pool)), 0
            for split, wanted in parts.items():
                end = begin + wanted // len(labels)
                found += [(pool[n], label, split) for n in order[begin:end]]
                begin = end
    return found


# ---- contenders ----------------------------------------------------------------------------------


def _logistic(rows: Rows) -> dict[str, Any]:
    """Fit on 6-mer shares; the regularisation with the best validation MCC."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import matthews_corrcoef

    x = np.stack([_counts(text) for text, _, _ in rows])
    labels = np.array([label for _, label, _ in rows])
    split = np.array([name for _, _, name in rows])
    fits = [
        LogisticRegression(C=c, max_iter=1000).fit(x[split == "train"], labels[split == "train"])
        for c in (0.01, 0.1, 1.0, 10.0)
    ]
    valid = split == "valid"
    scores = [matthews_corrcoef(labels[valid], fit.predict(x[valid])) for fit in fits]
    best, test = fits[int(np.argmax(scores))], split == "test"
    return _mcc(labels[test], best.predict(x[test]))


def _counts(text: str) -> NDArray[np.float64]:
    counts = np.bincount(kmer_codes(checked_bases(text), 6), minlength=4096)
    return np.sqrt(counts)


def _tuned(
    config: FinetuneBenchConfig, rows: Rows, name: str, *, from_scratch: bool
) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder, "rows.csv")
        with table.open("w", encoding="utf-8", newline="") as out:
            csv.writer(out).writerows([("sequence", "label", "split"), *rows])
        finetune(
            LmFinetuneConfig(
                model=str(config.work / name),
                data=str(table),
                out=Path(folder, "out"),
                from_scratch=from_scratch,
                optim=FinetuneOptimConfig(
                    lr=config.lr, epochs=config.epochs, batch_size=32, schedule="cosine"
                ),
                compute=FinetuneComputeConfig(device="cpu", precision="fp32"),
            )
        )
        with Path(folder, "out", "test_predictions.tsv").open(encoding="utf-8") as lines:
            found = list(csv.DictReader(lines, delimiter="\t"))
    labels, predicted = (np.array([row[key] for row in found]) for key in ("label", "prediction"))
    return _mcc(labels, predicted)


def _mcc(labels: NDArray[Any], predicted: NDArray[Any], draws: int = 1000) -> dict[str, Any]:
    """Return the correlation coefficient with its 95 % bootstrap interval over rows."""
    from sklearn.metrics import matthews_corrcoef

    rng, values = np.random.default_rng(0), []
    for _ in range(draws):
        drawn = rng.integers(len(labels), size=len(labels))
        values.append(matthews_corrcoef(labels[drawn], predicted[drawn]))
    low, high = np.quantile(values, [0.025, 0.975])
    found = float(matthews_corrcoef(labels, predicted))
    return {"mcc": round(found, 4), "interval": [round(float(low), 4), round(float(high), 4)]}


if __name__ == "__main__":
    sys.exit(main())
