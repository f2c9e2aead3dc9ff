"""Command-line flags from a configuration dataclass: values, help text and errors, by tyro.

Attribute docstrings are the help. A nested dataclass is a group with a heading of its own; its
flags have no prefix. `int | None` is shown as INT, and what None stands for is the field's own
text, `Annotated[int | None, by_default("all cores")]`; the word `none` sets it. Rare flags are
listed by `--help_all` alone. With a configuration file, defaults < file < flags.
"""

from __future__ import annotations

import functools
import io
import operator
import sys
import types
from collections.abc import Collection, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, Union, get_args

import tyro
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from genet5.cli.help_format import error_line, help_text, known_terminal
from genet5.config.json_files import config_from_dict, load_json

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Config = TypeVar("Config", bound="DataclassInstance")

CONFIG_FLAG, ALL_FLAG = "--config", "--help_all"
_HELP_FLAGS = {"-h", "--help", ALL_FLAG}
_NONE = "none"


class UsageError(Exception):
    """The command line is wrong; the text is one line."""


def parse_flags(
    cls: type[Config],
    arguments: Sequence[str],
    *,
    prog: str,
    description: str,
    rare: Collection[str] = (),
    has_file: bool = False,
) -> Config:
    """Build a configuration from a command line.

    Args:
        cls: Frozen dataclass, possibly with frozen dataclasses as fields.
        arguments: Words after the command.
        prog: The command, as in `genet5 annotate`.
        description: First paragraph of the help text.
        rare: Fields that `--help` leaves out.
        has_file: Take `--config FILE`, a JSON file with fields of `cls`, or the record of a run.

    Raises:
        SystemExit: 0 after the help text was written to stdout.
        BrokenPipeError: Nobody reads that text any more.
        UsageError: tyro refuses the words.
        ConfigError: A value breaks a rule of its group.
        FormatError: The configuration file is wrong.
    """
    words, file = _take_file(arguments) if has_file else (list(arguments), None)
    asked = _HELP_FLAGS & {*words[: words.index("--") if "--" in words else None]}
    default = tyro.MISSING_NONPROP if file is None or asked else _from_file(cls, file)
    out, err = io.StringIO(), io.StringIO()
    try:
        with known_terminal(), redirect_stdout(out), redirect_stderr(err):
            return tyro.cli(
                cls,
                args=["--help"] if asked else words,
                prog=prog,
                description=description,
                use_underscores=True,
                config=(tyro.conf.FlagCreatePairsOff, tyro.conf.OmitArgPrefixes),
                registry=_registry(),
                default=default,
            )
    except SystemExit as stop:
        if stop.code:
            raise UsageError(error_line(err.getvalue())) from None
        sys.stdout.write(help_text(out.getvalue(), () if ALL_FLAG in asked else rare))
        sys.stdout.flush()
        raise


def _take_file(arguments: Sequence[str]) -> tuple[list[str], Path | None]:
    """Return the words without `--config FILE`, and the file."""
    words = list(arguments)
    for index, word in enumerate(words):
        name, equals, value = word.partition("=")
        if word == "--":
            break
        if name == CONFIG_FLAG:
            if not equals and index + 1 == len(words):
                raise UsageError(f"{CONFIG_FLAG}: the name of a JSON file must follow")
            path = Path(value if equals else words[index + 1])
            return words[:index] + words[index + (1 if equals else 2) :], path
    return words, None


def _from_file(cls: type[Config], path: Path) -> Config:
    """Return the file's configuration; required fields that it lacks are left to the flags.

    Of a run's record (run.json) it takes the settings, but for those of one start: a replay deletes
    and resumes nothing unless flags say so.
    """
    values = load_json(path)
    if isinstance(values.get("settings"), dict) and "command" in values:
        from genet5.config.train import ONE_START_FIELDS  # most commands read no record

        values = _without(values["settings"], ONE_START_FIELDS)
    absent = [
        each.name
        for each in fields(cls)
        if each.default is MISSING and each.default_factory is MISSING and each.name not in values
    ]
    config = config_from_dict(cls, values | dict.fromkeys(absent, ""), path)
    return replace(config, **dict.fromkeys(absent, tyro.MISSING))


def _without(values: dict[str, Any], names: Collection[str]) -> dict[str, Any]:
    """Return nested values without some names."""
    return {
        name: _without(value, names) if isinstance(value, dict) else value
        for name, value in values.items()
        if name not in names
    }


def _registry() -> ConstructorRegistry:
    registry = ConstructorRegistry()
    registry.primitive_rule(_optional_rule)
    return registry


def _optional_rule(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """Read `T | None` as tyro reads T, and the word "none" as None."""
    parts = get_args(info.type)
    if info.type_origin not in (Union, types.UnionType) or types.NoneType not in parts:
        return None
    rest: Any = functools.reduce(operator.or_, (p for p in parts if p is not types.NoneType))
    inner = PrimitiveTypeInfo.make(rest, set(info.markers))
    spec = ConstructorRegistry.get_primitive_spec(inner)
    if not isinstance(spec, PrimitiveConstructorSpec) or spec.nargs != 1:
        return None
    choices = spec.choices

    def from_words(words: list[str]) -> Any:
        if words == [_NONE]:
            return None
        if choices is not None and words[0] not in choices:
            raise ValueError(f"invalid choice '{words[0]}'. Expected one of {tuple(choices)}")
        return spec.instance_from_str(words)

    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=spec.metavar,
        instance_from_str=from_words,
        is_instance=lambda value: value is None or spec.is_instance(value),
        str_from_instance=lambda v: [_NONE] if v is None else spec.str_from_instance(v),
    )
