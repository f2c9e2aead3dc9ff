"""Write genes as GTF 2.2: gene, transcript, exon, CDS without the stop codon, start_codon, stop_codon.

What GTF has no word for is said in words of others: `transcript_biotype`, `partial`, `exception`, `transl_table` and
`pseudo` as NCBI does, tags for missing ends as GENCODE does, and the comment lines `##sequence-region` and
`#!circular`. Our reader gives the same genes back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import pairwise
from typing import TextIO

from genet5.genome.frames import phases
from genet5.genome.gene import Cds, Gene, Transcript
from genet5.genome.io.contig_names import gtf_name, warn_of_escapes
from genet5.genome.io.feature_table import Span
from genet5.genome.io.unique_ids import Names

_ESCAPES = {code: f"%{code:02X}" for code in (*range(32), 127, *map(ord, '%;"'))}
_COMMA = {ord(","): "%2C"}


def write_gtf(
    out: TextIO,
    genes: Iterable[Gene],
    contig_lengths: Mapping[str, int],
    source: str = "GeneT5",
    *,
    circular: Collection[str] = (),
) -> None:
    """Write all genes, by contig and start.

    Args:
        out: Where to.
        genes: In any order.
        contig_lengths: Name -> bases; its order is that of the file. Genes of other contigs come last.
        source: Column 2.
        circular: Contigs to mark as circular; those with a gene over the origin are marked anyway.
    """
    by_contig: dict[str, list[Gene]] = {name: [] for name in contig_lengths}
    for gene in genes:
        by_contig.setdefault(gene.contig, []).append(gene)
    warn_of_escapes(by_contig, gtf_name)
    out.write("#gtf-version 2.2\n")
    for name, length in contig_lengths.items():
        out.write(f"##sequence-region {gtf_name(name)} 1 {length}\n")
    writer = _Writer(_escape(source))
    for name, some in by_contig.items():
        length = contig_lengths.get(name, 0)
        if name in circular or any(gene.end > length > 0 for gene in some):
            out.write(f"#!circular {gtf_name(name)}\n")
        for gene in sorted(some, key=lambda gene: (gene.start, gene.end)):
            out.writelines(writer.gene(gene))


class _Writer:
    """Makes the lines; remembers the IDs in use."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.genes, self.transcripts = Names(), Names()

    def gene(self, gene: Gene) -> Iterator[str]:
        """All lines of a gene."""
        name = self.genes.unique(gene.id)
        attributes = [("gene_id", name), ("gene_name", gene.name), ("gene_biotype", gene.type)]
        if gene.pseudo:
            attributes.append(("pseudo", "true"))
        coding = any(transcript.cds for transcript in gene.transcripts)
        if gene.genetic_code is not None and not coding:
            attributes.append(("transl_table", str(gene.genetic_code)))
        yield self._row(gene, "gene", (gene.start, gene.end), attributes)
        for transcript in gene.transcripts:
            yield from self._transcript(gene, transcript, name)

    def _transcript(self, gene: Gene, transcript: Transcript, parent: str) -> Iterator[str]:
        name = self.transcripts.unique(transcript.id)
        names = [("gene_id", parent), ("transcript_id", name)]
        marks = [("transcript_biotype", transcript.type), *_marks(transcript)]
        span = (transcript.start, transcript.end)
        yield self._row(gene, "transcript", span, [*names, *marks])
        step = 1 if gene.strand > 0 else -1
        for number, exon in enumerate(transcript.exons[::step], 1):
            numbered = [*names, ("exon_number", str(number))]
            yield self._row(gene, "exon", (exon.start, exon.end), numbered)
        if transcript.cds:
            yield from self._cds(gene, transcript, names)

    def _cds(
        self, gene: Gene, transcript: Transcript, names: list[tuple[str, str]]
    ) -> Iterator[str]:
        attributes = list(names)
        if gene.genetic_code is not None:
            attributes.append(("transl_table", str(gene.genetic_code)))
        if gene.pseudo:
            attributes.append(("pseudo", "true"))
        pieces = list(transcript.cds[:: 1 if gene.strand > 0 else -1])
        start = [] if transcript.partial_5 else _first_codon(pieces, gene.strand)
        stop: list[Span] = []
        if not transcript.partial_3:
            stop = _last_codon(pieces, gene.strand)
            if _can_be_cut(pieces):
                pieces = _without(pieces, stop, gene.strand)
        for piece in pieces:
            yield self._row(gene, "CDS", (piece.start, piece.end), attributes, str(piece.phase))
        for kind, codon in (("start_codon", start), ("stop_codon", stop)):
            for (first, last), phase in zip(codon, _codon_phases(codon), strict=True):
                yield self._row(gene, kind, (first, last), names, str(phase))

    def _row(
        self,
        gene: Gene,
        kind: str,
        span: Span,
        attributes: Iterable[tuple[str, str]],
        phase: str = ".",
    ) -> str:
        score = "." if gene.score is None or kind == "exon" else f"{gene.score:.4f}"
        text = " ".join(
            f'{key} "{value if key == "exception" else _escape(value)}";'
            for key, value in attributes
            if value
        )
        sign = "+" if gene.strand > 0 else "-"
        columns = (
            gtf_name(gene.contig), self.source, kind, str(span[0] + 1), str(span[1]), score, sign, phase, text
        )  # fmt: skip
        return "\t".join(columns) + "\n"


def _marks(transcript: Transcript) -> Iterator[tuple[str, str]]:
    kind = "cds" if transcript.cds else "mRNA"
    if transcript.partial_5:
        yield "tag", f"{kind}_start_NF"
    if transcript.partial_3:
        yield "tag", f"{kind}_end_NF"
    if transcript.exceptions:
        names = (
            _escape(name.replace("_", " ")).translate(_COMMA) for name in transcript.exceptions
        )
        yield "exception", ",".join(names)


def _can_be_cut(pieces: list[Cds]) -> bool:
    """Whether taking the stop codon off leaves something, and no other piece overlaps it (ribosomal slippage)."""
    ordered = sorted(pieces, key=lambda piece: piece.start)
    overlap = any(a.end > b.start for a, b in pairwise(ordered))
    return not overlap and sum(piece.end - piece.start for piece in pieces) > 3


def _first_codon(pieces: list[Cds], strand: int) -> list[Span]:
    """The spans of the first three bases, in reading direction."""
    found, left = [], 3
    for piece in pieces:
        taken = min(left, piece.end - piece.start)
        first = piece.start if strand > 0 else piece.end - taken
        if taken:
            found.append((first, first + taken))
        left -= taken
    return found


def _last_codon(pieces: list[Cds], strand: int) -> list[Span]:
    return _first_codon(pieces[::-1], -strand)[::-1]


def _without(pieces: list[Cds], stop: list[Span], strand: int) -> list[Cds]:
    """The pieces up to the stop codon."""
    kept = []
    for piece in pieces:
        cut = next((s for s in stop if piece.start <= s[0] and s[1] <= piece.end), None)
        start, end = piece.start, piece.end
        if cut is not None and strand > 0:
            end = cut[0]
        elif cut is not None:
            start = cut[1]
        if start < end:
            kept.append(Cds(start, end, piece.phase))
    return kept


def _codon_phases(codon: list[Span]) -> list[int]:
    return phases([end - start for start, end in codon], 0)


def _escape(text: str) -> str:
    return text.translate(_ESCAPES)
