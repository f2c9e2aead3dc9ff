"""Which candidates are right, and the threshold and weights that follow."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from artificial_genome import Genome, artificial, candidate
from builders import make_gene
from genet5.annotate import calibrate
from genet5.annotate.adapt.model import START_FEATURES
from genet5.annotate.adaptation import hold
from genet5.annotate.calibrate import Sample, Truth, choose_threshold, fit_adapt, label
from genet5.annotate.calibrate_starts import fit_starts, teach, true_starts
from genet5.annotate.calling_config import CallingConfig
from genet5.annotate.gene_score import ScoringConfig, feature_table
from genet5.annotate.select import SelectionRules
from genet5.decode.fragment import Interval
from genet5.genome.gene import Gene
from genet5.genome.io.fasta import Contig

CONTIG = Contig("chr", np.full(400, ord("A"), dtype=np.uint8))
SURE = ScoringConfig(bias=3.0, weights={}, means={})
CALLING = CallingConfig(scoring=SURE)
WHOLE = artificial(60, seed=3, right_votes=0.7)


def reference(genome: Genome) -> list[Gene]:
    """The true genes: their 5' ends are known, their 3' ends are those of the candidates."""
    genes = []
    for number, (found, base) in enumerate(zip(genome.candidates, genome.true, strict=True)):
        span = (base, found.end) if found.strand > 0 else (found.start, base + 1)
        genes.append(make_gene(span, id=f"g{number}", strand=found.strand, contig="chr"))
    return genes


def test_a_candidate_is_right_by_its_three_prime_end() -> None:
    genes = [
        make_gene((0, 90), contig="chr"),
        make_gene((200, 260), id="m", strand=-1, contig="chr"),
    ]
    candidates = [
        candidate(30, 90, 1), candidate(30, 87, 1), candidate(200, 230, -1), candidate(230, 260, -1)
    ]  # fmt: skip
    right, counts = label(candidates, CONTIG, genes, whole=False)
    assert right.tolist() == [True, False, True, False]
    assert counts.all()


def test_with_introns_the_whole_cds_must_agree() -> None:
    genes = [make_gene((0, 30), (60, 90), contig="chr")]
    spliced = replace(
        candidate(0, 90, 1),
        parts=(Interval("cds", 0, 30), Interval("cds", 60, 90)),
    )
    right, _ = label([spliced, candidate(0, 90, 1)], CONTIG, genes, whole=True)
    assert right.tolist() == [True, False]


@pytest.mark.parametrize("strand", [1, -1])
def test_all_but_the_five_prime_end_can_be_right(strand: int) -> None:
    genes = [make_gene((0, 30), (60, 90), strand=strand, contig="chr")]
    moved, shifted = ((6, 30, 60, 90), (0, 30, 63, 90))
    if strand < 0:
        moved, shifted = ((0, 30, 60, 84), (0, 27, 60, 90))
    candidates = [
        replace(
            candidate(0, 90, strand),
            parts=(Interval("cds", a, b), Interval("cds", c, d)),
        )
        for a, b, c, d in (moved, shifted)
    ]
    right, _ = label(candidates, CONTIG, genes, whole=False)
    assert right.tolist() == [True, False]


def test_candidates_about_pseudogenes_and_cut_ones_do_not_count() -> None:
    pseudo = replace(make_gene((100, 190), contig="chr"), pseudo=True)
    candidates = [
        candidate(100, 160, 1), candidate(150, 300, 1), replace(candidate(0, 60, 1),
        partial_left=True), candidate(100, 160, -1),
    ]  # fmt: skip
    right, counts = label(candidates, CONTIG, [pseudo], whole=False)
    assert not right.any()
    assert counts.tolist() == [False, True, False, True]


def test_genes_of_other_contigs_are_no_truth() -> None:
    right, counts = label(
        [candidate(30, 90, 1)], CONTIG, [make_gene((0, 90), contig="x")], whole=False
    )
    assert (right.tolist(), counts.tolist()) == ([False], [True])


def test_true_starts_are_those_of_complete_coding_genes() -> None:
    complete = [
        make_gene((0, 90), contig="chr"),
        make_gene((200, 260), id="m", strand=-1, contig="chr"),
    ]
    others = [
        replace(make_gene((100, 190), id="p", contig="chr"), pseudo=True),
        make_gene((300, 360), id="x", contig="another"),
    ]
    assert true_starts([*complete, *others], "chr") == {(1, 89): 0, (-1, 200): 259}


def sample(genome: Genome, genes: list[Gene]) -> Sample:
    contig = Contig("chr", genome.bases)
    labels = label(genome.candidates, contig, genes, whole=False)
    return Sample(0, contig, genome.candidates, feature_table(genome.candidates), *labels)


def test_the_threshold_is_the_middle_of_those_with_the_best_f1(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every third gene is wrong, and its score lower."""
    genes = [g for number, g in enumerate(reference(WHOLE)) if number % 3]
    scores = {c: 0.2 if not n % 3 else 0.8 for n, c in enumerate(WHOLE.candidates)}

    def select(candidates, rules, length_bp):
        threshold = rules.calling.min_score
        return [(c, scores[c]) for c in candidates if scores[c] >= threshold]

    monkeypatch.setattr(calibrate, "select_candidates", select)
    truth = [Truth(genes, {"chr": len(WHOLE.bases)}, 11)]
    assert choose_threshold(CALLING, [sample(WHOLE, genes)], truth) == pytest.approx(0.5, abs=0.03)


def test_starts_are_fitted_to_genomes_whose_true_starts_are_known() -> None:
    held = [
        hold(0, Contig("chr", WHOLE.bases), WHOLE.candidates, SelectionRules(calling=CALLING,
        code=11), circular=False)
    ]  # fmt: skip
    taught = teach(held, reference(WHOLE))
    assert taught is not None
    assert taught.num_genes == len(WHOLE.candidates)
    assert len(taught.right) == len(taught.firsts) - 1
    weights = fit_starts([taught, taught])
    assert set(weights.weights) == set(START_FEATURES)
    assert 0.9 < weights.ceiling < 1
    chosen = np.array([
        first + np.argmax(taught.features[first:end] @ [*weights.weights.values()])
        for first, end in zip(taught.firsts, taught.firsts[1:], strict=False)
    ])  # fmt: skip
    assert (chosen == taught.right).mean() > 0.9


def test_a_genome_of_few_genes_teaches_nothing() -> None:
    few = artificial(4, seed=1)
    rules = SelectionRules(calling=CALLING, code=11)
    held = [hold(0, Contig("chr", few.bases), few.candidates, rules, circular=False)]
    assert teach(held, reference(few)) is None
    truth = [Truth(reference(few), {"chr": len(few.bases)}, 11)]
    assert fit_adapt(CALLING, [sample(few, reference(few))], truth) is None


def test_models_that_label_untranslated_regions_do_not_learn() -> None:
    assert fit_adapt(replace(CALLING, grammar=replace(CALLING.grammar, utr=True)), [], []) is None


@pytest.mark.parametrize(("after", "is_kept"), [(0.9, True), (0.8, False)])
def test_what_genomes_teach_is_kept_where_it_helps(
    monkeypatch: pytest.MonkeyPatch, after: float, is_kept: bool
) -> None:
    genes = [g for number, g in enumerate(reference(WHOLE)) if number % 3]
    f1s = iter([0.8, after])
    monkeypatch.setattr(calibrate, "_gene_f1", lambda *_: next(f1s))
    truth = [Truth(genes, {"chr": len(WHOLE.bases)}, 11)]
    assert (fit_adapt(CALLING, [sample(WHOLE, genes)], truth) is not None) is is_kept
