"""What programs that look for RNA genes write, as each of them writes it."""

from __future__ import annotations

from genet5.annotate.rna.hits import RnaHit, aragorn_hits, barrnap_hits, trnascan_hits

BARRNAP = """\
##gff-version 3
s0\tbarrnap:0.9\trRNA\t171\t1684\t0\t+\t.\tName=16S_rRNA;product=16S ribosomal RNA
s0\tbarrnap:0.9\trRNA\t4687\t4760\t3.3e-07\t-\t.\tName=5S_rRNA;\
product=5S ribosomal RNA (partial);note=aligned only 62 percent of the 5S ribosomal RNA
"""
TRNASCAN = """\
Sequence\t\ttRNA\tBounds\ttRNA\tAnti\tIntron Bounds\tInf\t
Name\ttRNA #\tBegin\tEnd\tType\tCodon\tBegin\tEnd\tScore\tNote
--------\t------\t-----\t------\t----\t-----\t-----\t----\t------\t------
s0 \t1\t101\t172\tAla\tTGC\t0\t0\t75.0\t
s0 \t2\t390\t301\tIle2\tCAT\t350\t341\t60.1\t
s0 \t3\t500\t571\tUndet\tNNN\t0\t0\t22.0\tpseudo
s1 \t1\t10\t81\tSup\tCTA\t0\t0\t50.0\t
"""
ARAGORN = """\
>s0
3 genes found
1   tRNA-Ile                 [14069,14144]\t36  \t(gat)
2   tRNA-?(Ala|Gly)         c[-2,71]\t34  \t(cat)
3   tmRNA                  [406542,406929]\t84,164\tDKENNEVLVDPNLIINQQASVNFAFA*
>s1
0 genes found
"""


def test_barrnap_writes_gff3() -> None:
    assert list(barrnap_hits(BARRNAP.splitlines())) == [
        RnaHit(contig="s0", start=170, end=1684, strand=1, type="rRNA",
               product="16S ribosomal RNA"),
        RnaHit(contig="s0", start=4686, end=4760, strand=-1, type="rRNA",
               product="5S ribosomal RNA",
               note="aligned only 62 percent of the 5S ribosomal RNA"),
    ]  # fmt: skip


def test_trnascan_writes_a_table_whose_pseudogenes_are_left_out() -> None:
    assert list(trnascan_hits(TRNASCAN.splitlines())) == [
        RnaHit(contig="s0", start=100, end=172, strand=1, type="tRNA", product="tRNA-Ala",
               note="anticodon TGC"),
        RnaHit(contig="s0", start=300, end=390, strand=-1, type="tRNA", product="tRNA-Ile",
               note="anticodon CAT", intron=(340, 350)),
        RnaHit(contig="s1", start=9, end=81, strand=1, type="tRNA", product="tRNA-Xxx",
               note="anticodon CTA"),
    ]  # fmt: skip


def test_a_line_with_numbers_of_endless_digits_is_no_hit() -> None:
    line = TRNASCAN.splitlines()[-1]
    assert len(list(trnascan_hits([line]))) == 1
    columns = line.split("\t")
    columns[2] = "9" * 5000
    assert list(trnascan_hits(["\t".join(columns)])) == []


def test_aragorn_writes_blocks_of_sequences() -> None:
    first, unsure, tm = aragorn_hits(ARAGORN.splitlines())
    assert first == RnaHit(contig="s0", start=14068, end=14144, strand=1, type="tRNA",
                           product="tRNA-Ile", note="anticodon GAT")  # fmt: skip
    assert (unsure.start, unsure.end, unsure.strand, unsure.product) == (0, 71, -1, "tRNA-Xxx")
    assert (tm.type, tm.product, tm.note) == ("tmRNA", "transfer-messenger RNA, SsrA", "")
