"""Sensitivity, precision and F1 of predicted genes against reference genes, by level.

Only coding sequence is scored (UTRs and non-coding genes are not). `Scores.protocol` states the
rules; docs/explanation/evaluation.md explains them. Contigs are scored one by one and their counts
added, so that one contig's genes are in memory at a time (`GeneScorer`; `score_genes` takes all at
once); small contigs are scored together. Cost: a few sorts, about 0.2 s for 2,000 genes of 4
isoforms on both sides.

Example:
    >>> from genet5.genome.gene import Cds, Exon, Gene, Transcript
    >>> def gene(start, end):
    ...     tx = Transcript(id="t", exons=(Exon(start, end),), cds=(Cds(start, end, 0),))
    ...     return Gene(id="g", contig="c", strand=1, transcripts=(tx,))
    >>> scores = score_genes([gene(30, 300), gene(500, 900)], [gene(0, 300)])
    >>> scores.levels["stop"].f1, scores.levels["exact"].f1
    (0.6666666666666666, 0.0)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from genet5.errors import DataError
from genet5.genome.gene import Gene, Transcript
from genet5.score.causes import equal_genes, find_causes
from genet5.score.chains import (  # fmt: skip
    Axis,
    Chain,
    Columns,
    Ints,
    chain_of,
    introns_of,
    stop_of,
)
from genet5.score.intervals import covered
from genet5.score.levels import Level, Scores
from genet5.score.stops import stop_offsets

IGNORED_SHARE = 0.5
"""A prediction may be ignored when this share of its coding bases lies in ignored references."""
BATCH_GENES = 500
"""Contigs are collected up to this many genes: 0.02 ms a gene, against 0.4 ms for one alone."""
SPLICED_SHARE = 0.005
"""A reference with at most this share of spliced CDS counts as a prokaryote (yeast has 4 %, E. coli
0).
"""


@dataclass(frozen=True, slots=True)
class _Coding:
    """A gene with the chains of its transcripts."""

    gene: Gene
    chains: tuple[Chain | None, ...]
    """One for each transcript; None if it has no CDS."""
    best: int
    """Index of the canonical transcript."""

    @classmethod
    def of(cls, gene: Gene, length_bp: int | None) -> _Coding:
        chains = tuple(
            chain_of(gene, transcript, length_bp) if transcript.cds else None
            for transcript in gene.transcripts
        )
        sizes = [sum(c[2][1::2]) - sum(c[2][::2]) if c is not None else 0 for c in chains]
        best = sizes.index(max(sizes))
        if sizes.count(sizes[best]) > 1:
            best = gene.transcripts.index(gene.canonical)
        return cls(gene, chains, best)

    @property
    def distinct(self) -> frozenset[Chain]:
        return frozenset(chain for chain in self.chains if chain is not None)

    @property
    def chain(self) -> Chain:
        """The chain of the canonical transcript of a coding gene."""
        chain = self.chains[self.best]
        assert chain is not None
        return chain

    @property
    def is_spliced(self) -> bool:
        chain = self.chains[self.best]
        return chain is not None and len(chain[2]) > 2

    @property
    def is_regular(self) -> bool:
        return self.gene.is_coding and _is_whole(self.gene.transcripts[self.best])


@dataclass(slots=True)
class _Reference:
    """Reference genes, divided into those that count and those that are ignored."""

    genes: list[frozenset[Chain]] = field(default_factory=list)
    """Chains of each counted gene."""
    chains: set[Chain] = field(default_factory=set)
    ignored_chains: set[Chain] = field(default_factory=set)
    ignored_bodies: list[tuple[Gene, Transcript]] = field(default_factory=list)
    """Transcripts that are ignored, with all their exons."""
    causes: Counter[str] = field(default_factory=Counter)


def score_genes(
    predicted: Sequence[Gene],
    reference: Sequence[Gene],
    contig_lengths: Mapping[str, int] | None = None,
    prokaryote: bool | None = None,
) -> Scores:
    """Compare predicted with reference genes.

    Args:
        predicted: Predicted genes; those without CDS and pseudogenes are skipped.
        reference: Genes held to be true.
        contig_lengths: Lengths in bp of the reference's contigs: genes over the origin are then
            equal in either notation, and contigs without genes are known.
        prokaryote: Add stop and exact levels, ignore spliced references; None decides by the
            reference.

    Raises:
        DataError: The reference has no coding gene, or both sides share no contig.
    """
    lengths = contig_lengths or {}
    guesses, truths = _by_contig(predicted), _by_contig(reference)
    scorer, left = GeneScorer(prokaryote), len(reference)
    for contig in dict.fromkeys((*truths, *lengths, *guesses)):
        genes = truths.get(contig, ())
        left -= len(genes)
        scorer.add(contig, guesses.get(contig, ()), genes, lengths.get(contig), genes_left=left)
    return scorer.scores()


class GeneScorer:
    """Adds up scores contig by contig.

    Whether the reference is that of a prokaryote is certain only at its end: until then both ways
    are counted.

    Args:
        prokaryote: As in `score_genes`.
        batch_genes: Contigs are scored together up to this many genes.
    """

    def __init__(self, prokaryote: bool | None = None, *, batch_genes: int = BATCH_GENES) -> None:
        self._batch_genes = batch_genes
        kinds = (False, True) if prokaryote is None else (prokaryote,)
        self._totals = {kind: Scores.zero(kind) for kind in kinds}
        self._guesses: list[_Coding] = []  # of contigs not yet scored
        self._truths: list[_Coding] = []
        self._lengths: dict[str, int] = {}
        self._regular = self._spliced = self._elsewhere = 0
        self._has_coding = False
        self._predicted: set[str] = set()
        self._known: set[str] = set()
        self.num_predicted = 0
        """Coding genes among the predictions."""

    def add(
        self,
        contig: str,
        predicted: Sequence[Gene],
        reference: Sequence[Gene],
        length_bp: int | None,
        *,
        genes_left: int | None = None,
    ) -> None:
        """Score one contig; each may come once.

        Args:
            contig: Its name.
            predicted: All its predicted genes.
            reference: All its reference genes.
            length_bp: Its length in the reference, where known.
            genes_left: Upper limit of the reference genes of the contigs to come; None if unknown.
        """
        guesses = [_Coding.of(gene, length_bp) for gene in predicted if gene.is_coding]
        self.num_predicted += len(guesses)
        if predicted:
            self._predicted.add(contig)
        if length_bp is None and not reference:
            self._elsewhere += len(guesses)
            return
        self._known.add(contig)
        if length_bp is not None:
            self._lengths[contig] = length_bp
        truths = [
            _Coding.of(gene, length_bp) for gene in reference if gene.pseudo or gene.is_coding
        ]
        self._has_coding |= any(truth.gene.is_coding for truth in truths)
        regular = [truth for truth in truths if truth.is_regular]
        self._regular += len(regular)
        self._spliced += sum(truth.is_spliced for truth in regular)
        if (
            len(self._totals) > 1
            and genes_left is not None
            and not self._may_be_prokaryote(genes_left)
        ):
            del self._totals[True]
        self._guesses += guesses
        self._truths += truths
        if len(self._guesses) + len(self._truths) >= self._batch_genes:
            self._score_waiting()

    def _score_waiting(self) -> None:
        for kind in self._totals:
            self._totals[kind] += _score(self._guesses, self._truths, self._lengths, kind)
        self._guesses, self._truths, self._lengths = [], [], {}

    def _may_be_prokaryote(self, genes_left: int = 0) -> bool:
        return self._spliced <= SPLICED_SHARE * (self._regular + genes_left)

    def scores(self) -> Scores:
        """Return the scores of all contigs.

        Raises:
            DataError: The reference has no coding gene, or both sides share no contig.
        """
        if not self._has_coding:
            raise DataError("the reference has no coding gene", expected="genes with CDS features")
        if self._predicted and not self._predicted & self._known:
            raise DataError(
                "predictions and reference share no contig:"
                f" {_some(self._predicted)} against {_some(self._known)}",
                expected="the same names in the first column of both files",
                remedy="Do both files belong to one assembly? If so, rename contigs",
            )
        self._score_waiting()
        kind = self._may_be_prokaryote() if len(self._totals) > 1 else next(iter(self._totals))
        return replace(self._totals[kind], elsewhere=self._elsewhere)


def _by_contig(genes: Iterable[Gene]) -> dict[str, list[Gene]]:
    found: dict[str, list[Gene]] = {}
    for gene in genes:
        found.setdefault(gene.contig, []).append(gene)
    return found


def _some(names: Iterable[str]) -> str:
    ordered = sorted(names)
    return ", ".join(ordered[:3]) + (f" ... ({len(ordered)} in all)" if len(ordered) > 3 else "")


def _score(
    guesses: Sequence[_Coding],
    truths: Sequence[_Coding],
    lengths_bp: Mapping[str, int],
    prokaryote: bool,
) -> Scores:
    """Score genes of contigs that the reference knows."""
    if not (guesses or truths):
        return Scores.zero(prokaryote)
    reach_bp = dict(lengths_bp)
    for coding in (*guesses, *truths):
        name, end = coding.gene.contig, coding.gene.end
        reach_bp[name] = max(reach_bp.get(name, 0), end)
    axis = Axis(reach_bp, lengths_bp)
    truth = _divide(truths, prokaryote)
    bodies = axis.bodies(truth.ignored_bodies)
    ignored = _is_ignored(guesses, truth, bodies, axis)
    kept = [guess.distinct for guess, drop in zip(guesses, ignored, strict=True) if not drop]
    every = {chain for guess in guesses for chain in guess.distinct}
    found = equal_genes(kept, truth.genes)
    levels = {
        **_structures(every, kept, truth, bodies, axis),
        "gene": Level(len(found), len(kept), len(truth.genes)),
    }
    if prokaryote:
        levels |= _ends(kept, truth, lengths_bp)
    return Scores(
        levels=levels,
        causes=find_causes(kept, truth.genes, found, axis),
        prokaryote=prokaryote,
        ignored_references=dict(truth.causes),
        ignored_predictions=sum(ignored),
        elsewhere=0,
        stops=stop_offsets(
            [guess.chain for guess, drop in zip(guesses, ignored, strict=True) if not drop],
            truth.chains,
            lengths_bp,
        ),
    )


def _cause(truth: _Coding, prokaryote: bool) -> str:
    """Return why a reference gene is ignored; empty if it counts."""
    best = truth.gene.transcripts[truth.best]
    if truth.gene.pseudo:
        return "pseudo"
    if best.partial_5 or best.partial_3:
        return "partial"
    if best.exceptions:
        return "exception"
    return "spliced" if prokaryote and truth.is_spliced else ""


def _is_whole(transcript: Transcript) -> bool:
    return not (transcript.partial_5 or transcript.partial_3 or transcript.exceptions)


def _divide(truths: Sequence[_Coding], prokaryote: bool) -> _Reference:
    result = _Reference()
    for truth in truths:
        gene, cause = truth.gene, _cause(truth, prokaryote)
        good: list[Chain] = []
        for transcript, chain in zip(gene.transcripts, truth.chains, strict=True):
            if chain is not None and not cause and _is_whole(transcript):
                good.append(chain)
                continue
            if chain is not None:
                result.ignored_chains.add(chain)
            if chain is not None or gene.pseudo:
                result.ignored_bodies.append((gene, transcript))
        if cause:
            result.causes[cause] += 1
        else:
            result.genes.append(frozenset(good))
            result.chains.update(good)
    result.ignored_chains -= result.chains
    return result


def _is_ignored(
    guesses: Sequence[_Coding], truth: _Reference, bodies: Columns, axis: Axis
) -> list[bool]:
    """Decide for each prediction whether it concerns ignored references only."""
    best = [guess.chain for guess in guesses]
    if not (best and truth.ignored_bodies):
        return [False] * len(guesses)
    owner, starts, ends = axis.place(axis.exons(best))

    def bases(counts: Ints) -> Ints:
        return np.bincount(owner, counts, minlength=len(best))

    ignored, counted = axis.spans(bodies), axis.spans(axis.exons(truth.chains))
    limit = IGNORED_SHARE * bases(ends - starts)
    stops = {stop_of(chain, axis.lengths_bp) for chain in truth.chains}
    has_stop = np.array([stop_of(chain, axis.lengths_bp) in stops for chain in best])
    in_ignored, in_counted = (bases(covered(spans, starts, ends)) for spans in (ignored, counted))
    return [bool(drop) for drop in (in_ignored >= limit) & (in_counted < limit) & ~has_stop]


def _structures(
    every: set[Chain],
    kept: Sequence[frozenset[Chain]],
    truth: _Reference,
    bodies: Columns,
    axis: Axis,
) -> dict[str, Level]:
    """Score the levels whose items count once, however many isoforms share them."""
    sides = {chain for chains in kept for chain in chains}, truth.chains, truth.ignored_chains
    exons = [axis.exons(side) for side in sides]
    predicted, reference = axis.spans(exons[0]), axis.spans(exons[1])
    anywhere = axis.spans(axis.exons(every)) if len(every) > len(sides[0]) else predicted
    neutral = reference | axis.spans(bodies)
    found = reference.num_bases + anywhere.num_bases - (reference | anywhere).num_bases
    wrong = (neutral | predicted).num_bases - neutral.num_bases
    counted = sides[0] - sides[2]
    return {
        "nucleotide": Level(found, found + wrong, reference.num_bases),
        "exon": _compare(axis, exons),
        "intron": _compare(axis, [introns_of(side) for side in exons]),
        "transcript": Level(len(counted & sides[1]), len(counted), len(sides[1])),
    }


def _compare(axis: Axis, sides: Sequence[Columns]) -> Level:
    """Compare the distinct intervals of predictions, reference, and ignored references.

    Predicted intervals that only ignored references have are left out.
    """
    base = np.concatenate([axis.base(side) for side in sides])
    starts, ends = (
        np.concatenate([getattr(side, key) for side in sides]) for key in ("start", "end")
    )
    columns = (base + starts, base + ends)
    order = np.lexsort(columns)
    differs = np.zeros(len(order), dtype=bool)
    differs[:1] = True
    for column in columns:
        differs[1:] |= np.diff(column[order]) != 0
    number = np.cumsum(differs) - 1  # equal intervals have one number
    side = np.repeat([0, 1, 2], [len(part.start) for part in sides])[order]
    is_in = np.zeros((3, int(differs.sum())), dtype=bool)
    is_in[side, number] = True
    counted = is_in[0] & ~(is_in[2] & ~is_in[1])
    return Level(*(int(n.sum()) for n in (counted & is_in[1], counted, is_in[1])))


def _ends(
    kept: Sequence[frozenset[Chain]], truth: _Reference, lengths_bp: Mapping[str, int]
) -> dict[str, Level]:
    stops = {stop_of(chain, lengths_bp) for chain in truth.chains}
    predicted_stops = {stop_of(chain, lengths_bp) for chains in kept for chain in chains}
    exact = {stop_of(chain, lengths_bp) for chains in kept for chain in chains & truth.chains}
    return {
        "stop": Level(len(stops & predicted_stops), len(kept), len(stops)),
        "exact": Level(len(exact), len(kept), len(stops)),
    }
