"""Verified starts: what the calls made of them, the tables, and where there are none."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from proportions import wilson
from start_calls import (
    Call,
    VerifiedGene,
    calls_of,
    cut_to,
    judge,
    on_genome,
    read_verified,
    stop_of,
)
from start_report import StartResult, markdown, to_dict
from testset import Entry
from verified_starts import main

from genet5.errors import DataError, FormatError
from genet5.genome.sequence import encode_bases

FORWARD = VerifiedGene("fwd", "c1", 1, 100, 400)
REVERSE = VerifiedGene("rev", "c1", -1, 600, 900)
COLI = Entry("prokaryotes", "Escherichia_coli", ("*",), "species")


def write_verified(folder: Path, *lines: str) -> Path:
    path = folder / "toy.verified.gff"
    path.write_text("# verified\n" + "".join(f"{line}\n" for line in lines))
    return path


def test_verified_genes_are_read_with_name_codon_and_half_open_coordinates(tmp_path) -> None:
    path = write_verified(
        tmp_path,
        "c1\tx\tCDS\t101\t400\t.\t+\t0\tgene_id=fwd start_codon=ATG",
        "c1\tx\tCDS\t601\t900\t.\t-\t0\tstart_codon=TTG;Name=rev",
        "c1\tx\tCDS\t1001\t1300\t.\t-\t0",
    )
    assert read_verified(path) == [
        VerifiedGene("fwd", "c1", 1, 100, 400, "ATG"),
        VerifiedGene("rev", "c1", -1, 600, 900, "TTG"),
        VerifiedGene("c1:1001-1300(-)", "c1", -1, 1000, 1300),
    ]


def test_a_line_that_is_no_cds_line_is_an_error_with_its_number(tmp_path) -> None:
    path = write_verified(tmp_path, "c1 x CDS 1 9 . + 0")
    with pytest.raises(FormatError, match=r"toy\.verified\.gff:2"):
        read_verified(path)


def test_two_genes_with_one_stop_are_an_error(tmp_path) -> None:
    rows = [f"c1\tx\tCDS\t{start}\t400\t.\t+\t0\tgene_id=g{start}" for start in (101, 131)]
    with pytest.raises(FormatError, match="g131 has the stop of g101"):
        read_verified(write_verified(tmp_path, *rows))


@pytest.mark.parametrize(
    ("call", "kind", "offset_bp"),
    [
        (Call("c1", 1, 100, 400), "right", 0),
        (Call("c1", 1, 70, 400), "upstream", -30),
        (Call("c1", 1, 112, 400), "downstream", 12),
        (Call("c1", 1, 100, 403), "missed", 0),
        (Call("c1", -1, 100, 400), "missed", 0),
        (Call("c2", 1, 100, 400), "missed", 0),
    ],
)
def test_a_forward_gene_is_known_by_its_stop(call, kind, offset_bp) -> None:
    (outcome,) = judge([FORWARD], [call])
    assert (outcome.kind, outcome.offset_bp) == (kind, offset_bp)


def test_a_reverse_gene_starts_at_its_end() -> None:
    starts = [judge([REVERSE], [Call("c1", -1, 600, end, 0.8)])[0] for end in (900, 930, 888)]
    assert [o.kind for o in starts] == ["right", "upstream", "downstream"]
    assert [o.offset_bp for o in starts] == [0, -30, 12]
    assert starts[1].score == 0.8
    assert stop_of(REVERSE) == ("c1", -1, 600)


def test_a_call_on_the_other_strand_over_half_of_a_gene_is_its_shadow() -> None:
    half, less = Call("c1", -1, 250, 700), Call("c1", -1, 0, 249)
    (outcome,) = judge([FORWARD], [half, less])
    assert outcome.kind == "missed"
    assert outcome.shadows == (half,)


def test_calls_are_canonical_coding_sequences_with_a_stop(make_gene) -> None:
    genes = [
        make_gene((0, 90), (120, 180), score=0.7),
        make_gene((300, 600), strand=-1),
        make_gene((700, 800), pseudo=True),
    ]
    assert calls_of(genes) == [Call("c1", 1, 0, 180, 0.7), Call("c1", -1, 300, 600)]


def test_genes_get_the_contig_name_with_its_version_and_their_codon_is_checked() -> None:
    bases = encode_bases("CCATGCCCTAGCC" + "TTACCCCAA")
    gene = VerifiedGene("a", "NC_1", 1, 2, 11, "ATG")
    reverse = VerifiedGene("b", "NC_1", -1, 13, 22, "TTG")
    placed = on_genome([gene, reverse], {"NC_1.2": bases}, Path("g.fa"))
    assert {g.contig for g in placed} == {"NC_1.2"}
    with pytest.raises(DataError, match=r"g\.fa.*no contig NC_1"):
        on_genome([gene], {"NC_3.1": bases}, Path("g.fa"))
    moved = VerifiedGene("a", "NC_1", 1, 3, 12, "ATG")
    with pytest.raises(DataError, match="TGC at the start of a"):
        on_genome([moved], {"NC_1.2": bases}, Path("g.fa"))


def test_genes_over_the_cut_are_left_out() -> None:
    assert cut_to([FORWARD, REVERSE], {"c1": 899}) == [FORWARD]


def test_wilsons_interval_is_that_of_the_textbook() -> None:
    found = wilson(9, 10)
    assert (found.low, found.high) == pytest.approx((0.5958, 0.9821), abs=1e-4)
    assert wilson(0, 10).low == 0.0
    assert wilson(10, 10).high == pytest.approx(1)
    assert str(wilson(0, 0)) == "-"


def test_tables_have_shares_differences_and_names() -> None:
    genes = [VerifiedGene(f"g{k}", "c1", 1, 1000 * k, 1000 * k + 300) for k in range(10)]
    good = [Call("c1", 1, g.start, g.end, 0.9) for g in genes]
    bad = [Call("c1", 1, 30, 300, 0.9), *good[1:9], Call("c1", -1, 9000, 9300)]
    results = [
        StartResult(COLI, label, "no", judge(genes, calls), None)
        for label, calls in (("peer", good), ("ours", bad))
    ]
    text = markdown(results)
    assert "| 10 = 100.0% [72.2%, 100.0%] |" in text
    assert "right starts, ours - peer: -20.0" in text
    assert (
        "wrong start (bp; below 0 too long): g0 (+30); missed: g9 (call on the other strand)"
        in (text)
    )
    (_, ours) = json.loads(json.dumps(to_dict(results)))["results"]
    assert ours["shares"]["right"]["count"] == 8
    assert ours["missed"][0]["shadows"][0]["place"] == "c1:9001-9300(-)"
    assert ours["mean_score"] == pytest.approx({"right": 0.9, "upstream": None, "downstream": 0.9})


def toy_data(folder: Path) -> Path:
    """A genome of one gene, laid out as ../shared/data is."""
    genome = folder / "raw" / "prokaryotes" / "Toy_one"
    genome.mkdir(parents=True)
    with gzip.open(genome / "genome.fa.gz", "wt") as out:
        out.write(">c1.1 toy\n" + "C" * 30 + "ATGCCCCCCTAA" + "C" * 30 + "\n")
    (folder / "splits.tsv").write_text(
        "taxon\tgenome\tcontigs\tsplit\nprokaryotes\tToy_one\t*\ttest\n"
    )
    (folder / "verified_starts").mkdir()
    (folder / "verified_starts" / "Toy_one.verified.gff").write_text(
        "c1\tv\tCDS\t31\t42\t.\t+\t0\tgene_id=toy start_codon=ATG\n"
    )
    return folder


def test_a_ready_annotation_is_judged_and_stored(tmp_path, capsys) -> None:
    data = toy_data(tmp_path / "data")
    calls = tmp_path / "calls.gff3"
    calls.write_text("##gff-version 3\nc1.1\tx\tCDS\t31\t42\t0.9\t+\t0\tID=a\n")
    out = tmp_path / "starts.json"
    flags = ["--data", str(data), "--tools", "--out", str(out), "--genomes", "Toy"]
    assert main([*flags, "--predictions", f"mine={calls}"]) == 0
    assert "| Toy one, 1 genes | mine | 1 = 100.0%" in capsys.readouterr().out
    stored = json.loads(out.read_text())
    assert stored["results"][0]["shares"]["right"]["count"] == 1
    assert stored["settings"]["predictions"] == ["mine"]
    assert out.with_suffix(".md").is_file()


def test_without_data_the_run_is_skipped_with_the_reason(tmp_path, capsys) -> None:
    assert main(["--data", str(tmp_path / "nowhere")]) == 0
    assert "skipped: no" in capsys.readouterr().out


def test_ready_annotations_need_one_genome_and_a_name(tmp_path, capsys) -> None:
    data = toy_data(tmp_path / "data")
    (data / "verified_starts" / "Toy_two.verified.gff").write_text("")
    assert main(["--data", str(data), "--predictions", "a=b.gff3"]) == 2
    assert "needs --genomes with one genome" in capsys.readouterr().err
    assert main(["--data", str(data), "--predictions", "b.gff3"]) == 2
    assert "must be NAME=FILE" in capsys.readouterr().err
