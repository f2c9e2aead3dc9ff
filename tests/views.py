"""Views of genes for tests: one gene in one window, and genes on the reverse complement."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, cast

from genet5.genome.frames import frame_to_right, leftmost_frame, mirrored, mirrored_base
from genet5.genome.gene import Cds, Exon, Gene, Transcript
from genet5.tokens.cut import GeneIndex
from genet5.tokens.structure import order_key
from genet5.tokens.window import Frame, Part, WindowGene, WindowTranscript


def in_order(genes: Iterable[WindowGene]) -> tuple[WindowGene, ...]:
    """Sort genes into the language's order."""
    return tuple(sorted(genes, key=order_key))


def cut_gene(gene: Gene, start: int, end: int, **options: Any) -> WindowGene | None:
    """The gene as the window [start, end) shows it; None when the window shows nothing of it."""
    shown = cut_genes([gene], start, end, **options)
    return shown[0] if shown else None


def cut_genes(
    genes: Iterable[Gene], start: int, end: int, **options: Any
) -> tuple[WindowGene, ...]:
    """The genes that one window shows."""
    return GeneIndex(genes, **options).cut(start, end)


def reverse_gene(gene: Gene, contig_length: int) -> Gene:
    """Return the gene on the contig's reverse complement.

    One over the origin still ends beyond the contig's length.
    """
    length = 2 * contig_length if gene.end > contig_length else contig_length

    def mirror(transcript: Transcript) -> Transcript:
        return replace(
            transcript,
            exons=tuple(
                Exon(*mirrored(e.start, e.end, length)) for e in reversed(transcript.exons)
            ),
            cds=tuple(
                Cds(*mirrored(c.start, c.end, length), c.phase) for c in reversed(transcript.cds)
            ),
        )

    transcripts = tuple(map(mirror, gene.transcripts))
    return replace(gene, strand=-gene.strand, transcripts=transcripts)


def reverse_window(genes: Iterable[WindowGene], length_bp: int) -> tuple[WindowGene, ...]:
    """Return a window's genes as its reverse complement shows them, from the window alone.

    Frames are carried through the coding bases shown. That is exact for genes whose ends, where
    shown, are a start and a stop codon; of a window inside an intron it supposes that the intron
    lies between coding bases. Where the genes themselves are at hand, `GeneIndex.cut(...,
    reverse=True)` needs neither.
    """
    return in_order(
        WindowGene(
            gene.type,
            -gene.strand,
            tuple(_reverse_transcript(t, gene.strand, length_bp) for t in gene.transcripts),
        )
        for gene in genes
    )


def _reverse_transcript(
    transcript: WindowTranscript, strand: int, length_bp: int
) -> WindowTranscript:
    parts = tuple(
        Part(part.kind, mirrored_base(part.last, length_bp), mirrored_base(part.first, length_bp))
        for part in reversed(transcript.parts)
    )
    frame = _frame_at_right(transcript, strand) if transcript.cut_right else None
    return WindowTranscript(parts, transcript.cut_right, transcript.cut_left, frame)


def _frame_at_right(transcript: WindowTranscript, strand: int) -> Frame | None:
    """Frame of the rightmost coding base at or left of the right edge; None without one."""
    kinds = {part.kind for part in transcript.parts}
    num_coding = sum(p.last - p.first + 1 for p in transcript.parts if p.kind == "cds")
    at_left = transcript.frame if transcript.cut_left else leftmost_frame(strand)
    if num_coding:
        return cast(Frame, frame_to_right(cast(int, at_left), num_coding - 1, strand))
    if "exon" in kinds or not transcript.cut_left:
        return None
    if at_left is not None:
        return None if "utr" in kinds else cast(Frame, frame_to_right(at_left, -1, strand))
    if "utr" not in kinds:
        return None
    # right of all coding bases: the nearest is a codon's last or first
    return cast(Frame, leftmost_frame(-strand))
