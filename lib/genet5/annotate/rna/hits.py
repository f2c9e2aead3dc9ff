r"""What programs that look for RNA genes write: barrnap, tRNAscan-SE and ARAGORN.

Example:
    >>> lines = [">c0 x", "1 genes found", "1   tRNA-Ala   c[11,20]\t5\t(tgc)"]
    >>> [(hit.contig, hit.start, hit.end, hit.strand, hit.product) for hit in aragorn_hits(lines)]
    [('c0', 10, 20, -1, 'tRNA-Ala')]
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from genet5.genome.io.attributes import parse_attributes, unescape
from genet5.genome.io.contig_lines import whole_number

_ARAGORN = re.compile(r"\d+\s+(?P<name>\S+)\s+(?P<turned>c?)\[(?P<start>-?\d+),(?P<end>\d+)\]")
_ANTICODON = re.compile(r"\(([a-z.]{2,4})\)\s*$")
_AMINO_ACIDS = frozenset({
    "Ala", "Arg", "Asn", "Asp", "Cys", "Gln", "Glu", "Gly", "His", "Ile", "Leu", "Lys", "Met",
    "Phe", "Pro", "Pyl", "Sec", "Ser", "Thr", "Trp", "Tyr", "Val",
})  # fmt: skip
_OTHER_NAMES = {"iMet": "Met", "fMet": "Met", "Ile2": "Ile", "SeC": "Sec"}
UNKNOWN_TRNA = "tRNA-Xxx"
"""INSDC's product of a tRNA whose amino acid is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RnaHit:
    """One gene as a program reports it: 0-based half-open on the forward strand."""

    contig: str
    start: int
    end: int
    strand: int
    type: str
    """tRNA, rRNA or tmRNA."""
    product: str
    note: str = ""
    intron: tuple[int, int] | None = None


def barrnap_hits(lines: Iterable[str]) -> Iterator[RnaHit]:
    """Read barrnap's GFF3; what it calls partial says so in the note, not in the product."""
    for line in lines:
        columns = line.rstrip("\n").split("\t")
        if line.startswith("#") or len(columns) != 9:
            continue
        attributes = parse_attributes(columns[8])
        product = unescape(attributes.get("product", "")).removesuffix(" (partial)")
        yield RnaHit(
            contig=columns[0],
            start=int(columns[3]) - 1,
            end=int(columns[4]),
            strand=-1 if columns[6] == "-" else 1,
            type="rRNA",
            product=product or "ribosomal RNA",
            note=unescape(attributes.get("note", "")),
        )


def trnascan_hits(lines: Iterable[str]) -> Iterator[RnaHit]:
    """Read tRNAscan-SE's table; those that it takes for pseudogenes are left out."""
    for line in lines:
        columns = [column.strip() for column in line.rstrip("\n").split("\t")]
        numbers = [whole_number(word) for word in (*columns[2:4], *columns[6:8])]
        if len(columns) < 9 or None in numbers:
            continue
        if "pseudo" in " ".join(columns[9:]):
            continue
        begin, end, first, last = (number or 0 for number in numbers)
        yield RnaHit(
            contig=columns[0],
            start=min(begin, end) - 1,
            end=max(begin, end),
            strand=1 if begin <= end else -1,
            type="tRNA",
            product=_trna_product(columns[4]),
            note=f"anticodon {columns[5]}",
            intron=(min(first, last) - 1, max(first, last)) if first else None,
        )


def aragorn_hits(lines: Iterable[str]) -> Iterator[RnaHit]:
    """Read ARAGORN's batch output (-w)."""
    contig = ""
    for line in lines:
        if line.startswith(">"):
            contig = line[1:].split(maxsplit=1)[0]
        found = _ARAGORN.match(line)
        if found is None:
            continue
        is_tm = found["name"].startswith("tmRNA")
        anticodon = _ANTICODON.search(line)
        yield RnaHit(
            contig=contig,
            start=max(int(found["start"]), 1) - 1,
            end=int(found["end"]),
            strand=-1 if found["turned"] else 1,
            type="tmRNA" if is_tm else "tRNA",
            product="transfer-messenger RNA, SsrA" if is_tm
            else _trna_product(found["name"].removeprefix("tRNA-")),
            note=f"anticodon {anticodon[1].upper()}" if anticodon and not is_tm else "",
        )  # fmt: skip


def _trna_product(name: str) -> str:
    """INSDC's product of a tRNA by a program's name of its amino acid."""
    name = _OTHER_NAMES.get(name, name)
    return f"tRNA-{name}" if name in _AMINO_ACIDS else UNKNOWN_TRNA
