"""The loading benchmark: its data, its peer, its figures."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from artificial_bake import bake_settings, write_genomes
from bench_loading import LEAD, Steps, packed_for, rows_of, summary
from bench_loading import BenchConfig as LoadingConfig
from gene_batches import gene_windows, micro_batches
from peer_loader import FastaBatches, place_of

from builders import tiny_config
from genet5.dataset.bake import bake
from genet5.dataset.collate import collate
from genet5.dataset.packed import PackedReader
from genet5.errors import DataError
from genet5.model.network import GeneT5
from genet5.tokens.tokenizer_file import load_tokenizer

CLADE_NAMES = ("prokaryotes", "unicellular", "invertebrates", "vertebrates", "plants")


@pytest.fixture(scope="module")
def baked(tmp_path_factory):
    """Settings of a bake of five artificial genomes."""
    folder = tmp_path_factory.mktemp("loading")
    settings = bake_settings(
        "nano", write_genomes(folder / "raw", mbp=0.04, seed=1), folder / "out"
    )
    bake(settings)
    return settings


@pytest.mark.slow
def test_the_artificial_data_have_five_clades_and_three_lengths(baked) -> None:
    windows = list(PackedReader(baked.output_dir / "training.packed").windows())
    assert {window.clade for window in windows} == set(CLADE_NAMES)
    assert max(len(window.bases) for window in windows if window.clade == "prokaryotes") == 4096
    assert {4096, 6144, 8192} <= {len(window.bases) for window in windows}


def test_the_peer_gives_the_tensors_that_the_loader_gives(baked, tmp_path: Path) -> None:
    windows = list(PackedReader(baked.output_dir / "training.packed").windows())[:60]
    tokenizer = load_tokenizer(baked.tokenizer)
    peer = FastaBatches(baked, tmp_path, [[*map(place_of, windows)]], tokenizer)
    ours, other = collate(windows, tokenizer.structure), peer[0]
    assert len(peer) == 1
    assert ours.window_ids == other.window_ids
    assert torch.equal(ours.inputs.input_ids, other.inputs.input_ids)
    assert torch.equal(ours.inputs.bases, other.inputs.bases)
    assert torch.equal(ours.targets.labels, other.targets.labels)
    assert torch.equal(ours.targets.states, other.targets.states)


def test_too_little_data_are_refused(baked) -> None:
    with pytest.raises(DataError, match="--mbp"):
        rows_of(baked.output_dir / "training.packed", 1000)


def test_each_preset_gets_windows_that_it_reads(baked, tmp_path: Path) -> None:
    settings = LoadingConfig()
    path = packed_for("nano", settings, baked, baked.raw_dir, tmp_path)
    assert path == tmp_path / "nano" / "training.packed"
    assert PackedReader(path).row_sizes().longest_tokens.max() <= 8192 // 6 + 1
    assert packed_for("base", settings, baked, baked.raw_dir, tmp_path).parent == baked.output_dir


@pytest.mark.slow
def test_steps_train_on_what_they_are_given_after_the_lead() -> None:
    model = GeneT5(
        tiny_config(
            sequence_vocab=4100,
            encoder={"positions": "alibi", "norm_first": False},
            compressor={"bin_bp": 32},
            decoder={"cross_kv_heads": 2},
        )
    )
    model.init_weights()
    before = model.token_head.weight.detach().clone()
    batches = micro_batches(gene_windows(1500, LEAD + 2), 1)
    left = iter([(batch, batch) for batch in batches])
    wall, work = Steps(model, torch.device("cpu")).timed(left, 1, move=False)
    assert wall > 0
    assert work > 0
    assert len(list(left)) == 1
    assert not torch.equal(model.token_head.weight, before)


def test_a_ratio_is_the_median_of_the_rounds_ratios() -> None:
    batch = micro_batches(gene_windows(1500, 1), 1)[0]
    rounds = {
        "loader": [(1.1, 1.0), (2.2, 1.0), (9.0, 1.0)],
        "synthetic": [(1.0, 1.0), (2.0, 1.0), (3.0, 1.0)],
    }
    row = summary("nano", rounds, 10, [(batch, batch)] * (LEAD + 1))
    assert row["ratio"] == pytest.approx(1.1)
    assert row["loader"]["step_ms"] == 220
    assert row["loader"]["rounds_cpu_ms"] == [100, 100, 100]
    assert row["synthetic"]["steps_per_s"] == 5
    assert row["padded_tokens"] == batch.inputs.input_ids.numel()
