"""Which contigs teach together, and what becomes of their genes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from artificial_genome import Genome, artificial
from genet5.annotate import adaptation
from genet5.annotate.adapt.model import START_FEATURES
from genet5.annotate.adapt.record import Learned
from genet5.annotate.adapt.rescore import StartWeights
from genet5.annotate.adaptation import Adaptation, Chosen
from genet5.annotate.block import Block
from genet5.annotate.calling_config import AdaptConfig, CallingConfig
from genet5.annotate.gene_score import ScoringConfig
from genet5.annotate.plan import settle_adapt
from genet5.annotate.select import SelectionRules, select_candidates
from genet5.config.annotate import AdaptName
from genet5.errors import ConfigError
from genet5.genome.io.fasta import Contig

SURE = ScoringConfig(bias=3.0, weights={}, means={})
ADAPT = AdaptConfig(
    starts=StartWeights(weights=dict.fromkeys(START_FEATURES, 0.5), ceiling=0.98), scoring=SURE
)
CALLING = CallingConfig(scoring=SURE, adapt=ADAPT)
RULES = SelectionRules(calling=CALLING, code=11)


def blocks(number: int, name: str, genome: Genome) -> list[Block]:
    """A contig's candidates in two blocks."""
    contig, half = Contig(name, genome.bases), len(genome.candidates) // 2
    return [
        Block(number, contig, False, genome.candidates[:half], False, 11),
        Block(number, contig, False, genome.candidates[half:], True, 11),
    ]


def genes(
    mode: AdaptName, *genomes: Genome, rules: SelectionRules = RULES
) -> tuple[list[Chosen], list[Learned]]:
    """The genes of each contig ("a", "b" ...), and what was learned."""
    learned: list[Learned] = []
    given = [
        block
        for number, genome in enumerate(genomes)
        for block in blocks(number, "abc"[number], genome)
    ]
    chosen: dict[str, Chosen] = {}
    for block in Adaptation(rules, mode, learned.append).chosen(given):
        assert block.contig.name == "abc"[block.index]
        chosen.setdefault(block.contig.name, []).extend(block.genes)
    return list(chosen.values()), learned


LARGE, SMALL = artificial(80, seed=0, right_votes=0.6), artificial(20, seed=1, right_votes=0.6)


def starts(chosen: Chosen) -> list[int]:
    return [c.start_base for c, _ in chosen]


def test_off_is_what_the_network_alone_chooses() -> None:
    (chosen,), learned = genes("off", LARGE)
    alone = select_candidates(LARGE.candidates, RULES, len(LARGE.bases))
    assert starts(chosen) == starts(alone)
    assert not learned
    assert all(np.isnan(c.start_score) for c, _ in chosen)


def test_few_confident_genes_teach_nothing() -> None:
    (chosen,), learned = genes("genome", SMALL)
    (alone,), _ = genes("off", SMALL)
    assert starts(chosen) == starts(alone)
    assert not learned


def test_a_genome_teaches_its_small_contigs() -> None:
    chosen, (learned,) = genes("genome", LARGE, SMALL)
    assert learned.contigs == ("a", "b")
    assert learned.num_genes == 100
    assert np.mean(np.array(starts(chosen[1])) == SMALL.true) > 0.9
    assert all(0 < c.start_score <= 0.98 for c, _ in chosen[1])


def test_contigs_by_themselves_teach_only_themselves() -> None:
    chosen, learned = genes("contig", LARGE, SMALL)
    assert [one.contigs for one in learned] == [("a",)]
    (alone,), _ = genes("genome", LARGE)
    assert chosen[0] == alone
    assert all(np.isnan(c.start_score) for c, _ in chosen[1])


@pytest.mark.slow
def test_auto_holds_no_more_than_a_bacterial_genome(monkeypatch: pytest.MonkeyPatch) -> None:
    contigs = [LARGE] * 3
    together, learned = genes("auto", *contigs)
    assert len(learned) == 1
    assert together == genes("genome", *contigs)[0]
    monkeypatch.setattr(adaptation, "MOST_AUTO_BP", 2 * len(LARGE.bases))
    apart, learned = genes("auto", *contigs)
    assert len(learned) == 3
    assert apart == genes("contig", *contigs)[0]


def test_auto_holds_no_more_contigs_than_an_assembly_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adaptation, "MOST_AUTO_CONTIGS", 2)
    contigs = [LARGE, SMALL, LARGE]
    assert genes("auto", *contigs)[0] == genes("contig", *contigs)[0]


def test_auto_passes_blocks_of_a_giant_contig_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adaptation, "MOST_AUTO_BP", len(LARGE.bases) - 1)
    made = Adaptation(RULES, "auto").chosen(iter(blocks(0, "a", LARGE)))
    first = next(made)
    assert not first.is_last
    assert [c for c, _ in first.genes] == [c for c, _ in genes("off", LARGE)[0][0]][
        : len(first.genes)
    ]


def test_the_score_of_genes_is_that_with_what_was_learned() -> None:
    unsure = replace(ADAPT, scoring=ScoringConfig(bias=1.0, weights={}, means={}))
    rules = replace(RULES, calling=replace(CALLING, adapt=unsure))
    (chosen,), _ = genes("genome", LARGE, rules=rules)
    assert {round(p, 3) for _, p in chosen} == {0.731}
    never = replace(rules, calling=replace(CALLING, adapt=replace(unsure, min_score=0.9)))
    assert genes("genome", LARGE, rules=never)[0] == [[]]


@pytest.mark.parametrize(
    ("calling", "reason"),
    [
        (CallingConfig(), "genet5 calibrate"),
        (replace(CALLING, grammar=replace(CALLING.grammar, utr=True)), "untranslated"),
        (replace(CALLING, grammar=replace(CALLING.grammar, level="off")), "strict"),
    ],
)
def test_what_cannot_learn_says_why_when_asked(calling: CallingConfig, reason: str) -> None:
    assert settle_adapt("auto", calling) == "off"
    with pytest.raises(ConfigError, match=reason):
        settle_adapt("genome", calling)


def test_a_model_that_can_learn_does_what_is_wanted() -> None:
    assert [settle_adapt(mode, CALLING) for mode in ("auto", "contig", "off")] == [
        "auto", "contig", "off",
    ]  # fmt: skip


def test_nothing_is_proposed_where_genes_have_introns() -> None:
    spliced = replace(CALLING, grammar=replace(CALLING.grammar, introns=True))
    bare = replace(LARGE, candidates=LARGE.candidates[:-10])
    counts = [
        len(genes("genome", bare, rules=replace(RULES, calling=calling))[0][0])
        for calling in (spliced, CALLING)
    ]
    assert counts[0] <= len(bare.candidates) < counts[1]
