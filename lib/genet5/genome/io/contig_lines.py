"""Find the lines of each contig of a GFF3 or GTF file, so that one contig at a time can be read.

One pass notes where the lines of each contig lie: a *run* of neighbouring lines is three integers,
so a file that is grouped by contig takes next to no memory, and one whose lines are in any order 24
bytes per line at worst. Reading a contig jumps from run to run. The pass takes some 0.2 s per
million lines and reads the directives about contigs, wherever they stand.
"""

from __future__ import annotations

import io
from abc import abstractmethod
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice, starmap
from pathlib import Path
from typing import BinaryIO, ClassVar

from genet5.errors import DataError
from genet5.genome.gene import Gene
from genet5.genome.io.annotation import Annotation, AnnotationFile, without_garbage_collection
from genet5.genome.io.attributes import unescape
from genet5.genome.io.feature_table import ContigTable
from genet5.genome.io.files import damage_as_data_error
from genet5.genome.io.read_options import DEFAULT_OPTIONS, ReadOptions
from genet5.genome.io.read_report import ReadReport, bad_columns

_HASH = ord("#")


@dataclass(slots=True)
class _Contig:
    """Result of the first pass for one contig."""

    line: int
    """The line that names it first."""
    runs: array[int] = field(default_factory=lambda: array("q"))
    """Of each run: offset in bytes, number of its first line, number of lines (with comments)."""
    length: int | None = None
    """Of a ##sequence-region."""
    circular: bool = False


class LineFile(AnnotationFile):
    """A file of nine columns.

    Args:
        raw: The file: UTF-8, LF line ends.
        path: For messages.
        options: How to read it.
    """

    ENDS: ClassVar[tuple[bytes, ...]] = ()
    """A line that starts like this ends the annotation."""

    def __init__(self, raw: BinaryIO, path: Path, options: ReadOptions = DEFAULT_OPTIONS) -> None:
        self.raw = raw
        self._contigs: dict[str, _Contig] = {}
        report = ReadReport(path, options)
        super().__init__(path, options, report.skipped)
        with damage_as_data_error(path):
            self._find_runs(report)
        self._all_skipped.update(report.skipped)

    @property
    def contigs(self) -> Sequence[str]:
        """All contigs, in the order in which the file names them."""
        return tuple(self._contigs)

    def most_genes(self, contig: str) -> int:
        """Return the number of lines, of which a gene needs one at least."""
        found = self._contigs.get(contig)
        return sum(found.runs[2::3]) if found is not None else 0

    def _read(self, contig: str) -> Annotation:
        report = ReadReport(self.path, self.options)
        found = self._contigs.get(contig)
        if found is None:
            return Annotation.of((), (), report)
        table = ContigTable(contig, found.line, length=found.length, circular=found.circular)
        table.has_directive = found.length is not None
        with without_garbage_collection(), damage_as_data_error(self.path):
            genes = self._genes(table, self._lines(found), report)
        genes.sort(key=lambda gene: (gene.start, gene.end))
        report.summary.add_genes(genes)
        return Annotation.of((table,), genes, report)

    @abstractmethod
    def _genes(
        self, table: ContigTable, lines: Iterable[tuple[int, str]], report: ReadReport
    ) -> list[Gene]:
        """Make the genes of a contig of its numbered lines; what concerns all goes to the table."""

    def _lines(self, contig: _Contig) -> Iterator[tuple[int, str]]:
        """The numbered lines of all runs."""
        runs = (contig.runs[at : at + 3] for at in range(0, len(contig.runs), 3))
        return chain.from_iterable(starmap(self._run, runs))

    def _run(self, offset: int, number: int, count: int) -> Iterator[tuple[int, str]]:
        self.raw.seek(offset)
        return enumerate(map(bytes.decode, islice(self.raw, count)), number)

    def _find_runs(self, report: ReadReport) -> None:
        runs: array[int] = array("q")  # of the present contig; empty where there is none
        prefix = b"\n"  # how its lines start; blank lines belong anywhere
        offset = number = first = 0
        for number, line in enumerate(self.raw, 1):
            if line.startswith(prefix):
                offset += len(line)
                continue
            if line.startswith(self.ENDS):
                number -= 1
                break
            name, tab, _ = line.partition(b"\t")
            if line[0] == _HASH:
                self._comment(line.decode(), number, report)
            elif tab or line.strip():
                if runs:
                    runs.append(number - first)
                runs, prefix = array("q"), b"\n"
                if tab:
                    runs, prefix = self._contig(unescape(name.decode()), number).runs, name + tab
                    runs.extend((offset, number))
                    first = number
                else:
                    self._refuse_other_formats(line, number)
                    bad_columns(report, line.decode(), 1, number)
            offset += len(line)
        if runs:
            runs.append(number + 1 - first)

    def _contig(self, name: str, number: int) -> _Contig:
        found = self._contigs.get(name)
        if found is None:
            found = self._contigs[name] = _Contig(number)
        return found

    def _comment(self, line: str, number: int, report: ReadReport) -> None:
        if not line.startswith("##sequence-region"):
            return
        words = line.split()
        length = whole_number(words[3]) if len(words) == 4 else None
        if length is None:
            report.reject(
                "sequence-region", number, f"{line.strip()[:60]!r}",
                "'##sequence-region NAME 1 LENGTH'",
            )  # fmt: skip
            return
        self._contig(unescape(words[1]), number).length = length

    def _refuse_other_formats(self, line: bytes, number: int) -> None:
        if number == 1 and line.startswith((b"LOCUS ", b"ID   ")):
            raise DataError(
                "a GenBank or EMBL file", expected="GFF3 or GTF", path=self.path, line=number,
                remedy="Is it the right file?",
            )  # fmt: skip


def whole_number(text: str) -> int | None:
    """Return the number, if the text is plain digits of a length that makes sense."""
    return int(text) if text.isdigit() and text.isascii() and len(text) < 16 else None


def in_memory(lines: Iterable[str]) -> BinaryIO:
    """Return lines, with or without LF at their ends, as a file."""
    return io.BytesIO("".join([line.rstrip("\n") + "\n" for line in lines]).encode())
