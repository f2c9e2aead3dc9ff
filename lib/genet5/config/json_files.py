"""Save and load settings as JSON; unknown keys are errors."""

from __future__ import annotations

import json
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
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise FormatError("file not found", path=path) from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise FormatError(f"not JSON: {error}", path=path) from error
    if not isinstance(values, dict):
        raise FormatError(f"JSON {type(values).__name__}", expected="an object", path=path)
    return values
