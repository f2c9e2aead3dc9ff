"""Bad records of an annotation file: an error with file and line, or a count by cause."""

from __future__ import annotations

from pathlib import Path

from genet5.errors import DataError

SKIP_REMEDY = "Use --skip_bad to leave such genes out"


class RecordErrors:
    """What to do with a bad record: raise, or count it by cause."""

    def __init__(self, path: Path, skip_bad: bool) -> None:
        self.path, self.skip_bad = path, skip_bad
        self.skipped: dict[str, int] = {}

    def count(self, cause: str) -> None:
        """Count a record that is legal but cannot be expressed."""
        self.skipped[cause] = self.skipped.get(cause, 0) + 1

    def reject(self, cause: str, line: int, found: str, expected: str) -> None:
        """Count a bad record under `cause`, or raise.

        Raises:
            DataError: Bad records are not to be skipped.
        """
        if not self.skip_bad:
            raise DataError(found, expected=expected, path=self.path, line=line, remedy=SKIP_REMEDY)
        self.count(cause)


def bad_columns(errors: RecordErrors, line: str, count: int, number: int) -> None:
    """Report a line that has not nine columns; blank ones are fine."""
    text = line.strip()
    if text:
        errors.reject("columns", number, f"{count} columns in {text[:40]!r}", "9 columns separated by tabs")  # fmt: skip
