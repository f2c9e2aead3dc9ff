"""The workflow for many genomes, run by Snakemake: what it would do, a small run, and again."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from genet5.cli import main

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("snakemake") is None,
        reason="needs snakemake: pip install 'genet5[workflow]'",
    ),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated genome in a folder whose name a shell would take apart, and its sheet."""
    folder = tmp_path_factory.mktemp("workflow")
    raw = "it's $(touch raw)"
    assert main(["simulate", str(folder / raw), "--length_bp", "6000", "--seed", "3"]) == 0
    (folder / "my sheet.tsv").write_text(
        "name\tfasta\tgenetic_code\treference\n"
        f"Toy one\t{raw}/genome.fa\t11\t{raw}/annotation.gff3\n"
    )
    (folder / "lineage").mkdir()
    (folder / "busco.tsv").write_text(
        f"name\tfasta\tgenetic_code\tlineage\nToy one\t{raw}/genome.fa\t11\tlineage\n"
    )
    return folder


def snakemake(
    root: Path, python: str, folder: Path, *words: str, sheet: str = "my sheet.tsv"
) -> subprocess.CompletedProcess[str]:
    """Run the workflow in a folder, with a Python's GeneT5."""
    command = [python, "-m", "genet5"]
    given = {"sheet": sheet, "results": "my results", "command": json.dumps(command)}
    return subprocess.run(
        [
            *(sys.executable, "-m", "snakemake", "--cores", "1", *words),
            *("--snakefile", str(root / "workflow" / "Snakefile")),
            *("--profile", str(root / "workflow" / "profiles" / "local")),
            *("--config", *(f"{name}={value}" for name, value in given.items())),
        ],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(root / "lib")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_dry_run_names_the_jobs_and_quotes_paths(root: Path, python: str, folder: Path) -> None:
    done = snakemake(root, python, folder, "--dry-run", sheet="busco.tsv")
    text = done.stdout + done.stderr
    assert done.returncode == 0, text
    assert "annotate 'it'\"'\"'s $(touch raw)/genome.fa' --output 'my results/Toy one/genes" in text
    assert "--lineage lineage --json 'my results/Toy one/busco.json'" in text
    for rule in ("annotate", "busco", "summary"):
        assert f"rule {rule}:" in text
    assert "rule evaluate:" not in text
    assert not (folder / "raw").exists()
    assert not (folder / "my results").exists()


def test_a_run_gives_genes_scores_table_and_report_and_the_next_does_only_what_is_missing(
    root: Path, python: str, folder: Path
) -> None:
    done = snakemake(root, python, folder)
    assert done.returncode == 0, done.stdout + done.stderr
    results = folder / "my results"
    assert (results / "Toy one" / "proteins.faa").is_file()
    with (results / "summary.tsv").open(newline="") as source:
        (row,) = csv.DictReader(source, delimiter="\t")
    assert (row["name"], row["contigs"], row["size_bp"]) == ("Toy one", "1", "6000")
    assert float(row["stop_f1"]) > 0.5
    assert "<svg" in (results / "report.html").read_text()
    assert not (folder / "raw").exists()
    (results / "summary.tsv").unlink()
    again = snakemake(root, python, folder, "--dry-run")
    text = again.stdout + again.stderr
    assert "rule summary:" in text
    assert "rule annotate:" not in text
