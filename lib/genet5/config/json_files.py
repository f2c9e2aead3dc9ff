"""Save and load settings as JSON; unknown keys are errors."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import dacite

from genet5.errors import FormatError
from genet5.outputs import atomic_writer

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Settings = TypeVar("Settings", bound="DataclassInstance")


def config_to_dict(settings: DataclassInstance) -> dict[str, Any]:
    """Return plain JSON values; paths become strings."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(settings), default=str))
    return plain


def config_from_dict(cls: type[Settings], values: dict[str, Any], where: str | Path) -> Settings:
    """Build `cls` from plain values.

    Raises:
        FormatError: A key is unknown or missing, or a value has the wrong type; `where` is named.
    """
    try:
        return dacite.from_dict(cls, values, dacite.Config(cast=[Path, tuple], strict=True))
    except dacite.DaciteError as error:
        raise FormatError(
            str(error), expected=f"the fields of {cls.__name__}", path=where
        ) from error


def save_json(path: Path, values: dict[str, Any]) -> None:
    """Write JSON all or nothing; `-` is standard output."""
    text = json.dumps(values, indent=2, default=str) + "\n"
    with atomic_writer(path) as out:
        out.write(text)


def load_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        FormatError: The file is missing or holds no JSON object.
    """
    try:
        return parse_json(path.read_bytes(), path)
    except FileNotFoundError as error:
        raise FormatError("file not found", path=path) from error
    except OSError as error:
        raise FormatError(f"cannot be read ({error.strerror or error})", path=path) from error


def read_utf8(path: Path) -> str:
    """Read a text file of a model.

    Raises:
        FormatError: It is no UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise FormatError(f"not a text in UTF-8: {error}", path=path) from error


def parse_json(text: bytes, path: str | Path) -> dict[str, Any]:
    """Return the JSON object of a text; not a number (NaN) and infinity are no values.

    Args:
        text: UTF-8.
        path: The file, for messages.

    Raises:
        FormatError: It is none.
    """
    try:
        values = json.loads(text.decode("utf-8"), parse_constant=_refuse, parse_float=_finite)
    except RecursionError as error:
        raise FormatError("JSON nested too deeply", path=path) from error
    except ValueError as error:  # of JSON, of UTF-8, a number of too many digits
        raise FormatError(f"not JSON: {error}", path=path) from error
    if not isinstance(values, dict):
        raise FormatError(f"JSON {type(values).__name__}", expected="an object", path=path)
    return values


def _refuse(word: str) -> float:
    raise ValueError(f"{word} is no number")


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _refuse(text)
