from __future__ import annotations

import io
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genet5.genome.frames import phases
from genet5.genome.gene import Cds, Exon, Gene, Transcript
from genet5.genome.io.gff3 import parse_gff3, read_gff3, write_gff3
from genet5.genome.io.gtf import parse_gtf
from genet5.genome.io.gtf_write import write_gtf

LENGTHS = {"chr 1;x=%\t": 1000, ">c~2": 500}
CIRCULAR = ">c~2"
_TEXT = st.text(st.characters(codec="utf-8"), max_size=8)


def _to_text(genes: list[Gene], lengths: dict[str, int], **options: bool) -> str:
    out = io.StringIO()
    write_gff3(out, genes, lengths, **options)  # type: ignore[arg-type]
    return out.getvalue()


MRNA = Transcript(
    id="t1", exons=(Exon(99, 160), Exon(199, 300)), cds=(Cds(119, 160, 2), Cds(199, 251, 0)),
    partial_5=True, exceptions=("ribosomal_slippage",),
)  # fmt: skip
GENES = [
    Gene(
        id="g2", contig="c1", strand=-1, transcripts=(MRNA,), name="a;b", score=0.5,
        genetic_code=4,
    ),
    Gene(
        id="g1", contig="c1", strand=1, score=0.25,
        transcripts=(Transcript(id="t1", exons=(Exon(9, 39),), cds=(Cds(9, 39, 0),)),),
    ),
]  # fmt: skip

GOLDEN = """\
##gff-version 3
##sequence-region c1 1 1000
c1 GeneT5 gene 10 39 0.2500 + . ID=g1;gene_biotype=protein_coding
c1 GeneT5 CDS 10 39 0.2500 + 0 ID=t1;Parent=g1
c1 GeneT5 gene 100 300 0.5000 - . ID=g2;Name=a%3Bb;gene_biotype=protein_coding
c1 GeneT5 mRNA 100 300 0.5000 - . ID=t1-2;Parent=g2
c1 GeneT5 exon 100 160 . - . ID=t1-2.exon2;Parent=t1-2
c1 GeneT5 CDS 120 160 0.5000 - 2 ID=t1-2.cds;Parent=t1-2;transl_table=4;partial=true;\
end_range=251,.;exception=ribosomal slippage
c1 GeneT5 exon 200 300 . - . ID=t1-2.exon1;Parent=t1-2
c1 GeneT5 CDS 200 251 0.5000 - 0 ID=t1-2.cds;Parent=t1-2;transl_table=4;partial=true;\
end_range=251,.;exception=ribosomal slippage
"""


def test_golden_text() -> None:
    written = _to_text(GENES, {"c1": 1000}, prokaryote=True)
    head, *rows = GOLDEN.split("c1 GeneT5")
    assert written == head + "".join("c1\tGeneT5" + "\t".join(row.split(" ", 7)) for row in rows)


def test_full_form_when_the_gene_has_utrs_or_the_mode_is_off() -> None:
    kinds = [line.split("\t")[2] for line in _to_text(GENES[1:], {}).splitlines()[1:]]
    assert kinds == ["gene", "mRNA", "exon", "CDS"]


@st.composite
def _spans(draw: st.DrawFn, limit: int) -> list[tuple[int, int]]:
    count = draw(st.integers(1, 4))
    marks = draw(
        st.lists(st.integers(0, limit), min_size=2 * count, max_size=2 * count, unique=True)
    )
    marks.sort()
    return list(zip(marks[::2], marks[1::2], strict=True))


def _cut(spans: list[tuple[int, int]], skip: int, count: int) -> list[tuple[int, int]]:
    """Bases skip ... skip + count of the joined spans."""
    result, position = [], 0
    for start, end in spans:
        first, last = max(skip - position, 0), min(skip + count - position, end - start)
        if first < last:
            result.append((start + first, start + last))
        position += end - start
    return result


@st.composite
def _transcripts(draw: st.DrawFn, name: str, limit: int, strand: int, pseudo: bool) -> Transcript:
    spans = draw(_spans(limit))
    total = sum(end - start for start, end in spans)
    exons = tuple(Exon(*span) for span in spans)
    five, three = draw(st.booleans()), draw(st.booleans())
    names = ["ribosomal_slippage", "transl_except", "odd,;=%"]
    exceptions = tuple(draw(st.lists(st.sampled_from(names), unique=True, max_size=2)))
    marks = {"partial_5": five, "partial_3": three, "exceptions": exceptions}
    if total < 6 or draw(st.booleans()):
        kind = (
            "pseudogenic_transcript" if pseudo else draw(st.sampled_from(["tRNA", "ncRNA", "mRNA"]))
        )
        return Transcript(id=name, exons=exons, type=kind, **marks)  # type: ignore[arg-type]
    skip = draw(st.integers(0, total - 6))
    phase = draw(st.integers(0, 2)) if five else 0
    codons = draw(st.integers(1, (total - skip - phase) // 3))
    extra = draw(st.integers(0, min(2, total - skip - phase - 3 * codons))) if three else 0
    pieces = _cut(spans, skip, phase + 3 * codons + extra)
    found = phases([b - a for a, b in pieces[::strand]], phase)[::strand]
    cds = tuple(Cds(*span, p) for span, p in zip(pieces, found, strict=True))
    return Transcript(id=name, exons=exons, cds=cds, **marks)  # type: ignore[arg-type]


def _shifted(transcript: Transcript, by: int) -> Transcript:
    return Transcript(
        id=transcript.id, type=transcript.type,
        exons=tuple(Exon(e.start + by, e.end + by) for e in transcript.exons),
        cds=tuple(Cds(c.start + by, c.end + by, c.phase) for c in transcript.cds),
        partial_5=transcript.partial_5, partial_3=transcript.partial_3,
        exceptions=transcript.exceptions,
    )  # fmt: skip


@st.composite
def _genes(draw: st.DrawFn, number: int) -> Gene:
    contig = draw(st.sampled_from(list(LENGTHS)))
    strand = draw(st.sampled_from([1, -1]))
    pseudo = draw(st.booleans())
    limit = 200
    names = [f"{draw(_TEXT)}t{number}.{i}" for i in range(draw(st.integers(1, 3)))]
    transcripts = [draw(_transcripts(name, limit, strand, pseudo)) for name in names]
    circular = contig == CIRCULAR
    offset = draw(st.integers(0, LENGTHS[contig] - (200 if not circular else 1)))
    start = min(t.start for t in transcripts)
    if circular and start + offset >= LENGTHS[contig]:
        offset = 0
    moved = sorted((_shifted(t, offset) for t in transcripts), key=lambda t: (t.start, -t.end))
    coding = any(t.cds for t in transcripts)
    kind = (
        "pseudogene"
        if pseudo
        else "protein_coding"
        if coding
        else draw(st.sampled_from(["tRNA", "a;b"]))
    )
    return Gene(
        id=f"{draw(_TEXT)}g{number}",
        contig=contig,
        strand=strand,
        transcripts=tuple(moved),
        type=kind,
        pseudo=pseudo,
        genetic_code=draw(st.sampled_from([None, 1, 4, 11])),
        name=draw(_TEXT),
        score=draw(st.one_of(st.none(), st.integers(0, 10000).map(lambda n: n / 10000))),
    )


@st.composite
def _gene_lists(draw: st.DrawFn) -> list[Gene]:
    genes = [draw(_genes(number)) for number in range(draw(st.integers(0, 4)))]
    order = list(LENGTHS)
    return sorted(genes, key=lambda gene: (order.index(gene.contig), gene.start, gene.end))


@pytest.mark.slow
@given(genes=_gene_lists(), prokaryote=st.booleans())
def test_reading_gives_back_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, genes: list[Gene], prokaryote: bool
) -> None:
    path = tmp_path_factory.mktemp("gff3") / "r.gff3"
    with path.open("w", encoding="utf-8", newline="\n") as out:
        write_gff3(out, genes, LENGTHS, prokaryote=prokaryote, circular={CIRCULAR})
    annotation = read_gff3(path)
    assert list(annotation.genes) == genes
    assert annotation.contig_lengths == LENGTHS
    assert annotation.circular == {CIRCULAR}
    assert annotation.skipped == {}


@pytest.mark.slow
@given(genes=_gene_lists())
def test_reading_gives_back_what_was_written_as_gtf(genes: list[Gene]) -> None:
    out = io.StringIO()
    write_gtf(out, genes, LENGTHS, circular={CIRCULAR})
    annotation = parse_gtf(io.StringIO(out.getvalue()), Path("r.gtf"))
    assert list(annotation.genes) == genes
    assert annotation.contig_lengths == LENGTHS
    assert annotation.circular == {CIRCULAR}
    assert annotation.skipped == {}


def test_a_backslash_does_not_hide_the_quote_that_ends_a_value_of_gtf() -> None:
    bare = Transcript(id="t", exons=(Exon(0, 9),), type="tRNA")
    gene = Gene(id="g", contig="c", strand=1, transcripts=(bare,), type="tRNA", name="a\\")
    out = io.StringIO()
    write_gtf(out, [gene], {"c": 10})
    assert r'gene_name "a%5C";' in out.getvalue()
    assert list(parse_gtf(io.StringIO(out.getvalue()), Path("r.gtf")).genes) == [gene]


def test_lines_are_sorted_and_ids_unique() -> None:
    many = [g for g in GENES for _ in range(3)]
    rows = [line.split("\t") for line in _to_text(many, {"c1": 1000}).splitlines()[2:]]
    starts = [int(row[3]) for row in rows]
    assert starts == sorted(starts)
    ids = [row[8].split(";")[0] for row in rows if row[2] != "CDS"]
    assert len(set(ids)) == len(ids)


def test_gene_over_the_origin_marks_its_contig_as_circular() -> None:
    over = Gene(
        id="g", contig="c", strand=1,
        transcripts=(Transcript(id="t", exons=(Exon(90, 120),), cds=(Cds(90, 120, 0),)),),
    )  # fmt: skip
    text = _to_text([over], {"c": 100, "d": 5}, prokaryote=True)
    assert "c\tGeneT5\tregion\t1\t100\t.\t+\t.\tID=c:1..100;Is_circular=true\n" in text
    assert "\t91\t120\t" in text
    assert "d\t" not in text


@pytest.mark.skipif(shutil.which("gt") is None, reason="needs genometools (gt)")
@pytest.mark.parametrize("prokaryote", [False, True])
def test_genometools_finds_the_file_valid(tmp_path: Path, prokaryote: bool) -> None:
    over = Gene(
        id="g", contig="c2", strand=-1,
        transcripts=(Transcript(id="t", exons=(Exon(90, 120),), cds=(Cds(90, 120, 0),)),),
    )  # fmt: skip
    path = tmp_path / "v.gff3"
    path.write_text(_to_text([*GENES, over], {"c1": 1000, "c2": 100}, prokaryote=prokaryote))
    done = subprocess.run(
        ["gt", "gff3validator", str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_probability_of_a_start_and_of_others_is_written_and_read() -> None:
    gene = replace(GENES[1], start_score=0.9, start_alternatives=((6, 0.05), (-30, 0.02)))
    text = _to_text([gene], {})
    (line,) = [x for x in text.splitlines() if "\tgene\t" in x]
    assert line.endswith(";start_score=0.9000;start_alternatives=+6:0.0500,-30:0.0200")
    out = io.StringIO()
    write_gtf(out, [gene], {})
    assert 'start_score "0.9000"; start_alternatives "+6:0.0500,-30:0.0200"' in out.getvalue()
    for annotation in (
        parse_gff3(text.splitlines(), Path("a.gff3")),
        parse_gtf(out.getvalue().splitlines(), Path("a.gtf")),
    ):
        (read,) = annotation.genes
        assert (read.start_score, read.start_alternatives) == (0.9, ((6, 0.05), (-30, 0.02)))


@pytest.mark.parametrize("text", ["12.5", "-0.1", "high", ""])
def test_another_programs_start_score_is_no_probability(text: str) -> None:
    line = f"c\t.\tgene\t1\t9\t.\t+\t.\tID=g;start_score={text};start_alternatives=ATG"
    (read,) = parse_gff3([line], Path("a.gff3")).genes
    assert (read.start_score, read.start_alternatives) == (None, ())
