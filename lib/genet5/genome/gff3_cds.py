"""The rules of one transcript: its CDS in one frame, what is partial, what is an exception, and the contig's origin.

A `Draft` is a transcript as the file gives it; `finish` makes a `Transcript` of it. The phases of the result always
follow from the first one (at the 5' end): files differ in how they write the others, and a file whose phases
contradict its own pieces is marked with the exception "frame".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from genet5.genome.gene import Cds, Exon, Transcript
from genet5.genome.gff3_lines import Attributes, CdsLine, Span, values

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


class BadTranscript(Exception):
    """A transcript that breaks a rule of GFF3: cause, found, expected."""


def finish(draft: Draft) -> Transcript:
    """Make the transcript.

    Raises:
        BadTranscript: A CDS piece lies outside the exons.
    """
    exons = merged(draft.exons)
    if len(draft.cds) == 1 and not (draft.marked or draft.recoded):
        plain = _plain(draft, exons)
        if plain is not None:
            return plain
    if not draft.cds:
        five, three = _open_ends((draft.attributes,), draft.strand)
        return Transcript(
            id=draft.id, type=draft.type, exons=tuple(Exon(*e) for e in exons),
            partial_5=five is True, partial_3=three is True, exceptions=_exceptions(draft),
        )  # fmt: skip
    lines = sorted(draft.cds, key=lambda piece: piece.start)
    _check_inside(lines, exons, draft.id)
    exceptions = _exceptions(draft)
    reading = lines if draft.strand > 0 else lines[::-1]
    phase, five, three, odd = _frame(draft, reading, bool(exceptions))
    return Transcript(
        id=draft.id, type=draft.type, exons=tuple(Exon(*e) for e in exons),
        cds=_pieces(lines, draft.strand, phase), partial_5=five, partial_3=three,
        exceptions=tuple(dict.fromkeys((*exceptions, *odd))),
    )  # fmt: skip


def _plain(draft: Draft, exons: Sequence[Span]) -> Transcript | None:
    """The common case, fast: one CDS piece of whole codons in one exon, nothing marked."""
    piece = draft.cds[0]
    if len(exons) > 1 or piece.phase or (piece.end - piece.start) % 3:
        return None
    (start, end) = exons[0]
    if piece.start < start or piece.end > end:
        return None
    cds = (Cds(piece.start, piece.end, 0),)
    return Transcript(id=draft.id, type=draft.type, exons=(Exon(start, end),), cds=cds)


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


def phases(lengths: Sequence[int], first: int) -> list[int]:
    """GFF3 phases of CDS pieces in reading direction.

    Example:
        >>> phases([10, 4, 7], first=0)
        [0, 2, 1]
    """
    result, phase = [], first
    for length in lengths:
        result.append(phase)
        phase = (phase - length) % 3
    return result


def unwrap(drafts: Sequence[Draft], length: int) -> None:
    """Move the pieces of a gene that lie behind the origin of a circular contig to beyond its end, in place.

    The pieces of a gene over the origin stand at both ends of the contig. The gene is cut open at the widest gap, if
    that is more than half of the contig, or if pieces touch both ends.
    """
    if len(drafts) == 1 and len(drafts[0].exons) == 1:
        return
    spans = [span for draft in drafts for span in draft.exons]
    spans += [(piece.start, piece.end) for draft in drafts for piece in draft.cds]
    pieces = merged(spans)
    if len(pieces) < 2 or pieces[-1][1] > length:
        return
    gap, cut = max((b[0] - a[1], a[1]) for a, b in pairwise(pieces))
    touches = pieces[0][0] == 0 and pieces[-1][1] == length
    if not touches and 2 * gap <= length:
        return
    for draft in drafts:
        draft.exons = [(s + length, e + length) if e <= cut else (s, e) for s, e in draft.exons]
        for piece in draft.cds:
            if piece.end <= cut:
                piece.start += length
                piece.end += length


def is_true(attributes: Attributes, key: str) -> bool:
    """Whether the attribute says true."""
    return attributes.get(key, "").lower() in ("true", "yes", "1")


def is_pseudo(attributes: Attributes) -> bool:
    """Whether the attributes mark a pseudogene."""
    return is_true(attributes, "pseudo") or "pseudogene" in attributes


def _check_inside(lines: Sequence[CdsLine], exons: Sequence[Span], name: str) -> None:
    at = 0
    for piece in lines:
        while at < len(exons) and exons[at][1] <= piece.start:
            at += 1
        if at == len(exons) or piece.start < exons[at][0] or piece.end > exons[at][1]:
            raise BadTranscript(
                "CDS outside exons", piece.line, f'CDS of "{name}" outside its exons', "CDS inside exons"
            )  # fmt: skip


def _exceptions(draft: Draft) -> tuple[str, ...]:
    if not draft.marked:
        return ("stop_codon_redefined",) if draft.recoded else ()
    found: dict[str, None] = {}
    for attributes in (draft.attributes, *(piece.attributes for piece in draft.cds)):
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
    """Whether the 5' and the 3' end are marked as missing; None: something is missing, and nothing says where."""
    five = three = vague = False
    for attributes in sources:
        mark = attributes.get("partial", "")
        left = attributes.get("start_range", "").startswith(".") or mark in ("10", "11")
        right = attributes.get("end_range", "").endswith(".") or mark in ("01", "11")
        five |= (left if strand > 0 else right) or mark in _OPEN_5
        three |= (right if strand > 0 else left) or mark in _OPEN_3
        vague |= mark.lower() == "true"
    if vague and not (five or three):
        return None, None
    return five, three


def _frame(
    draft: Draft, reading: Sequence[CdsLine], excused: bool
) -> tuple[int, bool, bool, tuple[str, ...]]:
    """First phase, whether the 5' and 3' ends are missing, and further exceptions."""
    sources = [piece.attributes for piece in reading if piece.marked]
    words = draft.attributes.get("partial", "")
    if words in _OPEN_5 | _OPEN_3:
        sources.append({"partial": words})
    five, three = _open_ends(sources, draft.strand)
    lengths = [piece.end - piece.start for piece in reading]
    total = sum(lengths)
    phase = reading[0].phase
    if phase is None:
        phase = total % 3 if five and not three else 0
    consistent = _is_consistent([piece.phase for piece in reading], phases(lengths, phase))
    odd: list[str] = [] if consistent or excused else ["frame"]
    if not excused and sum(b - a for a, b in merged([(p.start, p.end) for p in reading])) < total:
        odd.append("overlapping_cds")
    remainder = (total - phase) % 3
    if five is None or three is None:
        five, three = (phase > 0, remainder > 0) if phase or remainder else (True, True)
    elif not (five or three or excused or odd):
        five, three = phase > 0, remainder > 0
    elif phase and not excused:
        five = True
    return phase, five, three, tuple(odd)


def _is_consistent(given: Sequence[int | None], expected: Sequence[int]) -> bool:
    """Whether phases agree; all 0, "." and the frames of GTF (1 and 2 exchanged) are other ways to write them."""
    if None in given or list(given) == list(expected):
        return True
    if given[0]:
        return False
    return not any(given) or [3 - g if g else 0 for g in given] == list(expected)


def _pieces(lines: Sequence[CdsLine], strand: int, phase: int) -> tuple[Cds, ...]:
    spans: list[Span] = []
    for piece in lines:
        if spans and spans[-1][1] == piece.start:
            spans[-1] = (spans[-1][0], piece.end)
        else:
            spans.append((piece.start, piece.end))
    step = 1 if strand > 0 else -1
    found = phases([end - start for start, end in spans[::step]], phase)[::step]
    return tuple(Cds(*span, p) for span, p in zip(spans, found, strict=True))
