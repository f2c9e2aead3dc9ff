"""Commands on pipes, devices and links, and with outputs that cannot be written."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from genet5.cli import main
from genet5.genome.io.formats import read_annotation

GFF3 = (
    "##gff-version 3\n##sequence-region c1 1 60\n"
    "c1\t.\tgene\t11\t31\t.\t-\t.\tID=g;gene_biotype=protein_coding\n"
    "c1\t.\tCDS\t11\t31\t.\t-\t0\tID=c;Parent=g;transl_table=11\n"
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "in.gff3").write_text(GFF3)
    (tmp_path / "g.fa").write_text(">c1\n" + "A" * 60 + "\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fed_fifo(name: str, content: str) -> str:
    """A FIFO that can be read once."""
    os.mkfifo(name)
    threading.Thread(target=Path(name).write_text, args=(content,), daemon=True).start()
    return name


def refusal(capsys: pytest.CaptureFixture[str], *words: str, code: int = 2) -> str:
    """The one line of a command that stops before it works."""
    assert main(words) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    return line


def test_convert_reads_and_writes_fifos(folder: Path) -> None:
    os.mkfifo("out")
    got: list[str] = []
    reader = threading.Thread(target=lambda: got.append(Path("out").read_text()))
    reader.start()
    genome = fed_fifo("genome", (folder / "g.fa").read_text())
    words = ["convert", fed_fifo("in", GFF3), "out", "--format", "gff3", "--genome", genome]
    assert main(words) == 0
    reader.join()
    assert "c1\tGeneT5\tCDS\t11\t31\t.\t-\t0\t" in got[0]


def test_convert_writes_through_a_link(folder: Path) -> None:
    Path("link.gff3").symlink_to("target")
    assert main(["convert", "in.gff3", "link.gff3"]) == 0
    assert Path("link.gff3").is_symlink()
    assert read_annotation(Path("target")) == read_annotation(Path("in.gff3"))


def test_convert_to_dev_null(folder: Path) -> None:
    assert main(["convert", "in.gff3", "/dev/null", "--format", "gtf"]) == 0
    assert Path("/dev/null").is_char_device()


def test_convert_refuses_a_folder_and_its_own_input(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("sub").mkdir()
    assert "OUT = 'sub': is a folder" in refusal(capsys, "convert", "in.gff3", "sub")
    line = refusal(capsys, "convert", "in.gff3", "./in.gff3")
    assert "OUT = 'in.gff3': is the same file as IN" in line


EVAL = ("eval", "--predictions", "in.gff3", "--reference", "in.gff3")


def test_eval_writes_json_to_stdout_and_its_table_to_stderr(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*EVAL, "--json", "-"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["levels"]["exact"]["f1"] == 1
    assert "exact        1.000" in captured.err


def test_eval_draws_to_stdout(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*EVAL, "--plot", "-"]) == 0
    assert capsys.readouterr().out.startswith("<svg ")


def test_eval_reads_fifos(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--predictions", fed_fifo("p", GFF3), "--reference", fed_fifo("r", GFF3)]
    assert main(["eval", *words]) == 0
    assert "exact        1.000" in capsys.readouterr().out


def test_eval_checks_its_files_before_it_reads(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stdin = refusal(capsys, "eval", "--predictions", "-", "--reference", "/dev/stdin")
    assert "reference = '/dev/stdin': is predictions as well" in stdin
    assert "is the same file as json" in refusal(capsys, *EVAL, "--json", "-", "--plot", "-")
    assert "is the same file as predictions" in refusal(capsys, *EVAL, "--json", "in.gff3")
    assert "cannot be written" in refusal(capsys, *EVAL, "--json", "g.fa/x.json")


@pytest.mark.slow
def test_annotate_checks_its_files_before_it_works(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ("annotate", "g.fa", "-o")
    assert "output = '.': is a folder" in refusal(capsys, *run, ".")
    assert "is the same file as GENOME" in refusal(capsys, *run, "g.fa")
    line = refusal(capsys, *run, "a.gff3", "--proteins", "a.faa", "--cds", "./a.faa")
    assert "cds = 'a.faa': is the same file as proteins" in line
    assert "cannot be written" in refusal(capsys, *run, "/proc/none/a.gff3")
    line = refusal(capsys, "annotate", "missing.fa", "-o", "a.gff3", code=1)
    assert "missing.fa: file not found" in line


def test_folders_of_outputs_are_checked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "OUT_DIR = 'g.fa': must be a folder" in refusal(capsys, "simulate", "g.fa")
    assert "cannot be written" in refusal(capsys, "simulate", "g.fa/sub")
    line = refusal(capsys, "finet", "t.packed", "v.packed", "g.fa", "base")
    assert "OUT = 'g.fa': must be a folder" in line
    line = refusal(capsys, "fetch", "GCF_000005845.2", "-o", "g.fa/raw")
    assert "out_dir = 'g.fa/raw': cannot be written" in line


def test_simulate_writes_through_links(folder: Path) -> None:
    Path("genome.fa").symlink_to("target.fa")
    assert main(["simulate", ".", "--length_bp", "2000", "--overwrite"]) == 0
    assert Path("genome.fa").is_symlink()
    assert Path("target.fa").read_text().startswith(">")


def test_bake_refuses_what_can_be_read_only_once(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo("fifo")
    words = ["--gff", "in.gff3", "--output_dir", "out", "--tokenizer", "t"]
    line = refusal(capsys, "bake", "--fasta", "fifo", *words)
    assert "fasta = 'fifo': is a pipe or device, but is read more than once" in line
    line = refusal(capsys, "bake", "--check", "fifo", code=1)
    assert "fifo: a pipe or device; expected a packed file" in line


def test_calibrate_checks_its_files_before_it_works(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo("fifo")
    words = ("calibrate", "model", "--references", "in.gff3", "--work")
    line = refusal(capsys, *words, "work", "--genomes", "fifo")
    assert "genomes = 'fifo': is a pipe or device" in line
    line = refusal(capsys, *words, "g.fa", "--genomes", "g.fa")
    assert "work = 'g.fa': must be a folder" in line


def test_a_tokenizer_goes_to_stdout(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init_tokens", "-"]) == 0
    captured = capsys.readouterr()
    Path("t.json").write_text(captured.out)
    assert "protein_coding" in captured.err
    assert main(["append_tokens", "t.json", "--gene_types", "snRNA", "--out", "/dev/null"]) == 0
    assert Path("/dev/null").is_char_device()
    assert "snRNA" not in Path("t.json").read_text()
