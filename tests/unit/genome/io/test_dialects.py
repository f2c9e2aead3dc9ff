"""Dialects of other programs, each of which links genes, transcripts and parts in its own way."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from genet5.errors import DataError
from genet5.genome.gene import Cds, Exon, Gene
from genet5.genome.io.annotation import Annotation
from genet5.genome.io.formats import read_annotation
from genet5.genome.io.genbank import parse_genbank
from genet5.genome.io.gtf import parse_gtf_attributes


def _read(tmp_path: Path, text: str, **options: bool) -> Annotation:
    """Read a file whose first eight columns are separated by blanks."""
    path = tmp_path / "genes"
    lines = (
        line if line.startswith("#") else "\t".join(line.split(maxsplit=8))
        for line in text.strip().splitlines()
    )
    path.write_text("\n".join(lines) + "\n")
    return read_annotation(path, **options)


def _shape(annotation: Annotation) -> list[tuple[str, int, list[list[tuple[int, int]]]]]:
    """Of each gene: ID, strand, and the CDS of each transcript."""
    return [
        (gene.id, gene.strand, [[(c.start, c.end) for c in t.cds] for t in gene.transcripts])
        for gene in annotation.genes
    ]


def test_a_cds_with_transcript_and_protein_as_parents_is_one_gene(tmp_path: Path) -> None:
    found = _read(
        tmp_path,
        """
c . gene 1 90 . - . ID=g
c . mRNA 1 90 . - . ID=g.1;Parent=g
c . protein 11 40 . - . ID=g.1-Protein;Derives_from=g.1
c . CDS 11 40 . - 0 Parent=g.1,g.1-Protein;
c . exon 1 90 . - . Parent=g.1
""",
    )
    assert _shape(found) == [("g", -1, [[(10, 40)]])]
    assert found.genes[0].canonical.exons == (Exon(0, 90),)


def test_a_cds_below_a_protein_belongs_to_the_transcript_that_it_derives_from(
    tmp_path: Path,
) -> None:
    text = (
        "c . gene 1 90 . + . ID=g\nc . mRNA 1 90 . + . ID=t;Parent=g\n"
        "c . polypeptide 1 90 . + . ID=p;{}=t\nc . CDS 1 90 . + 0 Parent=p"
    )
    for key in ("Derives_from", "Parent"):
        assert _shape(_read(tmp_path, text.format(key))) == [("g", 1, [[(0, 90)]])]


def test_an_mrna_without_parent_joins_the_gene_that_its_cds_names(tmp_path: Path) -> None:
    found = _read(
        tmp_path,
        """
c . gene 1 90 . + . ID=x_gene;locus_tag=x
c . mRNA 1 90 . + . ID=x_mRNA;locus_tag=x
c . CDS 1 90 . + 0 ID=x;Parent=x_gene,x_mRNA;locus_tag=x
""",
    )
    assert _shape(found) == [("x_gene", 1, [[(0, 90)]])]
    assert found.genes[0].canonical.id == "x_mRNA"


@pytest.mark.parametrize("key", ["geneID", "gene_id", "locus", "gene"])
def test_isoforms_that_name_the_same_gene_are_one_gene(tmp_path: Path, key: str) -> None:
    found = _read(
        tmp_path,
        f"""
c . mRNA 1 90 . + . ID=a.1;{key}=a
c . CDS 1 90 . + 0 Parent=a.1
c . mRNA 31 90 . + . ID=a.2;{key}=a
c . CDS 31 90 . + 0 Parent=a.2
c . mRNA 501 590 . - . ID=b.1;{key}=b
c . CDS 501 590 . - 0 Parent=b.1
""",
    )
    assert [cds for _, _, cds in _shape(found)] == [[[(0, 90)], [(30, 90)]], [[(500, 590)]]]
    assert found.summary.inferred_genes == 2


POLYCISTRONIC = """
c . gene 11 40 . + . ID=g1
c . gene 51 80 . + . ID=g2
c . mRNA 1 99 . + . ID=t;Parent=g1,g2
c . exon 1 99 . + . Parent=t
c . CDS 11 40 . + 0 Parent=t{0}
c . CDS 51 80 . + 0 Parent=t{1}
"""


@pytest.mark.parametrize("derives", [(";Derives_from=g1", ";Derives_from=g2"), ("", "")])
def test_each_gene_of_a_polycistronic_transcript_has_its_own_cds(
    tmp_path: Path, derives: tuple[str, str]
) -> None:
    found = _read(tmp_path, POLYCISTRONIC.format(*derives))
    assert _shape(found) == [("g1", 1, [[(10, 40)]]), ("g2", 1, [[(50, 80)]])]
    assert [(gene.start, gene.end) for gene in found.genes] == [(10, 40), (50, 80)]


def test_a_trans_spliced_transcript_of_two_gene_lines_is_one_gene(tmp_path: Path) -> None:
    found = _read(
        tmp_path,
        """
c . gene 1 30 . + . ID=a;exception=trans-splicing
c . gene 61 90 . + . ID=b;exception=trans-splicing
c . mRNA 1 30 . + . ID=t;Parent=a,b;exception=trans-splicing
c . mRNA 61 90 . + . ID=t;Parent=a,b;exception=trans-splicing
c . CDS 1 30 . + 0 ID=p;Parent=t
c . CDS 61 90 . + 0 ID=p;Parent=t
""",
    )
    assert _shape(found) == [("a", 1, [[(0, 30), (60, 90)]])]
    assert found.genes[0].canonical.exceptions == ("trans-splicing",)
    assert found.skipped == {"trans-splicing": 1}


def test_one_gene_id_on_two_strands_is_two_genes(tmp_path: Path) -> None:
    found = _read(
        tmp_path,
        """
c . CDS 1 90 . + 0 gene_id "B"; transcript_id "x";
c . CDS 201 290 . - 0 gene_id "B"; transcript_id "y";
""",
    )
    assert _shape(found) == [("B", 1, [[(0, 90)]]), ("B-2", -1, [[(200, 290)]])]
    assert found.summary.several_loci == 1


@pytest.mark.parametrize("strand", ["+", "-"])
def test_one_transcript_id_at_two_loci_is_two_genes(tmp_path: Path, strand: str) -> None:
    name = 'gene_id "N"; transcript_id "N";'
    left, right = ("start_codon", "stop_codon") if strand == "+" else ("stop_codon", "start_codon")
    text = "\n".join(
        f"c . {kind} {at + first} {at + last} . {strand} {phase} {name}"
        for at in (0, 1000)
        for kind, first, last, phase in (
            ("exon", 1, 30, "."), ("exon", 61, 90, "."), ("CDS", 1, 30, 0), ("CDS", 61, 90, 0),
            (left, 1, 3, "."), (right, 88, 90, "."),
        )
    )  # fmt: skip
    sign = 1 if strand == "+" else -1
    assert _shape(_read(tmp_path, text)) == [
        ("N", sign, [[(0, 30), (60, 90)]]), ("N-2", sign, [[(1000, 1030), (1060, 1090)]]),
    ]  # fmt: skip


def test_one_transcript_id_on_two_strands_is_two_genes(tmp_path: Path) -> None:
    name = 'gene_id "N"; transcript_id "N";'
    found = _read(tmp_path, f"c . CDS 1 90 . + 0 {name}\nc . CDS 201 290 . - 0 {name}")
    assert [gene.canonical.id for gene in found.genes] == ["N", "N-2"]


OTHER_STRAND = """
c . gene 1 90 . - . ID=g
c . mRNA 1 90 . - . ID=t;Parent=g
c . exon 1 30 . - . Parent=t
c . CDS 1 30 . + 0 ID=p;Parent=t{0}
c . exon 61 90 . - . Parent=t
c . CDS 61 90 . - 0 ID=p;Parent=t{0}
"""


def test_a_cds_on_the_other_strand_is_a_bad_record_unless_marked(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r'genes:4: CDS of "t" on another strand'):
        _read(tmp_path, OTHER_STRAND.format(""))
    found = _read(tmp_path, OTHER_STRAND.format(";exception=trans-splicing"))
    assert (found.genes, found.skipped) == ((), {"trans-splicing": 1})


def test_a_pseudogene_broken_by_an_inversion_is_counted(tmp_path: Path) -> None:
    text = "c . CDS 1 9 . {} 0 ID=p;pseudo=true\n"
    found = _read(tmp_path, text.format("+") + text.format("-").replace(" 1 9 ", " 21 29 "))
    assert (found.genes, found.skipped) == ((), {"pseudogene on both strands": 1})


def test_a_gene_on_another_strand_than_its_transcript_is_a_bad_record(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r'genes:1: gene "g" and its transcripts on different'):
        _read(tmp_path, "c . gene 1 9 . + . ID=g\nc . mRNA 1 9 . - . ID=t;Parent=g")


def test_one_id_of_a_gff3_gene_at_two_places_is_a_bad_record(tmp_path: Path) -> None:
    with pytest.raises(DataError, match='ID "g" of this gene at 2 places'):
        _read(tmp_path, "c . gene 1 9 . + . ID=g\nc . gene 51 59 . + . ID=g")


GFF2 = """
c JGI exon 1 90 . + . name "a b"; transcriptId 7
c JGI CDS 1 30 . + 0 name "a b"; proteinId 2; exonNumber 1
c JGI CDS 61 90 . + 0 name "a b"; proteinId 2; exonNumber 2
c JGI CDS 201 290 . - 0 proteinId 3
"""


def test_gff2_of_jgi_is_grouped_by_name_or_protein_id(tmp_path: Path) -> None:
    assert _shape(_read(tmp_path, GFF2)) == [
        ("a b", 1, [[(0, 30), (60, 90)]]), ("3", -1, [[(200, 290)]]),
    ]  # fmt: skip


@pytest.mark.parametrize("names", ['gene_id="g"; transcript_id="t"', "gene_id=g;transcript_id=t"])
def test_gtf_with_equals_signs_is_gtf(tmp_path: Path, names: str) -> None:
    found = _read(tmp_path, f"c . CDS 1 30 . + 0 {names}\nc . CDS 61 90 . + 0 {names}")
    assert _shape(found) == [("g", 1, [[(0, 30), (60, 90)]])]


def test_quotes_of_a_spreadsheet_are_taken_off(tmp_path: Path) -> None:
    gff3 = 'c . CDS 1 30 . + 0 "ID=a;product=x, y"\nc . CDS 61 90 . + 0 ID=b'
    assert [gene.id for gene in _read(tmp_path, gff3).genes] == ["gene-a", "gene-b"]
    gtf = 'c . CDS 1 30 . + 0 "gene_id ""a; x""; transcript_id ""t""; note ""\\""q\\"" 5\'; y""; "'
    (gene,) = _read(tmp_path, gtf).genes
    assert (gene.id, gene.canonical.id) == ("a; x", "t")


@pytest.mark.parametrize("style", ["ID=g ;Name=a b", "ID = g; Name = a b"])
def test_blanks_around_keys_and_values_do_not_count(tmp_path: Path, style: str) -> None:
    parent = "Parent=g ;x=1" if ";" in style[:6] else "Parent = g"
    path = tmp_path / "x.gff3"
    path.write_text(
        f"c\t.\tgene\t1\t9\t.\t+\t.\t{style}\nc\t.\texon\t1\t9\t.\t+\t.\t{parent} \n"
        f"c\t.\tCDS\t1\t9\t.\t+\t0\t{parent}\n"
    )
    (gene,) = read_annotation(path).genes
    assert (gene.id, gene.name, gene.canonical.cds) == ("g", "a b", (Cds(0, 9, 0),))


def test_cds_without_any_name_are_genes_of_their_own_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        found = _read(tmp_path, "c . CDS 1 9 . + 0 note=x\nc . CDS 21 29 . + 0 note=x")
    assert len(found.genes) == found.summary.orphan_cds == 2
    assert "2 CDS without a parent" in caplog.text


def test_cds_that_name_a_gene_line_belong_to_it(tmp_path: Path) -> None:
    found = _read(
        tmp_path,
        "c . gene 1 90 . + . ID=g;locus_tag=L\nc . CDS 1 30 . + 0 ID=p;locus_tag=L\n"
        "c . CDS 61 90 . + 0 ID=p;locus_tag=L\nc . gene 201 290 . - . ID=h\n"
        "c . CDS 201 290 . - 0 ID=q;Derives_from=h",
    )
    assert _shape(found) == [("g", 1, [[(0, 30), (60, 90)]]), ("h", -1, [[(200, 290)]])]
    assert found.summary.orphan_cds == 0


def test_attributes_in_no_known_style_are_a_bad_record(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="attributes 'Sequence \"a\"' of a CDS; expected key=value"):
        _read(tmp_path, 'c . CDS 1 9 . + 0 Sequence "a"')


def test_a_cds_three_levels_down_is_an_isoform_of_the_gene(tmp_path: Path) -> None:
    found = _read(
        tmp_path,
        "c . gene 1 90 . + . ID=g\nc . mRNA 1 90 . + . ID=t;Parent=g\n"
        "c . mRNA 1 90 . + . ID=u;Parent=t\nc . CDS 1 90 . + 0 ID=p;Parent=u",
    )
    assert [(t.id, t.cds_length) for t in found.genes[0].transcripts] == [("t", 0), ("u", 90)]


def test_stop_codons_outside_the_cds_are_added_on_request(tmp_path: Path) -> None:
    text = """
c . gene 1 99 . {0} . ID=g
c . mRNA 1 99 . {0} . ID=t;Parent=g
c . exon 1 40 . {0} . Parent=t
c . exon 61 99 . {0} . Parent=t
c . CDS {1} . {0} 0 ID=p;Parent=t
c . gene 201 260 . {0} . ID=h
c . CDS 204 257 . {0} 0 ID=q;Parent=h
"""
    for strand, cds, expected in (
        ("+", "10 39", [(9, 40), (60, 62)]),
        ("-", "62 91", [(38, 40), (60, 91)]),
    ):
        found = _read(tmp_path, text.format(strand, cds), stop_codon_outside=True)
        second = (203, 260) if strand == "+" else (200, 257)
        assert [cds for _, _, cds in _shape(found)] == [[expected], [[second]]]
        assert all(gene.is_regular for gene in found.genes)


def test_a_stop_codon_beyond_the_contig_is_a_missing_end(tmp_path: Path) -> None:
    text = "##sequence-region c 1 10\nc . gene 1 9 . + . ID=g\nc . CDS 1 9 . + 0 Parent=g"
    best = _read(tmp_path, text, stop_codon_outside=True).genes[0].canonical
    assert (best.cds, best.partial_3) == ((Cds(0, 9, 0),), True)


def test_a_stop_codon_line_counts_once(tmp_path: Path) -> None:
    name = 'gene_id "g"; transcript_id "t";'
    text = f"c . CDS 1 9 . + 0 {name}\nc . stop_codon 10 12 . + 0 {name}"
    assert _read(tmp_path, text, stop_codon_outside=True).genes[0].canonical.cds_length == 12


def test_skipping_all_bad_records_leaves_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no gene is left .* \(1 phase\)"):
        _read(tmp_path, "c . CDS 1 9 . + 7 ID=a", skip_bad=True)


def test_the_summary_counts_what_was_inferred(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = "c . gene 1 9 . + . ID={0}\nc . CDS 1 9 . + 0 Parent={0}\n"
    with caplog.at_level(logging.INFO):
        _read(tmp_path, text.format("a") + text.format("b") + "c . riboswitch 30 40 . + . ID=r")
    assert (
        "2 genes, 2 transcripts, 0 genes without a gene line, 1 genes with the CDS of another gene"
        in caplog.text
    )
    assert "is the same gene annotated twice?" in caplog.text
    assert "left out, as no part of a gene: riboswitch 1" in caplog.text


GENBANK = """\
LOCUS       {0}
DEFINITION  x.
ACCESSION
VERSION
FEATURES             Location/Qualifiers
     source          1..30
     CDS             {1}
                     /locus_tag="t"
ORIGIN
        1 acgtacgtac gtacgtacgt acgtacgtac
//
"""


def _genbank(locus: str, location: str) -> Annotation:
    return parse_genbank(GENBANK.format(locus, location).splitlines(keepends=True), Path("x.gb"))


def test_a_join_over_the_ends_of_a_linear_record_keeps_its_order() -> None:
    locus = "p                         30 bp    DNA     linear   SYN 12-JUN-2023"
    found = _genbank(locus, "join(25..30,1..9)")
    (gene,) = found.genes
    assert gene.canonical.cds == (Cds(24, 39, 0),)
    assert gene.canonical.exceptions == ("origin_spanning",)
    assert (found.summary.out_of_order, found.circular) == (1, {"p"})


def test_a_join_out_of_order_is_an_exception() -> None:
    locus = "p                         30 bp    DNA     linear   SYN 12-JUN-2023"
    (gene,) = _genbank(locus, "join(20..25,1..9)").genes
    assert gene.canonical.exceptions == ("out_of_order",)


def test_name_and_length_of_a_locus_line_may_run_together() -> None:
    found = _genbank("NODE_1_length_30_cov_13.530 bp   DNA linear\n16-NOV-2020", "1..9")
    assert [gene.contig for gene in found.genes] == ["NODE_1_length_30_cov_13.5"]
    with pytest.raises(DataError, match="a blank between name and length"):
        _genbank("NODE_1_length_31 bp   DNA linear", "1..9")


def test_attributes_are_kept_on_request_and_take_no_part_in_equality(tmp_path: Path) -> None:
    text = (
        "c . gene 1 9 . + . ID=g;locus_tag=L;Note=a%2Cb,c\n"
        "c . CDS 1 9 . + 0 ID=p;Parent=g;Dbxref=A:1,B:2;product=x%3By;colour=red"
    )
    plain: Gene
    kept: Gene
    (plain,), (kept,) = _read(tmp_path, text), _read(tmp_path, text, keep_attributes=True)
    assert plain == kept
    assert plain.attributes == plain.canonical.cds_attributes == ()
    assert kept.attributes == (("locus_tag", "L"), ("note", "a,b"), ("note", "c"))
    expected = (("product", "x;y"), ("db_xref", "A:1"), ("db_xref", "B:2"))
    assert kept.canonical.cds_attributes == expected


def test_a_long_word_in_gtf_costs_linear_time() -> None:
    assert parse_gtf_attributes("y" * 1_000_000) == {}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_text_of_windows_programs_is_decoded(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "x.gtf"
    path.write_text('c\t.\tCDS\t1\t9\t.\t+\t0\tgene_id "g"; transcript_id "t";\r\n', encoding)
    assert [gene.id for gene in read_annotation(path).genes] == ["g"]
