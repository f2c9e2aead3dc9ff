"""The settings of the workflow: checked against their schema, defaults filled in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator


class SettingsError(ValueError):
    """Settings that break the schema, one line for each; with what is expected."""


def complete(given: dict[str, Any], schema_path: Path) -> dict[str, Any]:
    """Return the given settings with the defaults of those that are left out.

    Raises:
        SettingsError: A setting is unknown, missing, or not what the schema wants.
    """
    schema = yaml.safe_load(schema_path.read_text(encoding="utf-8"))
    known = schema["properties"]
    lines = [
        f"unknown setting {name!r}; expected any of {', '.join(known)}"
        for name in given
        if name not in known
    ]
    for error in Draft202012Validator(schema).iter_errors(given):
        if error.validator == "required":
            lines.append(f"{error.message}; give it with --config sheet=FILE")
        elif error.path:
            name = str(error.path[0])
            wanted = known[name]["description"] if name in known else ""
            lines.append(f"{name}: {error.message}; expected: {wanted}")
    if lines:
        raise SettingsError("\n".join(lines))
    defaults = {name: rule["default"] for name, rule in known.items() if "default" in rule}
    return defaults | given
