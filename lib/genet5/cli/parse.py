"""What all commands share: flags to a configuration, and errors to exit codes.

A command is a frozen dataclass, a body, and three lines:

    def main(argv: Sequence[str] | None = None) -> int:
        return run(_evaluate, EvalConfig, argv, name="eval", description="Score genes.")

The body gets the configuration, imports what is heavy (torch) and returns the exit code. Flags may
be typed with `_` or `-` (`cli.flags`). Results belong on stdout; log records of level INFO and
above of this package go to stderr.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TextIO

from genet5.cli.flags import ALL_FLAG, CONFIG_FLAG, Config, UsageError, parse_flags
from genet5.cores import settle_threads
from genet5.errors import ConfigError, DataError, GeneT5Error, clipped, printable
from genet5.genome.io.files import UNPACK_ALL
from genet5.outputs import is_standard_output

DEBUG_FLAG = "--debug"
UNPACK_FLAG = "--unpack_all"
"""Lifts the bound on what gzip files unpack to; their error names it."""
_DEBUG_HELP = f"{DEBUG_FLAG} shows debugging messages, and the traceback of an error."
_FILE_HELP = f"{CONFIG_FLAG} FILE reads options from a JSON file; flags override it."
_ALL_HELP = f"{ALL_FLAG} lists rarely used options, too."


def parse(
    cls: type[Config],
    argv: Sequence[str] | None,
    *,
    name: str,
    description: str,
    rare: Collection[str] = (),
    has_file: bool = False,
) -> Config:
    """Build the configuration from a command line.

    Args:
        cls: Frozen dataclass; attribute docstrings are the help.
        argv: Arguments after the command; None takes the process's own.
        name: The command, as in `genet5 NAME`.
        description: First lines of `--help`.
        rare: Fields that `--help` leaves out and `--help_all` shows.
        has_file: Accept `--config FILE`.

    Raises:
        SystemExit: 0 after the help text.
        UsageError: Wrong usage.
        GeneT5Error: A value breaks a rule, or the configuration file is wrong.
    """
    parts = [description, _FILE_HELP if has_file else "", _ALL_HELP if rare else "", _DEBUG_HELP]
    return parse_flags(
        cls,
        list(sys.argv[1:] if argv is None else argv),
        prog=f"genet5 {name}",
        description=" ".join(filter(None, parts)),
        rare=rare,
        has_file=has_file,
    )


def run(
    main_body: Callable[[Config], int],
    config_cls: type[Config],
    argv: Sequence[str] | None = None,
    *,
    name: str,
    description: str,
    rare: Collection[str] = (),
    has_file: bool = False,
) -> int:
    """Parse, run the body, and turn the outcome into an exit code and at most one line on stderr.

    Returns:
        The body's code; 1 for wrong data or a failed run, 2 for wrong usage, 130 when interrupted.
    """
    arguments, debug = _take_flag(DEBUG_FLAG, sys.argv[1:] if argv is None else argv)
    arguments, is_unbound = _take_flag(UNPACK_FLAG, arguments)
    how = {"name": name, "description": description}
    try:
        config = parse(config_cls, arguments, **how, rare=rare, has_file=has_file)
    except SystemExit:  # after the help text
        return 0
    except BrokenPipeError as error:  # `--help | head`
        return _report(error, name=name, debug=debug)
    except (UsageError, GeneT5Error) as error:
        _write_error(name, str(error))
        return 2
    with _logging_to_stderr(logging.DEBUG if debug else logging.INFO), _unpacking(is_unbound):
        settle_threads()
        try:
            code = main_body(config)
            sys.stdout.flush()
        except (Exception, KeyboardInterrupt) as error:
            if debug and not isinstance(error, BrokenPipeError):
                traceback.print_exc()
            return _report(error, name=name, debug=debug)
    return code


def require_package(flag: str, package: str, extra: str) -> None:
    """Check that what a flag needs is installed, before work begins; nothing is imported.

    Raises:
        ConfigError: The package is not installed; the extra of ours brings it.
    """
    if find_spec(package) is None:
        rule = f'is not installed; install it with: pip install "genet5[{extra}]"'
        raise ConfigError(flag, package, rule)


def write_table(text: str, outputs: Mapping[str, Path | None]) -> None:
    """Print a command's table: on stdout, or on stderr if one of its files goes to stdout."""
    taken = any(is_standard_output(path) for path in outputs.values())
    (sys.stderr if taken else sys.stdout).write(printable(text))


def _take_flag(flag: str, argv: Sequence[str]) -> tuple[list[str], bool]:
    """Return the arguments without a flag, and whether it was given; "--" ends flags."""
    end = argv.index("--") if "--" in argv else len(argv)
    kept = [word for word in argv[:end] if word.replace("-", "_") != flag.replace("-", "_")]
    return kept + list(argv[end:]), len(kept) < end


def _report(error: BaseException, *, name: str, debug: bool) -> int:
    if isinstance(error, BrokenPipeError):  # the reader of our output has left
        _drop_stdout()
        return 1
    if isinstance(error, KeyboardInterrupt):
        text = "interrupted"
    elif isinstance(error, GeneT5Error):
        text = str(error)
    elif isinstance(error, OSError) and error.strerror and isinstance(error.filename, str | Path):
        text = str(
            DataError(f"cannot be used ({error.strerror})", path=clipped(str(error.filename)))
        )
    else:
        cause = str(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
        text = cause + ("" if debug else f" ({DEBUG_FLAG} shows where)")
    _write_error(name, text)
    if isinstance(error, KeyboardInterrupt):
        return 130
    return 2 if isinstance(error, ConfigError) else 1


def _write_error(name: str, text: str) -> None:
    sys.stderr.write(f"genet5 {name}: {printable(' '.join(text.split()))}\n")


def _drop_stdout() -> None:
    """Point stdout at nothing, so that the interpreter's own flush at exit does not fail again."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):  # stdout is no real file (tests, notebooks)
        return


class _PrintableFormatter(logging.Formatter):
    """Spells out the control characters that records take from inputs and servers."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


class _StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to what sys.stderr is at that moment, not at the start: progress bars replace it."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


@contextmanager
def _logging_to_stderr(level: int) -> Iterator[None]:
    logger = logging.getLogger("genet5")
    handler, former = _StderrHandler(sys.stderr), logger.level
    handler.setFormatter(_PrintableFormatter("%(levelname).1s %(asctime)s %(message)s", "%H:%M:%S"))
    logger.addHandler(handler)
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(former)


@contextmanager
def _unpacking(is_unbound: bool) -> Iterator[None]:
    """Lift the bound on gzip files while a command runs, in the processes it starts, too."""
    former = os.environ.get(UNPACK_ALL)
    if is_unbound:
        os.environ[UNPACK_ALL] = "1"
    try:
        yield
    finally:
        if is_unbound and former is None:
            del os.environ[UNPACK_ALL]
