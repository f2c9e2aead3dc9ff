"""The decoding benchmark: the cache, the grammar, the peer and the rows it gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from bench_decode import (
    BenchConfig,
    Writer,
    choose_windows,
    make_models,
    measure_batch,
    peer_contender,
    places_of,
    require_equal,
)

from genet5.errors import ConfigError

SMALL = BenchConfig(batch_sizes=(1, 2), window_bp=2400, labels=10, rounds=1, presets=("nano",))
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def made():
    """Windows, a model and its peers."""
    torch.manual_seed(0)
    return choose_windows(SMALL), *make_models(SMALL, "nano", CPU)


def test_places_are_those_named_last() -> None:
    labels = np.array([[5, -4, 7, -1, 2], [3, 3, 3, 3, -9]])
    assert places_of(labels).tolist() == [[0, 3, 3, 0, 0], [0, 0, 0, 0, 8]]


@pytest.mark.slow
def test_windows_have_as_many_labels_as_are_written(made) -> None:
    windows = made[0]
    assert len(windows) == 2
    assert all(len(window.labels) >= 10 for window in windows)
    with pytest.raises(ConfigError, match="labels"):
        choose_windows(BenchConfig(window_bp=2400, labels=500))


@pytest.mark.slow
def test_with_and_without_the_cache_the_same_is_computed(made) -> None:
    windows, model, _ = made
    with torch.inference_mode():
        writer = Writer(model, windows, 10)
        assert require_equal(writer) < 1e-4
        assert len(writer.cached()) == 9
        assert not torch.equal(writer.cached()[3][0], writer.cached()[3][1])
        at_once = writer.at_once(writer.grammar())
        torch.testing.assert_close(at_once, torch.stack(writer.cached(), 1), atol=1e-4, rtol=0)


@pytest.mark.slow
def test_the_true_labels_are_legal_at_every_step(made) -> None:
    windows, model, _ = made
    with torch.inference_mode():
        writer = Writer(model, windows, 10)
        grammar = writer.grammar()
        writer.cached(grammar)
    assert not grammar.finished.any()
    assert grammar.prompt[0] == windows[0].labels[:2].tolist()


@pytest.mark.slow
def test_a_peer_writes_as_many_tokens(made) -> None:
    windows, model, peers = made
    with torch.inference_mode():
        writer = Writer(model, windows, 10)
        assert peer_contender(peers["t5"], writer)().shape == (2, 10)
        assert sum(weight.numel() for weight in peers["bart"].parameters()) == pytest.approx(
            sum(weight.numel() for weight in model.parameters()), rel=0.05
        )


@pytest.mark.slow
def test_rows_tell_speed_and_what_the_grammar_costs(made) -> None:
    windows, model, _ = made
    rows = {row["contender"]: row for row in measure_batch(SMALL, model, {}, windows, CPU)}
    names = {"genet5", "genet5 with grammar", "genet5 in one pass", "genet5 without cache"}
    assert names <= set(rows)
    ours = rows["genet5"]
    assert ours["ratio"] == 1
    assert ours["labels_per_s"] == pytest.approx(1000 * 9 * 2 / ours["cpu_ms"], rel=0.01)
    assert "grammar_ms_a_step" in rows["genet5 with grammar"]
