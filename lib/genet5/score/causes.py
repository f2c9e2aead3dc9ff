"""Why genes are wrong: each missed reference gene and each wrong prediction gets one cause.

Right pairs are removed first. The rest is linked where a prediction and a reference share coding
bases on a strand; the links show missed, extra, split and merged genes, and a pair linked only to
each other is compared end by end. The rules stand in docs/explanation/evaluation.md. Cost: a few
sorts over the exons of wrong genes.

Example:
    >>> from genet5.score.chains import Axis
    >>> whole, parts = ("c", 1, (0, 900)), [("c", 1, (0, 300)), ("c", 1, (600, 900))]
    >>> axis = Axis({"c": 1000}, {})
    >>> find_causes([frozenset({part}) for part in parts], [frozenset({whole})], [], axis)["split"]
    Cause(reference=1, predicted=2)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from genet5.score.chains import Axis, Chain, Ints, gaps_of
from genet5.score.intervals import union
from genet5.score.links import Exons, connecting_links, decisive_links

GeneChains: TypeAlias = frozenset[Chain]

CAUSES: dict[str, str] = {
    "right": "right",
    "missed": "missed",
    "extra": "extra",
    "wrong_strand": "wrong strand",
    "split": "split",
    "merged": "merged",
    "wrong_start": "wrong start",
    "wrong_stop": "wrong stop",
    "wrong_splice_site": "wrong splice site",
    "several": "several of these",
}
"""Name -> label; "right" is no error, but makes the columns add up."""

LINK_SHARE = 0.1
"""Neighbours may overlap by a few bases (ATGA): a link needs this share of the shorter gene's CDS.
"""
STRAND_SHARE = 0.5
"""A gene on the wrong strand shares this much of the shorter gene's CDS with the missed one."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Number of genes with one cause."""

    reference: int = 0
    predicted: int = 0

    def __add__(self, other: Cause) -> Cause:
        return Cause(self.reference + other.reference, self.predicted + other.predicted)


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Two sets of genes, gene by gene."""

    predicted: NDArray[np.str_]
    """Cause of each predicted gene: a name of CAUSES."""
    reference: NDArray[np.str_]
    pairs: Ints
    """(2, pairs) indices of predicted and reference genes that belong together: right ones, those
    that share coding bases, and those on opposite strands. Connected genes are so by these pairs,
    which need not be all."""


def find_causes(
    predicted: Sequence[GeneChains],
    reference: Sequence[GeneChains],
    right: Sequence[tuple[int, int]],
    axis: Axis,
) -> dict[str, Cause]:
    """Count the genes of both sides by cause; each gene counts once.

    Arguments are those of `compare_genes`.
    """
    found = compare_genes(predicted, reference, right, axis, find=decisive_links)
    return {
        name: Cause(int((found.reference == name).sum()), int((found.predicted == name).sum()))
        for name in CAUSES
    }


def compare_genes(
    predicted: Sequence[GeneChains],
    reference: Sequence[GeneChains],
    right: Sequence[tuple[int, int]],
    axis: Axis,
    *,
    find: Callable[..., Ints] = connecting_links,
) -> Comparison:
    """Find the cause of each gene, and which genes of both sides belong together.

    Args:
        predicted: Chains of each predicted gene.
        reference: Chains of each reference gene.
        right: (index of the prediction, index of the reference) of the genes found.
        axis: Contains all contigs of both.
        find: Finds the links: those that connect what belongs together, or those alone that decide
            the causes, which are the same (`links`).
    """
    equal = np.array(right, dtype=np.int64).reshape(-1, 2).T
    guess_cause = np.full(len(predicted), "extra", dtype="U20")
    truth_cause = np.full(len(reference), "missed", dtype="U20")
    guess_cause[equal[0]], truth_cause[equal[1]] = "right", "right"
    own = np.flatnonzero(guess_cause != "right"), np.flatnonzero(truth_cause != "right")
    links = _links(predicted, reference, own, axis, partial(find, share=LINK_SHARE))
    truths_of, guesses_of = (
        np.bincount(links[side], minlength=len(genes))
        for side, genes in enumerate((predicted, reference))
    )
    single = (truths_of[links[0]] == 1) & (guesses_of[links[1]] == 1)
    for guess, truth in links[:, single].T:
        guess_cause[guess] = truth_cause[truth] = compare(predicted[guess], reference[truth])
    _label_groups(links[:, ~single], truths_of, guess_cause, truth_cause)
    lost = np.flatnonzero(guess_cause == "extra"), np.flatnonzero(truth_cause == "missed")
    turned = _links(predicted, reference, lost, axis, partial(find, share=STRAND_SHARE), flip=True)
    guess_cause[turned[0]], truth_cause[turned[1]] = "wrong_strand", "wrong_strand"
    return Comparison(guess_cause, truth_cause, np.concatenate([equal, links, turned], axis=1))


def equal_genes(
    predicted: Sequence[GeneChains], reference: Sequence[GeneChains]
) -> list[tuple[int, int]]:
    """Match genes that share an isoform, one to one: each takes the first reference gene left."""
    owners: dict[Chain, deque[int]] = {}
    for index, chains in enumerate(reference):
        for chain in chains:
            owners.setdefault(chain, deque()).append(index)
    pairs: list[tuple[int, int]] = []
    found: set[int] = set()
    for guess, chains in enumerate(predicted):
        waiting = [owners[chain] for chain in chains if chain in owners]
        for queue in waiting:
            while queue and queue[0] in found:
                queue.popleft()
        if firsts := [queue[0] for queue in waiting if queue]:
            pairs.append((guess, min(firsts)))
            found.add(min(firsts))
    return pairs


def compare(guess: GeneChains, truth: GeneChains) -> str:
    """Name the difference between the two most similar isoforms of two genes of one strand."""
    differences = min((_differences(a, b) for a in sorted(guess) for b in sorted(truth)), key=len)
    return differences[0] if len(differences) == 1 else "several"


def _differences(guess: Chain, truth: Chain) -> tuple[str, ...]:
    """Name the differences of two isoforms.

    Introns count only where both isoforms are: a wrong end would else count twice.
    """
    left, right = max(guess[2][0], truth[2][0]), min(guess[2][-1], truth[2][-1])
    ends = [guess[2][0] != truth[2][0], guess[2][-1] != truth[2][-1]]
    start, stop = ends if guess[1] > 0 else ends[::-1]
    inner = [
        {gap for gap in gaps_of(chain) if left <= gap[0] and gap[1] <= right}
        for chain in (guess, truth)
    ]
    differences = {
        "wrong_start": start,
        "wrong_stop": stop,
        "wrong_splice_site": inner[0] != inner[1],
    }
    return tuple(name for name, wrong in differences.items() if wrong)


def _label_groups(
    links: Ints,
    truths_of: Ints,
    guess_cause: NDArray[np.str_],
    truth_cause: NDArray[np.str_],
) -> None:
    """Label as merged what one prediction covers, then as split what several predictions cover."""
    merging = truths_of[links[0]] > 1
    guess_cause[links[0][~merging]], truth_cause[links[1][~merging]] = "split", "split"
    guess_cause[links[0][merging]], truth_cause[links[1][merging]] = "merged", "merged"


def _links(
    guesses: Sequence[GeneChains],
    truths: Sequence[GeneChains],
    among: tuple[Ints, Ints],
    axis: Axis,
    find: Callable[[Exons, Exons], Ints],
    *,
    flip: bool = False,
) -> Ints:
    """Return (2, links) indices of predictions and references that share enough coding bases.

    Args:
        guesses: All predictions.
        truths: All references.
        among: Indices of those that may be linked.
        axis: Contains all contigs.
        find: Links the genes of two sets by their exons.
        flip: Change the strand of the predictions.
    """
    sides = [[genes[i] for i in own] for genes, own in zip((guesses, truths), among, strict=True)]
    if not all(sides):
        return np.zeros((2, 0), dtype=np.int64)
    pairs = find(_exons(sides[0], axis, flip=flip), _exons(sides[1], axis, flip=False))
    return np.stack([own[side] for own, side in zip(among, pairs, strict=True)])


def _exons(genes: Sequence[GeneChains], axis: Axis, *, flip: bool) -> Exons:
    """Return the coding exons of genes on the axis, isoforms united."""
    chains = [(index, chain) for index, isoforms in enumerate(genes) for chain in isoforms]
    owner, begin, stop = axis.place(axis.exons([chain for _, chain in chains]), flip=flip)
    gene = np.array([index for index, _ in chains], dtype=np.int64)[owner]
    reach = int(stop.max()) + 1  # each gene on an axis of its own: only its isoforms unite
    spans = union(begin + gene * reach, stop + gene * reach)
    gene = spans.starts // reach
    return Exons(gene, spans.starts - gene * reach, spans.ends - gene * reach)
