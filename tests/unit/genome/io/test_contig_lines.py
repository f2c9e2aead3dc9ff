"""Files are read contig by contig in any order of lines, with one contig in memory at a time."""

from __future__ import annotations

import gzip
import io
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genet5.errors import DataError
from genet5.genome.gene import Cds, Exon, Gene, Transcript
from genet5.genome.io.annotation import Annotation
from genet5.genome.io.formats import open_annotation, read_annotation
from genet5.genome.io.gff3 import Gff3File, parse_gff3, write_gff3
from genet5.genome.io.gtf import GtfFile, parse_gtf
from genet5.genome.io.gtf_write import write_gtf
from genet5.genome.io.read_options import ReadOptions

LENGTHS = {"c1": 4000, "c 2": 5000, "empty": 70, "c3": 6000}


def gene(contig: str, number: int, strand: int = 1) -> Gene:
    at = 100 * number
    exons = (Exon(at, at + 40), Exon(at + 60, at + 99))
    coding = (Cds(at + 10, at + 40, 0), Cds(at + 60, at + 90, 0))
    one = Transcript(id=f"g{number}.t1", exons=exons, cds=coding)
    other = Transcript(id=f"g{number}.t2", exons=exons[:1], type="lnc_RNA")
    return Gene(id=f"g{number}", contig=contig, strand=strand, transcripts=(one, other))


def genes_of(contig: str, count: int) -> list[Gene]:
    return [gene(contig, number, 1 if number % 3 else -1) for number in range(count)]


GENES = [
    found for name, count in (("c1", 5), ("c 2", 3), ("c3", 7)) for found in genes_of(name, count)
]
"""Three contigs whose genes have the same IDs."""


def written(write: Callable[..., None], genes: list[Gene] = GENES) -> list[str]:
    """Lines of a file whose IDs return on every contig."""
    lines: list[str] = []
    for name, length in LENGTHS.items():
        out = io.StringIO()
        write(out, [g for g in genes if g.contig == name], {name: length})
        lines += out.getvalue().splitlines(keepends=True)
    return lines


WAYS = [(parse_gff3, write_gff3), (parse_gtf, write_gtf)]


@pytest.mark.parametrize(("parse", "write"), WAYS)
def test_ids_may_return_on_other_contigs(parse, write) -> None:
    annotation = parse(written(write), Path("x"))
    assert list(annotation.genes) == GENES
    assert annotation.contig_lengths == LENGTHS


@pytest.mark.slow
@pytest.mark.parametrize(("parse", "write"), WAYS)
@given(seed=st.randoms(use_true_random=False))
def test_lines_of_contigs_may_be_mixed(parse, write, seed) -> None:
    lines = written(write)
    expected = parse(lines, Path("x"))
    heads = [line for line in lines if line.startswith("#")]
    decks = [
        [line for line in lines if line.startswith(f"{name}\t")]
        for name in ("c1", "c3", "c 2", "c%202")
    ]
    order = [at for at, deck in enumerate(decks) for _ in deck]
    seed.shuffle(order)
    hands = [iter(deck) for deck in decks]
    mixed = [next(hands[at]) for at in order]
    seed.shuffle(heads)
    for line in heads:  # directives and comments anywhere
        mixed.insert(seed.randrange(len(mixed) + 1), line)
    found = parse(mixed, Path("x"))
    assert set(found.genes) == set(expected.genes)
    assert found.contig_lengths == expected.contig_lengths
    for name in LENGTHS:
        assert [g for g in found.genes if g.contig == name] == [
            g for g in expected.genes if g.contig == name
        ]


@pytest.mark.slow
@given(seed=st.randoms(use_true_random=False))
def test_lines_of_a_contig_may_have_any_order(seed) -> None:
    lines = written(write_gff3)
    expected = parse_gff3(lines, Path("x"))
    seed.shuffle(lines)

    def by_id(annotation: Annotation) -> set[Gene]:
        return {
            replace(g, transcripts=tuple(sorted(g.transcripts, key=lambda t: t.id)))
            for g in annotation.genes
        }

    assert by_id(parse_gff3(lines, Path("x"))) == by_id(expected)


def _forms() -> Iterator[tuple[str, bytes]]:
    plain = "".join(written(write_gff3)).encode()
    yield "plain", plain
    yield "gzip", gzip.compress(plain)
    yield "CRLF", plain.replace(b"\n", b"\r\n")
    yield "CR", plain.replace(b"\n", b"\r")
    yield "byte order mark", b"\xef\xbb\xbf" + plain
    yield "Latin 1 in a comment", b"# \xe9t\xe9\n" + plain
    yield "half a letter at the end", plain + b"# \xc3"
    yield "FASTA at the end", plain + b"##FASTA\n>c1\nACGT\n"
    yield "no line end", plain[:-1]


@pytest.mark.parametrize(("form", "data"), [*_forms()], ids=[name for name, _ in _forms()])
def test_every_form_of_a_file_is_read_contig_by_contig(
    tmp_path: Path, form: str, data: bytes
) -> None:
    path = tmp_path / "genes"
    path.write_bytes(data)
    with open_annotation(path) as file:
        assert list(file.contigs) == list(LENGTHS)
        for _ in range(2):  # in any order, and again
            for name in reversed(file.contigs):
                part = file.read(name)
                assert list(part.genes) == [g for g in GENES if g.contig == name], form
                assert part.contig_lengths == {name: LENGTHS[name]}
                assert file.most_genes(name) >= len(part.genes)
        assert file.read("nowhere").genes == ()
    assert list(read_annotation(path).genes) == GENES


def test_genbank_is_read_contig_by_contig_too(tmp_path: Path) -> None:
    path = tmp_path / "x.gb"
    feature = '     CDS             1..30\n                     /locus_tag="g"\n'
    path.write_text("".join(
        f"LOCUS       {name}   900 bp    DNA     {shape} BCT 01-JAN-2020\nACCESSION   {name}\n"
        f"FEATURES             Location/Qualifiers\n{feature}ORIGIN\n//\n"
        for name, shape in (("AB1", "linear"), ("AB2", "circular"))
    ))  # fmt: skip
    with open_annotation(path) as file:
        second, first = file.read("AB2"), file.read("AB1")
        whole = file.read_all()
    assert (first.genes[0].contig, first.circular) == ("AB1", frozenset())
    assert (second.genes[0].contig, second.circular) == ("AB2", {"AB2"})
    assert whole == read_annotation(path)
    assert whole.genes == first.genes + second.genes


def test_a_directive_after_the_lines_counts() -> None:
    lines = ["c1\t.\tCDS\t881\t907\t.\t+\t0\tID=c\n", "###\n", "##sequence-region c1 1 900\n"]
    with pytest.raises(DataError, match=r"x:1: gene .* ends at 907"):
        parse_gff3(lines, Path("x"))


def test_codon_lines_of_one_contig_tell_about_all() -> None:
    lines = [
        'c1\t.\tCDS\t1\t9\t.\t+\t0\tgene_id "g"; transcript_id "t";\n',
        'c2\t.\tCDS\t1\t9\t.\t+\t0\tgene_id "g"; transcript_id "t";\n',
        'c2\t.\tstop_codon\t10\t12\t.\t+\t0\tgene_id "g"; transcript_id "t";\n',
    ]
    first, second = parse_gtf(lines, Path("x")).genes
    assert (first.canonical.partial_3, second.canonical.partial_3) == (True, False)


def test_a_gene_lies_on_one_contig() -> None:
    """Even a trans-spliced one: what names a parent on another contig is bad."""
    lines = [
        "c1\t.\tgene\t1\t9\t.\t+\t.\tID=g;exception=trans-splicing\n",
        "c1\t.\tCDS\t1\t9\t.\t+\t0\tID=c;Parent=g\n",
        "c2\t.\tCDS\t1\t9\t.\t+\t0\tID=c;Parent=g\n",
        "c3\t.\tgene\t1\t9\t.\t+\t.\tID=g;exception=trans-splicing\n",
        "c3\t.\tCDS\t1\t9\t.\t+\t0\tID=c;Parent=g\n",
    ]
    with pytest.raises(DataError, match=r'x:3: parent "g" that is not on contig "c2"'):
        parse_gff3(lines, Path("x"))
    annotation = parse_gff3(lines, Path("x"), ReadOptions(skip_bad=True))
    assert [gene.contig for gene in annotation.genes] == ["c1", "c3"]
    assert annotation.skipped == {"parent": 1}


def test_skipped_records_are_counted_by_contig() -> None:
    lines = [
        "no tabs\n",
        "c1\t.\tCDS\t9\t1\t.\t+\t0\tID=a\n",
        "# a comment\n",
        "c2\t.\tCDS\t1\n",
        "c1\t.\tCDS\t1\t9\t.\tx\t0\tID=a\n",
        "##sequence-region c1 1\n",
    ]
    raw = io.BytesIO("".join(lines).encode())
    file = Gff3File(raw, Path("x"), ReadOptions(skip_bad=True))
    assert file.skipped == {"columns": 1, "sequence-region": 1}
    assert file.read("c1").skipped == {"coordinates": 1, "strand": 1}
    assert file.read("c2").skipped == {"columns": 1}
    assert file.read_all().skipped == {
        "columns": 2, "coordinates": 1, "sequence-region": 1, "strand": 1,
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("reader", "write"), [(Gff3File, write_gff3), (GtfFile, write_gtf)])
def test_memory_is_that_of_the_largest_contig(reader, write) -> None:
    peaks = []
    for contigs in (1, 8):
        out = io.StringIO()
        names = [f"c{number}" for number in range(contigs)]
        write(out, [g for name in names for g in genes_of(name, 80)], dict.fromkeys(names, 9_000))
        file = reader(io.BytesIO(out.getvalue().encode()), Path("x"))
        tracemalloc.start()
        assert sum(len(file.read(name).genes) for name in file.contigs) == 80 * contigs
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]


def test_errors_name_the_line_of_the_file() -> None:
    lines = written(write_gff3)
    lines.insert(len(lines) - 2, "c3\t.\tCDS\t5\t9\t.\t+\t7\tID=odd\n")
    with pytest.raises(DataError, match=rf"^x:{len(lines) - 2}: CDS phase '7'"):
        parse_gff3(lines, Path("x"))
