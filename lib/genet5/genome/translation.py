"""Check whether annotated CDS translate, and find files that leave the stop codon out.

Checked are the canonical CDS that are complete and without exceptions: whole codons, a stop at the
end and none before. The cost is some 50 us per gene.

Example:
    >>> from genet5.genome.gene import Cds, Exon, Transcript
    >>> from genet5.genome.sequence import encode_bases
    >>> transcript = Transcript(id="t", exons=(Exon(0, 9),), cds=(Cds(0, 6, 0),))
    >>> gene = Gene(id="g", contig="c", strand=1, transcripts=(transcript,))
    >>> check = TranslationCheck()
    >>> check.add("c", encode_bases("ATGGTTTAA"), [gene])
    >>> check.line()
    '1 of 1 complete CDS do not translate; 1 of these end before their stop codon'
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from genet5.errors import DataError
from genet5.genome.codes import GeneticCode, genetic_code
from genet5.genome.extract import cds_bases, span_bases
from genet5.genome.frames import in_reading_order
from genet5.genome.gene import Gene, Transcript
from genet5.genome.io.stop_codons import codon_after
from genet5.genome.sequence import Bases, decode_bases

log = logging.getLogger(__name__)

_NEARLY_ALL = 0.5
"""Share of CDS before a stop codon: by chance it is 3 of 64."""
_SUSPICIOUS_SHARE = 0.05


@dataclass(slots=True)
class TranslationCheck:
    """Counts over the contigs of one annotation."""

    default_code: int = 1
    """NCBI number of genes that do not state their own."""
    contig_codes: Mapping[str, int] = field(default_factory=dict)
    """The same by contig."""
    cds: int = 0
    untranslated: int = 0
    """CDS that do not translate."""
    before_stop: int = 0
    """Those of them that end just before a stop codon."""
    by_contig: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Contigs with CDS that do not translate: their number, and that of all CDS."""

    def add(self, contig: str, bases: Bases, genes: Iterable[Gene]) -> None:
        """Check the genes of one contig."""
        bad = before = total = 0
        for gene in genes:
            if gene.is_regular:
                code = genetic_code(self._code(gene))
                total += 1
                if not _translates(bases, gene, gene.canonical, code):
                    bad += 1
                    before += _ends_before_stop(bases, gene, gene.canonical, code)
        self.cds += total
        self.untranslated += bad
        self.before_stop += before
        if bad > before:
            self.by_contig[contig] = (bad - before, total)

    def _code(self, gene: Gene) -> int:
        return gene.genetic_code or self.contig_codes.get(gene.contig) or self.default_code

    def line(self) -> str:
        """The counts in one line."""
        return (
            f"{self.untranslated} of {self.cds} complete CDS do not translate; "
            f"{self.before_stop} of these end before their stop codon"
        )

    def warnings(self) -> Iterator[str]:
        """What looks wrong."""
        if self.before_stop > _NEARLY_ALL * self.cds:
            share = 100 * self.before_stop / self.cds
            yield (
                f"{self.before_stop} of {self.cds} CDS ({share:.0f} %) end 3 bases before their "
                "stop codon: stop codon outside CDS? use --stop_codon_outside"
            )
        others = self.untranslated - self.before_stop
        contig, (bad, total) = max(
            self.by_contig.items(), key=lambda item: item[1][0], default=("", (0, 1))
        )
        if total < self.cds and bad > _NEARLY_ALL * max(total, others):
            yield (
                f"{bad} of {total} CDS of contig {contig} do not translate: another genetic code? "
                f"use --contig_codes {contig}=NUMBER"
            )
        elif others > _SUSPICIOUS_SHARE * self.cds:
            yield (
                f"{others} of {self.cds} CDS ({100 * others / self.cds:.0f} %) do not translate: "
                "another genetic code, or another version of the genome?"
            )

    def log(self, topic: str) -> None:
        """Log the counts, if there are any, and the warnings."""
        if self.cds:
            log.info("%s: %s", topic, self.line())
        for text in self.warnings():
            log.warning("%s: %s", topic, text)


def with_contig_codes(genes: Iterable[Gene], contig_codes: Mapping[str, int]) -> Iterator[Gene]:
    """The genes, those that do not state a genetic code with that of their contig."""
    for gene in genes:
        code = contig_codes.get(gene.contig)
        is_open = code is not None and gene.genetic_code is None and gene.canonical.cds
        yield replace(gene, genetic_code=code) if is_open else gene


def _translates(bases: Bases, gene: Gene, transcript: Transcript, code: GeneticCode) -> bool:
    coding = cds_bases(bases, gene, transcript)
    residues = code.translate(coding)
    return len(coding) % 3 == 0 and residues.find("*") == len(residues) - 1


def _ends_before_stop(bases: Bases, gene: Gene, transcript: Transcript, code: GeneticCode) -> bool:
    if "*" in code.translate(cds_bases(bases, gene, transcript)):
        return False
    spans = in_reading_order(codon_after(transcript, gene.strand), gene.strand)
    try:
        codon = [decode_bases(span_bases(bases, *span, gene.strand)) for span in spans]
    except DataError:
        return False  # beyond a linear contig
    return code.is_stop("".join(codon).upper())
