"""Whatever bytes a file holds, the readers give genes or an error of ours that names the file."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from genet5.errors import DataError
from genet5.genome.io.annotation import Annotation
from genet5.genome.io.fasta import read_fasta
from genet5.genome.io.formats import read_annotation
from genet5.genome.io.gff3 import parse_gff3, write_gff3
from genet5.genome.io.gtf import parse_gtf
from genet5.genome.io.gtf_write import write_gtf
from genet5.genome.io.read_options import ReadOptions

FAST = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
NAME = st.sampled_from(["a", "b", "c", "a.1", "", "\u00b2", "a,b", "%zz", "x" * 50])
NUMBER = st.one_of(
    st.integers(-1, 40).map(str),
    st.sampled_from(["", ".", "1e3", "\u00b2", "1_0", "9" * 30, "0x1", " 7", "nan", "inf"]),
)
KIND = st.sampled_from(
    [
        "gene",
        "mRNA",
        "transcript",
        "exon",
        "CDS",
        "stop_codon",
        "start_codon",
        "tRNA",
        "region",
        "five_prime_UTR",
        "pseudogene",
        "x",
        "",
        "stop_codon_redefined_as_selenocysteine",
        "Selenocysteine",
    ]
)
STRAND = st.sampled_from(["+", "+", "+", "-", "-", ".", "?", "*", ""])
PHASE = st.sampled_from([".", "0", "1", "2", "3", "", "-1"])
GFF3_KEY = st.sampled_from(
    [
        "ID",
        "Parent",
        "Name",
        "partial",
        "start_range",
        "end_range",
        "exception",
        "transl_except",
        "transl_table",
        "Is_circular",
        "pseudo",
        "gene_biotype",
    ]
)
GTF_KEY = st.sampled_from(
    [
        "gene_id",
        "transcript_id",
        "tag",
        "partial",
        "exception",
        "transl_table",
        "pseudo",
        "gene_biotype",
        "transcript_biotype",
    ]
)
VALUE = st.one_of(
    NAME,
    st.sampled_from(
        [
            "true",
            "1",
            "11",
            "cds_start_NF",
            "start",
            "both",
            ".,1",
            "9,.",
            "seleno",
            "ribosomal slippage",
        ]
    ),
)
GFF3_ATTRIBUTES = st.lists(st.tuples(GFF3_KEY, VALUE), max_size=5).map(
    lambda pairs: ";".join(f"{key}={value}" for key, value in pairs)
)
GTF_ATTRIBUTES = st.lists(st.tuples(GTF_KEY, VALUE), max_size=5).map(
    lambda pairs: " ".join(f'{key} "{value}";' for key, value in pairs)
)
OTHER_LINE = st.sampled_from(
    [
        "",
        "#",
        "##sequence-region a 1 30",
        "##sequence-region a 1 \u00b2",
        "##sequence-region a 1 " + "9" * 5000,
        "###",
        "#!circular a",
        "\ufeff",
        "a\tb",
        "\x00",
        "LOCUS",
        "\t" * 8,
    ]
)


def _line(attributes: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    contig = st.sampled_from(["a", "a", "a", "b", "", "a b", "%20"])
    columns = st.tuples(
        contig, st.just("s"), KIND, NUMBER, NUMBER, NUMBER, STRAND, PHASE, attributes
    )
    good = st.tuples(
        st.just("a"), st.just("s"), KIND, st.integers(1, 15).map(str), st.integers(15, 30).map(str),
        st.just("."), st.sampled_from(["+", "-"]), st.just("0"), attributes,
    )  # fmt: skip
    return st.one_of(good.map("\t".join), good.map("\t".join), columns.map("\t".join), OTHER_LINE)


def _file(attributes: st.SearchStrategy[str]) -> st.SearchStrategy[list[str]]:
    lines = st.lists(_line(attributes), max_size=12)
    return lines.map(lambda some: [f"{line}\n" for line in some])


def _both(parse: object, lines: list[str]) -> Annotation | None:
    """Read with and without `skip_bad`; both agree on a file that the strict one accepts."""
    strict, message = None, "x:"
    try:
        strict = parse(iter(lines), Path("x"))  # type: ignore[operator]
    except DataError as error:
        message = str(error)
    assert message.startswith("x:")
    try:
        lenient: Annotation = parse(iter(lines), Path("x"), ReadOptions(skip_bad=True))  # type: ignore[operator]
    except DataError:
        assert strict is None
        return None
    assert strict is None or strict == lenient
    return lenient


@pytest.mark.slow
@FAST
@given(lines=_file(GFF3_ATTRIBUTES))
@example(
    lines=[
        "a\ts\tmRNA\t1\t9\t.\t+\t.\tID=a;Parent=b\n",
        "a\ts\tmRNA\t1\t9\t.\t+\t.\tID=b;Parent=a\n",
    ]
)
@example(lines=["a\ts\tgene\t1\t9\t.\t+\t.\tID=a;transl_table=x\n"])
def test_gff3(lines: list[str]) -> None:
    annotation = _both(parse_gff3, lines)
    if annotation is not None:
        out = io.StringIO()
        write_gff3(out, annotation.genes, annotation.contig_lengths, circular=annotation.circular)
        again = parse_gff3(io.StringIO(out.getvalue()), Path("again"))
        assert len(again.genes) == len(annotation.genes)


@pytest.mark.slow
@FAST
@given(lines=_file(GTF_ATTRIBUTES))
def test_gtf(lines: list[str]) -> None:
    annotation = _both(parse_gtf, lines)
    if annotation is not None:
        out = io.StringIO()
        write_gtf(out, annotation.genes, annotation.contig_lengths, circular=annotation.circular)
        again = parse_gtf(io.StringIO(out.getvalue()), Path("again"))
        assert len(again.genes) == len(annotation.genes)


GENBANK = """\
LOCUS       AB1   90 bp    DNA     circular BCT 01-JAN-2020
ACCESSION   AB1
FEATURES             Location/Qualifiers
     gene            join(81..90,1..20)
                     /locus_tag="a"
     CDS             complement(join(<1..10,21..>40))
                     /locus_tag="a"
                     /codon_start=1
ORIGIN
        1 acgtacgtac
//
"""


@given(
    at=st.integers(0, len(GENBANK)),
    cut=st.integers(0, 12),
    put=st.text('0,.<>()/=\n" ajo', max_size=4),
)
def test_genbank_with_a_damaged_place(at: int, cut: int, put: str) -> None:
    from genet5.genome.io.genbank import parse_genbank

    text = GENBANK[:at] + put + GENBANK[at + cut :]
    _both(parse_genbank, text.splitlines(keepends=True))


@FAST
@given(
    data=st.one_of(
        st.binary(max_size=200), st.text(">acgtN \r\n\t;x\u00a0", max_size=60).map(str.encode)
    ),
    squeeze=st.booleans(),
    keep=st.integers(0, 300),
)
@pytest.mark.parametrize("reader", [lambda path: list(read_fasta(path)), read_annotation])
def test_any_bytes(
    tmp_path_factory: pytest.TempPathFactory, reader: object, data: bytes, squeeze: bool, keep: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed"
    path.write_bytes((gzip.compress(data) if squeeze else data)[:keep])
    message = str(path)
    try:
        reader(path)  # type: ignore[operator]
    except DataError as error:
        message = str(error)
    assert str(path) in message
