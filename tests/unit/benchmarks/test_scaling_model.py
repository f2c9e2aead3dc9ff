"""docs/explanation/scaling.md.

Its tables are what the script prints, and their model is plain arithmetic.
"""

from __future__ import annotations

import gene_batches
import pytest
import scaling_model
from scaling_model import MACHINES, Machine, duration, filled, state_bytes, step_seconds

from genet5.config.model import preset
from genet5.errors import FormatError
from genet5.train.telemetry.meter import window_sizes


@pytest.mark.slow
def test_the_page_holds_what_the_script_prints() -> None:
    page = scaling_model.PAGE.read_text(encoding="utf-8")
    assert filled(page, scaling_model.tables()) == page, "run benchmarks/scaling_model.py --write"


def test_tables_go_between_their_markers_and_nowhere_else() -> None:
    page = "a\n<!-- x -->\nold\n<!-- end -->\nb\n<!-- y -->\n<!-- end -->\n"
    assert filled(page, {"x": "new"}) == page.replace("old", "new")
    assert (
        filled(filled(page, {"x": "1", "y": "2"}), {"x": "", "y": ""}).count("\n")
        == page.count("\n") + 1
    )
    with pytest.raises(FormatError, match="no markers for the table 'z'"):
        filled(page, {"z": ""})


@pytest.mark.slow
def test_labels_of_a_window_are_those_of_the_benchmarks_windows() -> None:
    windows = gene_batches.gene_windows(scaling_model.WINDOW_BP, 64)
    sizes = window_sizes(gene_batches.micro_batches(windows, 64)[0])
    for name, value in (("labels", 47), ("positions", 14)):
        mean = sum(getattr(size, name) for size in sizes) / 64
        assert getattr(scaling_model, f"{name.upper()}_PER_WINDOW") == value
        assert mean == pytest.approx(value, rel=0.05)


def test_state_is_whole_with_ddp_and_shared_with_fsdp() -> None:
    assert state_bytes(1_000, 8, sharded=False) == 1_000 * (4 + 4 + 8 + 2)
    assert state_bytes(1_000, 8, sharded=True) == 1_000 * 16 / 8
    assert state_bytes(1_000, 8, sharded=True, adamw=2) == 1_000 * 10 / 8


def test_a_gpu_alone_waits_for_nobody() -> None:
    computed, waited = step_seconds(989e12 * 0.4, 10**9, 0.4, MACHINES[0])
    assert (computed, waited) == (pytest.approx(1), 0)


def test_communication_is_hidden_by_one_backward_pass() -> None:
    host = Machine("two", 2, 1e9)
    flops, weights = 989e12 * 0.5, 10**9  # computation 1 s; 8 GB / 2 in 4 s
    assert step_seconds(flops, weights, 0.5, host) == (pytest.approx(1), pytest.approx(4 - 2 / 3))
    assert step_seconds(flops, weights, 0.5, host, 3) == (
        pytest.approx(3),
        pytest.approx(4 - 2 / 3),
    )
    assert step_seconds(flops, 10**8, 0.5, host)[1] == 0


def test_the_model_of_base_agrees_with_six_flops_per_active_weight() -> None:
    config = preset("base")
    per_token = scaling_model.window_flops(config) / scaling_model.window_tokens(config)
    encoder = 12 * (4 * 768**2 + 3 * 768 * 3072)
    assert 6 * encoder < per_token < 6 * 1.6 * encoder
    assert scaling_model.parameters(config) == pytest.approx(1.55e9, rel=0.01)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1.5, "1.5 s"),
        (90, "90 s"),
        (600, "10 min"),
        (36_000, "10 h"),
        (259_200, "3 d"),
        (1.3e7, "150 d"),
    ],
)
def test_durations_have_two_figures(seconds: float, text: str) -> None:
    assert duration(seconds) == text
