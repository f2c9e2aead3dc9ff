"""The rules of `genet5 calibrate`: each wrong value names its flag."""

from __future__ import annotations

from pathlib import Path

import pytest

from genet5.config.calibrate import CalibrateConfig
from genet5.errors import ConfigError

GIVEN = {
    "model": Path("model"),
    "genomes": (Path("a.fa"),),
    "references": (Path("a.gff3"),),
    "work": Path("work"),
}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"genomes": ()}, "genomes = .*must name a genome"),
        ({"references": ()}, "references = 0: must be as many as genomes: 1"),
        ({"max_bp": 0}, "max_bp = 0: must be at least 1"),
        ({"window_bp": 0}, "window_bp = 0: must be at least 1"),
        ({"batch_size": 0}, "batch_size = 0: must be at least 1"),
    ],
)
def test_a_value_outside_its_rule_is_named(wrong, message) -> None:
    with pytest.raises(ConfigError, match=message):
        CalibrateConfig(**(GIVEN | wrong))
