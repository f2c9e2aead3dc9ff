"""The LOCUS line of GenBank records, and its repair.

Prokka (and other pipelines on assemblies of long contig names) writes name and length without a
blank between them, and breaks the line: `LOCUS  NODE_1_length_3000_cov_13.66313000 bp   DNA
linear`. The end of the source feature gives the length.

Example:
    >>> run_together("LOCUS       NODE_1_cov_13.66313000 bp   DNA linear"), split_name("n12345", 45)
    ('NODE_1_cov_13.66313000', 'n123')
"""

from __future__ import annotations

import re

_RUN_TOGETHER = re.compile(r"LOCUS +(\S+\d) +bp\b")
_SOURCE = re.compile(r"^     source +1\.\.(\d+)\s*$", re.MULTILINE)


def run_together(line: str) -> str | None:
    """Name and length in one word, if the LOCUS line has them so; else None."""
    match = _RUN_TOGETHER.match(line)
    return match.group(1) if match and not match.group(1).isdecimal() else None


def split_name(word: str, length: int) -> str | None:
    """The name in a word of name and length; None if it does not end in the length."""
    name = word.removesuffix(str(length))
    return name if name and name != word else None


def repaired(record: str) -> str:
    """The record with a LOCUS line that can be read; as it is where that is not needed."""
    head, _, _ = record.partition("\n")
    word, source = run_together(head), _SOURCE.search(record)
    if word is None or source is None:
        return record
    name = split_name(word, int(source.group(1)))
    if name is None:
        return record
    at = record.find("\nDEFINITION")
    old = record[:at] if at > 0 else head
    topology = "circular" if "circular" in old.split() else "linear"
    locus = f"LOCUS       {name} {source.group(1)} bp    DNA     {topology} UNK 01-JAN-1980"
    return locus + "\n" * old.count("\n") + record[len(old) :]
