from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest

from genet5.errors import DataError
from genet5.genome.gene import Cds, Exon, Gene, Transcript
from genet5.genome.io.annotation import Annotation
from genet5.genome.io.fasta import Contig
from genet5.genome.io.genbank import parse_genbank
from genet5.genome.io.genbank_write import write_genbank
from genet5.genome.io.read_options import ReadOptions
from genet5.genome.sequence import encode_bases

HEAD = """\
LOCUS       {name:<16} {length} bp    DNA     {topology} BCT 01-JAN-2020
DEFINITION  A record.
ACCESSION   {name}
VERSION     {name}.1
FEATURES             Location/Qualifiers
     source          1..{length}
                     /mol_type="genomic DNA"
"""


def _record(
    features: str, *, length: int = 900, topology: str = "linear", name: str = "AB1"
) -> str:
    """A record; a feature is a line `KEY LOCATION /QUALIFIER /QUALIFIER ...`."""
    lines = []
    for feature in features.strip().splitlines():
        key, location, *qualifiers = feature.split()
        lines.append(f"     {key:<15} {location}")
        lines += [" " * 21 + word for word in qualifiers]
    head = HEAD.format(name=name, length=length, topology=topology)
    return head + "\n".join(lines) + "\nORIGIN\n//\n"


def _read(text: str, *, skip_bad: bool = False) -> Annotation:
    return parse_genbank(io.StringIO(text), Path("x.gb"), ReadOptions(skip_bad=skip_bad))


def _genes(features: str, **options: object) -> tuple[Gene, ...]:
    return _read(_record(features, **options)).genes  # type: ignore[arg-type]


def test_gene_mrna_and_cds_of_one_locus_tag() -> None:
    annotation = _read(
        _record(
            """
            gene complement(101..300) /locus_tag="Y1" /gene="ABC1"
            mRNA complement(join(101..161,201..300)) /locus_tag="Y1" /transcript_id="NM_1"
            CDS complement(join(120..161,201..251)) /locus_tag="Y1" /codon_start=1
            """
        )
    )
    coding = Transcript(
        id="NM_1", exons=(Exon(100, 161), Exon(200, 300)), cds=(Cds(119, 161, 0), Cds(200, 251, 0))
    )
    gene = Gene(id="Y1", contig="AB1.1", strand=-1, transcripts=(coding,), name="ABC1")
    assert annotation == Annotation((gene,), {"AB1.1": 900}, frozenset(), {})


def test_prokaryotes() -> None:
    genes = _genes(
        """
        gene 11..40 /locus_tag="b1" /gene="thrL"
        CDS 11..40 /locus_tag="b1" /transl_table=11 /protein_id="P1" /codon_start=1
        gene 51..80 /locus_tag="b2" /pseudo
        CDS 51..80 /locus_tag="b2" /pseudo /codon_start=1
        gene complement(101..170) /locus_tag="b3"
        tRNA complement(101..170) /locus_tag="b3"
        gene 201..260 /locus_tag="b4"
        CDS join(201..230,230..260) /locus_tag="b4" /ribosomal_slippage
        gene 301..330 /locus_tag="b5"
        CDS 301..330 /locus_tag="b5" /transl_except=(pos:304..306,aa:Sec)
        gene 401..430 /locus_tag="b6"
        gene 501..530 /locus_tag="b7"
        ncRNA 501..530 /locus_tag="b7" /ncRNA_class="lncRNA"
        """
    )
    first, pseudo, trna, slip, sec, gene_only, rna = genes
    assert (first.name, first.genetic_code, first.canonical.id) == ("thrL", 11, "P1")
    assert first.is_regular
    assert (pseudo.type, pseudo.pseudo) == ("pseudogene", True)
    assert (trna.type, trna.strand, trna.canonical.type) == ("tRNA", -1, "tRNA")
    assert slip.canonical.exceptions == ("ribosomal_slippage",)
    assert slip.canonical.cds == (Cds(200, 230, 0), Cds(229, 260, 0))
    assert sec.canonical.exceptions == ("transl_except",)
    assert gene_only.transcripts == (
        Transcript(id="b6.t1", exons=(Exon(400, 430),), type="transcript"),
    )
    assert (rna.type, rna.canonical.type) == ("lncRNA", "lnc_RNA")


@pytest.mark.parametrize(
    ("location", "codon_start", "expected"),
    [
        ("<1..31", 2, (True, False, 1)),
        ("1..>31", 1, (False, True, 0)),
        ("complement(<1..31)", 1, (False, True, 0)),
        ("complement(1..>31)", 2, (True, False, 1)),
        ("<1..>30", 1, (True, True, 0)),
    ],
)
def test_partial_ends(location: str, codon_start: int, expected: tuple[bool, bool, int]) -> None:
    (gene,) = _genes(f'CDS {location} /locus_tag="a" /codon_start={codon_start}')
    best = gene.canonical
    assert (best.partial_5, best.partial_3, best.cds[0].phase) == expected
    assert best.exceptions == ()


def test_partial_mrna_leaves_its_cds_complete() -> None:
    (gene,) = _genes('mRNA <1..>30 /locus_tag="a"\nCDS 1..30 /locus_tag="a"')
    assert gene.is_regular


@pytest.mark.parametrize("location", ["join(881..900,1..10)", "complement(join(881..900,1..10))"])
def test_gene_over_the_origin(location: str) -> None:
    annotation = _read(
        _record(
            f'gene {location} /locus_tag="a"\nCDS {location} /locus_tag="a"', topology="circular"
        )
    )
    (gene,) = annotation.genes
    assert annotation.circular == {"AB1.1"}
    assert gene.canonical.cds == (Cds(880, 910, 0),)
    assert gene.is_regular


def test_isoforms_find_their_cds_by_structure() -> None:
    (gene,) = _genes(
        """
        gene 1..100 /gene="A"
        mRNA join(1..40,61..100) /gene="A" /transcript_id="t1"
        mRNA join(1..30,71..100) /gene="A" /transcript_id="t2"
        CDS join(11..30,71..80) /gene="A" /protein_id="p2"
        CDS join(11..40,61..90) /gene="A" /protein_id="p1"
        CDS join(14..40,61..90) /gene="A" /protein_id="p3"
        """
    )
    assert [(t.id, t.cds[0].start, t.start) for t in gene.transcripts] == [
        ("t1", 10, 0), ("t2", 10, 0), ("t1-2", 13, 0),
    ]  # fmt: skip


def test_what_a_gene_cannot_express_is_counted() -> None:
    annotation = _read(
        _record(
            """
            CDS join(1..30,complement(61..90)) /gene="A"
            CDS join(J00194.1:1..30,61..90) /gene="B"
            CDS order(1..30,61..90) /gene="C"
            """
        )
    )
    assert annotation.skipped == {"location in another record": 1, "trans-splicing": 1}
    assert [g.canonical.exceptions for g in annotation.genes] == [("order",)]


BAD = {
    "phase": ('CDS 1..30 /locus_tag="x" /codon_start=4', "/codon_start=4"),
    "transl_table": ('CDS 1..30 /locus_tag="x" /transl_table=7', "/transl_table=7"),
    "beyond the contig": ('CDS 881..910 /locus_tag="x"', 'gene "x" ends at 910'),
}


@pytest.mark.parametrize("cause", BAD)
def test_bad_features_are_errors_or_counted(cause: str) -> None:
    feature, message = BAD[cause]
    text = _record(f'CDS 401..430 /locus_tag="ok"\n{feature}')
    with pytest.raises(DataError, match=r"x\.gb:10: ") as caught:
        _read(text)
    assert message in str(caught.value)
    annotation = _read(text, skip_bad=True)
    assert annotation.skipped == {cause: 1}
    assert [gene.id for gene in annotation.genes] == ["ok"]


def test_bad_records_name_their_first_line() -> None:
    good = _record('CDS 401..430 /locus_tag="ok"')
    cut = _record('CDS 401..430 /locus_tag="no"', name="AB2").removesuffix("//\n")
    with pytest.raises(DataError, match=r"x\.gb:12: record 'LOCUS       AB2"):
        _read(good + cut)
    annotation = _read(good + cut, skip_bad=True)
    assert (annotation.skipped, len(annotation.genes)) == ({"record": 1}, 1)
    with pytest.raises(DataError, match=r'x\.gb:12: record "AB1\.1" for the second time'):
        _read(good + good)


def test_a_cds_with_its_transcripts_name_may_skip_an_exon_and_a_name_may_end_in_01() -> None:
    contig = Contig("LmjF.01", encode_bases("ACGT" * 25))
    cds = (Cds(10, 20, 0), Cds(60, 71, 2))
    exons = (Exon(0, 20), Exon(30, 40), Exon(60, 90))
    transcript = Transcript(id="t1", exons=exons, cds=cds)
    gene = Gene(id="g1", contig="LmjF.01", strand=1, genetic_code=1, transcripts=(transcript,))
    out = io.StringIO()
    write_genbank(out, (gene,), [contig])
    assert _read(out.getvalue()).genes == (gene,)


def test_writing_and_reading_again() -> None:
    contig = Contig("c", encode_bases("ATGAAACATTAA" + "C" * 38 + "TTAATGCAT" + "G" * 41), "test")
    genes = (
        Gene(
            id="g1", contig="c", strand=1, name="abc", genetic_code=11,
            transcripts=(Transcript(id="t1", exons=(Exon(0, 12),), cds=(Cds(0, 12, 0),)),),
        ),
        Gene(
            id="g2", contig="c", strand=-1, genetic_code=1,
            transcripts=(
                Transcript(
                    id="t2", exons=(Exon(40, 56), Exon(58, 70)),
                    cds=(Cds(50, 56, 0), Cds(58, 61, 0)),
                    partial_5=True, exceptions=("ribosomal_slippage",),
                ),
                Transcript(id="t3", exons=(Exon(41, 50),), type="lnc_RNA"),
            ),
        ),
        Gene(
            id="g3", contig="c", strand=1, type="tRNA",
            transcripts=(Transcript(id="t4", exons=(Exon(70, 80),), type="tRNA"),),
        ),
        Gene(
            id="g4", contig="c", strand=-1, type="lncRNA",
            transcripts=(Transcript(id="t5", exons=(Exon(90, 104),), type="transcript"),),
        ),
    )  # fmt: skip
    out = io.StringIO()
    write_genbank(out, genes, [contig])
    text = out.getvalue()
    assert '/translation="MKH"' in text
    assert "complement(join(91..100,1..4))" in text
    assert _read(text) == Annotation(genes, {"c": 100}, frozenset("c"), {})
    with pytest.raises(DataError, match='gene "g1" on contig "c"; expected a contig of the genome'):
        write_genbank(io.StringIO(), genes, [])


def test_an_rna_without_a_class_of_insdc_keeps_its_type_and_that_of_its_gene() -> None:
    rna = Transcript(id="t", exons=(Exon(0, 9),), type="pseudogenic_transcript")
    gene = Gene(id="g", contig="c", strand=1, transcripts=(rna,), type="pseudogene", pseudo=True)
    other = replace(rna, type="odd_RNA")
    genes = (gene, Gene(id="h", contig="c", strand=1, transcripts=(other,), type="odd_RNA"))
    out = io.StringIO()
    write_genbank(out, genes, [Contig("c", encode_bases("A" * 30))])
    assert out.getvalue().count('/ncRNA_class="other"') == 2
    again = parse_genbank(out.getvalue().splitlines(keepends=True), Path("x.gb"))
    assert [(g.type, g.canonical.type) for g in again.genes] == [
        ("pseudogene", "pseudogenic_transcript"), ("odd_RNA", "odd_RNA"),
    ]  # fmt: skip
