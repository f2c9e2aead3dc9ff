"""Which rank logs what, and where."""

from __future__ import annotations

import logging
from pathlib import Path

from genet5.train.telemetry.log_records import run_logging


def test_other_ranks_only_warn_and_name_themselves() -> None:
    package = logging.getLogger("genet5")
    seen: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: seen.append(record.getMessage())  # type: ignore[method-assign]
    package.addHandler(handler)
    before = package.level
    package.setLevel(logging.INFO)
    try:
        with run_logging(1, 2) as run_log:
            assert run_log is None
            logging.getLogger("genet5.some").info("quiet")
            logging.getLogger("genet5.some").warning("loud %d", 3)
        logging.getLogger("genet5.some").info("after")
    finally:
        package.removeHandler(handler)
        package.setLevel(before)
    assert seen == ["[rank 1] loud 3", "after"]


def test_the_first_rank_writes_a_log_file_and_leaves_no_handler(tmp_path: Path) -> None:
    package = logging.getLogger("genet5")
    handlers, level = list(package.handlers), package.level
    with run_logging(0, 1) as run_log:
        assert run_log is not None
        logging.getLogger("genet5.some").info("before the file")
        run_log.open(tmp_path / "x.log")
        logging.getLogger("genet5.some").info("noted")
    lines = (tmp_path / "x.log").read_text().splitlines()
    assert [line.rpartition(" ")[2] for line in lines] == ["file", "noted"]
    assert (package.handlers, package.level) == (handlers, level)
