from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from genet5.errors import DataError
from genet5.genome.gene import Cds, Exon, Gene, Transcript
from genet5.genome.io.gff3 import Annotation, read_gff3
from genet5.genome.io.read_options import ReadOptions


def _read(tmp_path: Path, text: str, *, skip_bad: bool = False) -> Annotation:
    """Read GFF3 whose columns are separated by blanks; `_` in column 9 stands for a blank."""
    path = tmp_path / "x.gff3"
    lines = (
        line if line.startswith("#") else "\t".join(line.split(maxsplit=8))
        for line in text.strip().splitlines()
    )
    path.write_text("\n".join(lines) + "\n")
    return read_gff3(path, ReadOptions(skip_bad=skip_bad))


def _one(tmp_path: Path, text: str) -> Gene:
    (gene,) = _read(tmp_path, text).genes
    return gene


EUKARYOTE = """
##gff-version 3
##sequence-region c1 1 1000
c1 src mRNA 101 300 . - . ID=t1;Parent=g1
c1 src exon 101 160 . - . Parent=t1,t2
c1 src exon 200 300 . - . Parent=t1
c1 src CDS 120 160 . - 1 ID=p1;Parent=t1
c1 src CDS 200 251 . - 0 ID=p1;Parent=t1
c1 src gene 101 300 0.5 - . ID=g1;Name=a%3Bb;biotype=protein_coding
c1 src ncRNA 101 160 . - . ID=t2;Parent=g1
"""


def test_gene_transcript_exon_cds_in_any_order_of_lines(tmp_path: Path) -> None:
    coding = Transcript(
        id="t1", exons=(Exon(100, 160), Exon(199, 300)), cds=(Cds(119, 160, 2), Cds(199, 251, 0))
    )  # fmt: skip
    assert coding.cds_length == 93
    gene = _one(tmp_path, EUKARYOTE.replace("- 1 ID=p1", "- 2 ID=p1"))
    other = Transcript(id="t2", exons=(Exon(100, 160),), type="ncRNA")
    assert gene == Gene(
        id="g1", contig="c1", strand=-1, transcripts=(coding, other), name="a;b", score=0.5
    )


def test_phases_follow_from_the_first_and_a_contradiction_is_marked(tmp_path: Path) -> None:
    best = _one(tmp_path, EUKARYOTE).canonical
    assert [piece.phase for piece in best.cds] == [2, 0]  # given as GTF gives it: no mark
    assert best.exceptions == ()
    zeros = _one(tmp_path, EUKARYOTE.replace("- 1 ID=p1", "- 0 ID=p1")).canonical
    assert ([piece.phase for piece in zeros.cds], zeros.exceptions) == ([2, 0], ())
    wrong = EUKARYOTE.replace("CDS 200 251", "CDS 200 250").replace("CDS 120", "CDS 119")
    assert _one(tmp_path, wrong).canonical.exceptions == ("frame",)


PROKARYOTE = """
##gff-version 3
c1 RefSeq region 1 900 . + . ID=c1:1..900;Is_circular=true;transl_table=4
c1 RefSeq gene 11 40 . + . ID=gene-a;gene=abc;gene_biotype=protein_coding
c1 RefSeq CDS 11 40 . + 0 ID=cds-1;Parent=gene-a;transl_table=11
c1 RefSeq pseudogene 51 80 . - . ID=gene-b;gene_biotype=pseudogene;pseudo=true
c1 RefSeq CDS 51 80 . - 0 ID=cds-2;Parent=gene-b;pseudo=true
c1 RefSeq gene 101 170 . - . ID=gene-c;gene_biotype=tRNA
c1 RefSeq tRNA 101 170 . - . ID=rna-c;Parent=gene-c
c1 RefSeq exon 101 170 . - . ID=exon-c;Parent=rna-c
c1 RefSeq CDS 201 230 9.5 - 0 ID=cds-3;gene=xyz
c1 RefSeq gene 301 390 . + . ID=gene-d
c1 RefSeq repeat_region 301 390 . + . ID=r;note=text_without_value;odd
"""


def test_prokaryote_styles(tmp_path: Path) -> None:
    annotation = _read(tmp_path, PROKARYOTE)
    assert annotation.contig_lengths == {"c1": 900}
    assert annotation.circular == {"c1"}
    a, b, c, orphan, d = annotation.genes
    assert a == Gene(
        id="gene-a",
        contig="c1",
        strand=1,
        transcripts=(Transcript(id="cds-1", exons=(Exon(10, 40),), cds=(Cds(10, 40, 0),)),),
        genetic_code=11,
        name="abc",
    )
    assert (b.type, b.pseudo, b.is_coding, b.genetic_code) == ("pseudogene", True, False, 4)
    assert (c.type, c.transcripts[0].type, c.transcripts[0].cds) == ("tRNA", "tRNA", ())
    assert (orphan.id, orphan.name, orphan.type) == ("gene-cds-3", "xyz", "protein_coding")
    assert orphan.score == 9.5
    assert d.transcripts == (
        Transcript(id="gene-d.t1", exons=(Exon(300, 390),), type="transcript"),
    )
    assert c.genetic_code is None


def test_cds_over_the_origin_at_both_ends_of_the_contig(tmp_path: Path) -> None:
    region = "c1 . region 1 900 . + . ID=r;Is_circular=true\n"
    for strand, first, second in (("-", 0, 1), ("+", 1, 0)):
        text = region + (
            f"c1 . gene 1 8 . {strand} . ID=g\nc1 . gene 881 900 . {strand} . ID=g\n"
            f"c1 . CDS 1 8 . {strand} {first} ID=c;Parent=g\n"
            f"c1 . CDS 881 900 . {strand} {second} ID=c;Parent=g"
        )  # fmt: skip
        best = _one(tmp_path, text.replace("1 8 .", "1 7 .")).canonical
        assert best.exons == (Exon(880, 907),)
        assert best.cds == (Cds(880, 907, 0),)
        assert best.exceptions == ()


def test_cds_over_the_origin_beyond_the_end(tmp_path: Path) -> None:
    text = "##sequence-region c1 1 900\nc1 . CDS 881 907 . + 0 ID=c"
    with pytest.raises(
        DataError, match=r'x\.gff3:2: gene "gene-c" ends at 907; expected an end within'
    ):
        _read(tmp_path, text)
    circular = _read(tmp_path, text + "\nc1 . region 1 900 . + . ID=r;Is_circular=true")
    assert circular.genes[0].canonical.cds == (Cds(880, 907, 0),)


def test_introns_of_a_gene_over_the_origin_stay(tmp_path: Path) -> None:
    gene = _one(
        tmp_path,
        """
        c1 . region 1 900 . + . ID=r;Is_circular=true
        c1 . CDS 1 12 . + 0 ID=c
        c1 . CDS 21 32 . + 0 ID=c
        c1 . CDS 841 852 . + 0 ID=c
        c1 . CDS 889 900 . + 0 ID=c
        """.replace("        ", ""),
    )
    assert [(e.start, e.end) for e in gene.canonical.exons] == [(840, 852), (888, 912), (920, 932)]


def test_slippage_pieces_overlap_and_the_exception_is_kept(tmp_path: Path) -> None:
    best = _one(
        tmp_path,
        "c1 . gene 1 59 . + . ID=g\n"
        "c1 . CDS 1 30 . + 0 ID=c;Parent=g;exception=ribosomal slippage\n"
        "c1 . CDS 30 59 . + 0 ID=c;Parent=g;exception=ribosomal slippage;"
        "transl_except=(pos:4..6%2Caa:Sec)",
    ).canonical
    assert best.cds == (Cds(0, 30, 0), Cds(29, 59, 0))
    assert best.exons == (Exon(0, 59),)
    assert best.exceptions == ("ribosomal_slippage", "transl_except")


def test_pieces_that_overlap_without_a_word_are_irregular(tmp_path: Path) -> None:
    gene = _one(tmp_path, "c1 . CDS 1 30 . + 0 ID=c\nc1 . CDS 30 59 . + 0 ID=c")
    assert gene.canonical.exceptions == ("overlapping_cds",)
    assert not gene.is_regular


@pytest.mark.parametrize(
    ("strand", "phase", "attributes", "length", "expected"),
    [
        ("+", "0", "", 30, (False, False)),
        ("+", "0", "partial=true;start_range=.,1", 30, (True, False)),
        ("-", "0", "partial=true;start_range=.,1", 31, (False, True)),
        ("-", "1", "partial=true;end_range=31,.", 31, (True, False)),
        ("+", "1", "", 31, (True, False)),
        ("-", "0", "", 31, (False, True)),
        ("+", "0", "partial=true", 31, (False, True)),
        ("+", "2", "partial=true", 32, (True, False)),
        ("+", "0", "partial=true", 30, (True, True)),
        ("+", "0", "partial=10", 30, (True, False)),
        ("-", "0", "partial=10", 30, (False, True)),
        ("-", "0", "partial=00", 30, (False, False)),
        ("-", ".", "partial=start", 31, (True, False)),
    ],
)
def test_partial_ends(
    tmp_path: Path,
    strand: str,
    phase: str,
    attributes: str,
    length: int,
    expected: tuple[bool, bool],
) -> None:
    line = f"c1 . CDS 1 {length} . {strand} {phase} ID=c;{attributes}"
    best = _one(tmp_path, line).canonical
    assert (best.partial_5, best.partial_3) == expected
    assert best.exceptions == ()
    if phase == ".":
        assert best.cds[0].phase == 1


def test_utr_lines_stand_in_for_exons(tmp_path: Path) -> None:
    gene = _one(
        tmp_path,
        "c1 . mRNA 1 99 . + . ID=t\nc1 . five_prime_UTR 1 10 . + . Parent=t\n"
        "c1 . CDS 11 40 . + 0 Parent=t\nc1 . three_prime_UTR 60 99 . + . Parent=t",
    )
    assert gene.canonical.exons == (Exon(0, 40), Exon(59, 99))
    assert gene.id == "gene-t"


def test_stop_codon_lines_complete_the_cds(tmp_path: Path) -> None:
    gene = _one(
        tmp_path,
        "c1 . mRNA 1 42 . + . ID=t\nc1 . exon 1 42 . + . Parent=t\n"
        "c1 . CDS 1 30 . + 0 Parent=t\nc1 . stop_codon 31 33 . + . Parent=t",
    )
    assert gene.canonical.cds == (Cds(0, 33, 0),)


def test_two_overlapping_cds_of_one_transcript_become_two_transcripts(tmp_path: Path) -> None:
    gene = _one(
        tmp_path,
        "c1 . mRNA 1 60 . + . ID=t\nc1 . exon 1 60 . + . Parent=t\n"
        "c1 . CDS 1 30 . + 0 ID=a;Parent=t\nc1 . CDS 7 30 . + 0 ID=b;Parent=t",
    )
    assert [(t.id, t.cds) for t in gene.transcripts] == [
        ("t", (Cds(0, 30, 0),)), ("t.b", (Cds(6, 30, 0),)),
    ]  # fmt: skip


def test_mature_rna_and_unknown_features_are_no_isoforms(tmp_path: Path) -> None:
    gene = _one(
        tmp_path,
        "c1 . gene 1 60 . + . ID=g\nc1 . pre_miRNA 1 60 . + . ID=p;Parent=g\n"
        "c1 . miRNA 5 25 . + . ID=m;Parent=p\nc1 . exon 5 25 . + . Parent=m\n"
        "c1 . polyA_site 60 60 . + . ID=s;Parent=g",
    )  # fmt: skip
    assert (gene.type, [t.id for t in gene.transcripts]) == ("pre_miRNA", ["p"])


def test_recoded_stop_codon_is_an_exception(tmp_path: Path) -> None:
    gene = _one(
        tmp_path,
        "c1 . mRNA 1 60 . + . ID=t\nc1 . CDS 1 60 . + 0 Parent=t\n"
        "c1 . stop_codon_redefined_as_selenocysteine 4 6 . + . Parent=t",
    )
    assert gene.canonical.exceptions == ("stop_codon_redefined",)


def test_trans_splicing_and_strandless_genes_are_counted(tmp_path: Path) -> None:
    annotation = _read(
        tmp_path,
        "c1 . gene 1 90 . . . ID=g\nc1 . mRNA 1 90 . . . ID=t;Parent=g\n"
        "c1 . exon 1 30 . + . Parent=t\nc1 . exon 60 90 . - . Parent=t\n"
        "c1 . tRNA 100 110 . ? . ID=u",
    )
    assert annotation.genes == ()
    assert annotation.skipped == {"no strand": 1, "trans-splicing": 1}


def test_genes_are_sorted_within_contigs_in_order_of_appearance(tmp_path: Path) -> None:
    genes = _read(
        tmp_path,
        "c2 . CDS 50 52 . + 0 ID=a\nc1 . CDS 5 7 . + 0 ID=b\n"
        "c2 . CDS 1 6 . + 0 ID=c\nc2 . CDS 1 3 . + 0 ID=d\n"
        "##FASTA\n>c1\nACGT\nno GFF any more",
    ).genes
    assert [gene.id for gene in genes] == ["gene-d", "gene-c", "gene-a", "gene-b"]


BAD = {
    "columns": ("c1 . CDS 1", "4 columns in 'c1"),
    "coordinates": ("c1 . CDS 9 1 . + 0 ID=x;Parent=t", "start '9', end '1' of a CDS"),
    "strand": ("c1 . CDS 1 9 . x 0 ID=x;Parent=t", "strand 'x'; expected one of"),
    "phase": ("c1 . CDS 1 9 . + 3 ID=x;Parent=t", "CDS phase '3'; expected 0, 1 or 2"),
    "score": ("c1 . tRNA 1 9 high + . ID=t", "score 'high'"),
    "no parent": ("c1 . exon 1 9 . + . ID=x", "exon without Parent"),
    "parent": (
        "c1 . CDS 1 9 . + 0 ID=x;Parent=nobody",
        'parent "nobody" that is not on contig "c1"',
    ),
    "transl_table": ("c1 . CDS 1 9 . + 0 ID=x;transl_table=7;Parent=t", "transl_table=7; expected"),
    "CDS outside exons": (
        "c1 . mRNA 1 9 . + . ID=t\nc1 . exon 1 5 . + . Parent=t\nc1 . CDS 1 9 . + 0 ID=x;Parent=t",
        'CDS of "t" outside its exons',
    ),
    "strands differ": (
        "c1 . mRNA 1 9 . - . ID=t\nc1 . CDS 1 9 . + 0 ID=x;Parent=t",
        'CDS of "t" on another strand than the rest of it',
    ),
    "sequence-region": ("##sequence-region c1 1", "expected '##sequence-region NAME"),
    "cyclic parent": (
        "c1 . mRNA 1 9 . + . ID=u;Parent=v\nc1 . gene 1 9 . + . ID=v;Parent=v",
        'gene "v" among its own ancestors',
    ),
    "duplicate ID": (
        "c1 . gene 1 9 . + . ID=u\nc1 . gene 1 9 . - . ID=u",
        'ID "u" of this gene on strand - and of the gene in line 3; expected one ID for the lines',
    ),
}  # fmt: skip


@pytest.mark.parametrize("cause", BAD)
def test_bad_records_are_errors_or_counted(tmp_path: Path, cause: str) -> None:
    lines, message = BAD[cause]
    good = "c1 . gene 501 530 . + . ID=ok\nc1 . CDS 501 530 . + 0 ID=okc;Parent=ok"
    if "Parent=t" in lines and "ID=t" not in lines:
        good += "\nc1 . mRNA 1 99 . + . ID=t\nc1 . CDS 50 61 . + 0 ID=y;Parent=t"
    with pytest.raises(DataError, match=r"x\.gff3:\d+: ") as caught:
        _read(tmp_path, f"{good}\n{lines}")
    assert message in str(caught.value)
    assert "--skip_bad" in str(caught.value)
    annotation = _read(tmp_path, f"{good}\n{lines}", skip_bad=True)
    assert annotation.skipped == {cause: 1}
    assert [gene.id for gene in annotation.genes] == ["ok"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("c1 . gene 1 9 . + . ID=u\nc1 . mRNA 1 9 . + . ID=u;Parent=g", 'ID "u" of this mRNA'),
        (
            "c1 . mRNA 1 9 . + . ID=u;Parent=v\nc1 . mRNA 1 9 . + . ID=v;Parent=u",
            'mRNA "u" among its own',
        ),
        ("c1 . gene 1 9 . + . ID=u;transl_table=x", "transl_table=x; expected one of NCBI's"),
        ("c1 . gene 1 9 inf + . ID=u", "score 'inf'"),
        ("c1 . gene 1 9_0 . + . ID=u", "end '9_0' of a gene"),
    ],
)  # fmt: skip
def test_more_bad_records(tmp_path: Path, lines: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        _read(tmp_path, lines)
    assert message in str(caught.value)
    annotation = _read(tmp_path, lines, skip_bad=True)
    assert annotation.genes == ()
    assert sum(annotation.skipped.values()) >= 1


def test_parts_of_a_trans_spliced_gene_may_share_an_id(tmp_path: Path) -> None:
    annotation = _read(
        tmp_path,
        "c1 . gene 1 9 . + . ID=u;exception=trans-splicing;part=1\n"
        "c1 . gene 21 29 . - . ID=u;exception=trans-splicing;part=2\n"
        "c1 . CDS 1 9 . + 0 ID=c;Parent=u\nc1 . CDS 21 29 . - 0 ID=c;Parent=u",
    )
    assert (annotation.genes, annotation.skipped) == ((), {"trans-splicing": 1})


def test_prokka(tmp_path: Path) -> None:
    annotation = _read(
        tmp_path,
        """
##gff-version 3
##sequence-region gnl|X|P_1 1 900
gnl|X|P_1 prokka gene 1 30 . + . ID=P_00001_gene;Name=dnaA;gene=dnaA;locus_tag=P_00001
gnl|X|P_1 Prodigal:2.6 CDS 1 30 . + 0 ID=P_00001;Parent=P_00001_gene;gene=dnaA;\
inference=ab_initio_prediction:Prodigal:2.6;locus_tag=P_00001
gnl|X|P_1 Prodigal:2.6 CDS 101 130 . - 0 ID=P_00002;inference=x,y;locus_tag=P_00002;\
product=hypothetical_protein
gnl|X|P_1 Aragorn:1.2 tRNA 201 270 . + . ID=P_00003;locus_tag=P_00003;product=tRNA-Ser(gct)
gnl|X|P_1 minced:0.2.0 CRISPR 301 400 . . . note=CRISPR;rpt_family=CRISPR
##FASTA
>gnl|X|P_1
ACGT
""",
    )
    assert [(g.id, g.type, g.name, g.canonical.id, g.strand) for g in annotation.genes] == [
        ("P_00001_gene", "protein_coding", "dnaA", "P_00001", 1),
        ("gene-P_00002", "protein_coding", "", "P_00002", -1),
        ("gene-P_00003", "tRNA", "", "P_00003", 1),
    ]
    assert annotation.skipped == {}


@pytest.mark.parametrize("stop_inside", [False, True])
def test_augustus(tmp_path: Path, stop_inside: bool) -> None:
    last = "CDS 61 90 0.94 + 0" if stop_inside else "CDS 61 87 0.94 + 0"
    (gene,) = _read(
        tmp_path,
        f"""
# This output was generated with AUGUSTUS (version 3.5.0).
##gff-version 3
# start gene g1
c AUGUSTUS gene 11 90 0.94 + . ID=g1
c AUGUSTUS transcript 11 90 0.94 + . ID=g1.t1;Parent=g1
c AUGUSTUS start_codon 11 13 . + 0 Parent=g1.t1
c AUGUSTUS intron 32 60 1 + . Parent=g1.t1
c AUGUSTUS CDS 11 31 1 + 0 ID=g1.t1.cds;Parent=g1.t1
c AUGUSTUS {last} ID=g1.t1.cds;Parent=g1.t1
c AUGUSTUS stop_codon 88 90 . + 0 Parent=g1.t1
# end gene g1
###
""",
    ).genes
    exons = (Exon(10, 31), Exon(60, 90))
    cds = (Cds(10, 31, 0), Cds(60, 90, 0))
    best = Transcript(id="g1.t1", exons=exons, cds=cds, type="transcript")
    assert gene == Gene(id="g1", contig="c", strand=1, transcripts=(best,), score=0.94)


@pytest.mark.parametrize("part", ["stop_codon", "stop_codon_redefined_as_selenocysteine"])
@pytest.mark.parametrize("kind", ["gene", "mRNA"])
def test_a_stop_codon_alone_does_not_say_where_its_gene_lies(
    tmp_path: Path, kind: str, part: str
) -> None:
    gene = _one(tmp_path, f"c s {kind} 1 15 . + . ID=a\nc s {part} 4 6 . + 0 Parent=a")
    assert [t.exons for t in gene.transcripts] == [(Exon(0, 15),)]


def test_other_formats_are_recognised(tmp_path: Path) -> None:
    path = tmp_path / "x.gff3"
    path.write_text('c1\t.\texon\t1\t9\t.\t+\t.\tgene_id "a"; transcript_id "b";\n')
    with pytest.raises(DataError, match=r"x\.gff3:1: attributes in the style of GTF.*gffread"):
        read_gff3(path, ReadOptions(skip_bad=True))
    path.write_text("LOCUS       NC_000913\nDEFINITION  x\n")
    with pytest.raises(DataError, match="a GenBank or EMBL file; expected GFF3"):
        read_gff3(path, ReadOptions(skip_bad=True))


def test_gzip_crlf_and_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "x.gff3"
    path.write_bytes(gzip.compress(b"##gff-version 3\r\nc1\t.\tCDS\t1\t9\t.\t+\t0\tID=a\r\n\r\n"))
    assert read_gff3(path).genes[0].canonical.id == "a"
    path.write_text("")
    assert read_gff3(path).genes == ()


def test_attributes_with_blanks_and_repeats(tmp_path: Path) -> None:
    path = tmp_path / "x.gff3"
    path.write_text(
        "c%201\t.\tgene\t1\t9\t.\t+\t.\tID=a; Name = x ;Name=second; free text\n"
        "c%201\t.\tCDS\t1\t9\t.\t+\t0\tID=b; Parent=a\n"
    )
    (gene,) = read_gff3(path).genes
    assert (gene.contig, gene.id, gene.canonical.id) == ("c 1", "a", "b")
