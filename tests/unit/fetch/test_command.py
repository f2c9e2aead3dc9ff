"""The command against a small NCBI: a simulated bacterium is downloaded, baked and annotated."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from bakes import read_genome
from genet5.cli.fetch import main
from genet5.dataset.sources import find_sources
from genet5.genome.io.gff3 import read_gff3

ACCESSION = "GCF_000027325.1"


@pytest.fixture
def simulated(tmp_path: Path) -> Path:
    from genet5.cli.simulate import main as simulate

    folder = tmp_path / "simulated"
    assert simulate([str(folder), "--length_bp", "20000"]) == 0
    return folder


@pytest.fixture
def words(ncbi: Any, simulated: Path, tmp_path: Path) -> list[str]:
    """The command's arguments for the simulated bacterium."""
    fasta, gff = (simulated / name for name in ("genome.fa", "annotation.gff3"))
    ncbi.add_assembly(ACCESSION, "ASM2732v1", fasta.read_bytes(), gff.read_bytes())
    server = ["--eutils_url", f"{ncbi.url}/entrez/eutils", "--genomes_url", ncbi.url]
    return [ACCESSION, "-o", str(tmp_path / "raw"), *server]


@pytest.fixture
def folder(words: list[str], capfd: pytest.CaptureFixture[str]) -> Path:
    assert main(words) == 0
    return Path(capfd.readouterr().out.strip())


def test_what_comes_is_what_was_there(folder: Path, simulated: Path, tmp_path: Path) -> None:
    assert folder.parent == tmp_path / "raw" / "prokaryotes"
    theirs = read_genome(simulated / "genome.fa")
    ours = read_genome(folder / "genome.fa.gz")
    assert {n: c.bases.tobytes() for n, c in ours.items()} == {
        n: c.bases.tobytes() for n, c in theirs.items()
    }
    assert read_gff3(folder / "annotation.gff3.gz") == read_gff3(simulated / "annotation.gff3")


@pytest.mark.slow
def test_bake_takes_the_folder(folder: Path, tmp_path: Path) -> None:
    from genet5.cli.bake import main as bake

    raw, baked = folder.parents[1], tmp_path / "baked"
    (tmp_path / "tokenizer.json").write_text(
        '{"format": 1, "sequence": {"kind": "kmer", "k": 6}, "gene_types": ["protein_coding"]}'
    )
    words = ["--raw_dir", raw, "--output_dir", baked, "--tokenizer", tmp_path / "tokenizer.json"]
    more = ["--window_size", "2000", "--target", "700", "--hard_limit", "700", "--valid_share", "0"]
    assert bake([*map(str, words), *more]) == 0
    assert (baked / "training.packed").stat().st_size > 0


def test_bake_reports_what_it_finds(folder: Path, tmp_path: Path) -> None:
    from genet5.config.bake import BakeConfig

    settings = BakeConfig(
        raw_dir=folder.parents[1], output_dir=tmp_path / "x", tokenizer=tmp_path / "y"
    )
    (source,) = find_sources(settings)
    assert (source.clade, source.genome) == ("prokaryotes", folder.name)
    assert (source.fasta.name, source.gff.name) == ("genome.fa.gz", "annotation.gff3.gz")


@pytest.mark.slow
def test_annotate_reads_the_genome(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from genet5.cli.annotate import main as annotate

    words = [str(folder / "genome.fa.gz"), "-o", str(tmp_path / "genes.gff3"), "--dry_run"]
    assert annotate(words) == 0
    assert "1 contigs, 20,000 bp" in capfd.readouterr().err


@pytest.mark.slow
def test_a_killed_command_resumes(
    ncbi: Any, words: list[str], root: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    release = threading.Event()
    ncbi.fail("_genomic.fna.gz", break_after=3000, hold=release)
    command = [sys.executable, str(root / "bin" / "fetch"), *words]
    process = subprocess.Popen(command, env=os.environ, stderr=subprocess.DEVNULL)
    try:
        part = _wait_for(tmp_path / "raw", 3000)
        process.send_signal(signal.SIGKILL)
        assert process.wait(60) == -signal.SIGKILL
    finally:
        process.kill()
        release.set()
    assert part.stat().st_size == 3000
    assert main(words) == 0
    folder = Path(capfd.readouterr().out.strip())
    assert sum(len(c.bases) for c in read_genome(folder / "genome.fa.gz").values()) == 20_000
    asked = [r.headers.get("Range") for r in ncbi.requests if r.path.endswith("_genomic.fna.gz")]
    assert asked == [None, "bytes=3000-"]


def _wait_for(raw: Path, size: int) -> Path:
    """The part file, once it has this size."""
    deadline = time.monotonic() + 50
    while time.monotonic() < deadline:
        for part in raw.glob("*/*/genome.fa.gz.part"):
            if part.stat().st_size >= size:
                return part
        time.sleep(0.02)
    raise AssertionError("the command did not get there")
