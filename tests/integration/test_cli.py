"""Every command: its help is quick, stored, and the same from `bin/` and from `genet5`."""

from __future__ import annotations

import functools
import json
import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import help_pages
from genet5.cli import COMMANDS, main
from help_pages import HelpPage

MAX_HELP_S = 1.5
"""Far above what a help page takes, below an import of PyTorch."""

# tyro lays its help out for a terminal of this width, without colours.
ENVIRONMENT = {"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb", "OMP_NUM_THREADS": "1"}


def call(*words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, words)],
        env={**os.environ, **ENVIRONMENT, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def quick(*words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Call, and hold it to its processor time: other work on the machine does not count."""
    before = children_s()
    done = call(*words, **environment)
    spent = children_s() - before
    assert spent < MAX_HELP_S, f"{words} took {spent:.1f} s"
    return done


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a command in this process see the terminal of those that are started."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@functools.cache
def read_help_pages(root: Path) -> dict[str, HelpPage]:
    """Call `bin/NAME --help` of all commands, once for all tests, as the recipes do."""
    executables = [root / "bin" / name for name in COMMANDS]
    done = call(help_pages.__file__, *executables, PYTHONPATH=".")
    assert done.returncode == 0, done.stderr
    pages = [HelpPage(**json.loads(line)) for line in done.stdout.splitlines()]
    return dict(zip(COMMANDS, pages, strict=True))


def help_of(root: Path, name: str) -> HelpPage:
    return read_help_pages(root)[name]


def children_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


@pytest.mark.golden
@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_quick_and_as_stored(
    root: Path, golden: Callable[[str, str], None], name: str
) -> None:
    done = help_of(root, name)
    assert done.code == 0, done.stderr
    assert done.stderr == ""
    assert done.processor_s < MAX_HELP_S, "does it import more than the parser?"
    assert "Traceback" not in done.stdout
    golden(f"help/{name}.txt", done.stdout)


@pytest.mark.golden
def test_list_of_commands_is_as_stored(root: Path, golden: Callable[[str, str], None]) -> None:
    done = quick("-m", "genet5", "--help", PYTHONPATH=str(root / "lib"))
    assert done.returncode == 0
    golden("help/genet5.txt", done.stdout)


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.usefixtures("terminal")
def test_bin_and_console_command_are_the_same(
    root: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([name, "--help"]) == 0
    assert capsys.readouterr().out == help_of(root, name).stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_an_unknown_flag_is_wrong_usage_on_one_screen(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([name, "--no_such_flag", "1"]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_an_executable_ends_with_the_code_of_its_command(root: Path) -> None:
    done = call(root / "bin" / "eval", "--no_such_flag", "1")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_a_help_text_and_a_name_with_underscores(root: Path, name: str) -> None:
    text = re.sub("[╭╮╰╯│─]", " ", help_of(root, name).stdout)
    options = re.split(r"\n +(?=-{1,2}[a-z])", text)[1:]
    assert len(options) >= 2
    for option in options:
        flags, _, description = option.partition("(default:")[0].partition("  ")
        assert re.search("[a-z]{2,} [a-z]", description.replace("\n", " ")), f"no help: {option}"
        assert not re.search(r"--[a-z0-9_]+-", flags), option


@pytest.mark.parametrize("name", COMMANDS)
def test_help_states_defaults_in_words(root: Path, name: str) -> None:
    text = help_of(root, name).stdout
    assert "None" not in text
    assert "(default: )" not in text


@pytest.mark.usefixtures("terminal")
def test_help_of_finet_lists_the_common_flags_alone(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = set(re.findall(r"^  (--\w+)", help_of(root, "finet").stdout, re.M))
    assert main(["finet", "--help_all"]) == 0
    every = set(re.findall(r"^  (--\w+)", capsys.readouterr().out, re.M))
    assert len(common) <= 25
    assert len(every) >= 50
    assert common < every


def test_an_unknown_command_is_wrong_usage_with_a_hint(root: Path) -> None:
    done = call("-m", "genet5", "anotate", PYTHONPATH=str(root / "lib"))
    assert done.returncode == 2
    assert "annotate" in done.stderr


@pytest.mark.parametrize("folder", ["bin", "test"])
def test_executables_hold_no_logic(root: Path, folder: str) -> None:
    for path in sorted((root / folder).iterdir()):
        if not path.suffix and path.is_file():
            text = path.read_text(encoding="utf-8")
            assert os.access(path, os.X_OK), path
            assert len(text.splitlines()) <= 12, path
            assert "def " not in text, path


def test_simulate_writes_a_genome_that_our_readers_take(root: Path, tmp_path: Path) -> None:
    from genet5.genome.io.fasta import read_fasta
    from genet5.genome.io.gff3 import read_gff3
    from genet5.simulate.prokaryote import simulate_bacterium

    out = tmp_path / "genome"
    how = "--length_bp 20000 --seed 4 --contigs 2 --genetic-code 4"
    words = ["simulate", str(out), *how.split()]
    assert main(words) == 0
    contigs, genes = simulate_bacterium(20_000, 4, code=4, num_contigs=2)
    read = list(read_fasta(out / "genome.fa"))
    assert [c.name for c in read] == [c.name for c in contigs]
    assert all((a.bases == b.bases).all() for a, b in zip(read, contigs, strict=True))
    found = read_gff3(out / "annotation.gff3")
    assert found.contig_lengths == {c.name: len(c.bases) for c in contigs}
    assert [(g.contig, g.start, g.end, g.strand, g.id) for g in found.genes] == [
        (g.contig, g.start, g.end, g.strand, g.id) for g in genes
    ]
    assert all(gene.genetic_code == 4 and gene.is_regular for gene in found.genes)
    before = (out / "genome.fa").read_bytes()
    assert main(words) == 2, "an earlier genome is not overwritten"
    assert main([*words, "--overwrite"]) == 0
    assert (out / "genome.fa").read_bytes() == before
