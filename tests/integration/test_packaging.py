"""The source distribution and the wheel: what they hold; both work without the checkout."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

NOT_SOURCE = ("*.egg-info", "__pycache__", "build", "dist", "demo", "toy", ".*")


@pytest.fixture(scope="module")
def dist(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source distribution and the wheel that was built from it."""
    pytest.importorskip("build", reason="needs the package build")
    folder = tmp_path_factory.mktemp("packaging")
    source, out = folder / "source", folder / "dist"
    shutil.copytree(root, source, ignore=_without_products)
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, source)
    return out


@pytest.fixture(scope="module")
def site(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel in a folder of its own; what it needs comes from the tests' environment."""
    site = tmp_path_factory.mktemp("installed")
    wheel = next(dist.glob("*.whl"))
    pip = [sys.executable, "-m", "pip", "install", "-qq", "--no-compile"]
    run(*pip, "--no-deps", "--no-index", "--target", site, wheel)
    return site


def _without_products(folder: str, names: list[str]) -> set[str]:
    return set(shutil.ignore_patterns(*NOT_SOURCE)(folder, names)) - {".ci"}


def run(*words: str | Path, site: Path | None = None, cwd: Path | None = None) -> str:
    """Run a command, with a folder before all that Python would import; return its output."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if site is not None:
        environment["PYTHONPATH"] = str(site)
    done = subprocess.run(
        list(map(str, words)), env=environment, cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def metadata_of(dist: Path) -> Message:
    wheel = next(dist.glob("*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith("METADATA"))
        return Parser().parsestr(archive.read(name).decode())


def test_wheel_holds_the_package_the_model_and_the_licence_and_nothing_else(
    root: Path, dist: Path
) -> None:
    with zipfile.ZipFile(next(dist.glob("*.whl"))) as archive:
        names = set(archive.namelist())
    package = {name for name in names if ".dist-info/" not in name}
    source = root / "lib"
    modules = {str(path.relative_to(source)) for path in source.glob("genet5/**/*.py")}
    models = source / "genet5" / "models"
    igv = source / "genet5" / "view" / "igv"
    shipped = {str(path.relative_to(source)) for path in (*models.glob("*/*"), *igv.iterdir())}
    assert package == modules | shipped | {"genet5/py.typed"}
    assert any(name.endswith("/licenses/LICENSE") for name in names)


def test_source_distribution_holds_what_the_tests_need(dist: Path) -> None:
    with tarfile.open(next(dist.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"Makefile", "constraints.txt", "LICENSE", "tests/conftest.py", "bin/annotate"} <= names
    assert not any("__pycache__" in name or name.startswith(".git/") for name in names)


def test_metadata_name_the_licence_and_its_authors(dist: Path) -> None:
    metadata = metadata_of(dist)
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Author"] == "the GeneT5 authors"


def test_the_licence_is_that_of_the_metadata(root: Path) -> None:
    text = (root / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License\n                           Version 2.0" in text
    assert "Copyright 2026 the GeneT5 authors" in text


def test_an_installed_wheel_annotates_without_the_checkout(site: Path, tmp_path: Path) -> None:
    command = site / "bin" / "genet5"
    run(command, "simulate", tmp_path / "genome", "--length_bp", "8000", site=site, cwd=tmp_path)
    genome, genes = tmp_path / "genome" / "genome.fa", tmp_path / "genes.gff3"
    words = ("annotate", genome, "-o", genes, "--adapt", "off")  # else numba compiles anew
    run(command, *words, site=site, cwd=tmp_path)
    assert "\tCDS\t" in genes.read_text(encoding="utf-8")


def test_an_installed_wheel_is_what_python_imports(site: Path, tmp_path: Path) -> None:
    code = "import genet5; print(genet5.__file__, genet5.__version__)"
    path, version = run(sys.executable, "-c", code, site=site, cwd=tmp_path).split()
    assert Path(path).is_relative_to(site)
    assert version == importlib.metadata.version("genet5")
