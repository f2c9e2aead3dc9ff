"""Masks along drafts equal those that the grammar gives label by label."""

from __future__ import annotations

import numpy as np
import pytest

from genet5.genome.sequence import encode_bases
from genet5.tokens.grammar import Grammar, GrammarOptions, prokaryote_options
from genet5.tokens.look_ahead import NO_BASE, LookAhead, look_ahead
from genet5.tokens.vocabulary import StructureVocabulary

V = StructureVocabulary()
GENE = (V.first_type, V.plus, V.tx, V.cds)
TEXT = "CCATGAAATAGCC"


def grammar_of(texts: list[str], options: GrammarOptions | None = None) -> Grammar:
    windows = [encode_bases(text) for text in texts]
    return Grammar(windows, [11] * len(texts), options or prokaryote_options(), V)


def matrix(drafts: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    sizes = np.array([len(draft) for draft in drafts])
    padded = np.full((len(drafts), int(sizes.max())), V.pad)
    for row, draft in enumerate(drafts):
        padded[row, : len(draft)] = draft
    return padded, sizes


def test_a_legal_draft_is_followed_to_its_end() -> None:
    ahead = look_ahead(grammar_of([TEXT]), *matrix([[*GENE, -3, -11, V.eos]]))
    assert ahead.sizes.tolist() == [7]
    assert ahead.walk.steps.tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert ahead.bases.tolist() == [[2], [10]]


def test_a_draft_is_legal_up_to_its_first_illegal_label() -> None:
    drafts = [[*GENE, -3, -12, V.eos], [V.pad, *GENE], [-5], [*GENE, 10**6], []]
    ahead = look_ahead(grammar_of([TEXT] * 5), *matrix(drafts))
    assert ahead.sizes.tolist() == [5, 0, 0, 4, 0]
    stops = np.concatenate((ahead.at_token, ahead.at_base))
    assert (ahead.walk.steps[stops] <= ahead.sizes[ahead.walk.rows[stops]]).all()


def test_the_grammar_stays_until_it_is_told_to_resume() -> None:
    grammar = grammar_of([TEXT, TEXT])
    before = grammar.legal_tokens().tolist()
    ahead = look_ahead(grammar, *matrix([[*GENE, -3], [*GENE]]))
    assert grammar.legal_tokens().tolist() == before
    stop = int(np.flatnonzero((ahead.walk.rows == 0) & (ahead.walk.steps == 4))[0])
    grammar.resume(ahead.walk, np.array([stop]), np.array([-3]))
    assert np.flatnonzero(grammar.legal_positions()[0]).tolist() == [10]


OPTIONS = {
    "prokaryote": prokaryote_options(max_labels=48),
    "eukaryote": GrammarOptions(max_labels=48, min_intron=6),
    "rich": GrammarOptions(
        max_labels=60, utr=True, isoforms=2, at_ac=True, gene_types=("protein_coding", "tRNA")
    ),
    "off": GrammarOptions(max_labels=40, level="off"),
}


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("seed", [0, 1])
def test_masks_of_all_stops_equal_those_of_single_labels(name: str, seed: int) -> None:
    draw, options = np.random.default_rng(seed), OPTIONS[name]
    texts = ["".join(draw.choice(list("ACGT"), int(n))) for n in draw.integers(40, 200, 4)]
    rows, masks = random_rows(grammar_of(texts, options), draw)
    grammar, half = grammar_of(texts, options), [len(row) // 2 for row in rows]
    ahead = check(grammar, [row[:h] for row, h in zip(rows, half, strict=True)], masks, [0] * 4)
    last = {int(row): stop for stop, row in enumerate(ahead.walk.rows)}
    stops, labels = [last[row] for row in range(4)], [r[h] for r, h in zip(rows, half, strict=True)]
    grammar.resume(ahead.walk, np.array(stops), np.array(labels))
    shifts = [h + 1 for h in half]
    check(grammar, [row[s:] for row, s in zip(rows, shifts, strict=True)], masks, shifts)


def random_rows(grammar: Grammar, draw: np.random.Generator) -> tuple[list, list]:
    """Rows of random legal labels, and what was legal at each."""
    rows, masks = [[] for _ in grammar.prompt], [[] for _ in grammar.prompt]
    while not grammar.finished.all():
        tokens, bases, wants = (
            grammar.legal_tokens(),
            grammar.legal_positions(),
            grammar.wants_position,
        )
        chosen = np.full(len(rows), V.pad)
        for row in np.flatnonzero(~grammar.finished).tolist():
            legal = np.flatnonzero(bases[row] if wants[row] else tokens[row])
            pick = int(draw.choice(legal if rows[row] else legal[legal != V.eos]))
            masks[row].append(legal.tolist())
            rows[row].append(-1 - pick if wants[row] else pick)
            chosen[row] = rows[row][-1]
        grammar.advance(chosen)
    return rows, masks


def check(grammar: Grammar, drafts: list, masks: list, shifts: list[int]) -> LookAhead:
    """Compare the masks along legal drafts, which begin after `shifts` labels of their rows."""
    ahead = look_ahead(grammar, *matrix(drafts))
    assert ahead.sizes.tolist() == [len(draft) for draft in drafts]
    found = {}
    for stop, mask in zip(ahead.at_token.tolist(), ahead.tokens, strict=True):
        found[stop] = np.flatnonzero(mask).tolist()
    for stop, bases in zip(ahead.at_base.tolist(), ahead.bases, strict=True):
        found[stop] = bases[bases != NO_BASE].tolist()
    places = zip(ahead.walk.rows.tolist(), ahead.walk.steps.tolist(), strict=True)
    assert [found[stop] for stop in range(len(found))] == [
        masks[row][shifts[row] + step] for row, step in places
    ]
    return ahead
