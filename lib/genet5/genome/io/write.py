r"""Write genes in the format that an output's name gives: GFF3, GTF or GenBank.

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
from genet5.genome.io.fasta import Contig
from genet5.genome.io.formats import Format
from genet5.genome.io.genbank_write import write_genbank
from genet5.genome.io.gff3_write import write_gff3
from genet5.genome.io.gtf_write import write_gtf


def write_annotation(
    out: TextIO,
    kind: Format,
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
        prokaryote: Write coding genes of one exon without UTR as gene > CDS (GFF3).
    """
    if kind == "genbank":
        write_genbank(out, genes, contigs, default_code, circular=circular)
    elif kind == "gtf":
        write_gtf(out, genes, contig_lengths, circular=circular)
    else:
        write_gff3(out, genes, contig_lengths, prokaryote=prokaryote, circular=circular)
