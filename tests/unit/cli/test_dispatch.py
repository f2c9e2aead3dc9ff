"""`genet5 COMMAND`."""

from __future__ import annotations

import subprocess
import sys

import pytest

from genet5 import __version__
from genet5.cli import COMMANDS, SUMMARIES, main

HEAVY = ("torch", "transformers", "pyarrow", "numpy", "Bio", "tyro", "rich")


def test_help_lists_every_command_with_its_summary(capsys) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    for name in COMMANDS:
        assert f"  {name}" in text
        assert SUMMARIES[name] in text


def test_version(capsys) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"genet5 {__version__}\n"


def test_unknown_command_suggests_the_nearest(capsys) -> None:
    assert main(["anotate"]) == 2
    assert "Did you mean annotate?" in capsys.readouterr().err
    assert main(["zzz"]) == 2
    assert "Commands: init, bake" in capsys.readouterr().err


def test_no_command_prints_the_help_and_exits_2(capsys) -> None:
    assert main([]) == 2
    assert "commands:" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["anotate"]])
def test_the_list_of_commands_needs_no_heavy_package(words: list[str]) -> None:
    code = f"""
import sys, genet5.cli
genet5.cli.main({words})
print([name for name in {HEAVY} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.slow
def test_command_modules_and_what_bakes_do_not_import_torch() -> None:
    code = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
    if "torch" in sys.modules:
        sys.exit(f"{name} imports torch")
"""
    call = [sys.executable, "-c", code, *COMMANDS.values(), "genet5.dataset.bake"]
    assert subprocess.run(call, capture_output=True, text=True, check=False).stderr == ""


def test_a_former_name_of_a_command_still_runs_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--help"]) == 0
    assert "genet5 calibrate" in capsys.readouterr().out
