"""Log records of a run: all of rank 0, which also keeps a file, and the warnings of other ranks."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import MemoryHandler
from pathlib import Path

_PACKAGE = "genet5"
_MOST_RECORDS = 10_000


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


class RunLog:
    """What is logged during a run: kept in memory until its file may be opened."""

    def __init__(self, logger: logging.Logger, rule: logging.Filter) -> None:
        self._logger, self._rule = logger, rule
        # never flushed by itself: there is no target yet
        self._handler: logging.Handler = MemoryHandler(_MOST_RECORDS, flushLevel=logging.FATAL + 1)
        self._add(self._handler)

    def open(self, file: Path) -> None:
        """Write what was logged so far to a file, and from now on all."""
        kept = self._handler
        self._handler = logging.FileHandler(file, encoding="utf-8")
        self._handler.setFormatter(logging.Formatter("%(levelname).1s %(asctime)s %(message)s"))
        assert isinstance(kept, MemoryHandler)
        for record in kept.buffer:
            self._handler.handle(record)
        self._logger.removeHandler(kept)
        self._add(self._handler)

    def close(self) -> None:
        """Leave no handler."""
        self._logger.removeHandler(self._handler)
        self._handler.close()

    def _add(self, handler: logging.Handler) -> None:
        handler.addFilter(self._rule)
        self._logger.addHandler(handler)


@contextmanager
def run_logging(rank: int, world_size: int) -> Iterator[RunLog | None]:
    """Apply the rank's rule to the package's handlers while the block runs.

    Rank 0 gets a log; records of level INFO reach it whatever level the program has chosen.
    """
    logger = logging.getLogger(_PACKAGE)
    rule, before, filtered = _RankFilter(rank, world_size), logger.level, list(logger.handlers)
    for each in filtered:
        each.addFilter(rule)
    run_log = None
    if rank == 0:
        run_log = RunLog(logger, rule)
        logger.setLevel(min(logger.getEffectiveLevel(), logging.INFO))
    try:
        yield run_log
    finally:
        for each in filtered:
            each.removeFilter(rule)
        if run_log is not None:
            run_log.close()
        logger.setLevel(before)
