"""From genes to an annotation: repeats dropped, RNA genes merged, names as submissions want them.

All of it is done gene by gene as they are written, sorted by start.

Example:
    >>> from genet5.genome.io.fasta import Contig
    >>> from genet5.genome.sequence import encode_bases
    >>> from genet5.genome.gene import Cds, Exon, Transcript
    >>> transcript = Transcript(id="g.1", exons=(Exon(0, 9),), cds=(Cds(0, 9, 0),))
    >>> gene = Gene(id="g", contig="c", strand=1, transcripts=(transcript,))
    >>> finisher = Finisher(locus_tag="AB1")
    >>> [done.id for done in finisher.finished(Contig("c", encode_bases("ATGAAATAA")), [gene], [])]
    ['AB1_00001']
"""

from __future__ import annotations

import heapq
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from genet5.genome.extract import cds_bases
from genet5.genome.gene import Gene, KeptAttributes, Transcript
from genet5.genome.io.fasta import AnyContig
from genet5.genome.io.tbl_write import UNKNOWN_PRODUCT

log = logging.getLogger(__name__)

MOST_SHARED_BP = 30
"""Coding bases that a gene may share with an RNA gene."""
_LOWER_A = ord("a")


class Finisher:
    """Finishes the genes of a run, contig by contig.

    Args:
        locus_tag: Prefix of the genes' names; empty: they keep their IDs.
        max_masked: Genes without introns with a larger share of soft-masked coding bases are
            dropped; None: none are.
    """

    def __init__(self, locus_tag: str = "", max_masked: float | None = None) -> None:
        self._prefix, self._max_masked = locus_tag, max_masked
        self._number = self._rna_number = 0
        self.num_masked = 0
        """Genes that were dropped as repeats."""
        self.num_under_rna = 0
        """Genes that were dropped for an RNA gene."""

    def finished(
        self, contig: AnyContig, genes: Iterable[Gene], rna: Sequence[Gene]
    ) -> Iterator[Gene]:
        """Yield the annotation of a contig.

        Args:
            contig: Its bases are read where repeats are dropped.
            genes: What the model found, sorted by start.
            rna: RNA genes of the contig, sorted by start.
        """
        kept = (gene for gene in genes if self._is_kept(contig, gene, rna))
        for gene in heapq.merge(kept, rna, key=lambda gene: (gene.start, gene.end)):
            yield self._named(gene)

    def log(self) -> None:
        """Log how many genes were dropped."""
        if self.num_masked:
            log.info("dropped %d genes without introns in soft-masked repeats", self.num_masked)
        if self.num_under_rna:
            log.info("dropped %d genes that share more than %d coding bases with an RNA gene",
                     self.num_under_rna, MOST_SHARED_BP)  # fmt: skip

    def _is_kept(self, contig: AnyContig, gene: Gene, rna: Sequence[Gene]) -> bool:
        if self._max_masked is not None and _masked_share(contig, gene) > self._max_masked:
            self.num_masked += 1
            return False
        if shared_bp(gene, rna, len(contig.bases)) > MOST_SHARED_BP:
            self.num_under_rna += 1
            return False
        return True

    def _named(self, gene: Gene) -> Gene:
        """Return the gene under its final name."""
        if self._prefix:
            self._number += 1
            tag = f"{self._prefix}_{self._number:05d}"
            return with_locus_tag(gene, tag)
        if gene.source:
            self._rna_number += 1
            return _renamed(gene, f"rna_{self._rna_number:06d}")
        return gene


def shared_bp(gene: Gene, others: Iterable[Gene], contig_bp: int) -> int:
    """Return how many coding bases of a gene lie in exons of others, on either strand.

    Args:
        gene: What is asked for.
        others: Genes of the same contig.
        contig_bp: Its length: a gene over the origin also lies at the contig's start.
    """
    return sum(
        max(0, min(cds.end, exon.end + turn) - max(cds.start, exon.start + turn))
        for other in others
        for turn in (0, -contig_bp, contig_bp)
        if other.start + turn < gene.end and gene.start < other.end + turn
        for exon in other.canonical.exons
        for cds in gene.canonical.cds
    )


def with_locus_tag(gene: Gene, tag: str) -> Gene:
    """Return the gene with a locus tag, which is its ID too; a CDS without a product gets one."""
    transcripts = tuple(_with_product(transcript) for transcript in gene.transcripts)
    attributes = (("locus_tag", tag), *(pair for pair in gene.attributes if pair[0] != "locus_tag"))
    return _renamed(replace(gene, transcripts=transcripts, attributes=attributes), tag)


def _with_product(transcript: Transcript) -> Transcript:
    product: KeptAttributes = (("product", UNKNOWN_PRODUCT),)
    known = {name for name, _ in (*transcript.cds_attributes, *transcript.attributes)}
    if not transcript.cds or "product" in known:
        return transcript
    return replace(transcript, cds_attributes=product + transcript.cds_attributes)


def _renamed(gene: Gene, name: str) -> Gene:
    transcripts = tuple(
        replace(transcript, id=f"{name}.{number}")
        for number, transcript in enumerate(gene.transcripts, 1)
    )
    return replace(gene, id=name, transcripts=transcripts)


def _masked_share(contig: AnyContig, gene: Gene) -> float:
    """Share of a gene's coding bases in lower case; 0 for a gene with introns."""
    best = gene.canonical
    if len(best.exons) > 1 or not best.cds:
        return 0.0
    return float(np.mean(cds_bases(contig.bases, gene, best) >= _LOWER_A))
