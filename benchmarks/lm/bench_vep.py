#!/usr/bin/env python3
"""Do models know what harms a gene: variants and changed genes of held-out species.

Single bases of coding sequences are changed at random places to a synonymous, a missense, or a
nonsense codon, as many of each; `lm vep` scores them (window, both strands). Beside the models: the
5th-order chain on the same windows, and a table of codons (log of the codon's share in training
genes over that of the new codon), which is given the reading frame. Pairs, as Carbon's evaluation
has them: a natural coding sequence against the same protein in synonymous codons drawn evenly, and
against itself with a codon in its middle repeated 12 times, cut to the same length; how often is
the natural one more likely?

Example:
    python benchmarks/lm/bench_vep.py WORK --variants 20 --pairs 10      # a quick look
"""

from __future__ import annotations

import csv
import pathlib
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import numpy as np
from bench_likelihood import lm_bits, peer_bits
from held_out import TESTED, HeldOutConfig, fitted_peers, genome_file, models_of
from machine import environment, result_path
from markov import BackOff
from numpy.typing import NDArray
from pretrain_nano import GENOMES

from genet5.cli.parse import run
from genet5.config.json_files import save_json
from genet5.config.lm.vep import LmVepConfig
from genet5.genome.codes import CODONS, genetic_code
from genet5.genome.extract import cds_bases
from genet5.genome.gene import Gene
from genet5.genome.io.fasta import read_fasta
from genet5.genome.io.formats import read_annotation
from genet5.genome.sequence import Bases, checked_bases, codon_index, decode_bases
from genet5.lm.designs import codon_usage
from genet5.lm.folders import LanguageModel
from genet5.lm.ranking import ranking_metrics
from genet5.lm.vep import score_variants

Kind = Literal["synonymous", "missense", "nonsense"]
KINDS: tuple[Kind, ...] = ("synonymous", "missense", "nonsense")
CODE = genetic_code(11)
PAIR_BP, REPEATS, CONTEXT_BP = 768, 12, 384
_COMPLEMENT = {"A": "T", "C": "G", "G": "C", "T": "A"}


@dataclass(frozen=True, kw_only=True, slots=True)
class VepBenchConfig(HeldOutConfig):
    """How many changes."""

    variants: int = 40
    """Variants of each kind and genome."""
    pairs: int = 30
    """Genes of each genome whose sequence is changed as a whole."""
    genomes: tuple[str, ...] = TESTED[:2]
    """Held-out genomes."""


@dataclass(frozen=True, slots=True)
class Variant:
    """A base of a gene, changed; letters are the forward strand's."""

    contig: str
    position: int
    """0-based."""
    ref: str
    alt: str
    kind: Kind
    codons: tuple[int, int]
    """The codon and the new one."""


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, and write benchmarks/results/DATE_cpu_lm_vep.json."""
    return run(_bench, VepBenchConfig, argv, name="bench_vep", description=__doc__ or "")


def _bench(config: VepBenchConfig) -> int:
    variants = {name: list(_variants(config, name)) for name in config.genomes}
    usage = _usage(config.data)
    chain = fitted_peers(config)["markov_5"]
    scores = {
        "codon_table": _by_genome(variants, partial(_table_scores, usage)),
        "markov_5": _by_genome(variants, partial(_chain_scores, chain, config.data)),
    }
    pairs = list(_pairs(config))
    rows: dict[str, Any] = {name: _figures(variants, each) for name, each in scores.items()}
    rows["markov_5"] |= _pair_accuracy(pairs, partial(peer_bits, chain))
    for name, lm in models_of(config).items():
        found = _by_genome(variants, partial(_model_scores, lm, config.data))
        rows[name] = _figures(variants, found) | _pair_accuracy(pairs, partial(lm_bits, lm))
    for name, row in rows.items():
        means = " ".join(f"{row['mean_score'][kind]:8.3f}" for kind in KINDS)
        sys.stdout.write(f"{name:<20} {means} {row['auroc_nonsense_synonymous']:.3f}\n")
    about = {"note": config.note, "variants": config.variants, "pairs": len(pairs)}
    result = environment("torch", "transformers") | about | {"models": rows}
    save_json(result_path("_".join(["lm_vep", *config.models])), result)
    return 0


# ---- variants ------------------------------------------------------------------------------------


def _genes(data: Path, genome: str, seed: int) -> Iterator[tuple[Gene, Bases, Bases]]:
    """Yield regular genes of one interval in random order, their contig and coding sequence."""
    contigs = {c.name: c.bases for c in read_fasta(genome_file(data, genome))}
    genes = [
        gene
        for gene in read_annotation(genome_file(data, genome, "annotation.gff3.gz")).genes
        if gene.is_regular
        and len(gene.canonical.cds) == 1
        and gene.end <= len(contigs.get(gene.contig, b""))
    ]
    for number in np.random.default_rng(seed).permutation(len(genes)):
        gene = genes[int(number)]
        yield gene, contigs[gene.contig], cds_bases(contigs[gene.contig], gene, gene.canonical)


def _variants(config: VepBenchConfig, genome: str) -> Iterator[Variant]:
    """Yield variants, one of each kind in a gene, away from its ends."""
    rng = np.random.default_rng(5)
    wanted = config.variants
    for gene, _, cds in _genes(config.data, genome, seed=2):
        if wanted == 0:
            return
        found = [_drawn(gene, decode_bases(cds).upper(), kind, rng) for kind in KINDS]
        if all(each is not None for each in found):
            wanted -= 1
            yield from (each for each in found if each is not None)


def _drawn(gene: Gene, cds: str, kind: Kind, rng: np.random.Generator) -> Variant | None:
    """Draw codons until one can become the kind by one base."""
    count = len(cds) // 3
    for _ in range(200):
        codon = int(rng.integers(count // 4, max(count // 4 + 1, 3 * count // 4)))
        old, place = cds[3 * codon : 3 * codon + 3], int(rng.integers(3))
        base = "ACGT"[int(rng.integers(4))]
        new = old[:place] + base + old[place + 1 :]
        if set(old) <= set("ACGT") and base != old[place] and _kind(old, new) == kind:
            return _placed(gene, 3 * codon + place, old, new, place, kind)
    return None


def _kind(old: str, new: str) -> Kind:
    before, after = (CODE.amino_acids[CODONS.index(codon)] for codon in (old, new))
    if after == "*":
        return "nonsense"
    return "synonymous" if before == after else "missense"


def _placed(gene: Gene, offset: int, old: str, new: str, place: int, kind: Kind) -> Variant:
    (cds,) = gene.canonical.cds
    ref, alt, position = old[place], new[place], cds.start + offset
    if gene.strand < 0:
        ref, alt, position = _COMPLEMENT[ref], _COMPLEMENT[alt], cds.end - 1 - offset
    codons = CODONS.index(old), CODONS.index(new)
    return Variant(gene.contig, position, ref, alt, kind, codons)


# ---- scores --------------------------------------------------------------------------------------


def _by_genome(variants: dict[str, list[Variant]], score: Any) -> list[float]:
    return [value for name, each in variants.items() for value in score(name, each)]


def _usage(data: Path) -> NDArray[np.float64]:
    """Return the share of each codon in the genes that were trained on, stops once a gene."""
    genes = [bases for genome in GENOMES for _, _, bases in _genes(data, genome, seed=0)]
    shares = codon_usage(genes, CODE) * sum(len(bases) // 3 for bases in genes)
    for bases in genes:
        last = int(codon_index(bases[-3:])[0])
        shares[last] += last >= 0
    return (shares + 1) / (shares + 1).sum()


def _table_scores(usage: NDArray[np.float64], _: str, variants: Sequence[Variant]) -> list[float]:
    return [float(np.log(usage[each.codons[0]] / usage[each.codons[1]])) for each in variants]


def _chain_scores(
    chain: BackOff, data: Path, genome: str, variants: Sequence[Variant]
) -> list[float]:
    contigs = {c.name: c.bases for c in read_fasta(genome_file(data, genome))}
    found = []
    for each in variants:
        start = max(0, each.position - CONTEXT_BP // 2)
        ref = contigs[each.contig][start : start + CONTEXT_BP]
        alt = ref.copy()
        alt[each.position - start] = ord(each.alt)
        likelihoods = [chain.log2_likelihood(bases)[0] for bases in (ref, alt)]
        found.append(likelihoods[0] - likelihoods[1])
    return found


def _model_scores(
    lm: LanguageModel, data: Path, genome: str, variants: Sequence[Variant]
) -> list[float]:
    """Score by `lm vep`, from table to table."""
    with tempfile.TemporaryDirectory() as folder:
        table, scored = Path(folder, "v.tsv"), Path(folder, "s.tsv")
        with table.open("w", encoding="utf-8") as out:
            out.write("chrom\tpos\tref\talt\n")
            for v in variants:
                out.write(f"{v.contig}\t{v.position + 1}\t{v.ref}\t{v.alt}\n")
        config = LmVepConfig(
            model="-", genome=genome_file(data, genome), variants=table, output=scored,
            context_bp=CONTEXT_BP, strand="both",
        )  # fmt: skip
        score_variants(lm, config)
        with scored.open(encoding="utf-8") as lines:
            return [float(row["score"]) for row in csv.DictReader(lines, delimiter="\t")]


def _figures(variants: dict[str, list[Variant]], scores: Sequence[float]) -> dict[str, Any]:
    kinds = [each.kind for found in variants.values() for each in found]
    by_kind = {
        kind: [score for score, each in zip(scores, kinds, strict=True) if each == kind]
        for kind in KINDS
    }
    ends = by_kind["nonsense"] + by_kind["synonymous"]
    truth = [True] * len(by_kind["nonsense"]) + [False] * len(by_kind["synonymous"])
    return {
        "mean_score": {kind: round(float(np.mean(each)), 4) for kind, each in by_kind.items()},
        "standard_error": {
            kind: round(float(np.std(each) / len(each) ** 0.5), 4) for kind, each in by_kind.items()
        },
        "auroc_nonsense_synonymous": round(ranking_metrics(truth, ends)["auroc"], 4),
    }


# ---- pairs ---------------------------------------------------------------------------------------


def _pairs(config: VepBenchConfig) -> Iterator[tuple[Bases, Bases, Bases]]:
    """Yield natural, recoded and repeated sequences of one length."""
    rng = np.random.default_rng(7)
    by_letter = {
        letter: [c for c, a in zip(CODONS, CODE.amino_acids, strict=True) if a == letter]
        for letter in set(CODE.amino_acids)
    }
    for genome in config.genomes:
        left = config.pairs
        for _, _, cds in _genes(config.data, genome, seed=3):
            natural = decode_bases(cds[:PAIR_BP]).upper()
            if left and len(natural) == PAIR_BP and set(natural) <= set("ACGT"):
                left -= 1
                codons = [natural[at : at + 3] for at in range(0, PAIR_BP, 3)]
                letters = CODE.translate(cds[:PAIR_BP])
                recoded = "".join(str(rng.choice(by_letter[letter])) for letter in letters)
                middle = len(codons) // 2
                repeated = codons[:middle] + [codons[middle]] * REPEATS + codons[middle:]
                texts = natural, recoded, "".join(repeated)[:PAIR_BP]
                first, second, third = (checked_bases(text) for text in texts)
                yield first, second, third


def _pair_accuracy(pairs: Sequence[tuple[Bases, Bases, Bases]], bits: Any) -> dict[str, Any]:
    natural, recoded, repeated = (np.array(bits(list(each))) for each in zip(*pairs, strict=True))
    return {
        "synonymous_codon_pairs": round(float((natural < recoded).mean()), 4),
        "repeat_insertion_pairs": round(float((natural < repeated).mean()), 4),
    }


if __name__ == "__main__":
    sys.exit(main())
