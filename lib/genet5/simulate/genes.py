"""Genes of artificial eukaryotes, from 5' to 3': coding genes with isoforms, and RNA genes.

A coding gene is made spliced (5' UTR, CDS, 3' UTR); its introns are inserted when its transcripts
are known, as intervals of the spliced sequence.

Example:
    drafts = draft_genes(traits, Dna(0.4, rng), rng)
    first = next(drafts)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from genet5.genome.codes import GeneticCode
from genet5.simulate.codon_usage import CodonUsage
from genet5.simulate.dna import (
    STOPS,
    Indices,
    as_indices,
    as_letters,
    background,
    coding_sequences,
    stop_shares,
    turn,
)
from genet5.simulate.introns import (
    MIN_EXON_BP,
    choose_places,
    intron_lengths,
    write_signals,
)

Span: TypeAlias = tuple[int, int]
"""An interval, half-open."""

_MIN_CDS_BP, MEAN_CDS_BP, _CDS_SHAPE = 150, 1_260, 1.7
_MEAN_UTR5_BP, _MEAN_UTR3_BP, _MIN_UTR_BP, _UTR_SHAPE = 110, 230, 30, 1.5
_UTR5_INTRON, _UTR3_INTRON = 0.25, 0.04
_BATCH = 32  # genes whose coding sequences are drawn at once

_NONCODING_SHARE, _TRNA_SHARE = 0.15, 0.5
_SKIP_SHARE = 0.5  # of isoforms; the others have an alternative donor
_THIRD_ISOFORM = 0.25  # of the genes that have two
_DONOR_SHIFT_BP = 60
_KOZAK, _POLY_A = 0.85, 0.7


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """Properties of a genome."""

    code: GeneticCode
    usage: CodonUsage
    gc_coding: float
    gc_rest: float
    gene_density: float
    introns: float
    intron_bp: float
    isoforms: float

    @property
    def mean_gap_bp(self) -> float:
        """Mean distance of neighbouring genes."""
        coding: float = MEAN_CDS_BP + _MEAN_UTR5_BP + _MEAN_UTR3_BP
        coding += (self.introns + _UTR5_INTRON + _UTR3_INTRON) * self.intron_bp
        gene = coding * (1 - _NONCODING_SHARE * _TRNA_SHARE)
        return gene * (1 - self.gene_density) / self.gene_density


@dataclass(frozen=True, slots=True, eq=False)
class Draft:
    """A gene from 5' to 3'; coordinates count from its first base."""

    type: str
    transcript_type: str
    bases: Indices
    """Exons and introns."""
    exons: tuple[tuple[Span, ...], ...]
    """Of each transcript."""
    cds: tuple[tuple[Span, ...], ...]
    """Of each transcript; empty if not coding."""


class Dna:
    """An endless supply of DNA without genes."""

    def __init__(self, gc: float, rng: np.random.Generator) -> None:
        self._gc, self._rng = gc, rng
        self._rest = np.zeros(0, dtype=np.int8)

    def take(self, length: int) -> Indices:
        """Return the next bases."""
        while len(self._rest) < length:
            more = background(np.full(200, 500), self._gc, self._rng)
            self._rest = np.concatenate((self._rest, *more))
        taken, self._rest = self._rest[:length].copy(), self._rest[length:]
        return taken


def draft_genes(traits: Traits, dna: Dna, rng: np.random.Generator) -> Iterator[Draft]:
    """Draw genes without end."""
    scale = (MEAN_CDS_BP - _MIN_CDS_BP) / _CDS_SHAPE
    shares = stop_shares(traits.code, traits.gc_coding)
    while True:
        length = _MIN_CDS_BP + rng.gamma(_CDS_SHAPE, scale, _BATCH)
        num_codons = (length / 3).round().astype(np.int64)
        stops = rng.choice(len(STOPS), size=_BATCH, p=shares)
        start = np.zeros(_BATCH, dtype=np.int64)
        for coding in coding_sequences(num_codons, start, stops, traits.usage, rng):
            while rng.random() < _NONCODING_SHARE:
                yield _trna(rng) if rng.random() < _TRNA_SHARE else _ncrna(traits, dna, rng)
            yield _coding_gene(coding, traits, dna, rng)


def _coding_gene(coding: Indices, traits: Traits, dna: Dna, rng: np.random.Generator) -> Draft:
    utr5, utr3 = (
        dna.take(_MIN_UTR_BP + int(rng.gamma(_UTR_SHAPE, (mean - _MIN_UTR_BP) / _UTR_SHAPE)))
        for mean in (_MEAN_UTR5_BP, _MEAN_UTR3_BP)
    )
    _write_utr_signals(utr5, utr3, rng)
    wanted = int(rng.poisson(traits.introns * len(coding) / MEAN_CDS_BP))
    places = [len(utr5) + place for place in choose_places(coding, wanted, rng)]
    places = _utr_place(0, utr5, _UTR5_INTRON, traits, rng) + places
    places += _utr_place(len(utr5) + len(coding), utr3, _UTR3_INTRON, traits, rng)
    spliced = np.concatenate((utr5, coding, utr3))
    span = (len(utr5), len(utr5) + len(coding))
    exons = tuple(pairwise([0, *places, len(spliced)]))
    forms = _isoforms(spliced, exons, span, traits, rng)
    bases, at = _with_introns(spliced, places, traits, dna, rng)
    return Draft(
        "protein_coding",
        "mRNA",
        bases,
        tuple(_placed(form, at) for form in forms),
        tuple(_placed(_within(form, span), at) for form in forms),
    )


def _write_utr_signals(utr5: Indices, utr3: Indices, rng: np.random.Generator) -> None:
    if rng.random() < _KOZAK:
        utr5[-6:] = as_indices(rng.choice(["GCCACC", "GCCGCC", "AACACC", "CAAAAA", "TCAACA"]))
    if rng.random() < _POLY_A:
        at = len(utr3) - int(rng.integers(17, 28))
        utr3[at : at + 6] = as_indices(rng.choice(["AATAAA", "AATAAA", "AATAAA", "ATTAAA"]))


def _utr_place(
    offset: int, utr: Indices, share: float, traits: Traits, rng: np.random.Generator
) -> list[int]:
    """Return where an untranslated region has an intron, if it has one."""
    room = len(utr) - 2 * MIN_EXON_BP
    if room < 1 or not traits.introns or rng.random() >= share:
        return []
    place = MIN_EXON_BP + int(rng.integers(0, room))
    utr[place - 2 : place] = as_indices("AG")
    return [offset + place]


def _isoforms(
    spliced: Indices,
    exons: tuple[Span, ...],
    cds: Span,
    traits: Traits,
    rng: np.random.Generator,
) -> list[tuple[Span, ...]]:
    """Return the transcripts of a gene as intervals of the spliced sequence, all exons first.

    An alternative donor is written into `spliced` if there is none.
    """
    forms = [exons]
    if len(exons) > 1 and rng.random() < traits.isoforms:
        for _ in range(1 + int(rng.random() < _THIRD_ISOFORM)):
            skip = rng.random() < _SKIP_SHARE
            form = _skipped(spliced, exons, cds, traits.code, rng) if skip else None
            form = form or _shortened(spliced, forms, cds, traits.code, rng)
            if form is not None and form not in forms:
                forms.append(form)
    return forms


def _skipped(
    spliced: Indices,
    exons: tuple[Span, ...],
    cds: Span,
    code: GeneticCode,
    rng: np.random.Generator,
) -> tuple[Span, ...] | None:
    """Return the exons without one whose loss keeps the frame open; None if there is none."""
    inner = [
        index
        for index, (start, end) in enumerate(exons)
        if cds[0] < start and end < cds[1] and (end - start) % 3 == 0
    ]
    for index in rng.permutation(inner).astype(int).tolist():
        form = exons[:index] + exons[index + 1 :]
        if _is_open(spliced, form, cds, code):
            return form
    return None


def _shortened(
    spliced: Indices,
    forms: Sequence[tuple[Span, ...]],
    cds: Span,
    code: GeneticCode,
    rng: np.random.Generator,
) -> tuple[Span, ...] | None:
    """Return the exons with an earlier donor in one of them, whole codons before its end.

    The donor's GT is written into the exon.
    """
    exons = forms[0]
    choices = [
        (index, end - shift)
        for index, (start, end) in enumerate(exons[:-1])
        for shift in range(6, _DONOR_SHIFT_BP, 3)
        if max(start, cds[0]) + MIN_EXON_BP <= end - shift and end < cds[1]
    ]
    for index, donor in rng.permutation(choices).astype(int).reshape(-1, 2).tolist()[:20]:
        changed = spliced.copy()
        changed[donor : donor + 2] = as_indices("GT")
        form = (*exons[:index], (exons[index][0], donor), *exons[index + 1 :])
        if all(_is_open(changed, each, cds, code) for each in (*forms, form)):
            spliced[donor : donor + 2] = changed[donor : donor + 2]
            return form
    return None


def _is_open(spliced: Indices, form: Sequence[Span], cds: Span, code: GeneticCode) -> bool:
    """Return whether the CDS of a transcript is whole codons, the only stop at its end."""
    exons = [spliced[start:end] for start, end in _within(form, cds)]
    protein = code.translate(as_letters(np.concatenate(exons)))
    return sum(map(len, exons)) % 3 == 0 and protein.index("*") == len(protein) - 1


def _within(form: Sequence[Span], cds: Span) -> tuple[Span, ...]:
    """Return the parts of the intervals that lie in the CDS."""
    clipped = ((max(start, cds[0]), min(end, cds[1])) for start, end in form)
    return tuple((start, end) for start, end in clipped if start < end)


def _with_introns(
    spliced: Indices, places: Sequence[int], traits: Traits, dna: Dna, rng: np.random.Generator
) -> tuple[Indices, NDArray[np.int64]]:
    """Insert introns into a spliced sequence.

    Returns:
        The bases with the introns, and the new position of each base of the spliced sequence.
    """
    at = np.arange(len(spliced), dtype=np.int64)
    parts = [spliced[: places[0] if places else len(spliced)]]
    lengths = intron_lengths(len(places), traits.intron_bp, rng)
    for (place, end), length in zip(pairwise([*places, len(spliced)]), lengths, strict=True):
        intron = dna.take(length)
        write_signals(intron, rng)
        parts += [intron, spliced[place:end]]
        at[place:] += length
    return np.concatenate(parts), at


def _placed(form: Sequence[Span], at: NDArray[np.int64]) -> tuple[Span, ...]:
    return tuple((int(at[start]), int(at[end - 1]) + 1) for start, end in form)


def _ncrna(traits: Traits, dna: Dna, rng: np.random.Generator) -> Draft:
    """Draw a non-coding gene of one to three exons."""
    count = int(rng.integers(1, 4)) if traits.introns else 1
    sizes = [MIN_EXON_BP + int(rng.lognormal(5.1, 0.5)) for _ in range(count)]
    spliced = dna.take(sum(sizes))
    places = np.cumsum(sizes[:-1], dtype=int).tolist()
    for place in places:
        spliced[place - 2 : place + 1] = as_indices("AGG")
    bases, at = _with_introns(spliced, places, traits, dna, rng)
    exons = _placed(tuple(pairwise([0, *places, len(spliced)])), at)
    return Draft("ncRNA", "lnc_RNA", bases, (exons,), ((),))


def _trna(rng: np.random.Generator) -> Draft:
    """Draw a tRNA gene: the stems of a cloverleaf, and loops with RNA polymerase III's boxes."""

    def stem(length: int) -> Indices:
        return rng.integers(0, 4, length).astype(np.int8)

    acceptor, d_arm, anticodon, t_arm = stem(7), stem(3), stem(5), stem(4)
    loop = np.concatenate((as_indices("CT"), stem(3), as_indices("AA")))
    parts = [
        acceptor,
        as_indices("TGG"),
        d_arm,
        as_indices("CAGTGGTAGA"),
        turn(d_arm, -1),
        as_indices("A"),
        anticodon,
        loop,
        turn(anticodon, -1),
        stem(4),
        as_indices("G"),
        t_arm,
        as_indices("GGTTCGAATCC"),
        turn(t_arm, -1),
        turn(acceptor, -1),
        stem(1),
    ]
    bases = np.concatenate(parts)
    return Draft("tRNA", "tRNA", bases, (((0, len(bases)),),), ((),))
