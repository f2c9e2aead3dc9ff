r"""Write genes in the format that an output's name gives: GFF3, GTF, GenBank, BED12 or tables.

Example:
    >>> import sys
    >>> from genet5.genome.gene import Cds, Exon, Transcript
    >>> transcript = Transcript(id="t", exons=(Exon(0, 9),), cds=(Cds(0, 9, 0),))
    >>> gene = Gene(id="g", contig="c1", strand=1, transcripts=(transcript,))
    >>> write_annotation(sys.stdout, "gff3", [gene], {"c1": 9}, prokaryote=True)
    ... # doctest: +NORMALIZE_WHITESPACE
    ##gff-version 3
    ##sequence-region c1 1 9
    c1 GeneT5 gene 1 9 . + . ID=g;gene_biotype=protein_coding
    c1 GeneT5 CDS 1 9 . + 0 ID=t;Parent=g
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TextIO

from genet5.genome.gene import Gene
from genet5.genome.io.bed_write import BedWriter
from genet5.genome.io.contig_genes import LineWriter, genes_by_contig, write_all
from genet5.genome.io.contig_names import gff3_name, gtf_name, warn_of_escapes
from genet5.genome.io.fasta import AnyContig, Contig
from genet5.genome.io.formats import OutputFormat
from genet5.genome.io.genbank_write import write_genbank, write_genbank_record
from genet5.genome.io.gff3_write import Gff3Writer, write_gff3
from genet5.genome.io.gtf_write import GtfWriter, write_gtf
from genet5.genome.io.table_write import TableWriter
from genet5.genome.io.tbl_write import TblWriter
from genet5.genome.io.unique_ids import DistinctNames


def write_annotation(
    out: TextIO,
    kind: OutputFormat,
    genes: Iterable[Gene],
    contig_lengths: Mapping[str, int],
    contigs: Iterable[Contig] = (),
    *,
    default_code: int = 1,
    circular: Collection[str] = (),
    prokaryote: bool = False,
) -> None:
    """Write all genes, sorted.

    Args:
        out: Where to.
        kind: The format, as `format_of_name` gives it.
        genes: In any order.
        contig_lengths: Name -> bases, in the order of the file (GFF3 and GTF).
        contigs: The genome, which GenBank files hold; read one by one.
        default_code: NCBI number of the genetic code of genes that state none (GenBank).
        circular: Contigs to mark as circular; those with a gene over the origin are marked anyway.
        prokaryote: Write coding genes of one exon without UTR as gene > CDS (GFF3, tbl).
    """
    if kind == "genbank":
        write_genbank(out, genes, contigs, default_code, circular=circular)
    elif kind == "gtf":
        write_gtf(out, genes, contig_lengths, circular=circular)
    elif kind in ("bed", "tsv", "tbl"):
        found = genes_by_contig(genes, contig_lengths, circular)
        write_all(_line_writer(out, kind, prokaryote=prokaryote), found, contig_lengths)
    else:
        write_gff3(out, genes, contig_lengths, prokaryote=prokaryote, circular=circular)


def _line_writer(out: TextIO, kind: OutputFormat, *, prokaryote: bool = False) -> LineWriter:
    """Return the writer of a format of lines; IDs are taken to differ."""
    if kind == "gtf":
        return GtfWriter(out, names=DistinctNames)
    if kind == "bed":
        return BedWriter(out)
    if kind == "tsv":
        return TableWriter(out)
    if kind == "tbl":
        return TblWriter(out, prokaryote=prokaryote)
    return Gff3Writer(out, prokaryote=prokaryote, names=DistinctNames())


class AnnotationWriter:
    """Writes genes contig by contig, as they come; their IDs must differ.

    GFF3, GTF, BED and tables need some genes in memory, GenBank a contig with all its genes.

    Args:
        out: Where to.
        kind: The format.
        default_code: NCBI number of the genetic code of genes that state none (GenBank).
        prokaryote: Write coding genes of one exon without UTR as gene > CDS (GFF3, tbl).
    """

    def __init__(
        self, out: TextIO, kind: OutputFormat, *, default_code: int = 1, prokaryote: bool = False
    ) -> None:
        self._out, self._code = out, default_code
        self._name = gtf_name if kind == "gtf" else gff3_name
        is_of_lines = kind != "genbank"
        self._lines = _line_writer(out, kind, prokaryote=prokaryote) if is_of_lines else None

    def header(self, contigs: Iterable[AnyContig]) -> None:
        """Write what precedes all genes.

        Args:
            contigs: All of the file; can be gone through twice.
        """
        if self._lines is not None:
            warn_of_escapes((contig.name for contig in contigs), self._name)
            self._lines.header((contig.name, len(contig.bases)) for contig in contigs)

    def contig(self, contig: AnyContig, genes: Iterable[Gene], *, is_circular: bool) -> None:
        """Write the next contig; its genes ascend by start and end."""
        if self._lines is not None:
            self._lines.contig(contig.name, len(contig.bases), genes, is_circular=is_circular)
            return
        whole = Contig(contig.name, contig.bases[:], contig.description)
        write_genbank_record(self._out, whole, list(genes), self._code, is_circular=is_circular)
