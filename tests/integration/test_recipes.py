"""The scripts in recipes/: their commands parse, and the one for a laptop runs at toy size."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from genet5.model.folders import SHIPPED
from pages import our_command, parse_only

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")

DRY_RUNS = (
    "laptop.sh --dry_run",
    "laptop.sh --toy --dry_run",
    "one_gpu.sh --dry_run",
    "adapt_to_clade.sh --toy --dry_run",
    "adapt_to_clade.sh --dry_run GCF_000005845.2 GCF_000006745.1 GCF_000195955.2",
    "train_prok.sh --dry_run",
    "train_fungi.sh --dry_run",
    "train_gpu.sh train --dry_run",
    "two_dgx_spark.sh 0 --dry_run",
    "two_dgx_spark.sh 1 --dry_run",
)
SPLITS = "taxon\tgenome\tcontigs\tsplit\nprokaryotes\tEscherichia_coli\t*\tvalid\n"


def call(root: Path, recipe: str, data: Path, **more: str) -> subprocess.CompletedProcess[str]:
    script, *flags = recipe.split()
    return subprocess.run(
        ["bash", str(root / "recipes" / script), *flags],
        env={**os.environ, "DATA": str(data), "PYTHON": sys.executable, **more},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("recipe", DRY_RUNS)
def test_a_recipes_commands_parse(
    root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, recipe: str
) -> None:
    (tmp_path / "splits.tsv").write_text(SPLITS)
    done = call(root, recipe, tmp_path)
    assert done.returncode == 0, done.stderr
    shown = [shlex.split(line)[1:] for line in done.stderr.splitlines() if line.startswith("+ ")]
    ours = [command for words in shown if (command := our_command(words))]
    assert ours or "dgx_spark.sh 1" in recipe
    for name, arguments in ours:
        assert parse_only(monkeypatch, name, arguments) is not None


@pytest.mark.parametrize(
    "recipe",
    [
        *("laptop.sh --fast", "one_gpu.sh x", "two_dgx_spark.sh 2", "train_prok.sh x"),
        *("adapt_to_clade.sh GCF_000005845.2", "adapt_to_clade.sh --fast"),
        *("train_gpu.sh", "train_gpu.sh x", "train_gpu.sh join", "train_gpu.sh train --fast"),
    ],
)
def test_a_wrong_flag_of_a_recipe_shows_its_usage(root: Path, tmp_path: Path, recipe: str) -> None:
    done = call(root, recipe, tmp_path)
    assert (done.returncode, done.stderr.startswith("usage: recipes/")) == (2, True)


@pytest.mark.slow
def test_the_laptop_recipe_goes_from_genomes_to_scores(
    root: Path, python: str, tmp_path: Path
) -> None:
    size = {"TOY_BP": "10000", "TOY_STEPS": "1", "TOY_TOKENS": "3000"}
    done = call(root, "laptop.sh --toy", tmp_path, PYTHON=python, **size)
    assert done.returncode == 0, done.stderr
    for name in ("model/laptop_toy/annotate.json", "logs/laptop_toy/scores.json"):
        assert (tmp_path / name).is_file(), name


@pytest.mark.slow
def test_the_recipe_for_a_clade_adapts_calibrates_and_scores(
    root: Path, python: str, tmp_path: Path
) -> None:
    """nano's scores are marked as its own until they are calibrated; its encoder stays."""
    size = {"TOY_BP": "30000", "TOY_STEPS": "1"}
    done = call(root, "adapt_to_clade.sh --toy", tmp_path, PYTHON=python, **size)
    assert done.returncode == 0, done.stderr
    assert "are of the model that its training started from" in done.stderr
    out = tmp_path / "model" / "adapted_toy"
    assert "scores_of_base" not in (out / "annotate.json").read_text()
    before, after = (load_file(folder / "model.safetensors") for folder in (SHIPPED / "nano", out))
    equal = {name: torch.equal(before[name].float(), after[name]) for name in before}
    assert all(equal[name] for name in equal if name.startswith(("encoder.", "stem.")))
    assert not all(equal.values())
    for name in ("base.json", "out.json"):
        assert (tmp_path / "logs" / "adapted_toy" / name).is_file(), name


def test_what_the_gpu_recipe_carries_there_and_brings_back(root: Path, tmp_path: Path) -> None:
    """Genomes of train and valid are packed; pieces of weights are joined in their order."""
    genome = tmp_path / "raw" / "prokaryotes" / "Escherichia_coli"
    genome.mkdir(parents=True)
    (genome / "genome.fa.gz").write_bytes(b"x")
    (tmp_path / "splits.tsv").write_text(SPLITS + "prokaryotes\tLeft_out\t*\ttest\n")
    work = tmp_path / "work"
    done = call(root, "train_gpu.sh pack", tmp_path, WORK=str(work))
    assert done.returncode == 0, done.stderr
    packed = work / "carry" / "raw" / "prokaryotes"
    assert [path.name for path in packed.iterdir()] == ["Escherichia_coli"]
    out = tmp_path / "out"
    out.mkdir()
    for name in ("config.json", "tokenizer.json"):
        (out / name).write_text("{}")
    for number, piece in enumerate((b"first ", b"second ", b"third")):
        (out / f"model.safetensors.{number:02d}").write_bytes(piece)
    done = call(root, f"train_gpu.sh join {out}", tmp_path, WORK=str(work))
    assert done.returncode == 0, done.stderr
    assert (work / "gpu" / "model.safetensors").read_bytes() == b"first second third"
    assert (work / "gpu" / "config.json").is_file()


def test_the_demo_of_language_models_calls_commands_that_parse(
    root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    genome = tmp_path / "out" / "genome" / "genome.fa"
    stub = tmp_path / "genet5"
    stub.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$*" >> {tmp_path}/calls\nmkdir -p {genome.parent}\n'
        f"printf '>one x\\n{'ACGT' * 300}\\n' > {genome}\n"
    )
    stub.chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", str(root / "recipes" / "demo_lm.sh"), str(tmp_path / "out")],
        env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "out" / "report.html") in done.stdout
    calls = [line.split() for line in (tmp_path / "calls").read_text().splitlines()]
    ours = [our_command(["genet5", *words]) for words in calls]
    assert [name for name, _ in ours if name] == [
        *("simulate", "lm_init", "lm_bake", "lm_pretrain", "lm_vep", "lm_embed", "lm_generate"),
    ]
    for name, arguments in ours:
        assert parse_only(monkeypatch, name, arguments) is not None
    variants = (tmp_path / "out" / "variants.vcf").read_text().splitlines()
    assert variants[2:4] == ["one\t1001\t.\tA\tG\t.\t.\t.", "one\t1003\t.\tG\tA\t.\t.\t."]
    assert len(variants) == 12
