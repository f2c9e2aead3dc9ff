"""Which rank logs what, and where."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from genet5.train.telemetry.log_records import close_logging, setup_logging


def test_other_ranks_only_warn_and_name_themselves(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    package = logging.getLogger("genet5")
    seen: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: seen.append(record.getMessage())  # type: ignore[method-assign]
    package.addHandler(handler)
    before = package.level
    package.setLevel(logging.INFO)
    try:
        file = setup_logging(1, 2, tmp_path / "x.log")
        logging.getLogger("genet5.some").info("quiet")
        logging.getLogger("genet5.some").warning("loud %d", 3)
        close_logging(file)
        logging.getLogger("genet5.some").info("after")
    finally:
        package.removeHandler(handler)
        package.setLevel(before)
    assert seen == ["[rank 1] loud 3", "after"]
    assert not (tmp_path / "x.log").exists()


def test_the_first_rank_writes_a_log_file(tmp_path: Path) -> None:
    handler = setup_logging(0, 1, tmp_path / "x.log")
    logging.getLogger("genet5.some").warning("seen")
    close_logging(handler)
    assert (tmp_path / "x.log").read_text().endswith(" seen\n")
