"""Contig names in column 1 of GFF3 and GTF: as they came, or percent-escaped where they must be.

The GFF3 specification allows few characters there, but gffread and `gt gff3validator` look names up
as they stand: a name that is escaped no longer finds its sequence. So every printable ASCII
character is left alone. Escaped are what those programs misread (a leading `#` or `>`, blanks and
control characters, letters beyond ASCII) and a percent sign that looks like an escape. GTF knows no
escapes; there only what would break a line is escaped. Our readers decode both.

Example:
    >>> [gff3_name(name) for name in ("HG002#1#chr1", "tig(7)", "100%", "#1", "a%41")]
    ['HG002#1#chr1', 'tig(7)', '100%', '%231', 'a%2541']
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable
from urllib.parse import quote

log = logging.getLogger(__name__)

_LOOKS_ESCAPED = r"%(?=[0-9A-Fa-f]{2})"
_NOT_IN_GFF3 = re.compile(rf"^[#>]|{_LOOKS_ESCAPED}|[^!-~]")
_NOT_IN_GTF = re.compile(rf"^#|{_LOOKS_ESCAPED}|[\0-\x20\x7f]|\s")


def gff3_name(name: str) -> str:
    """Return a contig's name as GFF3 holds it."""
    return _NOT_IN_GFF3.sub(_quoted, name)


def gtf_name(name: str) -> str:
    """Return a contig's name as GTF holds it."""
    return _NOT_IN_GTF.sub(_quoted, name)


def warn_of_escapes(names: Iterable[str], written: Callable[[str], str]) -> None:
    """Log one warning if any contig's name is not written as it came.

    Args:
        names: The contigs of one file.
        written: `gff3_name` or `gtf_name`.
    """
    changed = [name for name in names if written(name) != name]
    if changed:
        log.warning(
            "contig names that other programs would misread are escaped: %d, such as %s as %s."
            " If those programs must find the sequences, rename them in the FASTA file",
            len(changed), changed[0], written(changed[0]),
        )  # fmt: skip


def _quoted(found: re.Match[str]) -> str:
    return quote(found[0], safe="")
