"""The helpers that all commands share."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import pytest
import tyro

from genet5.cli.parse import parse, run
from genet5.config.checks import by_default
from genet5.config.train import TrainConfig
from genet5.errors import ConfigError, DataError


@dataclass(frozen=True, kw_only=True, slots=True)
class Toy:
    """Toy settings."""

    source: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")]
    """File to read."""
    max_batch_size: int = 4
    """Rows in a batch."""
    fast: bool = False
    """Skip checks."""

    def __post_init__(self) -> None:
        if self.max_batch_size < 1:
            raise ConfigError("max_batch_size", self.max_batch_size, "must be at least 1")


def toy_run(body, *argv: str) -> int:
    return run(body, Toy, argv, name="toy", description="Plays.")


def fail(error: BaseException):
    def body(_settings: Toy) -> int:
        raise error

    return body


@pytest.mark.parametrize("flag", ["--max_batch_size", "--max-batch-size"])
def test_flags_take_underscores_and_dashes(flag: str) -> None:
    settings = parse(Toy, ["a.fa", flag, "7", "--fast"], name="toy", description="Plays.")
    assert settings == Toy(source=Path("a.fa"), max_batch_size=7, fast=True)


def test_help_names_the_command_and_prints_attribute_docstrings(capsys) -> None:
    assert toy_run(lambda s: 0, "--help") == 0
    text = capsys.readouterr().out
    for part in (
        "genet5 toy",
        "Plays.",
        "--debug",
        "Rows in a batch",
        "--max_batch_size",
        "SOURCE",
    ):
        assert part in text
    assert "--no_fast" not in text


def test_usage_errors_exit_2(capsys) -> None:
    assert toy_run(lambda s: 0) == 2
    assert toy_run(lambda s: 0, "a", "--max_bach_size", "3") == 2
    assert "--max_batch_size" in capsys.readouterr().err
    assert toy_run(lambda s: 0, "a", "--max_batch_size", "0") == 2
    assert "must be at least 1" in " ".join(capsys.readouterr().err.split())


@dataclass(frozen=True)
class Group:
    """Shares."""

    share: float = 0.5
    """Share of bases,
    in a long docstring."""

    def __post_init__(self) -> None:
        if self.share > 1:
            raise ConfigError("share", self.share, "must be at most 1")


@dataclass(frozen=True)
class Grouped:
    """Grouped flags."""

    group: Group = field(default_factory=Group)
    size: int | None = None
    """Bases."""
    mode: Annotated[Literal["a", "b"] | None, by_default("as trained")] = None
    """Mode of work."""


def test_a_wrong_value_in_a_group_is_one_line_and_exits_2(capsys) -> None:
    words = ["--share", "2"]
    assert run(lambda settings: 0, Grouped, words, name="toy", description="Toy.") == 2
    assert capsys.readouterr().err == "genet5 toy: share = 2.0: must be at most 1\n"


def grouped(*words: str, **options) -> Grouped:
    return parse(Grouped, words, name="toy", description="Toy.", **options)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("a --max_batch_size x", "--max_batch_size: invalid literal for int() with base 10: 'x'"),
        ("a --max_batch_size 0", "max_batch_size = 0: must be at least 1"),
        (
            "a --max_bach_size 3",
            "Unrecognized options: --max_bach_size, 3. Perhaps you meant --max_batch_size INT?",
        ),
        ("a --max_batch_size", "Missing value for argument '--max_batch_size'. Expected 1 values."),
        ("", "missing: SOURCE"),
    ],
)  # fmt: skip
def test_wrong_usage_is_one_line_and_exits_2(words: str, line: str, capsys) -> None:
    assert toy_run(lambda s: 0, *words.split()) == 2
    captured = capsys.readouterr()
    assert captured.err == f"genet5 toy: {line}\n"
    assert captured.out == ""


def test_help_has_a_heading_for_each_group_and_joins_lines_of_docstrings(capsys) -> None:
    with pytest.raises(SystemExit):
        grouped("--help")
    text = capsys.readouterr().out
    assert "\ngroup options: Shares.\n" in text
    assert "Share of bases, in a long docstring. (default: 0.5)" in text


def test_help_states_what_happens_without_an_optional_flag(capsys) -> None:
    with pytest.raises(SystemExit):
        grouped("--help")
    text = capsys.readouterr().out
    assert "--mode {a,b}" in text
    assert "Mode of work. (default: as trained)" in text
    assert "None" not in text


def test_rare_flags_are_listed_by_help_all_alone_and_work(capsys) -> None:
    for word, is_shown in (("--help", False), ("--help_all", True)):
        with pytest.raises(SystemExit):
            grouped(word, rare=("size",))
        assert ("\n  --size INT" in capsys.readouterr().out) == is_shown
    assert grouped("--size", "3", rare=("size",)).size == 3


def test_the_word_none_sets_an_optional_flag_to_none() -> None:
    assert grouped("--size", "none").size is None


def test_flags_override_the_configuration_file_and_the_file_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "toy.json"
    file.write_text('{"max_batch_size": 7, "fast": true}', encoding="utf-8")
    words = ["a.fa", "--config", str(file)]
    how = {"name": "toy", "description": "Toy.", "has_file": True}
    assert parse(Toy, words, **how) == Toy(source=Path("a.fa"), max_batch_size=7, fast=True)
    assert parse(Toy, [*words, "--max_batch_size", "9"], **how).max_batch_size == 9


@pytest.mark.parametrize("text", ['{"max_bach_size": 7}', '{"max_batch_size": 0}', "[]", "{"])
def test_a_wrong_configuration_file_is_one_line_and_exits_2(
    text: str, tmp_path: Path, capsys
) -> None:
    (tmp_path / "toy.json").write_text(text, encoding="utf-8")
    words = ["a.fa", "--config", str(tmp_path / "toy.json")]
    code = run(lambda s: 0, Toy, words, name="toy", description="Toy.", has_file=True)
    assert code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_body_gives_the_exit_code() -> None:
    assert toy_run(lambda s: 0, "a") == 0
    assert toy_run(lambda s: 1, "a") == 1


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (DataError("bad\nline", path="x.gff3", line=3), 1, "genet5 toy: x.gff3:3: bad line\n"),
        (ConfigError("k", 0, "must be 1"), 2, "genet5 toy: k = 0: must be 1\n"),
        (KeyboardInterrupt(), 130, "genet5 toy: interrupted\n"),
        (BrokenPipeError(), 1, ""),
        (KeyError("x"), 1, "genet5 toy: KeyError: 'x' (--debug shows where)\n"),
        (OSError(28, "No space"), 1, "genet5 toy: [Errno 28] No space (--debug shows where)\n"),
    ],
)
def test_errors_become_one_line_and_a_code(error, code: int, text: str, capsys) -> None:
    assert toy_run(fail(error), "a") == code
    assert capsys.readouterr().err == text


def test_debug_shows_the_traceback(capsys) -> None:
    assert toy_run(fail(DataError("bad")), "a", "--debug") == 1
    text = capsys.readouterr().err
    assert "Traceback" in text
    assert text.endswith("genet5 toy: bad\n")


def test_a_flag_of_all_commands_lifts_the_bound_on_gzip_files() -> None:
    seen: list[str | None] = []

    def body(_settings: Toy) -> int:
        seen.append(os.environ.get("GENET5_UNPACK_ALL"))
        return 0

    assert toy_run(body, "a", "--unpack-all") == toy_run(body, "a") == 0
    assert seen == ["1", None]


def test_log_records_go_to_stderr_and_the_handler_is_removed(capsys) -> None:
    log = logging.getLogger("genet5.toy")

    def body(_settings: Toy) -> int:
        log.info("hello")
        log.debug("detail")
        return 0

    toy_run(body, "a")
    toy_run(body, "a", "--debug")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert (captured.err.count("hello"), captured.err.count("detail")) == (2, 1)
    assert logging.getLogger("genet5").handlers == []


@pytest.mark.slow
def test_a_reader_that_leaves_causes_no_noise() -> None:
    code = (
        "import sys; from dataclasses import dataclass; from genet5.cli.parse import run\n"
        "@dataclass(frozen=True)\nclass S:\n    n: int = 300000\n"
        "def body(s):\n    [sys.stdout.write('line\\n') for _ in range(s.n)]\n    return 0\n"
        "sys.exit(run(body, S, [], name='toy', description='d'))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


def test_a_training_configuration_file_has_a_group_for_each_concern(tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    file.write_text('{"optim": {"lr": 3e-4, "beta2": 0.95}, "seed": 7}', encoding="utf-8")
    words = ["a", "b", "c", "d", "--config", str(file), "--lr", "1e-3"]
    config = parse(TrainConfig, words, name="finet", description="Train.", has_file=True)
    assert (config.optim.lr, config.optim.beta2, config.seed) == (1e-3, 0.95, 7)
    assert (config.train, config.base) == (Path("a"), Path("d"))


def test_a_training_configuration_file_may_hold_the_paths(tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    file.write_text('{"train": "a", "val": "b", "out": "c", "base": "d"}', encoding="utf-8")
    words = ["--config", str(file)]
    config = parse(TrainConfig, words, name="finet", description="Train.", has_file=True)
    assert config == TrainConfig(train=Path("a"), val=Path("b"), out=Path("c"), base=Path("d"))


@pytest.mark.slow
def test_help_into_a_pipe_that_nobody_reads_ends_without_a_word() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "genet5", "simulate", "--help"],
        stdout=writer,
        stderr=subprocess.PIPE,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")
