"""Sensitivity, precision and F1 of predicted genes against reference genes, by level.

Only coding sequence is scored (UTRs and non-coding genes are not). `Scores.protocol` is the whole rule; docs/evaluation.md explains it.
Costs one pass over the genes and a few sorts: about 1 s for 10,000 genes of 10 exons on both sides.

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
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from genet5.errors import DataError
from genet5.genome.gene import Gene, Transcript
from genet5.score.causes import find_causes
from genet5.score.chains import (
    Axis,
    Chain,
    Piece,
    body_of,
    chain_of,
    introns_of,
    pieces_of,
    stop_of,
)
from genet5.score.intervals import covered
from genet5.score.levels import Level, Scores

Item = TypeVar("Item", bound=Hashable)

IGNORED_SHARE = 0.5
"""A prediction may be ignored when this share of its coding bases lies in ignored references."""
SPLICED_SHARE = 0.005
"""A reference with at most this share of spliced CDS counts as a prokaryote (yeast has 4 %, E. coli 0)."""


@dataclass(slots=True)
class _Reference:
    """The reference, divided into what counts and what is ignored."""

    genes: list[frozenset[Chain]]
    """Chains of each counted gene."""
    chains: set[Chain]
    ignored_chains: set[Chain]
    ignored_body: list[Piece]
    """All bases of ignored genes and transcripts, as exons."""
    causes: Counter[str]


def score_genes(
    predicted: Sequence[Gene],
    reference: Sequence[Gene],
    contig_lengths: Mapping[str, int] | None = None,
    prokaryote: bool | None = None,
) -> Scores:
    """Compare predicted with reference genes.

    Args:
        predicted: What a tool found; genes without CDS and pseudogenes are skipped.
        reference: What is held to be true.
        contig_lengths: Lengths in bp of the reference's contigs: genes over the origin are then equal in either notation,
            and contigs without genes are known.
        prokaryote: Add stop and exact levels, ignore spliced references; None decides by the reference.

    Raises:
        DataError: The reference has no coding gene, or both sides share no contig.
    """
    lengths = dict(contig_lengths or {})
    _check_contigs(predicted, reference, lengths)
    if prokaryote is None:
        prokaryote = _looks_prokaryotic(reference, lengths)
    known = lengths.keys() | {gene.contig for gene in reference}
    coding = [gene for gene in predicted if gene.is_coding]
    here = [gene for gene in coding if gene.contig in known]
    truth = _divide(reference, lengths, prokaryote)
    axis = Axis.of([*reference, *here], lengths)
    ignored = _is_ignored(here, truth, axis)
    kept = [_chains(gene, lengths) for gene, drop in zip(here, ignored, strict=True) if not drop]
    every = {chain for gene in here for chain in _chains(gene, lengths)}
    found = _match(kept, truth)
    levels = {
        "nucleotide": _nucleotides(every, kept, truth, axis),
        **_structures(kept, truth),
        "gene": Level(len(found), len(kept), len(truth.genes)),
    }
    if prokaryote:
        levels |= _ends(kept, truth, lengths)
    return Scores(
        levels=levels,
        causes=find_causes(kept, truth.genes, found, axis),
        prokaryote=prokaryote,
        ignored_references=dict(sorted(truth.causes.items())),
        ignored_predictions=sum(ignored),
        elsewhere=len(coding) - len(here),
    )


def _check_contigs(
    predicted: Sequence[Gene], reference: Sequence[Gene], lengths: Mapping[str, int]
) -> None:
    if not any(gene.is_coding for gene in reference):
        raise DataError("the reference has no coding gene", expected="genes with CDS features")
    names = {gene.contig for gene in predicted}
    known = lengths.keys() | {gene.contig for gene in reference}
    if names and not names & known:
        raise DataError(
            f"predictions and reference share no contig: {_some(names)} against {_some(known)}",
            expected="the same names in the first column of both files",
            remedy="Check that both files belong to one assembly, and rename contigs where needed",
        )


def _some(names: Iterable[str]) -> str:
    ordered = sorted(names)
    return ", ".join(ordered[:3]) + (f" ... ({len(ordered)} in all)" if len(ordered) > 3 else "")


def _chains(gene: Gene, lengths: Mapping[str, int]) -> frozenset[Chain]:
    return frozenset(chain_of(gene, tx, lengths) for tx in gene.transcripts if tx.cds)


def _is_spliced(gene: Gene, lengths: Mapping[str, int]) -> bool:
    best = gene.canonical
    return bool(best.cds) and len(chain_of(gene, best, lengths)[2]) > 2


def _looks_prokaryotic(reference: Sequence[Gene], lengths: Mapping[str, int]) -> bool:
    regular = [gene for gene in reference if gene.is_regular]
    spliced = sum(_is_spliced(gene, lengths) for gene in regular)
    return spliced <= SPLICED_SHARE * len(regular)


def _cause(gene: Gene, spliced: bool) -> str:
    """Why a reference gene is ignored; empty when it counts."""
    best = gene.canonical
    if gene.pseudo:
        return "pseudo"
    if best.partial_5 or best.partial_3:
        return "partial"
    if best.exceptions:
        return "exception"
    return "spliced" if spliced else ""


def _is_whole(transcript: Transcript) -> bool:
    return not (transcript.partial_5 or transcript.partial_3 or transcript.exceptions)


def _divide(reference: Sequence[Gene], lengths: Mapping[str, int], prokaryote: bool) -> _Reference:
    truth = _Reference([], set(), set(), [], Counter())
    for gene in reference:
        if not (gene.pseudo or gene.is_coding):
            continue
        cause = _cause(gene, prokaryote and _is_spliced(gene, lengths))
        good: list[Transcript] = []
        bad: list[Transcript] = []
        for transcript in gene.transcripts:
            counts = not cause and transcript.cds and _is_whole(transcript)
            (good if counts else bad).append(transcript)
        if cause:
            truth.causes[cause] += 1
        else:
            truth.genes.append(frozenset(chain_of(gene, tx, lengths) for tx in good))
        truth.ignored_chains |= {chain_of(gene, tx, lengths) for tx in bad if tx.cds}
        truth.ignored_body += body_of(gene, [tx for tx in bad if tx.cds or gene.pseudo])
    truth.chains = {chain for chains in truth.genes for chain in chains}
    truth.ignored_chains -= truth.chains
    return truth


def _is_ignored(predicted: Sequence[Gene], truth: _Reference, axis: Axis) -> list[bool]:
    """Decide for each prediction whether it is about ignored references only."""
    if not (predicted and truth.ignored_body):
        return [False] * len(predicted)
    lengths = axis.lengths_bp
    best = [chain_of(gene, gene.canonical, lengths) for gene in predicted]
    placed = [axis.place(pieces_of(chain)) for chain in best]
    starts = np.array([start for part in placed for start in part[0]], dtype=np.int64)
    ends = np.array([end for part in placed for end in part[1]], dtype=np.int64)
    first = np.cumsum([0, *(len(part[0]) for part in placed[:-1])])
    num_bases = np.add.reduceat(ends - starts, first)
    ignored = axis.spans(truth.ignored_body)
    counted = axis.spans(piece for chain in truth.chains for piece in pieces_of(chain))
    in_ignored = np.add.reduceat(covered(ignored, starts, ends), first)
    in_counted = np.add.reduceat(covered(counted, starts, ends), first)
    stops = {stop_of(chain, lengths) for chain in truth.chains}
    has_stop = np.array([stop_of(chain, lengths) in stops for chain in best])
    limit = IGNORED_SHARE * num_bases
    drop = (in_ignored >= limit) & (in_counted < limit) & ~has_stop
    return [bool(value) for value in drop]


def _nucleotides(
    every: Iterable[Chain], kept: Sequence[frozenset[Chain]], truth: _Reference, axis: Axis
) -> Level:
    reference = axis.spans(piece for chain in truth.chains for piece in pieces_of(chain))
    all_predicted = axis.spans(piece for chain in every for piece in pieces_of(chain))
    counted = axis.spans(piece for chains in kept for c in chains for piece in pieces_of(c))
    neutral = reference | axis.spans(truth.ignored_body)
    found = reference.num_bases + all_predicted.num_bases - (reference | all_predicted).num_bases
    wrong = (neutral | counted).num_bases - neutral.num_bases
    return Level(found, found + wrong, reference.num_bases)


def _structures(kept: Sequence[frozenset[Chain]], truth: _Reference) -> dict[str, Level]:
    sides = {chain for chains in kept for chain in chains}, truth.chains, truth.ignored_chains
    exons, introns = ([_parts(side, split) for side in sides] for split in (pieces_of, introns_of))
    return {
        "exon": _sets(*exons),
        "intron": _sets(*introns),
        "transcript": _sets(*sides),
    }


def _parts(chains: Iterable[Chain], split: Callable[[Chain], list[Piece]]) -> set[Piece]:
    return {piece for chain in chains for piece in split(chain)}


def _sets(predicted: set[Item], reference: set[Item], ignored: set[Item]) -> Level:
    """Compare distinct things; a predicted one that only ignored references have is left out."""
    counted = predicted - (ignored - reference)
    return Level(len(counted & reference), len(counted), len(reference))


def _match(kept: Sequence[frozenset[Chain]], truth: _Reference) -> list[tuple[int, int]]:
    """Match genes one to one: a predicted gene takes the first reference gene not yet found."""
    owners: dict[Chain, list[int]] = {}
    for index, chains in enumerate(truth.genes):
        for chain in chains:
            owners.setdefault(chain, []).append(index)
    pairs: list[tuple[int, int]] = []
    found: set[int] = set()
    for guess, chains in enumerate(kept):
        free = {index for chain in chains for index in owners.get(chain, ())} - found
        if free:
            pairs.append((guess, min(free)))
            found.add(min(free))
    return pairs


def _ends(
    kept: Sequence[frozenset[Chain]], truth: _Reference, lengths: Mapping[str, int]
) -> dict[str, Level]:
    stops = {stop_of(chain, lengths) for chain in truth.chains}
    predicted_stops = {stop_of(chain, lengths) for chains in kept for chain in chains}
    exact = {stop_of(chain, lengths) for chains in kept for chain in chains & truth.chains}
    return {
        "stop": Level(len(stops & predicted_stops), len(kept), len(stops)),
        "exact": Level(len(exact), len(kept), len(stops)),
    }
