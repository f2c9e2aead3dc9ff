"""Split the lines that share a gene_id of GTF into loci: each becomes a gene of its own.

GTF has no rule against one gene_id on two strands (merged gene sets), or one transcript_id at two
loci of a contig (UCSC's tables hold an accession once per alignment). A transcript is split where
it has two transcript lines apart, or as many start and stop codons as loci. A gene with a line of
its own is whole on that line's strand; without one its transcripts must overlap.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TypeAlias

from genet5.genome.frames import five_three
from genet5.genome.io.attributes import is_trans_spliced
from genet5.genome.io.feature_table import Node, Parts, Span
from genet5.genome.io.gtf_lines import GtfGene, GtfTranscript
from genet5.genome.io.loci import loci, numbered
from genet5.genome.io.transcripts import merged

_CODON_BP = 3
_Group: TypeAlias = tuple[Node | None, list[GtfTranscript]]
"""The gene line and the transcripts of a locus."""


@dataclass(slots=True)
class Locus:
    """A gene at one locus."""

    name: str
    node: Node | None
    """Its line, if it has one."""
    transcripts: list[GtfTranscript]


def split(name: str, gene: GtfGene) -> list[Locus]:
    """The loci of a gene: the lines of one strand by overlap; the first one keeps the name."""
    transcripts = list(gene.transcripts.values())
    if _is_one_locus(gene):
        return [Locus(name, next(iter(gene.nodes.values())), transcripts)]
    transcripts = _joined_strands(transcripts)
    known = {strand for strand in (*gene.nodes, *(t.strand for t in transcripts)) if strand}
    only = next(iter(known)) if len(known) == 1 else 0
    by_strand: dict[int, list[GtfTranscript]] = {strand or only: [] for strand in gene.nodes}
    for transcript in transcripts:
        by_strand.setdefault(transcript.strand or only, []).append(transcript)
    nodes = {strand or only: node for strand, node in gene.nodes.items()}
    groups = [
        group
        for strand, own in by_strand.items()
        for group in _split_strand(nodes.get(strand), own)
    ]
    groups = _contradictions_joined(groups)
    return [Locus(numbered(name, i), node, some) for i, (node, some) in enumerate(groups)]


def _is_one_locus(gene: GtfGene) -> bool:
    """The common case, fast: one line of the gene and of each transcript, all on one strand."""
    if len(gene.nodes) != 1:
        return False
    ((strand, node),) = gene.nodes.items()
    return len(node.spans) == 1 and all(
        transcript.strand == strand
        and (transcript.node is None or len(transcript.node.spans) == 1)
        and (len(transcript.starts) < 2 or len(transcript.parts.stop_codons) < 2)
        for transcript in gene.transcripts.values()
    )


def _contradictions_joined(groups: list[_Group]) -> list[_Group]:
    """A gene line on one strand and all its transcripts on the other are one gene, and bad."""
    if len(groups) != 2:
        return groups
    (node, own), (other_node, others) = groups
    if node is None or own or other_node is not None:
        return groups
    start, end = node.spans[0]
    overlap = any(a < end and start < b for a, b in map(extent, others))
    return [(node, others)] if overlap else groups


def extent(transcript: GtfTranscript) -> Span:
    """First base of a transcript and one past its last."""
    parts, node = transcript.parts, transcript.node
    spans = parts.exons + parts.utrs + [(c.start, c.end) for c in parts.cds + parts.stop_codons]
    spans += node.spans if node is not None else []
    spans = spans or transcript.starts or [(0, 0)]
    return min(start for start, _ in spans), max(end for _, end in spans)


def _joined_strands(transcripts: list[GtfTranscript]) -> list[GtfTranscript]:
    """Join the lines of a transcript on several strands again, unless they are two loci."""
    by_id: dict[str, list[GtfTranscript]] = {}
    for transcript in transcripts:
        by_id.setdefault(transcript.id, []).append(transcript)
    found: list[GtfTranscript] = []
    for same in by_id.values():
        stranded = [transcript for transcript in same if transcript.strand]
        if len(same) == 1 or (len(stranded) == len(same) and _are_loci(same)):
            found.append(same[0])
            found += [replace(one, id=numbered(one.id, i)) for i, one in enumerate(same) if i]
        else:
            found.append(_join(same))
    return found


def _are_loci(same: Sequence[GtfTranscript]) -> bool:
    """Whether the lines on the two strands are each a whole transcript, apart from each other."""
    if any(is_trans_spliced(transcript.attributes) for transcript in same):
        return False
    (_, first_end), (second_start, _) = sorted(map(extent, same))
    return first_end <= second_start and all(map(_is_whole, same))


def _is_whole(transcript: GtfTranscript) -> bool:
    cds = sum(line.end - line.start for line in transcript.parts.cds)
    return cds % _CODON_BP == 0 and transcript.parts.has_extent


def _join(same: Sequence[GtfTranscript]) -> GtfTranscript:
    """Lines on several strands as one transcript, whose strand is checked later."""
    ordered = sorted(same, key=lambda transcript: transcript.strand == 0)
    parts = ordered[0].parts
    for other in ordered[1:]:
        parts.exons += other.parts.exons
        parts.cds += other.parts.cds
        parts.utrs += other.parts.utrs
        parts.stop_codons += other.parts.stop_codons
        parts.strands |= other.parts.strands
        parts.recoded |= other.parts.recoded
        ordered[0].starts += other.starts
    node = next((one.node for one in same if one.node is not None), None)
    return replace(ordered[0], node=node)


def _split_strand(node: Node | None, transcripts: list[GtfTranscript]) -> Iterator[_Group]:
    """Loci of the lines on one strand."""
    whole = [part for transcript in transcripts for part in _split_transcript(transcript)]
    several = len(whole) > len(transcripts) or (node is not None and _are_apart(node.spans))
    if not several and (node is not None or len(whole) == 1):
        yield node, whole
        return
    if node is not None and not whole:
        yield from ((replace(node, spans=[span]), []) for span in merged(node.spans))
        return
    groups = loci(whole, extent)
    for group in groups:
        yield _node_of(node, group), group
    if node is not None:
        yield from ((replace(node, spans=[span]), []) for span in _alone(node, groups))


def _alone(node: Node, groups: Sequence[Sequence[GtfTranscript]]) -> list[Span]:
    """Places of a gene line where no transcript lies."""
    taken = [extent(transcript) for group in groups for transcript in group]
    return [
        (start, end)
        for start, end in merged(node.spans)
        if not any(a < end and start < b for a, b in taken)
    ]


def _node_of(node: Node | None, group: Sequence[GtfTranscript]) -> Node | None:
    """The gene line of a locus."""
    if node is None:
        return None
    start = min(extent(transcript)[0] for transcript in group)
    end = max(extent(transcript)[1] for transcript in group)
    spans = [(a, b) for a, b in node.spans if a < end and start < b]
    return replace(node, spans=spans or [(start, end)])


def _split_transcript(transcript: GtfTranscript) -> list[GtfTranscript]:
    """The transcript, or its copies if it stands at several loci."""
    cuts = _cuts(transcript)
    if not cuts:
        return [transcript]
    edges = [0, *cuts, extent(transcript)[1]]
    return [_part(transcript, i, (a, b)) for i, (a, b) in enumerate(pairwise(edges))]


def _cuts(transcript: GtfTranscript) -> list[int]:
    """Where one locus ends and the next begins."""
    node = transcript.node
    if node is not None and _are_apart(node.spans):
        return [start for start, _ in merged(node.spans)[1:]]
    parts = transcript.parts
    if len(transcript.starts) < 2 or len(parts.stop_codons) < 2:
        return []
    starts = _codons(transcript.starts)
    stops = _codons([(line.start, line.end) for line in parts.stop_codons])
    if len(starts) != len(stops) or len(starts) < 2:
        return []
    left, right = five_three(starts, stops, transcript.strand)
    blocks = merged(parts.exons + [(line.start, line.end) for line in parts.cds] + left + right)
    found = []
    for ended, begun in zip(right, left[1:], strict=False):
        gaps = [
            (b[0] - a[1], b[0])
            for a, b in pairwise(blocks)
            if ended[1] <= a[1] and b[0] <= begun[0]
        ]
        if not gaps:
            return []
        found.append(max(gaps)[1])
    return found


def _codons(spans: list[Span]) -> list[Span]:
    """The extent of each codon; introns may split one."""
    found: list[Span] = []
    held = 0
    for start, end in merged(spans):
        if held:
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
        held = (held + end - start) % _CODON_BP
    return found


def _part(transcript: GtfTranscript, number: int, within: Span) -> GtfTranscript:
    """What of a transcript lies in one locus."""

    def inside(start: int, end: int) -> bool:
        return within[0] <= start and end <= within[1]

    parts, node = transcript.parts, transcript.node
    own = Parts(
        parts.line,
        exons=[span for span in parts.exons if inside(*span)],
        cds=[line for line in parts.cds if inside(line.start, line.end)],
        utrs=[span for span in parts.utrs if inside(*span)],
        stop_codons=[line for line in parts.stop_codons if inside(line.start, line.end)],
        strands=set(parts.strands),
        score=parts.score,
        recoded=parts.recoded,
    )
    name = numbered(transcript.id, number)
    if node is not None:
        node = replace(node, id=name, spans=[span for span in node.spans if inside(*span)])
    starts = [span for span in transcript.starts if inside(*span)]
    return replace(transcript, id=name, parts=own, node=node, starts=starts)


def _are_apart(spans: Sequence[Span]) -> bool:
    return len(merged(spans)) > 1
