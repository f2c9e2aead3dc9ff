"""The examples in the docstrings of the rooms without torch."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import genet5

ROOMS = ("config", "errors", "genome", "score", "tokens")
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(genet5.__path__, "genet5.")
    if module.name.split(".")[1] in ROOMS
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_hold(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert result.failed == 0


def test_there_are_examples() -> None:
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = [test for name in MODULES for test in finder.find(importlib.import_module(name)) if test.examples]  # fmt: skip
    assert len(found) >= 5
