"""What is learned from an artificial genome is what it was made of, and finds its starts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from artificial_genome import SITE, SPACER, STARTS, Genome, artificial, candidate
from genet5.annotate.adapt.calls import ContigCalls
from genet5.annotate.adapt.coding import LIMIT, coding_scores, coding_usage, levelled
from genet5.annotate.adapt.features import GAP_EDGES, MOST_OVERLAP_BP, gap_bins
from genet5.annotate.adapt.model import START_FEATURES, GenomeModel, Tally
from genet5.annotate.adapt.motif import learn_motif
from genet5.annotate.adapt.propose import propose
from genet5.annotate.adapt.record import Learned
from genet5.annotate.adapt.rescore import StartWeights, placed, rescored, shares_in_others
from genet5.annotate.adapt.spans import Spans
from genet5.annotate.adapt.strand import ContigReader
from genet5.annotate.candidate import GeneCandidate

WEIGHTS = StartWeights(weights=dict.fromkeys(START_FEATURES, 0.5), ceiling=0.98)


def all_of(calls: ContigCalls) -> np.ndarray:
    return np.arange(len(calls.candidates))


def background(genome: Genome) -> np.ndarray:
    return ContigReader(genome.bases, 11, STARTS).background()


def rescored_all(genome: Genome, model: GenomeModel) -> list[GeneCandidate]:
    calls = genome.calls
    starts = placed(calls, calls.spans, model, WEIGHTS)
    return rescored(starts, model, starts.spans)


def learned(*genomes: Genome) -> GenomeModel:
    tally = Tally(sum(background(genome) for genome in genomes))
    for genome in genomes:
        calls = genome.calls
        genes = all_of(calls)
        tally.add(calls, genes, np.ones(len(genes), dtype=bool))
    return tally.learned()


def share_right(genome: Genome, model: GenomeModel) -> float:
    by_stop = {c.stop_base: c.start_base for c in rescored_all(genome, model)}
    pairs = zip(genome.candidates, genome.true, strict=True)
    return float(np.mean([by_stop[c.stop_base] == true for c, true in pairs]))


def test_the_site_and_its_spacer_are_found_and_settle_the_starts() -> None:
    genome = artificial(150, seed=0, right_votes=0.6)
    model = learned(genome)
    assert (model.motif.consensus, model.motif.best_spacer) == (SITE, SPACER)
    assert model.motif.share > 0.7
    before = np.mean(
        [c.start_base == true for c, true in zip(genome.candidates, genome.true, strict=True)]
    )
    assert before < 0.8
    assert share_right(genome, model) > 0.97


def test_a_genome_without_a_site_does_not_lose_its_starts() -> None:
    genome = artificial(150, seed=0, site=False, right_votes=0.75)
    before = np.mean(
        [c.start_base == true for c, true in zip(genome.candidates, genome.true, strict=True)]
    )
    assert share_right(genome, learned(genome)) >= before


def test_a_site_shows_in_random_bases_only_where_it_is() -> None:
    rng = np.random.default_rng(1)
    upstream = rng.integers(0, 4, (300, 21)).astype(np.uint8)
    motif = learn_motif(upstream, np.ones(300), np.full(4, 0.25))
    assert abs(float(motif.score(upstream).mean())) < 1
    upstream[:150, 5:11] = [0, 2, 2, 0, 2, 2]
    motif = learn_motif(upstream, np.ones(300), np.full(4, 0.25))
    scores = motif.score(upstream)
    assert motif.consensus == "AGGAGG"
    assert scores[:150].min() > scores[150:].max() - 3
    assert 0.4 < motif.share < 0.65


def test_a_motif_score_is_the_formula() -> None:
    rng = np.random.default_rng(2)
    upstream = rng.integers(0, 5, (20, 21)).astype(np.uint8)
    motif = learn_motif(upstream, np.ones(20), np.array([0.3, 0.2, 0.2, 0.3]))
    for row, score in zip(upstream, motif.score(upstream), strict=True):
        odds = 0.0
        for spacer, p in zip(range(2, 16), motif.spacers, strict=True):
            site = row[21 - spacer - 6 : 21 - spacer]
            ratio = 1.0
            for column, base in zip(motif.columns, site, strict=True):
                ratio *= column[base] / motif.background[base] if base < 4 else 1.0
            odds += p * ratio
        assert score == pytest.approx(np.log(motif.share * odds + 1 - motif.share))


def test_the_order_of_contigs_does_not_matter() -> None:
    contigs = [artificial(25, seed=seed) for seed in range(3)]
    first, second = learned(*contigs), learned(*contigs[::-1])
    assert np.array_equal(first.codon, second.codon)
    assert np.array_equal(first.gap, second.gap)
    assert np.array_equal(first.usage, second.usage)
    assert np.array_equal(first.motif.columns, second.motif.columns)
    assert first.motif.share == second.motif.share


def test_the_sample_is_bounded_and_depends_on_no_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genet5.annotate.adapt.model.MOST_SAMPLED", 20)
    contigs = [artificial(25, seed=seed) for seed in range(3)]
    first, second = learned(*contigs), learned(*contigs[::-1])
    assert np.array_equal(first.motif.columns, second.motif.columns)


def test_coding_scores_are_sums_over_codons() -> None:
    genome = artificial(10, seed=4)
    calls, usage = genome.calls, coding_usage(np.arange(4096), background(genome))
    scores, counts = coding_scores(calls, usage)
    for i in range(len(calls.candidates)):
        hexamers = calls.hexamers[calls.hexamer_firsts[i] : calls.hexamer_firsts[i + 1]]
        for j in range(calls.firsts[i], calls.firsts[i + 1]):
            own = hexamers[calls.skipped[j] :]
            assert scores[j] == pytest.approx(usage[own].sum())
            assert counts[j] == len(own)


def test_small_differences_of_coding_scores_stay_and_large_ones_level_off() -> None:
    small, large = levelled(np.array([0.1, -0.1])), levelled(np.array([100.0, -100.0]))
    np.testing.assert_allclose(small, [0.1, -0.1], rtol=1e-3)
    np.testing.assert_allclose(large, [LIMIT, -LIMIT], rtol=1e-6)


def test_the_coding_feature_of_the_networks_own_start_is_zero() -> None:
    genome = artificial(20, seed=4)
    features = learned(genome).start_features(genome.calls, genome.calls.spans)
    own = genome.calls.chosen
    assert not features[own[own >= 0], START_FEATURES.index("coding")].any()
    assert features[:, START_FEATURES.index("coding")].any()


def test_gaps_are_to_the_nearest_end_upstream() -> None:
    genome = artificial(30, seed=6)
    calls, genes = genome.calls, np.arange(0, 30, 2)
    bins = gap_bins(calls, calls.spans.take(genes))
    for i, own in enumerate(calls.candidates):
        for j in range(calls.firsts[i], calls.firsts[i + 1]):
            base, best = int(calls.base[j]), None
            for k in genes.tolist():
                other = calls.candidates[k]
                gap = base - other.end if own.strand > 0 else other.start - base - 1
                if k != i and gap >= -MOST_OVERLAP_BP and (best is None or gap < best[0]):
                    best = (gap, other.strand)
            expected = len(GAP_EDGES)
            if best is not None:
                expected = sum(best[0] > edge for edge in GAP_EDGES)
                expected += 0 if best[1] == own.strand else len(GAP_EDGES) + 1
            assert bins[j] == expected


def test_probabilities_of_starts_add_up_to_the_ceiling() -> None:
    genome = artificial(40, seed=2)
    for one in rescored_all(genome, learned(genome)):
        assert sum(p for _, p in one.starts) == pytest.approx(0.98)
        assert one.start_score == max(p for _, p in one.starts)
        assert dict(one.starts)[one.start_base] == one.start_score


def test_candidates_without_starts_stay_as_they_are() -> None:
    genome = artificial(40, seed=2)
    cut = candidate(0, 60, 1, partial_left=True)
    more = replace(genome, candidates=[cut, *genome.candidates])
    assert cut in rescored_all(more, learned(genome))
    alone = replace(genome, candidates=[cut])
    assert rescored_all(alone, learned(genome)) == [cut]


def test_what_was_learned_can_be_read() -> None:
    model = learned(artificial(60, seed=3))
    report = Learned.of(model, ["chr"], spliced=False)
    assert str(report).startswith(f"ribosome binding site {SITE}, spacer {SPACER} (in ")
    assert "starts ATG 100 %; learned from 60 genes" in str(report)
    assert str(replace(report, spliced=True)).startswith(f"motif before starts {SITE}")
    values = report.to_json()
    assert values["contigs"] == ["chr"]
    assert [max(c, key=c.get) for c in values["motif"]["columns"]] == list(SITE)
    assert max(values["motif"]["spacers"], key=values["motif"]["spacers"].get) == str(SPACER)
    assert min(values["motif"]["bits"]) > 0.5


@pytest.mark.slow
def test_genes_that_nobody_wrote_are_proposed_at_their_starts() -> None:
    genome = artificial(120, seed=5, right_votes=0.8)
    model = learned(genome)
    known = {(c.strand, c.stop_base) for c in genome.candidates[::2]}
    reader = ContigReader(genome.bases, 11, STARTS)
    proposed = propose(reader, model, WEIGHTS, known, "protein_coding")
    assert not known & {(c.strand, c.stop_base) for c in proposed}
    by_stop = {(c.strand, c.stop_base): c for c in proposed}
    pairs = list(zip(genome.candidates, genome.true, strict=True))[1::2]
    found = [(by_stop.get((c.strand, c.stop_base)), true) for c, true in pairs]
    assert sum(one is not None for one, _ in found) == len(found)
    assert np.mean([one.start_base == true for one, true in found]) > 0.9
    assert all(one.is_proposed and one.support == 0 for one in proposed)


def test_only_what_looks_coding_is_proposed() -> None:
    genome = artificial(60, seed=5, right_votes=0.8)
    model = learned(genome)
    noise = np.frombuffer(b"ACGT", np.uint8)[np.random.default_rng(0).integers(0, 4, 30_000)]
    few = propose(ContigReader(noise, 11, STARTS), model, WEIGHTS, (), "protein_coding")
    assert len(few) < 5


def test_proposals_are_the_same_in_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    genome = artificial(60, seed=5, right_votes=0.8)
    reader, model = ContigReader(genome.bases, 11, STARTS), learned(genome)
    whole = propose(reader, model, WEIGHTS, (), "protein_coding")
    monkeypatch.setattr("genet5.annotate.adapt.strand.INTERVAL_BP", 500)
    assert len(whole) > 50
    found = propose(reader, model, WEIGHTS, (), "protein_coding")
    # as text: they hold NaN, which equals nothing from Python 3.13 on
    assert repr(found) == repr(whole)


def test_genes_of_a_circle_are_not_proposed_over_its_origin() -> None:
    genome = artificial(60, seed=5, right_votes=0.8)
    turned = np.roll(genome.bases, -(genome.candidates[20].start + 60))
    reader = ContigReader(turned, 11, STARTS, circular=True)
    found = propose(reader, learned(genome), WEIGHTS, (), "protein_coding")
    assert all(one.start >= 0 and one.end <= len(turned) for one in found)


def test_a_gene_lies_in_others_by_the_share_of_its_bases() -> None:
    sure = Spans(np.array([0, 90, 300]), np.array([100, 190, 400]), np.array([1, 1, -1]))
    genes = Spans(
        np.array([0, 90, 80, 380]), np.array([100, 190, 180, 420]), np.array([1, 1, -1, 1])
    )
    same, opposite = shares_in_others(genes, sure)
    assert same.tolist() == pytest.approx([0.1, 0.1, 0.0, 0.0])
    assert opposite.tolist() == pytest.approx([0.0, 0.0, 1.0, 0.5])


def test_what_was_learned_speaks_for_a_true_gene_and_against_its_shadow() -> None:
    genome = artificial(120, seed=7, right_votes=0.8)
    model, true = learned(genome), genome.candidates[30]
    shadow = candidate(true.start + 3, true.end - 3, -true.strand)
    held = replace(genome, candidates=sorted([*genome.candidates, shadow], key=lambda c: c.start))
    calls = held.calls
    starts = placed(calls, calls.spans, model, WEIGHTS)
    sure = starts.spans.take(np.flatnonzero([c is not shadow for c in held.candidates]))
    found = rescored(starts, model, sure)
    gene = next(c for c in found if c.stop_base == true.stop_base and c.strand == true.strand)
    assert gene.learned is not None
    assert gene.learned.coding_per_codon > 0.5
    assert gene.learned.opposite == 0.0
