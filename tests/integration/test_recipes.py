"""The scripts in recipes/: their commands parse, and the one for a laptop runs at toy size."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pages import our_command, parse_only

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")

DRY_RUNS = (
    "laptop.sh --dry_run",
    "laptop.sh --toy --dry_run",
    "one_gpu.sh --dry_run",
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


@pytest.mark.parametrize("recipe", ["laptop.sh --fast", "one_gpu.sh x", "two_dgx_spark.sh 2"])
def test_a_wrong_flag_of_a_recipe_shows_its_usage(root: Path, tmp_path: Path, recipe: str) -> None:
    done = call(root, recipe, tmp_path)
    assert (done.returncode, done.stderr.startswith("usage: recipes/")) == (2, True)


@pytest.mark.slow
def test_the_laptop_recipe_goes_from_genomes_to_scores(root: Path, tmp_path: Path) -> None:
    done = call(root, "laptop.sh --toy", tmp_path, TOY_BP="20000", TOY_STEPS="1")
    assert done.returncode == 0, done.stderr
    for name in ("model/laptop_toy/annotate.json", "logs/laptop_toy/scores.json"):
        assert (tmp_path / name).is_file(), name
