"""The examples in the docstrings of all modules."""

from __future__ import annotations

import doctest
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

import genet5

PACKAGE = Path(genet5.__file__).parent


def modules_with_examples() -> Iterator[str]:
    for path in sorted(PACKAGE.rglob("*.py")):
        if ">>> " in path.read_text(encoding="utf-8"):
            name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
            yield name.removesuffix(".__init__")


MODULES = [*modules_with_examples()]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_hold(name: str) -> None:
    if name.startswith("genet5.lm."):
        pytest.importorskip("transformers", reason="needs genet5[lm]")
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert result.attempted
    assert result.failed == 0


def test_there_are_examples() -> None:
    assert len(MODULES) >= 15
