from __future__ import annotations

import io
from pathlib import Path

import pytest

from genet5.errors import DataError
from genet5.genome.gene import Cds, Exon, Gene, Transcript
from genet5.genome.io.annotation import Annotation
from genet5.genome.io.gtf import parse_gtf, parse_gtf_attributes
from genet5.genome.io.gtf_write import write_gtf
from genet5.genome.io.read_options import ReadOptions


def _lines(text: str) -> list[str]:
    """Lines of GTF whose first eight columns are separated by blanks."""
    return [
        line if line.startswith("#") else "\t".join(line.split(maxsplit=8)) + "\n"
        for line in text.strip().splitlines()
    ]


def _read(text: str, *, skip_bad: bool = False) -> Annotation:
    return parse_gtf(_lines(text), Path("x.gtf"), ReadOptions(skip_bad=skip_bad))


ENSEMBL = """
#!genome-build R64-1-1
I e gene 101 300 . - . gene_id "G1"; gene_version "2"; gene_name "ABC1"; \
gene_biotype "protein_coding";
I e transcript 101 300 . - . gene_id "G1"; transcript_id "T1"; \
transcript_biotype "protein_coding"; tag "basic"; tag "Ensembl_canonical";
I e exon 201 300 . - . gene_id "G1"; transcript_id "T1"; exon_number "1";
I e CDS 201 251 . - 0 gene_id "G1"; transcript_id "T1"; exon_number "1"; protein_id "P1";
I e start_codon 249 251 . - 0 gene_id "G1"; transcript_id "T1";
I e exon 101 161 . - . gene_id "G1"; transcript_id "T1"; exon_number "2";
I e CDS 123 161 . - 0 gene_id "G1"; transcript_id "T1"; exon_number "2"; protein_id "P1";
I e stop_codon 120 122 . - 0 gene_id "G1"; transcript_id "T1";
I e five_prime_utr 252 300 . - . gene_id "G1"; transcript_id "T1";
I e transcript 101 160 . - . gene_id "G1"; transcript_id "T2"; transcript_biotype "retained_intron";
I e exon 101 160 . - . gene_id "G1"; transcript_id "T2";
I e gene 401 470 . + . gene_id "G2"; gene_biotype "tRNA";
I e transcript 401 470 . + . gene_id "G2"; transcript_id "T3"; transcript_biotype "tRNA";
I e exon 401 470 . + . gene_id "G2"; transcript_id "T3";
"""


def test_ensembl_stop_codons_join_the_cds() -> None:
    first, second = _read(ENSEMBL).genes
    coding = Transcript(
        id="T1", exons=(Exon(100, 161), Exon(200, 300)), cds=(Cds(119, 161, 0), Cds(200, 251, 0))
    )
    other = Transcript(id="T2", exons=(Exon(100, 160),), type="retained_intron")
    assert first == Gene(id="G1", contig="I", strand=-1, transcripts=(coding, other), name="ABC1")
    assert (second.type, second.canonical.type) == ("tRNA", "tRNA")


def test_stop_codon_split_by_an_intron_or_alone_in_an_exon() -> None:
    text = """
    c a CDS 1 9 . + 0 gene_id "g"; transcript_id "t";
    c a stop_codon 10 10 . + 0 gene_id "g"; transcript_id "t";
    c a stop_codon 21 22 . + 2 gene_id "g"; transcript_id "t";
    c a start_codon 1 3 . + 0 gene_id "g"; transcript_id "t";
    """
    best = _read(text).genes[0].canonical
    assert best.cds == (Cds(0, 10, 0), Cds(20, 22, 2))
    assert best.exons == (Exon(0, 10), Exon(20, 22))
    assert not best.partial_3


def test_stop_codon_inside_the_cds_is_not_added() -> None:
    text = """
    c a CDS 1 9 . + 0 gene_id "g"; transcript_id "t";
    c a stop_codon 7 9 . + 0 gene_id "g"; transcript_id "t";
    """
    assert _read(text).genes[0].canonical.cds == (Cds(0, 9, 0),)


def test_stop_codon_outside_the_exons_extends_them() -> None:
    text = """
    c a exon 1 9 . + . gene_id "g"; transcript_id "t";
    c a CDS 1 9 . + 0 gene_id "g"; transcript_id "t";
    c a stop_codon 10 12 . + 0 gene_id "g"; transcript_id "t";
    """
    assert _read(text).genes[0].canonical.exons == (Exon(0, 12),)


STRINGTIE = """
# stringtie --version 2
c StringTie transcript 11 90 1000 + . gene_id "STRG.1"; transcript_id "STRG.1.1"; cov "5.0"; \
FPKM "1"; TPM "2";
c StringTie exon 11 30 1000 + . gene_id "STRG.1"; transcript_id "STRG.1.1"; exon_number "1"; \
cov "5";
c StringTie exon 61 90 1000 + . gene_id "STRG.1"; transcript_id "STRG.1.1"; exon_number "2"; \
cov "5";
c StringTie transcript 211 290 1000 . . gene_id "STRG.2"; transcript_id "STRG.2.1";
c StringTie exon 211 290 1000 . . gene_id "STRG.2"; transcript_id "STRG.2.1"; exon_number "1";
"""


def test_stringtie_has_no_genes_and_no_cds() -> None:
    annotation = _read(STRINGTIE)
    (gene,) = annotation.genes
    assert gene == Gene(
        id="STRG.1", contig="c", strand=1, type="ncRNA", score=1000.0,
        transcripts=(
            Transcript(id="STRG.1.1", exons=(Exon(10, 30), Exon(60, 90)), type="transcript"),
        ),
    )  # fmt: skip
    assert annotation.skipped == {"no strand": 1}


AUGUSTUS = """
# This output was generated with AUGUSTUS (version 3.5.0).
c AUGUSTUS gene 11 90 0.94 + . g1
c AUGUSTUS transcript 11 90 0.94 + . g1.t1
c AUGUSTUS start_codon 11 13 . + 0 transcript_id "g1.t1"; gene_id "g1";
c AUGUSTUS intron 32 60 1 + . transcript_id "g1.t1"; gene_id "g1";
c AUGUSTUS CDS 11 31 1 + 0 transcript_id "g1.t1"; gene_id "g1";
c AUGUSTUS CDS 61 87 0.94 + 0 transcript_id "g1.t1"; gene_id "g1";
c AUGUSTUS stop_codon 88 90 . + 0 transcript_id "g1.t1"; gene_id "g1";
# protein sequence = [MSEQ]
c AUGUSTUS gene 101 190 0.5 - . g2
c AUGUSTUS transcript 101 190 0.5 - . g2.t1
c AUGUSTUS stop_codon 101 103 . - 0 transcript_id "g2.t1"; gene_id "g2";
c AUGUSTUS CDS 104 190 0.5 - 0 transcript_id "g2.t1"; gene_id "g2";
"""


def test_augustus_bare_names_and_missing_codons() -> None:
    whole, cut = _read(AUGUSTUS).genes
    assert (whole.id, whole.score, whole.type) == ("g1", 0.94, "protein_coding")
    assert whole.canonical.id == "g1.t1"
    assert [(c.start, c.end) for c in whole.canonical.cds] == [(10, 31), (60, 90)]
    assert (whole.canonical.partial_5, whole.canonical.partial_3) == (False, False)
    assert (cut.canonical.partial_5, cut.canonical.partial_3) == (True, False)
    assert cut.canonical.cds == (Cds(100, 190, 0),)


NCBI = """
#gtf-version 2.2
c R gene 11 40 . + . gene_id "b1"; transcript_id ""; gene "thrL"; gene_biotype "protein_coding";
c R CDS 11 37 . + 0 gene_id "b1"; transcript_id "unassigned_transcript_1"; gene "thrL"; \
transl_table "11";
c R start_codon 11 13 . + 0 gene_id "b1"; transcript_id "unassigned_transcript_1"; gene "thrL";
c R stop_codon 38 40 . + 0 gene_id "b1"; transcript_id "unassigned_transcript_1"; gene "thrL";
c R gene 61 90 . - . gene_id "b2"; transcript_id ""; gene_biotype "pseudogene"; pseudo "true";
c R CDS 61 90 . - 0 gene_id "b2"; transcript_id "unassigned_transcript_2"; pseudo "true"; \
partial "true";
c R gene 101 130 . + . gene_id "b3"; transcript_id ""; gene_biotype "protein_coding";
c R CDS 101 127 . + 0 gene_id "b3"; transcript_id "u3"; exception "ribosomal slippage"; \
transl_except "(pos:4..6,aa:Sec)";
c R start_codon 101 103 . + 0 gene_id "b3"; transcript_id "u3";
c R stop_codon 128 130 . + 0 gene_id "b3"; transcript_id "u3";
"""


def test_ncbi_prokaryotes() -> None:
    coding, pseudo, odd = _read(NCBI).genes
    assert (coding.name, coding.genetic_code, coding.is_regular) == ("thrL", 11, True)
    assert coding.canonical.cds == (Cds(10, 40, 0),)
    assert (pseudo.type, pseudo.pseudo) == ("pseudogene", True)
    assert odd.canonical.exceptions == ("ribosomal_slippage", "transl_except")


def test_gencode_tags() -> None:
    text = """
    c H transcript 1 33 . + . gene_id "g"; transcript_id "t"; gene_type "protein_coding"; \
    tag "cds_start_NF"; tag "mRNA_start_NF"; tag "seleno";
    c H exon 1 33 . + . gene_id "g"; transcript_id "t"; gene_type "protein_coding"; tag "seleno"; \
    tag "cds_start_NF";
    c H CDS 1 30 . + 0 gene_id "g"; transcript_id "t"; gene_type "protein_coding";
    c H stop_codon 31 33 . + 0 gene_id "g"; transcript_id "t";
    """
    best = _read(text).genes[0].canonical
    assert (best.partial_5, best.partial_3) == (True, False)
    assert best.exceptions == ("stop_codon_redefined",)


def test_attributes() -> None:
    found = parse_gtf_attributes('gene_id "a; b" ;transcript_id t1; note "x=1"; level 2')
    assert found == {"gene_id": "a; b", "transcript_id": "t1", "note": "x=1", "level": "2"}


GENE = Gene(
    id='g"1;', contig="c", strand=-1, name="a, b", score=0.5, genetic_code=4,
    transcripts=(
        Transcript(
            id="t", exons=(Exon(0, 10), Exon(20, 33)), cds=(Cds(8, 10, 2), Cds(22, 32, 0)),
            exceptions=("odd,one",),
        ),
    ),
)  # fmt: skip
GOLDEN = """\
#gtf-version 2.2
##sequence-region c 1 50
#!circular c
c GeneT5 gene 1 33 0.5000 - . gene_id "g%221%3B"; gene_name "a, b"; gene_biotype "protein_coding";
c GeneT5 transcript 1 33 0.5000 - . gene_id "g%221%3B"; transcript_id "t"; \
transcript_biotype "mRNA"; exception "odd%2Cone";
c GeneT5 exon 21 33 . - . gene_id "g%221%3B"; transcript_id "t"; exon_number "1";
c GeneT5 exon 1 10 . - . gene_id "g%221%3B"; transcript_id "t"; exon_number "2";
c GeneT5 CDS 24 32 0.5000 - 0 gene_id "g%221%3B"; transcript_id "t"; transl_table "4";
c GeneT5 start_codon 30 32 0.5000 - 0 gene_id "g%221%3B"; transcript_id "t";
c GeneT5 stop_codon 23 23 0.5000 - 0 gene_id "g%221%3B"; transcript_id "t";
c GeneT5 stop_codon 9 10 0.5000 - 2 gene_id "g%221%3B"; transcript_id "t";
"""


def test_golden_text_keeps_the_stop_codon_out_of_the_cds() -> None:
    out = io.StringIO()
    write_gtf(out, [GENE], {"c": 50}, circular={"c"})
    assert out.getvalue().splitlines() == [line.rstrip("\n") for line in _lines(GOLDEN)]
    annotation = parse_gtf(io.StringIO(out.getvalue()), Path("x.gtf"))
    assert annotation == Annotation((GENE,), {"c": 50}, frozenset("c"), {})


BAD = {
    "columns": ("c1 . CDS 1", "4 columns in 'c1"),
    "coordinates": (
        'c a CDS 9 1 . + 0 gene_id "x"; transcript_id "y";',
        "start '9', end '1' of a CDS",
    ),
    "strand": ('c a CDS 1 9 . x 0 gene_id "x"; transcript_id "y";', "strand 'x'"),
    "phase": ('c a CDS 1 9 . + 3 gene_id "x"; transcript_id "y";', "CDS phase '3'"),
    "score": ('c a gene 1 9 nan + . gene_id "x";', "score 'nan'"),
    "no gene_id": (
        'c a CDS 1 9 . + 0 note "x"; other "y";',
        "CDS without gene_id and transcript_id",
    ),
    "transl_table": (
        'c a CDS 1 9 . + 0 gene_id "x"; transcript_id "y"; transl_table "7";',
        "transl_table=7",
    ),
    "strands differ": (
        'c a transcript 1 9 . + . gene_id "x"; transcript_id "y";\n'
        'c a exon 1 9 . - . gene_id "x"; transcript_id "y";',
        '"y" and its parts on different strands',
    ),
    "CDS outside exons": (
        'c a exon 1 5 . + . gene_id "x"; transcript_id "y";\n'
        'c a CDS 1 9 . + 0 gene_id "x"; transcript_id "y";',
        'CDS of "y" outside its exons',
    ),
}  # fmt: skip


@pytest.mark.parametrize("cause", BAD)
def test_bad_records_are_errors_or_counted(cause: str) -> None:
    lines, message = BAD[cause]
    text = f'c a CDS 501 530 . + 0 gene_id "ok"; transcript_id "t";\n{lines}'
    with pytest.raises(DataError, match=r"x\.gtf:\d+: ") as caught:
        _read(text)
    assert message in str(caught.value)
    assert "--skip_bad" in str(caught.value)
    annotation = _read(text, skip_bad=True)
    assert annotation.skipped == {cause: 1}
    assert [gene.id for gene in annotation.genes] == ["ok"]


def test_values_with_and_without_quotes_keep_their_order() -> None:
    text = 'gene_id "g"; exon_number 2; level 1; tag "basic"; rank 3;'
    expected = {"gene_id": "g", "exon_number": "2", "level": "1", "tag": "basic", "rank": "3"}
    assert list(parse_gtf_attributes(text).items()) == list(expected.items())


def test_repeated_keys_without_quotes_keep_the_first_value_and_all_tags() -> None:
    text = 'gene_id "g"; level 1; tag basic; level "2"; tag "seleno";'
    assert parse_gtf_attributes(text) == {"gene_id": "g", "level": "1", "tag": "basic,seleno"}


def test_a_quote_without_its_end_is_no_value() -> None:
    assert parse_gtf_attributes('gene_id "g"; "') == {"gene_id": "g"}


def _places(*lines: str) -> dict[str, tuple[str, int, int, int, list[str]]]:
    """Read lines `TYPE START END STRAND ATTRIBUTES` of gene g, and t where `t` stands for them."""
    words = {"g": 'gene_id "g";', "t": 'gene_id "g"; transcript_id "t";'}
    text = []
    for line in lines:
        kind, start, end, strand, owner, *more = line.split(maxsplit=5)
        phase = "0" if kind == "CDS" else "."
        text.append(f"c . {kind} {start} {end} . {strand} {phase} {words[owner]} {''.join(more)}")
    genes = _read("\n".join(text)).genes
    return {g.id: (g.type, g.start, g.end, g.strand, [t.id for t in g.transcripts]) for g in genes}


def test_a_gene_line_alone_is_a_gene_of_one_transcript_without_cds() -> None:
    assert _places("gene 1 9 + g") == {"g": ("ncRNA", 0, 9, 1, ["g.t1"])}


def test_a_transcript_line_alone_is_a_gene_of_its_biotype() -> None:
    assert _places("transcript 1 9 + t") == {"g": ("ncRNA", 0, 9, 1, ["t"])}
    found = _places("gene 1 9 + g", 'transcript 1 9 + t transcript_biotype "tRNA";')
    assert found == {"g": ("tRNA", 0, 9, 1, ["t"])}


def test_lines_of_one_gene_id_that_lie_apart_are_two_genes() -> None:
    assert _places("gene 1 9 + g", "gene 101 109 + g") == {
        "g": ("ncRNA", 0, 9, 1, ["g.t1"]),
        "g-2": ("ncRNA", 100, 109, 1, ["g-2.t1"]),
    }
    assert _places("gene 1 9 + g", "CDS 101 109 - t") == {
        "g": ("ncRNA", 0, 9, 1, ["g.t1"]),
        "g-2": ("protein_coding", 100, 109, -1, ["t"]),
    }


def test_transcript_lines_of_one_id_that_lie_apart_are_two_genes() -> None:
    lines = [f"{kind} {a} {a + 8} + t" for a in (1, 101) for kind in ("transcript", "CDS")]
    assert _places(*lines) == {
        "g": ("protein_coding", 0, 9, 1, ["t"]),
        "g-2": ("protein_coding", 100, 109, 1, ["t-2"]),
    }


def test_a_gene_whose_transcripts_lie_on_the_other_strand_is_a_bad_record() -> None:
    with pytest.raises(DataError, match='gene "g" and its transcripts on different strands'):
        _places("gene 1 9 + g", "CDS 1 9 - t")


def test_a_gene_line_at_a_second_place_is_a_gene_there() -> None:
    text = """
    c e gene 1 90 . + . gene_id "g";
    c e gene 501 590 . + . gene_id "g";
    c e transcript 1 90 . + . gene_id "g"; transcript_id "t";
    c e CDS 1 90 . + 0 gene_id "g"; transcript_id "t";
    """
    found = _read(text)
    assert [(g.id, g.start, g.end) for g in found.genes] == [("g", 0, 90), ("g-2", 500, 590)]


def test_a_start_codon_alone_is_counted() -> None:
    found = _read('c e start_codon 1 3 . + 0 gene_id "g"; transcript_id "t";')
    assert not found.genes
    assert found.skipped == {"start codon alone": 1}
