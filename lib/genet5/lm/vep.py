"""Variant effects by two recipes, streamed from variants to scores.

`next_token` is GENERator's published recipe. The model reads the bases before the variant, up to
`context_bp`, stripped of leading N and cut on the left to whole tokens, and never the variant
itself; p_ref and p_alt are the probabilities of all tokens that begin with the base. The score is
ln(p_ref / (p_alt + 1e-10)); only single bases have one.

`window` is Carbon's and Evo 2's: the log-likelihood of a window round the variant with the
reference allele, less that with the alternative one; insertions and deletions too.

In both, a higher score means a more damaging variant. On the reverse strand the reverse complement
is read, so that `next_token` sees what lies after the variant; `both` is the mean of the scores.
"""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genet5.config.json_files import save_json
from genet5.config.lm.score import LikelihoodConfig
from genet5.config.lm.vep import LmVepConfig
from genet5.errors import ConfigError, DataError
from genet5.genome.sequence import Bases, encode_bases, on_strand
from genet5.lm.folders import LanguageModel
from genet5.lm.likelihood import Row, last_log_probabilities, likelihood_rows
from genet5.lm.ranking import ranking_metrics
from genet5.lm.reference import ReferenceGenome
from genet5.lm.score import sequence_likelihoods
from genet5.lm.tables import TableWriter
from genet5.lm.text import count_ambiguous, with_ends
from genet5.lm.variants import Record, Skipped, is_vcf, read_variants, scorable, vcf_header
from genet5.lm.vocabulary import Ids
from genet5.outputs import atomic_writer

log = logging.getLogger(__name__)

EPSILON = 1e-10
_RECORDS_AT_ONCE = 64
_COLUMNS = {"chrom": str, "pos": int, "ref": str, "alt": str}
_FIGURES: dict[str, tuple[str, ...]] = {
    "next_token": ("score", "p_ref", "p_alt"),
    "window": ("score", "log_likelihood_ref", "log_likelihood_alt"),
}
_MEANING = {
    "score": "Effect by a DNA language model; higher is more damaging",
    "p_ref": "Probability of the reference base after its context",
    "p_alt": "Probability of the alternative base after its context",
    "log_likelihood_ref": "Log-likelihood of the window with REF, in nats",
    "log_likelihood_alt": "Log-likelihood of the window with ALT, in nats",
}

Figures = Mapping[str, float]
"""Column -> value of one allele."""


@dataclass(frozen=True, slots=True)
class Allele:
    """One alternative allele that is scored."""

    contig: str
    """As the genome names it."""
    start: int
    ref: str
    alt: str


def score_variants(lm: LanguageModel, config: LmVepConfig) -> dict[str, Any]:
    """Score all variants and write them; return metrics, if there are labels, and counts.

    Raises:
        ConfigError: The model has no tokens for the recipe, or the output suits not the input.
        DataError: A file is wrong, or the genome is another one.
    """
    skipped = Skipped(config.variants, config.most_mismatches)
    labels, scores = _Labels(config), 0
    with ExitStack() as stack:
        genome = stack.enter_context(ReferenceGenome(config.genome))
        write = stack.enter_context(_EffectWriter(config))
        for chunk in _chunks(config):
            checked = [(record, *scorable(record, genome, skipped)) for record in chunk]
            found = _scored(lm, config, genome, checked, skipped)
            skipped.check(is_final=False)
            for (record, _, _), figures in zip(checked, found, strict=True):
                write(record, figures)
                labels.add(record, figures)
                scores += sum(each is not None for each in figures)
        skipped.check()
    skipped.report()
    log.info("scored %d of %d alleles", scores, skipped.alleles)
    metrics = labels.metrics()
    if config.labels.metrics is not None:
        save_json(config.labels.metrics, metrics)
    return {"scored": scores, "skipped": dict(skipped.counts), **metrics}


def _chunks(config: LmVepConfig) -> Iterator[list[Record]]:
    records = read_variants(config.variants)
    while chunk := list(itertools.islice(records, _RECORDS_AT_ONCE)):
        yield chunk


# ---- recipes -------------------------------------------------------------------------------------


def _scored(
    lm: LanguageModel,
    config: LmVepConfig,
    genome: ReferenceGenome,
    checked: Sequence[tuple[Record, str, list[str | None]]],
    skipped: Skipped,
) -> list[list[Figures | None]]:
    """Return the figures of each record's alleles, None where one is skipped."""
    alleles: list[Allele] = []
    places: list[list[int | None]] = []
    for record, contig, alts in checked:
        places.append([])
        for alt in alts:
            is_taken = alt is not None and _suits(record, alt, config, skipped)
            places[-1].append(len(alleles) if is_taken else None)
            if is_taken and alt is not None:
                alleles.append(Allele(contig, record.start, record.ref, alt))
    recipe = next_token_figures if config.recipe == "next_token" else window_figures
    figures = recipe(lm, genome, alleles, config)
    return [[None if at is None else figures[at] for at in row] for row in places]


def _suits(record: Record, alt: str, config: LmVepConfig, skipped: Skipped) -> bool:
    if config.recipe == "next_token" and not len(record.ref) == len(alt) == 1:
        skipped.add("not a single base", record)
        return False
    return True


def _signs(config: LmVepConfig) -> tuple[int, ...]:
    return {"forward": (1,), "reverse": (-1,), "both": (1, -1)}[config.strand]


def next_token_figures(
    lm: LanguageModel, genome: ReferenceGenome, alleles: Sequence[Allele], config: LmVepConfig
) -> list[dict[str, float]]:
    """Return score, p_ref and p_alt of single-base alleles by GENERator's recipe."""
    signs = _signs(config)
    contexts = [
        _context(lm, genome, allele, sign, config.context_bp)
        for allele in alleles
        for sign in signs
    ]
    log_p = last_log_probabilities(lm, contexts, batch_tokens=config.compute.batch_tokens)
    by_base = _base_probabilities(lm, log_p).reshape(len(alleles), len(signs), 4)
    figures = []
    for allele, rows in zip(alleles, by_base, strict=True):
        pairs = [_pair(allele, row, sign) for row, sign in zip(rows, signs, strict=True)]
        scores = [math.log(ref / (alt + EPSILON)) if ref > 0 else -math.inf for ref, alt in pairs]
        p_ref, p_alt = np.mean(pairs, axis=0).tolist()
        figures.append({"score": float(np.mean(scores)), "p_ref": p_ref, "p_alt": p_alt})
    return figures


def _pair(allele: Allele, by_base: NDArray[np.float64], sign: int) -> tuple[float, float]:
    indices = ["ACGT".index(base) for base in (allele.ref, allele.alt)]
    if sign < 0:
        indices = [3 - index for index in indices]  # A, C, G, T mirror T, G, C, A
    return float(by_base[indices[0]]), float(by_base[indices[1]])


def _base_probabilities(lm: LanguageModel, log_p: NDArray[np.float32]) -> NDArray[np.float64]:
    """Sum the probabilities of tokens by their first base, (contexts, 4); specials never count."""
    first = lm.vocabulary.base_at[:, 0]
    p = np.exp(log_p[:, : len(first)].astype(np.float64))
    return np.stack([p[:, first == base].sum(axis=1) for base in range(4)], axis=1)


def _context(
    lm: LanguageModel, genome: ReferenceGenome, allele: Allele, sign: int, length_bp: int
) -> Ids:
    """Return the tokens before a base on one strand: whole ones, from the last base backwards."""
    at = allele.start
    span = (at - length_bp, at) if sign > 0 else (at + 1, at + 1 + length_bp)
    bases = on_strand(genome.bases(allele.contig, *span), sign)
    is_n = (bases == ord("N")) | (bases == ord("n"))
    bases = bases[int(np.argmin(is_n)) if not is_n.all() else len(bases) :]
    k = getattr(lm.vocabulary, "k", 1)
    bases = bases[len(bases) % k :]
    room = lm.max_tokens - 1
    ids = lm.vocabulary.encode(bases)[-room:]
    if count_ambiguous(bases):
        log.debug("%s:%d: ambiguous letters in its context", allele.contig, at + 1)
    if lm.vocabulary.bos_id is not None:
        return with_ends(lm.vocabulary, ids, bos=True)
    if not len(ids):
        raise ConfigError(
            "strand", sign, f"{allele.contig}:{at + 1} has no context, which this model needs"
        )
    return ids


def window_figures(
    lm: LanguageModel, genome: ReferenceGenome, alleles: Sequence[Allele], config: LmVepConfig
) -> list[dict[str, float]]:
    """Return score and log-likelihoods of alleles by windows; equal windows are read once."""
    unique: dict[bytes, int] = {}
    rows: list[list[list[Row]]] = []
    pairs = []
    for allele in alleles:
        pair = []
        for bases in _windows(genome, allele, config.context_bp):
            key = bases.tobytes()
            if key not in unique:
                unique[key] = len(rows)
                rows.append([_rows(lm, on_strand(bases, s), config) for s in _signs(config)])
            pair.append(unique[key])
        pairs.append(pair)
    found = sequence_likelihoods(lm, rows, config.compute.batch_tokens) if rows else []
    figures = []
    for ref, alt in pairs:
        log_ref, log_alt = found[ref][0], found[alt][0]
        figures.append(
            {
                "score": log_ref - log_alt,
                "log_likelihood_ref": log_ref,
                "log_likelihood_alt": log_alt,
            }
        )
    return figures


def _windows(genome: ReferenceGenome, allele: Allele, length_bp: int) -> tuple[Bases, Bases]:
    """Return the window with REF in its middle, and the same with the alternative allele."""
    inner = max(len(allele.ref), len(allele.alt))
    before = max(0, (length_bp - inner) // 2)
    after = max(0, length_bp - inner - before)
    end = allele.start + len(allele.ref)
    left = genome.bases(allele.contig, allele.start - before, allele.start)
    right = genome.bases(allele.contig, end, end + after)
    ref = genome.bases(allele.contig, allele.start, end)
    alt = encode_bases(allele.alt)
    return np.concatenate([left, ref, right]), np.concatenate([left, alt, right])


def _rows(lm: LanguageModel, bases: Bases, config: LmVepConfig) -> list[Row]:
    return likelihood_rows(
        lm.vocabulary, bases, config.ambiguous, LikelihoodConfig(), lm.max_tokens
    )


# ---- output --------------------------------------------------------------------------------------

Write = Callable[[Record, Sequence[Figures | None]], None]


class _EffectWriter:
    """Opens the output; gives a function that writes a record with its alleles' figures."""

    def __init__(self, config: LmVepConfig) -> None:
        self._config, self._stack = config, ExitStack()

    def __enter__(self) -> Write:
        names = _FIGURES[self._config.recipe]
        if is_vcf(self._config.output):
            return self._vcf(names)
        return self._table(names)

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def _vcf(self, names: Sequence[str]) -> Write:
        config = self._config
        if not is_vcf(config.variants):
            raise ConfigError("output", str(config.output), "can be VCF only where VARIANTS is")
        *header, columns = vcf_header(config.variants)
        out = self._stack.enter_context(atomic_writer(config.output))
        lines = [
            f'##INFO=<ID={_key(name)},Number=A,Type=Float,Description="{_MEANING[name]}">'
            for name in names
        ]
        out.write("".join(f"{line}\n" for line in [*header, *lines, columns]))

        def write(record: Record, figures: Sequence[Figures | None]) -> None:
            words = record.text.split("\t")
            if any(figures):
                added = [
                    f"{_key(name)}="
                    + ",".join("." if f is None else f"{f[name]:.6g}" for f in figures)
                    for name in names
                ]
                words[7] = ";".join(([] if words[7] == "." else [words[7]]) + added)
            out.write("\t".join(words) + "\n")

        return write

    def _table(self, names: Sequence[str]) -> Write:
        label = self._config.labels.label
        columns: dict[str, type] = dict(_COLUMNS)
        if label is not None:
            columns[label] = str
        columns |= dict.fromkeys(names, float)
        table = self._stack.enter_context(TableWriter(self._config.output, columns))

        def write(record: Record, figures: Sequence[Figures | None]) -> None:
            place = {"chrom": record.contig, "pos": record.start + 1, "ref": record.ref}
            if label is not None:
                place[label] = str(record.fields.get(label, ""))
            for alt, found in zip(record.alts, figures, strict=True):
                table.write({**place, "alt": alt, **(found or {})})

        return write


def _key(name: str) -> str:
    return f"LM_{name.upper()}"


class _Labels:
    """Collects labels and scores."""

    def __init__(self, config: LmVepConfig) -> None:
        self._labels = config.labels
        self._positive = {word.lower() for word in self._labels.positive}
        self._negative = {word.lower() for word in self._labels.negative}
        self._truth: list[bool] = []
        self._scores: list[float] = []
        self._other = 0

    def add(self, record: Record, figures: Sequence[Figures | None]) -> None:
        name = self._labels.label
        if name is None:
            return
        if name not in record.fields and not record.text:
            raise DataError(
                f"no column {name!r}", expected=", ".join(record.fields), remedy="See --label"
            )
        words = str(record.fields.get(name, "")).lower().split(",")
        alleles = words if len(words) == len(figures) else words[:1] * len(figures)
        for word, found in zip(alleles, figures, strict=True):
            if found is None:
                continue
            if word in self._positive or word in self._negative:
                self._truth.append(word in self._positive)
                self._scores.append(found["score"])
            else:
                self._other += 1

    def metrics(self) -> dict[str, Any]:
        if self._labels.label is None:
            return {}
        found = ranking_metrics(self._truth, self._scores)
        return {**found, "other_labels": self._other}
