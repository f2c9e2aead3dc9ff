"""A run from a configuration to its result, as a program calls it."""

from __future__ import annotations

import json
import logging
import math
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from genet5.annotate import calibrate
from genet5.annotate.annotator import Annotator
from genet5.annotate.calling_config import load_calling_config, save_calling_config
from genet5.api import train
from genet5.cli.flags import parse_flags
from genet5.config.calibrate import CalibrateConfig
from genet5.config.manifest import check_files, record_checksums
from genet5.config.parts import PartsConfig
from genet5.config.train import TrainConfig
from genet5.dataset.packed import PackedReader, PackedWriter
from genet5.errors import CheckpointError, ConfigError, DataError
from genet5.locks import FolderInUseError, locked_folder
from genet5.model.network import GeneT5
from genet5.model.resize import resize_model
from genet5.tokens.sequence import KmerTokenizer
from genet5.tokens.tokenizer_file import Tokenizer, tokenizer_hash
from genet5.train.distributed.processes import Ranks
from genet5.train.run import run_training, with_precision


def config_of(toy_run: Path, out: Path, **parts: Any) -> TrainConfig:
    """One step on one window, on a CPU."""
    config = TrainConfig(
        train=toy_run / "training.packed",
        val=toy_run / "validation.packed",
        out=out,
        base=toy_run / "base",
    )
    return replace(
        config,
        duration=replace(config.duration, max_steps=1),
        batch=replace(config.batch, batch_size=1, num_workers=0),
        validation=replace(config.validation, eval_batches=1, eval_windows=0),
        compute=replace(config.compute, device="cpu"),
        **parts,
    )


def state_of_the_program() -> tuple[Any, ...]:
    """What a run could leave in a notebook."""
    logger = logging.getLogger("genet5")
    return (
        signal.getsignal(signal.SIGINT),
        signal.getsignal(signal.SIGTERM),
        list(logger.handlers),
        logger.level,
        torch.are_deterministic_algorithms_enabled(),
        torch.get_float32_matmul_precision(),
        torch.distributed.is_initialized(),
    )


@pytest.mark.slow
def test_a_run_returns_where_its_files_are_and_leaves_the_program_as_it_was(
    toy_run: Path, tmp_path: Path
) -> None:
    before = state_of_the_program()
    config = config_of(toy_run, tmp_path / "out")
    result = run_training(replace(config, validation=replace(config.validation, eval_windows=2)))
    assert state_of_the_program() == before
    assert (result.reason, result.steps, result.rank) == ("finished", 1, 0)
    assert not result.is_interrupted
    rows = [json.loads(line) for line in result.metrics.read_text().splitlines()]
    (validation,) = [row for row in rows if row["kind"] == "validation"]
    assert result.best_loss == validation["loss"]
    assert 0 <= validation["gene_f1"] <= validation["stop_f1"] <= 1
    assert (result.out / "model.safetensors").exists()
    assert list(result.checkpoints.glob("step-*"))
    assert "the run is in" in (result.out / "finet.log").read_text()


@pytest.mark.slow
def test_a_run_that_fails_leaves_the_program_as_it_was(toy_run: Path, tmp_path: Path) -> None:
    before = state_of_the_program()
    run_training(config_of(toy_run, tmp_path / "out"))
    with pytest.raises(ConfigError, match="holds an earlier run"):
        run_training(config_of(toy_run, tmp_path / "out"))
    assert state_of_the_program() == before


def test_the_folder_of_another_model_is_no_place_for_a_run(toy_run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(toy_run / "base", other)
    with pytest.raises(ConfigError, match="holds a model that no run wrote"):
        run_training(config_of(toy_run, other))
    assert check_files(other)


def files_of(out: Path) -> list[str]:
    """Return the names below a folder; those of TensorBoard hold a time."""
    found = (str(path.relative_to(out)) for path in out.rglob("*"))
    return sorted("events" if "events" in name else name for name in found)


def overwriting(config: TrainConfig, **log_parts: Any) -> TrainConfig:
    keep = replace(config.checkpoints, overwrite=True)
    return replace(config, checkpoints=keep, log=replace(config.log, **log_parts))


@pytest.mark.slow
def test_an_overwritten_run_leaves_the_files_of_one_in_a_fresh_folder(
    toy_run: Path, tmp_path: Path
) -> None:
    """Whatever the first one, its calibration, its branches and killed writers left there."""
    pytest.importorskip("tensorboard")
    used, fresh = tmp_path / "used", tmp_path / "fresh"
    config = config_of(toy_run, used)
    train(replace(config, log=replace(config.log, memwatch=True, tensorboard=True)))
    for name in ("nonfinite.json", "wandb.json", "launch.json", "stacks-1.txt", "vocab.txt"):
        (used / name).write_text("{}")
    record_checksums(used, "vocab.txt")  # of a language model
    for name in ("best-7", "wandb", ".model.tmp", "checkpoints/aside-step-00000009"):
        (used / name).mkdir()
    calling = json.loads((used / "annotate.json").read_text())
    (used / "annotate.json").write_text(json.dumps(calling | {"min_score": 0.9}))
    (used / "notes.txt").write_text("mine")
    for out in (used, fresh):
        train(overwriting(replace(config, out=out)))
    (used / "notes.txt").unlink()  # what is the user's stays
    assert files_of(used) == files_of(fresh)
    ours, theirs = (load_file(out / "model.safetensors") for out in (used, fresh))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert (used / "annotate.json").read_text() == (fresh / "annotate.json").read_text()


def content(out: Path) -> dict[str, bytes]:
    return {str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*") if p.is_file()}


@pytest.mark.slow
def test_a_start_that_fails_leaves_out_as_it_was(
    toy_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(toy_run, tmp_path / "out")
    with monkeypatch.context() as without:
        without.setattr("genet5.train.telemetry.trackers.find_spec", lambda name: None)
        with pytest.raises(ConfigError, match="needs tensorboard"):
            train(overwriting(config, tensorboard=True))
    assert not config.out.exists()
    train(config)
    before = content(config.out)
    other = replace(config, base=tmp_path / "nowhere")
    for failing in (
        overwriting(other),
        replace(other, checkpoints=replace(config.checkpoints, resume=True)),
    ):
        with pytest.raises(CheckpointError, match="nowhere"):
            train(failing)
    checkpoint = next(result for result in (config.out / "checkpoints").iterdir())
    shard = next((checkpoint / "state").iterdir())
    shard.write_bytes(before[str(shard.relative_to(config.out))][:-50])
    with pytest.raises(CheckpointError):
        train(replace(config, checkpoints=replace(config.checkpoints, checkpoint=checkpoint)))
    shard.write_bytes(before[str(shard.relative_to(config.out))])
    assert content(config.out) == before


def test_two_runs_in_one_folder_are_refused(toy_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with locked_folder(out), pytest.raises(FolderInUseError, match=f"in use by pid {os.getpid()}"):
        train(config_of(toy_run, out))


@pytest.mark.slow
def test_a_checkpoint_is_a_model_everywhere(
    toy_run: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """So is the folder of a run that was killed before it had a model."""
    caplog.set_level(logging.INFO, "genet5")
    config = config_of(toy_run, tmp_path / "out")
    (whole := train(config)).checkpoints.rename(tmp_path / "checkpoints")  # of a run in tmp_path
    newest = next(path for path in (tmp_path / "checkpoints").iterdir())
    assert f"{tmp_path} holds no model yet" not in caplog.text
    ours, theirs = GeneT5.from_pretrained(tmp_path), GeneT5.from_pretrained(whole.out)
    assert f"{tmp_path} holds no model yet: its newest checkpoint is taken" in caplog.text
    assert all(torch.equal(ours.stored()[name], w) for name, w in theirs.stored().items())
    calling = [(path / "annotate.json").read_text() for path in (newest, whole.out)]
    assert calling[0] == calling[1]
    assert Annotator.load(newest, device="cpu").annotate("ACGT" * 200) is not None
    resize_model(newest, tmp_path / "resized")
    assert (tmp_path / "resized" / "annotate.json").read_text() == calling[0]
    again = train(replace(config, base=tmp_path, out=tmp_path / "again"))
    record = json.loads((again.out / "run.json").read_text())
    assert record["settings"]["base"] == str(newest)


def test_calibration_of_an_unfinished_run_is_its_checkpoints(
    toy_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = tmp_path / "checkpoints" / "step-00000001"
    shutil.copytree(toy_run / "base", checkpoint)

    def stop(config: CalibrateConfig, index: int) -> None:
        raise DataError("far enough")

    monkeypatch.setattr(calibrate, "annotate_and_label", stop)
    files = {"genomes": (tmp_path / "g.fa",), "references": (tmp_path / "g.gff3",)}
    with pytest.raises(DataError, match="far enough"):
        calibrate.calibrate_model(CalibrateConfig(model=tmp_path, work=tmp_path, **files))
    assert (checkpoint / "annotate.json").exists()


@pytest.mark.slow
def test_a_run_resumes_with_smaller_batches_after_its_memory_ran_out(
    toy_run: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = config_of(toy_run, tmp_path / "out")
    duration = replace(config.duration, max_steps=None, max_minutes=1e-9)
    batch = replace(config.batch, batch_size=None, token_budget=900, grad_accum=8)
    config = replace(config, duration=duration, batch=batch)
    assert train(config).reason == "max_minutes"
    config = replace(
        config,
        batch=replace(batch, token_budget=500, grad_accum=16),
        duration=replace(duration, max_minutes=None),
        checkpoints=replace(config.checkpoints, resume=True),
    )
    assert train(config).reason == "finished"
    assert "differs from the checkpoint's settings: token_budget: 900 -> 500" in caplog.text
    rows = [json.loads(line) for line in (config.out / "metrics.jsonl").read_text().splitlines()]
    epochs = [row["epoch"] for row in rows if row["kind"] == "train"]
    assert epochs == sorted(epochs)
    assert epochs[-1] == 1.0
    with pytest.raises(CheckpointError, match="--seed was"):
        train(replace(config, seed=5))


@pytest.mark.slow
def test_what_a_calibration_left_survives_a_resume(toy_run: Path, tmp_path: Path) -> None:
    config = config_of(toy_run, tmp_path / "out")
    train(config)
    calling = load_calling_config(config.out, 8192)
    save_calling_config(replace(calling, min_score=0.9), config.out)
    keep = replace(config.checkpoints, resume=True)
    train(replace(config, checkpoints=keep, duration=replace(config.duration, max_steps=2)))
    assert load_calling_config(config.out, 8192).min_score == 0.9
    assert check_files(config.out)


def test_a_base_that_holds_nan_is_refused_before_the_data_are_blamed(
    toy_run: Path, tmp_path: Path
) -> None:
    model = GeneT5.from_pretrained(toy_run / "base")
    with torch.no_grad():
        model.pointer.gate.bias.fill_(math.nan)
    shutil.copytree(toy_run / "base", tmp_path / "base")
    model.save_pretrained(tmp_path / "base")
    config = replace(config_of(toy_run, tmp_path / "out"), base=tmp_path / "base")
    with pytest.raises(CheckpointError, match=r"pointer.gate.bias holds NaN"):
        train(config)


def test_what_names_no_windows_to_skip_is_refused(toy_run: Path, tmp_path: Path) -> None:
    (tmp_path / "skip.json").write_text('{"windows": 3}')
    config = config_of(toy_run, tmp_path / "out")
    batch = replace(config.batch, skip_windows=tmp_path / "skip.json")
    with pytest.raises(DataError, match=r"skip.json: no list of windows; expected"):
        train(replace(config, batch=batch))


def test_compiling_without_a_compiler_is_refused_at_once(
    toy_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    config = config_of(toy_run, tmp_path / "out")
    with pytest.raises(ConfigError, match=r"compile = True: needs a compiler \(g\+\+ or"):
        train(replace(config, compute=replace(config.compute, compile=True)))


def test_train_and_val_swapped_or_the_same_are_refused(toy_run: Path, tmp_path: Path) -> None:
    config = config_of(toy_run, tmp_path / "out")
    for files in (
        {"train": config.val, "val": config.train},
        {"val": config.train},
        {"train": config.val},
    ):
        with pytest.raises(DataError, match="Are TRAIN and VAL swapped, or the same file"):
            train(replace(config, **files))


@pytest.mark.slow
def test_the_precision_in_use_is_recorded_and_a_change_is_reported(
    toy_run: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.INFO, "genet5")
    monkeypatch.setattr("genet5.model.precision.has_fast_bf16", lambda device: False)
    config = config_of(toy_run, tmp_path / "out")
    assert config.compute.precision == "auto"
    run_training(config)
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["settings"]["compute"]["precision"] == "fp32"
    assert caplog.text.count("precision: fp32 on cpu") == 1
    monkeypatch.setattr("genet5.model.precision.has_fast_bf16", lambda device: True)
    run_training(
        replace(
            config,
            checkpoints=replace(config.checkpoints, resume=True),
            duration=replace(config.duration, max_steps=2),
        )
    )
    assert "precision: 'fp32' -> 'bf16'" in caplog.text


@pytest.mark.slow
def test_a_run_with_adapters_resumes_exactly_and_leaves_a_plain_model(
    toy_run: Path, tmp_path: Path
) -> None:
    pytest.importorskip("peft", reason="the extra `lm` is not installed")

    def run(out: str, steps: int, **how: Any) -> dict[str, torch.Tensor]:
        config = config_of(toy_run, tmp_path / out, parts=PartsConfig(lora_rank=2))
        run_training(
            replace(
                config,
                duration=replace(config.duration, max_steps=steps),
                optim=replace(config.optim, lr=0.01, schedule="constant", warmup_ratio=0.0),
                checkpoints=replace(config.checkpoints, save_steps=1, **how),
                validation=replace(config.validation, export="last"),
            )
        )
        return load_file(tmp_path / out / "model.safetensors")

    whole = run("whole", 2)
    checkpoint = tmp_path / "whole" / "checkpoints" / "step-00000001"
    resumed = run("resumed", 2, checkpoint=checkpoint)
    base = GeneT5.from_pretrained(toy_run / "base").stored()
    assert whole.keys() == resumed.keys() == base.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    moved = {name for name in base if not torch.equal(whole[name], base[name])}
    assert moved
    assert all(".layers." in name for name in moved)
    last = tmp_path / "whole" / "checkpoints" / "step-00000002"
    read = GeneT5.from_pretrained(last).stored()
    assert all(torch.equal(read[name], whole[name]) for name in whole)


def test_a_mixed_in_file_of_another_tokenizer_is_refused_by_name(
    toy_run: Path, tmp_path: Path
) -> None:
    reader = PackedReader(toy_run / "training.packed")
    tokenizer = Tokenizer(KmerTokenizer(3))
    header = replace(
        reader.header, tokenizer=tokenizer.to_dict(), tokenizer_hash=tokenizer_hash(tokenizer)
    )
    other = tmp_path / "other.packed"
    with PackedWriter(other, header) as writer:
        for row in range(len(reader)):
            writer.write_row(reader.row(row))
    config = config_of(toy_run, tmp_path / "out")
    mixed = replace(config, batch=replace(config.batch, mix=(f"{other}=0.5",)))
    with pytest.raises(DataError, match=r"other\.packed.* kmer 3.* kmer 4"):
        run_training(mixed)
    assert not (tmp_path / "out" / "run.json").exists()


@pytest.mark.slow
def test_the_record_of_a_run_replays_it_exactly(toy_run: Path, tmp_path: Path) -> None:
    config = config_of(toy_run, tmp_path / "out", seed=3)
    run_training(replace(config, checkpoints=replace(config.checkpoints, overwrite=True)))
    words = [str(path) for path in (config.train, config.val, tmp_path / "again", config.base)]
    words += ["--config", str(tmp_path / "out" / "run.json")]
    replayed = parse_flags(TrainConfig, words, prog="finet", description="", has_file=True)
    assert replayed.seed == 3
    assert not replayed.checkpoints.overwrite
    run_training(replayed)
    first, again = (load_file(tmp_path / name / "model.safetensors") for name in ("out", "again"))
    assert first.keys() == again.keys()
    assert all(torch.equal(first[name], again[name]) for name in first)


@pytest.mark.parametrize(
    ("fast", "expected"), [([True, True], "bf16"), ([True, False], "fp32"), ([False], "fp32")]
)
def test_bf16_is_chosen_where_all_ranks_multiply_it_fast(
    toy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fast: list[bool], expected: str
) -> None:
    found = ["bf16" if is_fast else "fp32" for is_fast in fast]
    monkeypatch.setattr(Ranks, "gather", lambda self, value: found)
    config = toy.config(tmp_path, precision="auto")
    assert with_precision(config, Ranks()).compute.precision == expected


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_a_precision_that_is_named_stays(toy: Any, tmp_path: Path, precision: str) -> None:
    config = toy.config(tmp_path, precision=precision)
    assert with_precision(config, Ranks()) == config
