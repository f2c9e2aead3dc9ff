"""CDS that end before their stop codon: extend them by it.

GFF3 has the stop codon in the CDS, GTF has it outside with lines of its own. Some files leave it
out and have no such lines; `--stop_codon_outside` reads them.

Example:
    >>> short = Transcript(id="t", exons=(Exon(0, 10), Exon(20, 30)), cds=(Cds(0, 9, 0),))
    >>> with_stop_codon(short, 1).cds
    (Cds(start=0, end=10, phase=0), Cds(start=20, end=22, phase=2))
"""

from __future__ import annotations

from dataclasses import replace

from genet5.genome.frames import five_prime, in_reading_order, mirrored_intervals, phases
from genet5.genome.gene import Cds, Exon, Transcript
from genet5.genome.io.feature_table import Span
from genet5.genome.io.transcripts import merged

_CODON_BP = 3


def with_stop_codon(
    transcript: Transcript, strand: int, contig_length: int | None = None
) -> Transcript:
    """Extend a coding transcript by the codon after its CDS.

    The codon lies in the exons as far as they reach; the last exon grows by what is missing.
    A CDS that ends too near to the contig's end lacks its 3' end.

    Args:
        transcript: With a CDS whose 3' end is complete.
        strand: Of the gene.
        contig_length: Bases of a linear contig.
    """
    codon = codon_after(transcript, strand)
    if codon[0][0] < 0 or (contig_length is not None and codon[-1][1] > contig_length):
        return replace(transcript, partial_3=True)
    first = five_prime(transcript.cds, strand).phase
    spans = merged([*((cds.start, cds.end) for cds in transcript.cds), *codon])
    exons = merged([*((exon.start, exon.end) for exon in transcript.exons), *codon])
    lengths = [end - start for start, end in spans]
    found = in_reading_order(phases(in_reading_order(lengths, strand), first), strand)
    return replace(
        transcript,
        exons=tuple(Exon(*span) for span in exons),
        cds=tuple(Cds(*span, phase) for span, phase in zip(spans, found, strict=True)),
    )


def codon_after(transcript: Transcript, strand: int) -> list[Span]:
    """The three bases after the CDS in the spliced transcript, ascending; in one to three spans."""
    exons = [(exon.start, exon.end) for exon in transcript.exons]
    if strand > 0:
        return _bases_after(exons, transcript.cds[-1].end)
    turned = list(mirrored_intervals(exons, 0))
    return list(mirrored_intervals(_bases_after(turned, -transcript.cds[0].start), 0))


def _bases_after(exons: list[Span], at: int) -> list[Span]:
    found: list[Span] = []
    missing = _CODON_BP
    for start, end in exons:
        first = max(start, at)
        taken = min(missing, end - first)
        if taken > 0:
            found.append((first, first + taken))
            missing -= taken
    if missing:
        first = max(exons[-1][1], at)
        found.append((first, first + missing))
    return merged(found)
