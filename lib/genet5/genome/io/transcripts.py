"""The rules of one transcript: its CDS in one frame, missing ends, exceptions, the contig's origin.

A `Draft` is a transcript as the file gives it; `finish` makes a `Transcript` of it. The phases of
the result always follow from the first one (at the 5' end): files differ in how they write the
others, and a file whose phases contradict its own CDS is marked with the exception "frame".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from operator import attrgetter
from typing import TypeVar

from genet5.genome.frames import five_three, in_reading_order, phases
from genet5.genome.gene import Cds, Exon, KeptAttributes, Transcript
from genet5.genome.io.attributes import Attributes, values
from genet5.genome.io.feature_table import CdsLine, Span

Made = TypeVar("Made")

_START = attrgetter("start")
_OPEN_5 = frozenset({"start", "5", "5'", "5_prime", "both", "start,end"})
_OPEN_3 = frozenset({"end", "3", "3'", "3_prime", "both", "start,end"})


@dataclass(slots=True)
class Draft:
    """A transcript on its way from the file."""

    id: str
    type: str
    strand: int
    line: int
    attributes: Attributes
    exons: list[Span]
    cds: list[CdsLine] = field(default_factory=list)
    recoded: bool = False
    pseudo: bool = False
    marked: bool = False
    """The attributes of the transcript or of its CDS hold marks (see `CdsLine.marked`)."""
    has_stop_codon: bool = False
    """Lines of its own gave the stop codon."""
    kept: KeptAttributes = ()
    """Attributes of the transcript to keep."""
    cds_kept: KeptAttributes = ()


class BadTranscript(Exception):
    """A transcript that breaks a rule of GFF3: cause, found, expected."""


class _Once(dict[tuple[int, ...], Made]):
    """Makes one object per key."""

    def __init__(self, make: Callable[..., Made]) -> None:
        self.make = make

    def __missing__(self, key: tuple[int, ...]) -> Made:
        value = self[key] = self.make(*key)
        return value


class Pool:
    """Makes equal exons and CDS once: isoforms share most of theirs, in memory too."""

    def __init__(self) -> None:
        self._exons, self._cds = _Once(Exon), _Once(Cds)

    def exons(self, spans: Iterable[Span]) -> tuple[Exon, ...]:
        """Return exons of (start, end)."""
        return tuple(map(self._exons.__getitem__, spans))

    def cds(self, intervals: Iterable[tuple[int, int, int]]) -> tuple[Cds, ...]:
        """Return CDS of (start, end, phase)."""
        return tuple(map(self._cds.__getitem__, intervals))


def finish(draft: Draft, pool: Pool) -> Transcript:
    """Make the transcript.

    Raises:
        BadTranscript: The CDS is not inside the exons.
    """
    exons = merged(draft.exons)
    lines = draft.cds
    if len(lines) > 1:
        lines = sorted(lines, key=_START)
    if lines and not (draft.marked or draft.recoded) and _is_plain(lines, exons, draft.strand):
        return Transcript(
            id=draft.id, type=draft.type, exons=pool.exons(exons),
            attributes=draft.kept, cds_attributes=draft.cds_kept,
            cds=pool.cds([(p.start, p.end, p.phase or 0) for p in lines]),
        )  # fmt: skip
    if not lines:
        five, three = _open_ends((draft.attributes,), draft.strand)
        return Transcript(
            id=draft.id, type=draft.type, exons=pool.exons(exons),
            attributes=draft.kept, cds_attributes=draft.cds_kept,
            partial_5=five is True, partial_3=three is True, exceptions=_exceptions(draft),
        )  # fmt: skip
    _check_inside(lines, exons, draft.id)
    exceptions = _exceptions(draft)
    ordered = in_reading_order(lines, draft.strand)
    phase, five, three, odd = _frame(draft, ordered, bool(exceptions))
    return Transcript(
        id=draft.id, type=draft.type, exons=pool.exons(exons),
            attributes=draft.kept, cds_attributes=draft.cds_kept,
        cds=pool.cds(_intervals(lines, draft.strand, phase)), partial_5=five, partial_3=three,
        exceptions=tuple(dict.fromkeys((*exceptions, *odd))),
    )  # fmt: skip


def _is_plain(lines: Sequence[CdsLine], exons: Sequence[Span], strand: int) -> bool:
    """The common case, fast: lines apart and inside the exons, whole codons, consistent phases."""
    phase = 0
    for line in in_reading_order(lines, strand) if len(lines) > 1 else lines:
        if line.phase != phase:
            return False
        phase = (phase + line.start - line.end) % 3
    at, before = 0, -1
    for line in lines:
        start, end = line.start, line.end
        while exons[at][1] < end:
            at += 1
            if at == len(exons):
                return False
        if start < exons[at][0] or start <= before:
            return False
        before = end
    return phase == 0


def merged(spans: Sequence[Span]) -> list[Span]:
    """Sort spans; join those that touch or overlap.

    Example:
        >>> merged([(5, 9), (0, 5), (12, 14)])
        [(0, 9), (12, 14)]
    """
    if len(spans) < 2:
        return list(spans)
    result: list[Span] = []
    for start, end in sorted(spans):
        if result and start <= result[-1][1]:
            result[-1] = (result[-1][0], max(end, result[-1][1]))
        else:
            result.append((start, end))
    return result


def unwrap(drafts: Sequence[Draft], length: int) -> None:
    """Move what lies after the origin of a circular contig to beyond its end, in place.

    The exons of a gene over the origin stand at both ends of the contig. The gene is cut open at
    the widest gap, if that is more than half of the contig, or if exons touch both ends.
    """
    if len(drafts) == 1 and len(drafts[0].exons) == 1:
        return
    spans = [span for draft in drafts for span in draft.exons]
    spans += [(line.start, line.end) for draft in drafts for line in draft.cds]
    found = merged(spans)
    if len(found) < 2 or found[-1][1] > length:
        return
    gap, cut = max((b[0] - a[1], a[1]) for a, b in pairwise(found))
    touches = found[0][0] == 0 and found[-1][1] == length
    if not touches and 2 * gap <= length:
        return
    for draft in drafts:
        draft.exons = [(s + length, e + length) if e <= cut else (s, e) for s, e in draft.exons]
        for line in draft.cds:
            if line.end <= cut:
                line.start += length
                line.end += length


def _check_inside(lines: Sequence[CdsLine], exons: Sequence[Span], name: str) -> None:
    at = 0
    for line in lines:
        while at < len(exons) and exons[at][1] <= line.start:
            at += 1
        if at == len(exons) or line.start < exons[at][0] or line.end > exons[at][1]:
            raise BadTranscript(
                "CDS outside exons", line.line, f'CDS of "{name}" outside its exons',
                "CDS inside exons",
            )  # fmt: skip


def _exceptions(draft: Draft) -> tuple[str, ...]:
    if not draft.marked:
        return ("stop_codon_redefined",) if draft.recoded else ()
    found: dict[str, None] = {}
    for attributes in (draft.attributes, *(line.attributes for line in draft.cds)):
        if "exception" in attributes:
            found.update(
                dict.fromkeys(v.replace(" ", "_") for v in values(attributes["exception"]))
            )
        if "transl_except" in attributes:
            found["transl_except"] = None
        if "ribosomal_slippage" in attributes:
            found["ribosomal_slippage"] = None
    if draft.recoded:
        found["stop_codon_redefined"] = None
    return tuple(found)


def _open_ends(sources: Sequence[Attributes], strand: int) -> tuple[bool | None, bool | None]:
    """Whether the 5' and the 3' end are marked as missing; None: one is, not stated which."""
    five = three = vague = False
    for attributes in sources:
        mark = attributes.get("partial", "")
        left = attributes.get("start_range", "").startswith(".") or mark in ("10", "11")
        right = attributes.get("end_range", "").endswith(".") or mark in ("01", "11")
        open_5, open_3 = five_three(left, right, strand)
        five |= open_5 or mark in _OPEN_5
        three |= open_3 or mark in _OPEN_3
        vague |= mark.lower() == "true"
    if vague and not (five or three):
        return None, None
    return five, three


def _frame(
    draft: Draft, ordered: Sequence[CdsLine], excused: bool
) -> tuple[int, bool, bool, tuple[str, ...]]:
    """First phase, whether the 5' and 3' ends are missing, and further exceptions."""
    sources = [line.attributes for line in ordered if line.marked]
    words = draft.attributes.get("partial", "")
    if words in _OPEN_5 | _OPEN_3:
        sources.append({"partial": words})
    five, three = _open_ends(sources, draft.strand)
    lengths = [line.end - line.start for line in ordered]
    total = sum(lengths)
    phase = ordered[0].phase
    if phase is None:
        phase = total % 3 if five and not three else 0
    odd = [] if excused or len(ordered) == 1 else _odd(ordered, lengths, phase)
    remainder = (total - phase) % 3
    if five is None or three is None:
        five, three = (phase > 0, remainder > 0) if phase or remainder else (True, True)
    elif not (five or three or excused or odd):
        five, three = phase > 0, remainder > 0
    elif phase and not excused:
        five = True
    return phase, five, three, tuple(odd)


def _odd(ordered: Sequence[CdsLine], lengths: Sequence[int], phase: int) -> list[str]:
    """What is wrong with the parts of a CDS: their phases, or bases that two of them hold."""
    odd: list[str] = []
    if not _is_consistent([line.phase for line in ordered], phases(lengths, phase)):
        odd.append("frame")
    if sum(b - a for a, b in merged([(p.start, p.end) for p in ordered])) < sum(lengths):
        odd.append("overlapping_cds")
    return odd


def _is_consistent(given: Sequence[int | None], expected: Sequence[int]) -> bool:
    """Whether phases agree.

    All 0, "." and the frames of GTF (1 and 2 exchanged) are other ways to write them.
    """
    if None in given or list(given) == list(expected):
        return True
    if given[0]:
        return False
    return not any(given) or [3 - g if g else 0 for g in given] == list(expected)


def _intervals(lines: Sequence[CdsLine], strand: int, phase: int) -> list[tuple[int, int, int]]:
    if len(lines) == 1:
        return [(lines[0].start, lines[0].end, phase)]
    spans: list[Span] = []
    for line in lines:
        if spans and spans[-1][1] == line.start:
            spans[-1] = (spans[-1][0], line.end)
        else:
            spans.append((line.start, line.end))
    lengths = [end - start for start, end in spans]
    found = in_reading_order(phases(in_reading_order(lengths, strand), phase), strand)
    return [(*span, p) for span, p in zip(spans, found, strict=True)]
