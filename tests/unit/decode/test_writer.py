"""Draft and verification: what is written is what steps write, whatever the drafts are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from genet5.dataset.collate import make_inputs
from genet5.decode.best_path import best_paths
from genet5.decode.draft import Labels, make_drafter
from genet5.decode.pointer import BasePointer
from genet5.decode.trace import Trace, read_tracks
from genet5.decode.writer import Writer
from genet5.genome.sequence import Bases, encode_bases
from genet5.model.network import GeneT5
from genet5.model.results import Encoded
from genet5.tokens.grammar import Grammar, GrammarOptions, prokaryote_options
from genet5.tokens.vocabulary import StructureVocabulary
from stepping import write_by_steps

V = StructureVocabulary()
PROKARYOTE = prokaryote_options(max_labels=64)
EUKARYOTE = GrammarOptions(max_labels=64)
RICH = GrammarOptions(
    utr=True, isoforms=2, at_ac=True, gene_types=("protein_coding", "tRNA"), max_labels=64
)
OFF = GrammarOptions(level="off", max_labels=60)
CODES = [11, 1, 4, 11, 1, 11]


def random_windows(seed: int, count: int = 6, longest: int = 700) -> list[Bases]:
    draw = np.random.default_rng(seed)
    letters = np.frombuffer(b"ACGT", dtype=np.uint8)
    windows = [letters[draw.integers(0, 4, n)] for n in draw.integers(3, longest, count)]
    windows[0] = encode_bases("ACGTN" * 40 + "NNNNNNNN" + "acgtt" * 10)
    return windows


@dataclass
class Given:
    """Offers the same drafts whatever the decoder chose."""

    draft: Callable[[int, int], Labels]
    """From the window and the labels written."""

    def begin(self, window: int) -> Labels:
        return self.draft(window, 2)

    def mend(self, window: int, written: Labels, draft: Labels, chosen: Labels) -> Labels:
        return self.draft(window, len(written))


def encode(model: GeneT5, windows: Sequence[Bases], tokenizer) -> Encoded:
    return model.encode(make_inputs(windows, CODES, tokenizer.sequence))


def grammar_of(windows: Sequence[Bases], options: GrammarOptions) -> Grammar:
    return Grammar(windows, CODES, options, V)


def heads_drafter(encoded: Encoded, grammar: Grammar):
    tracks = read_tracks(encoded.state_logits, encoded.boundary_logits)
    logits = encoded.state_logits.numpy(), encoded.boundary_logits.numpy()
    paths = None
    if grammar.options.introns:
        paths = best_paths(grammar.signals, grammar.options, *logits)
    return make_drafter(grammar.signals, grammar.options, V, tracks, paths)


def require_equal(found: Trace, expected: Trace) -> None:
    assert found.labels.tolist() == expected.labels.tolist()
    assert found.lengths.tolist() == expected.lengths.tolist()
    np.testing.assert_allclose(found.logp, expected.logp, atol=1e-4)
    np.testing.assert_allclose(found.other_logp, expected.other_logp, atol=1e-4)
    known = np.isfinite(expected.other_logp)
    assert found.other_bases[known].tolist() == expected.other_bases[known].tolist()


@pytest.mark.slow
@pytest.mark.parametrize("options", [PROKARYOTE, EUKARYOTE, RICH, OFF])
@torch.inference_mode()
def test_rows_equal_those_written_by_steps(tiny_model, tiny_tokenizer, options) -> None:
    windows = random_windows(1)
    encoded = encode(tiny_model, windows, tiny_tokenizer)
    grammar = grammar_of(windows, options)
    found = Writer(tiny_model, encoded, grammar, heads_drafter(encoded, grammar)).run()
    require_equal(found, write_by_steps(tiny_model, encoded, grammar_of(windows, options)))


@pytest.mark.slow
@torch.inference_mode()
def test_drafts_do_not_change_what_is_written(tiny_model, tiny_tokenizer) -> None:
    windows, draw = random_windows(2), np.random.default_rng(2)
    encoded = encode(tiny_model, windows, tiny_tokenizer)
    expected = write_by_steps(tiny_model, encoded, grammar_of(windows, EUKARYOTE))
    rows = [expected.row(row).tolist() for row in range(len(windows))]

    def spoilt(window: int, written: int) -> Labels:
        row = rows[window][written:]
        wrong = draw.integers(0, max(len(row), 1))
        return [label if i != wrong else int(draw.integers(-40, 60)) for i, label in enumerate(row)]

    drafters = {
        "nothing": lambda window, written: [],
        "what is never legal": lambda window, written: [V.pad, V.bos],
        "noise": lambda window, written: draw.integers(-3, len(V), 9).tolist(),
        "another row": lambda window, written: rows[window - 1][written:],
        "one label wrong": spoilt,
        "no end": lambda window, written: rows[window][written:-1],
    }
    for name, draft in drafters.items():
        writer = Writer(tiny_model, encoded, grammar_of(windows, EUKARYOTE), Given(draft))
        require_equal(writer.run(), expected)
        assert (writer.passes <= expected.lengths - 2).all(), name


@pytest.mark.slow
@torch.inference_mode()
def test_a_right_draft_takes_one_pass(tiny_model, tiny_tokenizer) -> None:
    windows = random_windows(3)
    encoded = encode(tiny_model, windows, tiny_tokenizer)
    expected = write_by_steps(tiny_model, encoded, grammar_of(windows, PROKARYOTE))
    drafter = Given(lambda window, written: expected.row(window).tolist()[written:])
    writer = Writer(tiny_model, encoded, grammar_of(windows, PROKARYOTE), drafter)
    require_equal(writer.run(), expected)
    assert writer.passes.tolist() == [1] * len(windows)


@torch.inference_mode()
def test_rows_end_within_the_limit_of_labels(tiny_model, tiny_tokenizer) -> None:
    windows = random_windows(4)
    options = replace(PROKARYOTE, max_labels=16)
    encoded = encode(tiny_model, windows, tiny_tokenizer)
    grammar = grammar_of(windows, options)
    found = Writer(tiny_model, encoded, grammar, heads_drafter(encoded, grammar)).run()
    require_equal(found, write_by_steps(tiny_model, encoded, grammar_of(windows, options)))
    assert found.lengths.max() <= 16


@torch.inference_mode()
def test_the_pointer_equals_the_models(tiny_model, tiny_tokenizer) -> None:
    windows = random_windows(5)
    encoded = encode(tiny_model, windows, tiny_tokenizer)
    states = torch.randn(len(windows), 3, tiny_model.config.width)
    places = torch.randint(0, 3, states.shape[:2])
    expected = tiny_model.position_logits(encoded, states, places)
    rows, slots = np.array([4, 4, 1, 2, 2, 2]), np.array([0, 2, 1, 0, 1, 2])
    pointer = BasePointer(tiny_model, encoded)
    found = pointer.logits(states[rows, slots], places[rows, slots], rows)
    torch.testing.assert_close(found, expected[rows, slots], atol=1e-4, rtol=1e-4)
    queries = tiny_model.pointer.queries(states[rows, slots][None], places[rows, slots][None])
    where, which = (query[0] for query in queries)
    together = pointer._together((where, which[:, :-8], which[:, -8:]), rows)
    known = expected[rows, slots].isfinite()
    torch.testing.assert_close(together[known], found[known], atol=1e-4, rtol=1e-4)
