"""Resuming a stopped bake."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from bakes import write_genome
from genet5.cli.bake import main
from genet5.config.bake import BakeConfig
from genet5.dataset import bake_genome
from genet5.dataset.bake import bake
from genet5.dataset.spills import FOLDER_NAME, partial_folder
from genet5.errors import ConfigError, DataError
from genet5.genome.sequence import decode_bases
from genet5.simulate.prokaryote import simulate_bacterium
from genet5.tokens.sequence import KmerTokenizer
from genet5.tokens.tokenizer_file import Tokenizer, save_tokenizer

FILES = ("training.packed", "validation.packed")


@pytest.fixture
def settings(tmp_path: Path) -> BakeConfig:
    for seed, length in enumerate((30_000, 20_000, 12_000)):
        contigs, genes = simulate_bacterium(length, seed, num_contigs=2)
        bases = {contig.name: decode_bases(contig.bases) for contig in contigs}
        write_genome(tmp_path / "raw" / "prokaryotes" / f"g{seed}.1", bases, genes)
    save_tokenizer(Tokenizer(KmerTokenizer(6)), tmp_path / "tokenizer.json")
    return BakeConfig(
        raw_dir=tmp_path / "raw",
        output_dir=tmp_path / "out",
        tokenizer=tmp_path / "tokenizer.json",
        windows="gene_centric",
        window_size=3000,
        clade_genes=("prokaryotes=30",),
        target=1600,
        hard_limit=2000,
        split_by="contig",
        valid_share=0.2,
    )


def stop_after(monkeypatch, number: int) -> None:
    """Let the genome after a number of finished ones fail."""
    done = []

    def save(task, result) -> None:
        if len(done) == number:
            raise KeyboardInterrupt
        done.append(task)
        real(task, result)

    real = bake_genome.save_finished
    monkeypatch.setattr(bake_genome, "save_finished", save)


def stopped(settings: BakeConfig, monkeypatch, number: int = 2) -> Path:
    with monkeypatch.context() as patch:
        stop_after(patch, number)
        with pytest.raises(KeyboardInterrupt):
            bake(settings)
    return settings.output_dir / FOLDER_NAME


def contents(settings: BakeConfig) -> list[bytes]:
    return [(settings.output_dir / name).read_bytes() for name in FILES]


@pytest.mark.slow
def test_a_stopped_bake_goes_on_with_what_is_finished(settings, tmp_path, monkeypatch) -> None:
    whole = replace(settings, output_dir=tmp_path / "whole")
    expected = bake(whole)
    folder = stopped(settings, monkeypatch)
    assert sorted(path.name for path in folder.glob("*/*.json")) == ["g0.1.json", "g1.1.json"]
    made = []
    real = bake_genome._Baker.bake
    monkeypatch.setattr(
        bake_genome._Baker,
        "bake",
        lambda self: (made.append(self.task.source.genome), real(self)),
    )
    report = bake(replace(settings, resume=True))
    assert made == ["g2.1"]
    assert contents(settings) == contents(whole)
    for part in ("files", "genomes", "counts", "centre_genes"):
        assert report[part] == expected[part]
    assert not folder.exists()


@pytest.mark.slow
def test_a_killed_bake_goes_on_and_gives_the_same_bytes(settings, tmp_path, root) -> None:
    whole = replace(settings, output_dir=tmp_path / "whole")
    bake(whole)
    flags = [
        "--raw_dir", settings.raw_dir, "--output_dir", settings.output_dir,
        "--tokenizer", settings.tokenizer, "--windows", "gene_centric", "--window_size", "3000",
        "--taxon_genes", "prokaryotes=30", "--target", "1600", "--hard_limit", "2000",
        "--split_by", "contig", "--valid_share", "0.2",
    ]  # fmt: skip
    code = (
        "import sys, time\nfrom genet5.dataset import bake_genome\n"
        "real = bake_genome.save_finished\n"
        "def save(task, result):\n    real(task, result)\n    time.sleep(600)\n"
        "bake_genome.save_finished = save\n"
        "from genet5.cli.bake import main\nmain(sys.argv[1:])\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code, *map(str, flags)], env=env(root))
    record = settings.output_dir / FOLDER_NAME / "prokaryotes" / "g0.1.json"
    try:
        while not record.exists():
            assert child.poll() is None
            time.sleep(0.05)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert not (settings.output_dir / "training.packed").exists()
    (settings.output_dir / "training.packed.123.tmp").write_bytes(b"half")
    assert main([*map(str, flags), "--resume"]) == 0
    assert contents(settings) == contents(whole)
    assert {p.name for p in settings.output_dir.iterdir()} == {*FILES, "bake_report.json"}


def test_other_settings_are_refused(settings, monkeypatch) -> None:
    stopped(settings, monkeypatch)
    with pytest.raises(ConfigError, match=r"passes = 2: the bake to resume had 1"):
        bake(replace(settings, resume=True, passes=2))
    bake(replace(settings, resume=True))


def test_a_changed_file_is_refused(settings, monkeypatch) -> None:
    stopped(settings, monkeypatch)
    fasta = settings.raw_dir / "prokaryotes" / "g0.1" / "genome.fa"
    fasta.write_text(fasta.read_text().replace("A", "a"))
    with pytest.raises(DataError, match=r"genome.fa: .*fasta_sha256 .* as in the bake"):
        bake(replace(settings, resume=True))


def test_another_tokenizer_is_refused(settings, monkeypatch) -> None:
    stopped(settings, monkeypatch)
    save_tokenizer(Tokenizer(KmerTokenizer(5)), settings.tokenizer)
    with pytest.raises(DataError, match=r"tokenizer.json: prokaryotes/g0.1 with tokenizer"):
        bake(replace(settings, resume=True))


@pytest.mark.slow
def test_damaged_spills_are_baked_again(settings, tmp_path, monkeypatch, caplog) -> None:
    whole = replace(settings, output_dir=tmp_path / "whole")
    bake(whole)
    folder = stopped(settings, monkeypatch)
    spill = folder / "prokaryotes" / "g0.1.training.arrow"
    spill.write_bytes(spill.read_bytes()[:-99])
    record = folder / "prokaryotes" / "g1.1.json"
    values = json.loads(record.read_text())
    values["checksums"]["training"] = "0" * 64
    record.write_text(json.dumps(values))
    bake(replace(settings, resume=True))
    assert sum("is baked again" in message for message in caplog.messages) == 2
    assert contents(settings) == contents(whole)


def test_records_of_another_format_are_baked_again(settings, monkeypatch, caplog) -> None:
    folder = stopped(settings, monkeypatch)
    (folder / "prokaryotes" / "g0.1.json").write_text('{"format": 0}')
    bake(replace(settings, resume=True))
    assert sum("format 0; expected 1" in message for message in caplog.messages) == 1


def test_a_folder_that_cannot_be_locked_says_so(tmp_path, monkeypatch, caplog) -> None:
    def flock(handle: int, how: int) -> None:
        raise OSError("No locks available")

    monkeypatch.setattr("fcntl.flock", flock)
    with partial_folder(tmp_path, resume=False):
        assert "cannot be locked (No locks available)" in caplog.text


@pytest.mark.slow
def test_without_resume_a_bake_begins_anew(settings, monkeypatch) -> None:
    stopped(settings, monkeypatch)
    bake(replace(settings, passes=2))
    assert not (settings.output_dir / FOLDER_NAME).exists()
    with pytest.raises(ConfigError, match="--overwrite"):
        bake(replace(settings, passes=3, resume=True))


def test_a_bake_that_had_ended_has_nothing_to_resume(settings, monkeypatch, caplog) -> None:
    report = bake(settings)
    before = contents(settings)
    monkeypatch.setattr(bake_genome._Baker, "bake", lambda self: pytest.fail("baked again"))
    with caplog.at_level("INFO"):
        assert bake(replace(settings, resume=True)) == report
    assert "nothing to resume" in caplog.text
    assert contents(settings) == before
    fasta = settings.raw_dir / "prokaryotes" / "g0.1" / "genome.fa"
    fasta.write_text(fasta.read_text().replace("A", "a"))
    with pytest.raises(ConfigError, match="--overwrite"):
        bake(replace(settings, resume=True))


def test_resume_without_an_earlier_bake_just_bakes(settings) -> None:
    bake(replace(settings, resume=True))
    assert all((settings.output_dir / name).exists() for name in FILES)


def test_two_bakes_in_one_folder_are_refused(tmp_path) -> None:
    with partial_folder(tmp_path, resume=False):
        second = partial_folder(tmp_path, resume=True)
        with pytest.raises(ConfigError, match="another bake is at work"):
            second.__enter__()
        assert (tmp_path / FOLDER_NAME).is_dir()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc")
def test_workers_end_with_a_killed_parent(root) -> None:
    code = (
        "import os, time\nfrom concurrent.futures import ProcessPoolExecutor\n"
        "from multiprocessing import get_context\n"
        "from genet5.dataset.bake import _follow_the_parent\n"
        "if __name__ == '__main__':\n"
        "    spawn = get_context('spawn')\n"
        "    pool = ProcessPoolExecutor(1, mp_context=spawn, initializer=_follow_the_parent)\n"
        "    print(pool.submit(os.getpid).result(), flush=True)\n"
        "    time.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=env(root)
    ) as child:  # fmt: skip
        assert child.stdout is not None
        worker = int(child.stdout.readline())
        assert is_alive(worker)
        child.kill()
    for _ in range(600):
        if not is_alive(worker):
            break
        time.sleep(0.1)
    assert not is_alive(worker)


def env(root: Path) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(root / "lib")}


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat").read_text()
    return status.rpartition(")")[2].split()[0] != "Z"
