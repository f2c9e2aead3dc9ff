"""Groups in which validation is reported: clades, and hard, normal and easy genes.

What a packed file's header names decides the groups: clades, if it has more than one, and the
difficulty of the genes that bake chose for validation. A window belongs to its clade, and to the
hardest of the chosen genes that it shows whole.

Example:
    groups = WindowGroups(header, path)
    groups.names                                     # ("fungi", "plants", "easy", "normal", "hard")
    groups.of("yeast/chrI:0-9000(+)")                # ("fungi", "hard")
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path

from genet5.dataset.difficulty import DIFFICULTIES
from genet5.dataset.header import Header
from genet5.errors import FormatError

_PLACE = re.compile(r"(.*):(\d+)-(\d+)\(([+-])\)(?:\[code \d+\])?", re.DOTALL)

_Chosen = tuple[int, int, int, str]
"""Start, end, strand and difficulty of a gene; 0-based, half-open."""


class WindowGroups:
    """The groups of a file's windows.

    Args:
        header: Of the file.
        path: The file, for messages.

    Raises:
        FormatError: A chosen gene's place cannot be read.
    """

    def __init__(self, header: Header, path: Path) -> None:
        self._clades = {each["genome"]: each["taxon"] for each in header.sources}
        clades = sorted({*self._clades.values()})
        self._has_clades = len(clades) > 1
        self._chosen = _sorted_places(header, path)
        difficulties = DIFFICULTIES if self._chosen else ()
        self.names: tuple[str, ...] = (*(clades if self._has_clades else ()), *difficulties)

    def of(self, window_id: str) -> tuple[str, ...]:
        """Return the groups of a window.

        Args:
            window_id: As `Window.id` gives it.
        """
        name, start, end, _ = _parsed(window_id, "window id")
        clade = self._clades.get(name.partition("/")[0])
        found = {difficulty for *_, difficulty in self._within(name, start, end)}
        hardest = [each for each in reversed(DIFFICULTIES) if each in found][:1]
        return (*([clade] if clade and self._has_clades else []), *hardest)

    def difficulty(self, contig: str, start: int, end: int, strand: int) -> str | None:
        """Return the difficulty of a gene, if it was chosen.

        Args:
            contig: "genome/contig".
            start: First base of what is written of the gene, on the forward strand.
            end: One past the last.
            strand: +1 or -1.
        """
        for gene_start, gene_end, gene_strand, difficulty in self._chosen.get(contig, []):
            if gene_start > start:
                break
            if end <= gene_end and strand == gene_strand:
                return difficulty
        return None

    def _within(self, contig: str, start: int, end: int) -> Iterator[_Chosen]:
        chosen = self._chosen.get(contig, [])
        for gene in chosen[bisect_left(chosen, (start,)) :]:
            if gene[0] >= end:
                return
            if gene[1] <= end:
                yield gene


def _sorted_places(header: Header, path: Path) -> dict[str, list[_Chosen]]:
    """Return the chosen genes of each "genome/contig", by start."""
    found: dict[str, list[_Chosen]] = {}
    for genome, by_difficulty in header.validation_genes.items():
        for difficulty, places in by_difficulty.items():
            for place in places:
                contig, start, end, strand = _parsed(place, path)
                chosen = found.setdefault(f"{genome}/{contig}", [])
                chosen.append((start - 1, end, strand, difficulty))
    for chosen in found.values():
        chosen.sort()
    return found


def _parsed(place: str, path: Path | str) -> tuple[str, int, int, int]:
    match = _PLACE.fullmatch(place)
    if match is None:
        raise FormatError(f"place {place!r}", expected="contig:start-end(strand)", path=path)
    return match[1], int(match[2]), int(match[3]), 1 if match[4] == "+" else -1
