"""The examples in the docstrings of all modules."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import genet5

MODULES = sorted(module.name for module in pkgutil.walk_packages(genet5.__path__, "genet5."))


@pytest.mark.parametrize("name", ["genet5", *MODULES])
def test_examples_in_docstrings_hold(name: str) -> None:
    if name.startswith("genet5.lm."):
        pytest.importorskip("transformers", reason="needs genet5[lm]")
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert result.failed == 0


def test_there_are_examples() -> None:
    finder = doctest.DocTestFinder(exclude_empty=True)
    modules = [importlib.import_module(n) for n in MODULES if not n.startswith("genet5.lm.")]
    found = [test for module in modules for test in finder.find(module) if test.examples]
    assert len(found) >= 15
