"""Log records of a run: all of rank 0, which also keeps a file, and the warnings of other ranks."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PACKAGE = "genet5"


class _RankFilter(logging.Filter):
    """Rank 0 logs everything, other ranks warn; the rank is named when there are several."""

    def __init__(self, rank: int, world_size: int) -> None:
        super().__init__()
        self._rank, self._prefix = rank, f"[rank {rank}] " if world_size > 1 else ""

    def filter(self, record: logging.LogRecord) -> bool:
        if self._rank and record.levelno < logging.WARNING:
            return False
        if self._prefix and not getattr(record, "has_rank", False):
            record.msg, record.has_rank = self._prefix + str(record.msg), True
        return True


@contextmanager
def run_logging(rank: int, world_size: int, file: Path) -> Iterator[None]:
    """Apply the rank's rule to the package's handlers while the block runs.

    Rank 0 also writes `file`. Records of level INFO reach it whatever level the program has chosen.
    """
    logger = logging.getLogger(_PACKAGE)
    before, handlers = logger.level, []
    if rank == 0:
        handlers.append(_file_handler(file))
        logger.addHandler(handlers[0])
        logger.setLevel(min(logger.getEffectiveLevel(), logging.INFO))
    rule = _RankFilter(rank, world_size)
    filtered = list(logger.handlers)
    for each in filtered:
        each.addFilter(rule)
    try:
        yield
    finally:
        for each in filtered:
            each.removeFilter(rule)
        for each in handlers:
            logger.removeHandler(each)
            each.close()
        logger.setLevel(before)


def _file_handler(file: Path) -> logging.Handler:
    handler = logging.FileHandler(file, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(levelname).1s %(asctime)s %(message)s"))
    return handler
