"""The benchmark of a training step.

What it counts, what it searches, and that its peers are as large as it states.
"""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import bench_train_step
import gene_batches
import peer_seq2seq
import pytest
import sweep_train_step
import torch
import train_step
from live_bytes import LiveBytes
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from genet5.config.model import ModelConfig, preset
from genet5.errors import ConfigError
from genet5.model.network import GeneT5
from genet5.train.telemetry.flops import Flops, batch_flops, training_flops
from genet5.train.telemetry.meter import window_sizes

CPU = torch.device("cpu")
SETTINGS = train_step.BenchConfig(precision="fp32")


def tiny(experts: int = 0) -> ModelConfig:
    part = {"layers": 2, "heads": 2, "ff_dim": 32}
    nano = preset("nano")
    return replace(
        nano,
        width=32,
        base_channels=8,
        sequence_vocab=gene_batches.VOCABULARY,
        encoder=replace(nano.encoder, **part),
        compressor=replace(nano.compressor, **part),
        decoder=replace(
            nano.decoder,
            cross_kv_heads=2,
            num_experts=experts,
            moe_top_k=min(2, experts) or 1,
            **part,
        ),
    )


@pytest.mark.parametrize("most", [1, 2, 3, 7, 8, 9, 30, 57, 64, 100, 127, 128])
def test_the_search_comes_within_an_eighth_of_what_fits(most: int) -> None:
    tried = []

    def fits(number: int) -> bool:
        tried.append(number)
        return number <= most

    found = bench_train_step.largest(fits, 128)
    assert found <= most
    assert most - found <= max(0, most // 8)
    assert len(tried) < 12
    assert max(tried) <= 128


def test_the_search_says_when_nothing_fits_and_stops_at_the_limit() -> None:
    assert bench_train_step.largest(lambda number: False, 128) == 0
    assert bench_train_step.largest(lambda number: True, 100) == 100
    assert bench_train_step.largest(lambda number: True, 1) == 1


def test_windows_hold_genes_and_micro_batches_have_no_padding_among_tokens() -> None:
    windows = gene_batches.gene_windows(3072, 5)
    batches = gene_batches.micro_batches(windows, 2)
    assert [len(batch.window_ids) for batch in batches] == [2, 2]
    sizes = [size for batch in batches for size in window_sizes(batch)]
    assert {(size.tokens, size.bases) for size in sizes} == {(512, 3072)}
    assert all(size.positions >= 2 for size in sizes)
    assert batches[0].inputs.input_ids.shape == (2, 512)


def test_micro_batches_for_a_gpu_are_pinned_and_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: asked.append(tensor) or tensor)
    batches = gene_batches.micro_batches(gene_batches.gene_windows(1536, 2), 1)
    pinned = bench_train_step.pinned(batches)
    assert len(asked) == 2
    assert all(
        torch.equal(a.targets.labels, b.targets.labels)
        for a, b in zip(pinned, batches, strict=True)
    )


def test_the_loop_trains_the_benchmarks_model_and_reports_its_experts_load() -> None:
    batches = gene_batches.micro_batches(gene_batches.gene_windows(1536, 2), 1)
    ours = train_step.make_ours(tiny(experts=4), SETTINGS, CPU, batches)
    before = ours.model.decoder.layers[0].feedforward.up.detach().clone()
    ours.step()
    ours.step()
    assert not torch.equal(ours.model.decoder.layers[0].feedforward.up, before)
    assert ours.figures()["expert_load_max"] >= 1
    each = [training_flops(batch_flops(tiny(experts=4), window_sizes(b))).total for b in batches]
    assert ours.flops.total == pytest.approx(sum(each) / 2, rel=1e-6)
    assert 1e12 * ours.more["padded_tflop"] >= 0.9 * ours.flops.total


def test_active_weights_leave_out_experts_that_a_token_does_not_use() -> None:
    dense, four = (GeneT5(tiny(experts)) for experts in (0, 4))
    router = 2 * 4 * 32
    bigger = sum(w.numel() for w in four.parameters()) - sum(w.numel() for w in dense.parameters())
    layer = 3 * 32 * 32
    assert bigger == 2 * 3 * layer + router
    assert train_step.active_parameters(dense) == sum(w.numel() for w in dense.parameters())
    assert (
        train_step.active_parameters(four)
        == train_step.active_parameters(dense) + 2 * layer + router
    )


@pytest.mark.parametrize("name", ["nano", "small", "dense300m", "base"])
def test_shapes_have_the_size_they_are_named_for(name: train_step.ShapeName) -> None:
    with torch.device("meta"):
        model = GeneT5(train_step.shape(name))
    wanted = {"nano": 6.6e6, "small": 63e6, "dense300m": 300e6, "base": 1.55e9}[name]
    assert sum(w.numel() for w in model.parameters()) == pytest.approx(wanted, rel=0.04)


@pytest.mark.slow
@pytest.mark.parametrize("peer", ["t5", "bart"])
@pytest.mark.parametrize("name", ["nano", "dense300m"])
def test_peers_have_as_many_weights_within_three_percent(
    peer: peer_seq2seq.PeerName, name: train_step.ShapeName
) -> None:
    pytest.importorskip("transformers", reason="needs the extra bench")
    config = train_step.shape(name)
    with torch.device("meta"):
        active = train_step.active_parameters(GeneT5(config))
        shape = peer_seq2seq.peer_shape(peer, config, active, 1024)
        found = sum(w.numel() for w in peer_seq2seq.make_peer(peer, shape).parameters())
    assert found == pytest.approx(active, rel=0.03)


def test_a_width_is_found_on_a_straight_line() -> None:
    assert peer_seq2seq.fit_ff_dim(lambda ff: 1000 + 6 * ff, 1000 + 6 * 320) == 320
    assert peer_seq2seq.fit_ff_dim(lambda ff: 1000 + 6 * ff, 10) == 64


@pytest.mark.slow
@pytest.mark.parametrize("peer", ["t5", "bart"])
def test_peers_flops_are_torchs_count_but_for_the_labels_after(
    peer: peer_seq2seq.PeerName,
) -> None:
    pytest.importorskip("transformers", reason="needs the extra bench")
    config = tiny()
    (batch,) = gene_batches.micro_batches(gene_batches.gene_windows(600, 1), 1)
    shape = peer_seq2seq.peer_shape(peer, config, 300_000, 200)
    model = peer_seq2seq.make_peer(peer, shape)
    given = peer_seq2seq.peer_inputs(batch, shape.vocab, CPU)
    source, target = given["input_ids"].shape[1], given["labels"].shape[1]
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(**given)
    sizes = replace(window_sizes(batch)[0], tokens=source, labels=target + 1)
    ours = peer_seq2seq.peer_flops(peer, shape, [sizes])
    unseen = 4 * (target * (target - 1) // 2) * shape.width * shape.decoder_layers
    assert isinstance(ours, Flops)
    assert counter.get_total_flops() == ours.total + unseen


def test_a_peer_learns_from_its_step() -> None:
    pytest.importorskip("transformers", reason="needs the extra bench")
    (batch,) = gene_batches.micro_batches(gene_batches.gene_windows(600, 1), 1)
    contender = train_step.make_peer("t5", tiny(), SETTINGS, CPU, [batch], 300_000)
    before = contender.model.shared.weight.detach().clone()
    contender.step()
    assert not torch.equal(contender.model.shared.weight, before)


def test_live_bytes_follow_tensors_until_they_are_freed() -> None:
    weight = torch.ones(100, 100, requires_grad=True)
    with LiveBytes() as live:
        x = torch.ones(100, 100)
        kept = (x @ weight).relu()
        part = kept[:50]
        del kept
        assert live.now == 2 * 40_000  # x and the base of `part`; the product is freed
        del x, part
    assert live.now == 0
    assert live.peak == 3 * 40_000


def test_a_row_tells_speed_from_processor_time_on_a_cpu() -> None:
    batches = gene_batches.micro_batches(gene_batches.gene_windows(600, 2), 1)
    ours = train_step.make_ours(tiny(), SETTINGS, CPU, batches)
    ours.step()
    found = train_step.row(ours, {"median_ms": 900.0, "cpu_ms": 500.0})
    assert found["tokens_per_s"] == 200
    assert found["bp_per_s"] == 1200
    assert found["padding_pct"] == pytest.approx(100 * 4 / 104, abs=0.01)
    assert found["tflop_per_s"] == pytest.approx(ours.flops.total / 0.5e12, abs=1e-4)
    other = {**found, "tokens_per_s": 100.0}
    for each in (found, other):
        bench_train_step.relate(each, found, 1e12, 2e12)
    assert (found["genet5_is_faster_by"], other["genet5_is_faster_by"]) == (1, 2)
    assert found["mfu_pct"] == pytest.approx(found["tflop_per_s"] * 100, abs=0.01)


def test_on_a_gpu_our_models_come_before_any_peer_and_on_a_cpu_small_ones_take_turns() -> None:
    settings = train_step.BenchConfig(presets=("nano", "dense300m"), peers=("t5",))
    jobs = [
        (job.preset, job.models) for job in bench_train_step.plan(settings, torch.device("cuda"))
    ]
    assert jobs == [
        ("nano", ("genet5",)),
        ("dense300m", ("genet5",)),
        ("nano", ("t5",)),
        ("dense300m", ("t5",)),
    ]
    jobs = [(job.preset, job.models) for job in bench_train_step.plan(settings, CPU)]
    assert jobs == [("nano", ("genet5", "t5")), ("dense300m", ("genet5",)), ("dense300m", ("t5",))]


def quicken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what takes seconds and matters on a GPU only.

    The compiler's import, and collecting garbage.
    """
    monkeypatch.setattr(torch.compiler, "reset", lambda: None)
    monkeypatch.setattr(bench_train_step, "free", lambda: None)


def test_what_runs_out_of_memory_gets_fewer_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def once(makers: Any, windows: Any, number: int, settings: Any, device: Any) -> Any:
        tried.append(number)
        if number > 9:
            raise torch.OutOfMemoryError("too large")
        return [{"model": name, "micro_batch": number} for name in makers]

    monkeypatch.setattr(bench_train_step, "measure_once", once)
    quicken(monkeypatch)
    found = bench_train_step.measure_group({"t5": None}, [], 20, SETTINGS, CPU)
    assert tried == [20, 15, 11, 8]
    assert found == [{"model": "t5", "micro_batch": 8}]


def test_auto_grows_the_micro_batch_of_one_model_until_memory_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made, tried = [], []

    def fake(config: Any, settings: Any, device: Any, batches: Any) -> Any:
        def step() -> None:
            tried.append(len(batches[0].window_ids))
            if tried[-1] > 13:
                raise torch.OutOfMemoryError("too large")

        made.append(settings.compile)
        return SimpleNamespace(step=step, model=torch.nn.Linear(1, 1))

    monkeypatch.setattr(bench_train_step, "make_ours", fake)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    quicken(monkeypatch)
    settings = train_step.BenchConfig(micro_batch="auto", window_bp=600, compile=True)
    cuda = torch.device("cuda")
    assert bench_train_step.choose_micro_batch("base", settings, cuda) == 13
    assert tried[:3] == [1, 8, 16]
    assert made == [False]


def test_auto_needs_a_device_whose_memory_ends() -> None:
    settings = train_step.BenchConfig(micro_batch="auto")
    with pytest.raises(ConfigError, match="needs CUDA; give a number of windows"):
        bench_train_step.choose_micro_batch("nano", settings, CPU)


@pytest.mark.slow
def test_what_memory_or_time_does_not_take_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_train_step.os, "sysconf", lambda name: 100_000)  # 10 GB
    settings = train_step.BenchConfig(presets=("base", "nano"), peers=("t5",))
    rows = list(bench_train_step.measured(settings, CPU, until=0.0))
    assert [(row["preset"], row["model"]) for row in rows] == [
        ("base", "genet5"),
        ("base", "t5"),
        ("nano", "genet5"),
        ("nano", "t5"),
    ]
    assert rows[0]["skipped"] == "weights, gradients and AdamW take 25 of this machine's 10 GB"
    assert rows[2]["skipped"] == "--limit_s was over"
    assert bench_train_step.line(rows[2]).startswith("| nano | genet5 | left out: --limit_s")


def test_every_sweep_changes_one_thing_and_keeps_the_bases() -> None:
    cases = sweep_train_step.cases()
    assert {case.question for case in cases} == {"window_bp", "latents", "experts"}
    for case in cases:
        assert sweep_train_step.BASES % case.window_bp == 0
        assert case.window_bp <= case.config.max_window_bp
    counts = [-(-6144 // c.config.compressor.bin_bp) for c in cases if c.question == "latents"]
    assert counts == [c.value for c in cases if c.question == "latents"] == [96, 192, 384, 768]
