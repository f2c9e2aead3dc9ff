"""Fine-tuning and predicting: what is chosen and how, folds, grids, resuming, two ranks."""

from __future__ import annotations

import csv
import gc
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers.modeling_outputs import SequenceClassifierOutput

from genet5.cli import main
from genet5.config.lm.finetune import (
    ExamplesConfig,
    FinetuneComputeConfig,
    FinetuneOptimConfig,
    FinetuneRunConfig,
    LmFinetuneConfig,
    LoraConfig,
    SearchConfig,
    TaskConfig,
)
from genet5.errors import ConfigError, DataError
from genet5.lm.finetune import finetune, fold_of, with_step_size
from genet5.lm.trainer import task_loss
from lm_toys import random_dna, tiny_lm
from ranks import run_ranks

MULTI, VALUES = "multi_label_classification", "regression"
LABELS = {
    "single_label_classification": lambda gc: ["poor", "rich"][gc],
    MULTI: lambda gc: ["at", "at;gc"][gc],
    VALUES: lambda gc: [-1.0, 2.0][gc],
}


def write_task(path: Path, kind: str = "single_label_classification", number: int = 24) -> Path:
    """Sequences with many or few G and C."""
    lines = ["sequence,label,split"]
    for index in range(number):
        text, gc = random_dna(18 + index % 5, index), index % 2
        text = text.replace("A", "G") if gc else text.replace("G", "A")
        split = ["train", "train", "valid", "test"][index // 2 % 4]
        lines.append(f"{text},{LABELS[kind](gc)},{split}")
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Trainer collects garbage after each run, which takes longer than the run."""
    monkeypatch.setattr(gc, "collect", lambda *_: 0)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    tiny_lm().save(folder)
    return folder


def config(base: Path, folder: Path, *, name: str = "out", **how) -> LmFinetuneConfig:
    kind = how.pop("kind", "single_label_classification")
    optim = {"lr": 3e-3, "batch_size": 4, "epochs": 2.0, **how.pop("optim", {})}
    return LmFinetuneConfig(
        model=str(base),
        data=str(write_task(folder / f"{kind}.csv", kind)),
        out=folder / name,
        task=how.pop("task", TaskConfig(problem_type=kind)),
        optim=FinetuneOptimConfig(**optim),
        compute=FinetuneComputeConfig(device="cpu", **how.pop("compute", {})),
        run=FinetuneRunConfig(**how.pop("run", {})),
        **how,
    )


def weights(out: Path) -> dict[str, torch.Tensor]:
    return load_file(out / "best_model" / "model.safetensors")


def history(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "metric", "best"),
    [
        ("single_label_classification", "mcc", max),
        (MULTI, "f1_max", max),
        (VALUES, "mse", min),
    ],
)
def test_the_main_metric_chooses_the_best_step_in_its_direction(
    base: Path, tmp_path: Path, kind: str, metric: str, best
) -> None:
    task = TaskConfig(problem_type=kind, main_metric=metric)
    found = finetune(config(base, tmp_path, kind=kind, task=task, optim={"eval_steps": 2}))
    values = [row[f"eval_{metric}"] for row in history(tmp_path / "out")[:-1]
              if f"eval_{metric}" in row]  # fmt: skip
    assert len(values) >= 3
    assert found["valid"][metric] == pytest.approx(best(values), abs=1e-6)
    assert found["test"]["sequences"] == 6


@pytest.mark.slow
def test_a_plateau_of_the_main_metric_lowers_the_rate_and_ends_training(
    base: Path, tmp_path: Path
) -> None:
    how = {"lr": 1e-6, "epochs": 9.0, "early_stopping": 4, "batch_size": 12}
    finetune(config(base, tmp_path, optim=how, run={"log_every_steps": 1}))
    rows = history(tmp_path / "out")
    rates = [row["learning_rate"] for row in rows if "learning_rate" in row]
    assert min(rates) == pytest.approx(5e-7)
    assert max(row["epoch"] for row in rows) == 5  # the first validation and four without gain


@pytest.mark.slow
def test_accumulated_batches_train_as_one_batch_does(base: Path, tmp_path: Path) -> None:
    how = {"max_steps": 2, "weight_decay": 0.0, "schedule": "constant", "max_grad_norm": 100.0}
    for name, size, accumulated in (("one", 4, 1), ("many", 1, 4)):
        each = {**how, "batch_size": size, "grad_accum": accumulated}
        finetune(config(base, tmp_path, name=name, kind=VALUES, optim=each))
    one, many = weights(tmp_path / "one"), weights(tmp_path / "many")
    for name, weight in one.items():
        torch.testing.assert_close(weight, many[name], atol=2e-5, rtol=1e-3)


@pytest.mark.parametrize("kind", list(LABELS))
def test_the_losses_of_parts_sum_to_that_of_the_whole(kind: str) -> None:
    logits = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 1, 2, 2, 1, 0, 0, 1])
    if kind != "single_label_classification":
        labels = torch.nn.functional.one_hot(labels, 3).float()
    output = SequenceClassifierOutput
    whole = task_loss(kind, output(logits=logits), labels)
    parts = [
        task_loss(kind, output(logits=each), label, labels.numel())
        for each, label in zip(logits.split(2), labels.split(2), strict=True)
    ]
    torch.testing.assert_close(sum(parts), whole)
    usual = {MULTI: "binary_cross_entropy_with_logits", VALUES: "mse_loss"}
    mean = getattr(torch.nn.functional, usual.get(kind, "cross_entropy"))
    torch.testing.assert_close(whole, mean(logits, labels))


@pytest.mark.slow
def test_a_resumed_run_equals_an_uninterrupted_one(base: Path, tmp_path: Path) -> None:
    optim = {"epochs": 2.0, "schedule": "constant", "eval_steps": 2}
    finetune(config(base, tmp_path, name="whole", optim=optim))
    part = config(base, tmp_path, name="parts", optim=optim)
    finetune(replace(part, optim=replace(part.optim, max_steps=2)))
    (tmp_path / "parts" / "valid.json").unlink()
    finetune(replace(part, run=FinetuneRunConfig(resume=True)))
    whole, parts = (
        [(row["step"], row["eval_loss"]) for row in history(tmp_path / name) if "eval_loss" in row]
        for name in ("whole", "parts")
    )
    assert whole == parts


def test_folds_are_disjoint_seeded_and_cover_all_rows() -> None:
    folds = [fold_of(10, 3, fold, 7) for fold in range(3)]
    assert sorted(row for _, valid in folds for row in valid) == list(range(10))
    assert all(set(train).isdisjoint(valid) for train, valid in folds)
    assert folds[1] == fold_of(10, 3, 1, 7) != fold_of(10, 3, 1, 8)
    with pytest.raises(DataError, match="2 training sequences; expected at least 3"):
        fold_of(2, 3, 0, 7)


@pytest.mark.slow
def test_all_folds_are_trained_though_a_class_is_missing_in_some(
    base: Path, tmp_path: Path
) -> None:
    lines = [f"{random_dna(16, n)},{'rare' if n == 0 else 'ab'[n % 2]}" for n in range(9)]
    (tmp_path / "t.csv").write_text("\n".join(["seq,label", *lines]))
    (tmp_path / "test.csv").write_text(f"seq,label\n{random_dna(16)},rare\nACGTAC,b\n")
    how = config(base, tmp_path, optim={"max_steps": 1})
    found = finetune(replace(
        how, data=str(tmp_path / "t.csv"), test=tmp_path / "test.csv",
        search=SearchConfig(num_folds=3, all_folds=True),
    ))  # fmt: skip
    assert len(found["folds"]["valid"]) == 3
    assert found["test"]["classes"] == ["a", "b", "rare"]
    assert set(found["valid_over_folds"]) >= {"mcc", "accuracy"}


@pytest.mark.slow
def test_a_grid_is_chosen_from_by_validation_data(base: Path, tmp_path: Path) -> None:
    search = SearchConfig(grid=True, grid_lr=(1e-9, 1e-2), grid_batch=(4, 8))
    task = TaskConfig(problem_type=VALUES)
    found = finetune(
        config(base, tmp_path, kind=VALUES, task=task, search=search, optim={"max_steps": 1})
    )
    with (tmp_path / "out" / "grid.tsv").open() as lines:
        rows = list(csv.DictReader(lines, delimiter="\t"))
    assert [(row["lr"], row["batch"]) for row in rows] == [
        ("1e-09", "4"), ("1e-09", "8"), ("0.01", "4"), ("0.01", "8"),
    ]  # fmt: skip
    (chosen,) = (row for row in rows if row["chosen"] == "True")
    assert float(chosen["mse"]) == min(float(row["mse"]) for row in rows)
    assert found["valid"]["mse"] == pytest.approx(float(chosen["mse"]))
    assert found["lr"] == float(chosen["lr"]) == 1e-2
    assert "mse" in found["test"]


def test_the_grids_batch_is_reached_by_accumulation(base: Path, tmp_path: Path) -> None:
    how = config(base, tmp_path)
    assert with_step_size(how, 12).optim.grad_accum == 3
    assert with_step_size(how, 2).optim.batch_size == 2
    with pytest.raises(ConfigError, match="must be a multiple"):
        with_step_size(how, 6)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["lora", "freeze"])
def test_what_is_not_trained_stays_as_it_was(base: Path, tmp_path: Path, how: str) -> None:
    lora = LoraConfig(lora_rank=2, lora_targets=("q_proj",)) if how == "lora" else LoraConfig()
    compute = {"gradient_checkpointing": how == "lora"}
    finetune(config(base, tmp_path, freeze=how == "freeze", lora=lora, compute=compute))
    before = load_file(base / "model.safetensors")
    changed = {
        name
        for name, weight in weights(tmp_path / "out").items()
        if name in before and not torch.allclose(weight, before[name], atol=1e-7)
    }
    assert all("q_proj" in name for name in changed)
    assert bool(changed) == (how == "lora")


def test_random_weights_are_a_control(base: Path, tmp_path: Path) -> None:
    finetune(config(base, tmp_path, from_scratch=True, optim={"max_steps": 1}))
    name = "model.layers.0.self_attn.q_proj.weight"
    before = load_file(base / "model.safetensors")[name]
    assert weights(tmp_path / "out")[name].std() < 0.5 * before.std()


def test_an_earlier_run_is_not_replaced_unasked(base: Path, tmp_path: Path) -> None:
    (tmp_path / "out" / "checkpoints").mkdir(parents=True)
    with pytest.raises(ConfigError, match="--overwrite deletes it"):
        finetune(config(base, tmp_path))


def test_settings_of_a_file_may_not_contradict_flags(base: Path, tmp_path: Path) -> None:
    path = tmp_path / "more.yaml"
    for text, message in (("learning_rate: 1", "is set by a flag"), ("lrr: 1", "is no setting")):
        path.write_text(text)
        with pytest.raises(ConfigError, match=message):
            finetune(config(base, tmp_path, name=text[:3], compute={"trainer_config": path}))


def test_the_main_metric_must_be_defined(base: Path, tmp_path: Path) -> None:
    rows = [f"{random_dna(12, n)},{'ab'[n % 2]},train" for n in range(4)]
    (tmp_path / "t.csv").write_text("\n".join(["seq,label,split", *rows, "ACGT,a,valid"]))
    how = config(base, tmp_path, task=TaskConfig(main_metric="auroc"), optim={"max_steps": 1})
    with pytest.raises(DataError, match="auroc is not defined on the validation data"):
        finetune(replace(how, data=str(tmp_path / "t.csv")))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_missing_is_named(base: Path, tmp_path: Path) -> None:
    how = config(base, tmp_path)
    with pytest.raises(ConfigError, match="needs a GPU, and there is none"):
        finetune(replace(how, compute=FinetuneComputeConfig(device="cuda")))


@pytest.mark.parametrize(("found", "rule"), [(None, "is not installed"), (1, "needs a launcher")])
def test_deepspeed_without_package_or_launcher_is_refused(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found, rule: str
) -> None:
    monkeypatch.setattr("genet5.lm.trainer.find_spec", lambda _: found)
    monkeypatch.delenv("RANK", raising=False)
    (tmp_path / "ds.json").write_text("{}")
    how = {"parallel": "deepspeed", "deepspeed_config": tmp_path / "ds.json"}
    with pytest.raises(ConfigError, match=rule):
        finetune(config(base, tmp_path, compute=how))


def test_labels_that_are_missing_are_counted(base: Path, tmp_path: Path) -> None:
    how = config(base, tmp_path)
    with pytest.raises(DataError, match="12 of 12 training sequences without a label"):
        finetune(replace(how, examples=ExamplesConfig(label_column=("class",))))


@pytest.mark.slow
def test_the_commands_train_and_predict(base: Path, tmp_path: Path, capsys) -> None:
    data = write_task(tmp_path / "t.csv")
    words = ["--lr", "0.01", "--batch_size", "4", "--epochs", "4", "--device", "cpu"]
    assert main(["lm", "finetune", str(base), str(data), str(tmp_path / "out"), *words]) == 0
    assert "mcc" in capsys.readouterr().out
    best, made = tmp_path / "out" / "best_model", tmp_path / "made.tsv"
    metrics = tmp_path / "m.json"
    places = [str(best), str(data), "-o", str(made), "--metrics", str(metrics)]
    assert main(["lm", "predict", *places]) == 0
    with made.open() as lines:
        rows = list(csv.DictReader(lines, delimiter="\t"))
    assert list(rows[0]) == ["name", "label", "prediction", "p_poor", "p_rich"]
    right = np.mean([row["label"] == row["prediction"] for row in rows])
    assert json.loads(metrics.read_text())["accuracy"] == pytest.approx(right)
    assert right > 0.9
    for row in rows:
        assert float(row["p_poor"]) + float(row["p_rich"]) == pytest.approx(1, abs=1e-6)


@pytest.mark.slow
def test_both_strands_are_averaged_and_batches_do_not_matter(base: Path, tmp_path: Path) -> None:
    finetune(config(base, tmp_path, optim={"max_steps": 2}))
    (tmp_path / "s.fa").write_text(">x\nAACAGGT\n>y\nACCTGTT\n>z\nCCCCCCCCCCCCCC\n")
    found = {}
    ways = {"one": ["--batch_tokens", "1"], "both": ["--strand", "both"], "": []}
    for name, words in ways.items():
        out = tmp_path / f"p{name}.csv"
        places = [str(tmp_path / "out" / "best_model"), str(tmp_path / "s.fa"), "-o", str(out)]
        assert main(["lm", "predict", *places, *words]) == 0
        with out.open() as lines:
            found[name] = [float(row["p_rich"]) for row in csv.DictReader(lines)]
    assert found["one"] == pytest.approx(found[""], abs=1e-6)
    assert found["both"][0] == pytest.approx((found[""][0] + found[""][1]) / 2, abs=1e-6)


@pytest.mark.slow
def test_two_ranks_train_as_one_process_does(base: Path, tmp_path: Path, python: str) -> None:
    finetune(config(base, tmp_path, name="one", optim={"max_steps": 3, "batch_size": 4}))
    script = Path(__file__).with_name("finetune_rank.py")
    data = tmp_path / "single_label_classification.csv"
    run_ranks(python, 2, script, base, data, tmp_path / "two")
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    for name, weight in one.items():
        torch.testing.assert_close(weight, two[name], atol=5e-5, rtol=1e-2)
