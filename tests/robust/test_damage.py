"""Damaged inputs of all readers end in words: no traceback, crash, hang, half file or raw escape.

`make test` runs a few cases of each target in this process; `make test-robust` runs those that
GENET5_ROBUST_CASES says (650 of each by default: 20,000), each target in a process of its own,
which a crash ends.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from robust.fuzz import run_case
from robust.inputs import make_inputs
from robust.targets import BY_NAME

FEW = 2
MANY = int(os.environ.get("GENET5_ROBUST_CASES", "650"))


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_inputs(tmp_path_factory.mktemp("seeds"))


@pytest.mark.parametrize("name", BY_NAME)
def test_a_few_damaged_inputs_end_in_words(seeds: Path, name: str) -> None:
    found = {number: run_case(BY_NAME[name], seeds, number) for number in range(FEW)}
    assert not any(found.values()), found


@pytest.mark.robust
@pytest.mark.parametrize("name", BY_NAME)
def test_many_damaged_inputs_end_in_words(seeds: Path, name: str) -> None:
    first, findings = FEW, []
    while first < MANY:
        script = Path(__file__).with_name("fuzz.py")
        words = [sys.executable, script, seeds, name, first, MANY - first]
        ended = subprocess.run([*map(str, words)], stdout=subprocess.PIPE, text=True, check=False)
        lines = ended.stdout.split("\n")
        findings += [json.loads(line) for line in lines if line.startswith("{")]
        last = int([line for line in lines if line.isdecimal()][-1])
        if ended.returncode:
            findings.append({"target": name, "case": last, "found": f"exit {ended.returncode}"})
        first = last + 1
    assert not findings, "\n".join(map(str, findings))
