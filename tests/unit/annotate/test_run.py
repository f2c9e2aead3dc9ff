"""A run of `annotate` with an annotator that knows the genes: which files hold what."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from genet5.annotate import run
from genet5.annotate.annotator import GeneBlock
from genet5.annotate.plan import plan_genome
from genet5.annotate.rna.programs import RnaFound
from genet5.annotate.submission import require_table2asn
from genet5.cli import main
from genet5.config.annotate import AnnotateConfig
from genet5.errors import ConfigError, DataError, ExternalToolError
from genet5.genome.gene import Cds, Exon, Gene, Transcript
from genet5.genome.io.fasta import write_fasta
from genet5.genome.io.formats import read_annotation
from genet5.model.folders import SHIPPED

CODING = "ATGAAATTTCCCGGGTAA"


def gene(name: str, contig: str, start: int) -> Gene:
    end = start + len(CODING)
    transcript = Transcript(id=f"{name}.t", exons=(Exon(start, end),), cds=(Cds(start, end, 0),))
    return Gene(
        id=name, contig=contig, strand=1, transcripts=(transcript,), type="protein_coding",
        genetic_code=11, score=0.5,
    )  # fmt: skip


class KnowingAnnotator:
    """Finds a gene at base 20 of every contig that is long enough."""

    fails = False
    circular: frozenset[str] | set[str] = frozenset()

    def annotate_blocks(self, contigs: Any, **options: Any) -> Iterator[GeneBlock]:
        for index, contig in enumerate(contigs):
            assert options["is_circular"](contig) is (contig.name in self.circular)
            if self.fails:
                raise DataError("bad bases", path="genome.fa", line=3)
            genes = [gene(f"g{index + 1}", contig.name, 20)] if len(contig.bases) > 40 else []
            options["on_bases"](len(contig.bases))
            yield GeneBlock(index, contig, genes, is_last=True)


@pytest.fixture(autouse=True)
def annotator(monkeypatch: pytest.MonkeyPatch) -> KnowingAnnotator:
    found = KnowingAnnotator()
    monkeypatch.setattr(run, "load_annotator", lambda plan, machine: found)
    return found


@pytest.fixture
def config(tmp_path: Path) -> AnnotateConfig:
    bases = "C" * 20 + CODING + "C" * 20
    write_fasta(tmp_path / "g.fa", [("a", bases), ("short", "ACGT"), ("b", bases)])
    return AnnotateConfig(genome=tmp_path / "g.fa", output=tmp_path / "out.gff3")


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_genes_proteins_and_cds_are_written_and_nothing_is_left_beside(
    config: AnnotateConfig, tmp_path: Path
) -> None:
    files = {"proteins": tmp_path / "p.faa", "cds": tmp_path / "c.ffn"}
    summary = run.annotate_genome(replace(config, **files))
    assert (summary.genes, summary.contigs, summary.bases) == (2, 3, 120)
    assert str(summary).startswith("2 genes on 3 contigs (0.00 Mbp) in 0 s")
    assert [(g.id, g.contig, g.start) for g in read_annotation(config.output).genes] == [
        ("g1", "a", 20), ("g3", "b", 20),
    ]  # fmt: skip
    assert files["proteins"].read_text(encoding="ascii").count("MKFPG") == 2
    assert files["cds"].read_text(encoding="ascii").count(CODING) == 2
    assert names(tmp_path) == {"g.fa", "out.gff3", "p.faa", "c.ffn"}


def test_further_formats_hold_the_same_genes(config: AnnotateConfig, tmp_path: Path) -> None:
    run.annotate_genome(replace(config, formats=("gtf", "gbk", "faa")))
    assert names(tmp_path) == {"g.fa", "out.gff3", "out.gtf", "out.gbk", "out.faa"}
    first, *others = (
        [(g.contig, g.start, g.end) for g in read_annotation(tmp_path / f"out.{kind}").genes]
        for kind in ("gff3", "gtf", "gbk")
    )
    assert others == [first, first]
    assert "MKFPG" in (tmp_path / "out.faa").read_text(encoding="ascii")


def test_a_genome_without_genes_gives_files_without_genes(
    config: AnnotateConfig, tmp_path: Path
) -> None:
    write_fasta(config.genome, [("tiny", "ACGT")])
    assert run.annotate_genome(replace(config, formats=("gtf", "tbl", "faa"))).genes == 0
    assert not read_annotation(config.output).genes
    assert not read_annotation(tmp_path / "out.gtf").genes
    assert (tmp_path / "out.tbl").read_text() == (tmp_path / "out.faa").read_text() == ""


def test_genes_of_a_region_lie_where_they_lie_on_the_contig(config: AnnotateConfig) -> None:
    summary = run.annotate_genome(replace(config, region=("b:6-58",)))
    assert summary.bases == 53
    assert [(g.contig, g.start) for g in read_annotation(config.output).genes] == [("b", 25)]


def test_a_contig_cut_at_gaps_has_the_genes_of_its_parts_where_they_lie(
    config: AnnotateConfig, annotator: KnowingAnnotator
) -> None:
    part = "C" * 20 + CODING + "C" * 20
    write_fasta(config.genome, [("n", "N" * 9), ("c", part + "N" * 50 + part), ("d", part)])
    cut = replace(config, cut_at_gaps=50, circular=("d",))
    annotator.circular = {"d"}
    assert run.annotate_genome(cut).bases == 3 * len(part) + 9
    assert [(g.contig, g.start) for g in read_annotation(config.output).genes] == [
        ("c", 20), ("c", 20 + len(part) + 50), ("d", 20),
    ]  # fmt: skip


def test_a_lineage_or_a_program_that_is_missing_is_named_before_work_begins(
    config: AnnotateConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    words = [
        "annotate",
        str(config.genome),
        "-o",
        str(config.output),
        "--busco",
        str(tmp_path / "none"),
    ]
    assert main(words) == 2
    assert "needs --report FILE" in capsys.readouterr().err
    words += ["--report", str(tmp_path / "r.html")]
    assert main(words) == 1
    assert "no lineage; expected a folder with hmms/" in capsys.readouterr().err
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv("PATH", "")
    assert main(words) == 1
    assert "neither the program busco nor pyhmmer" in capsys.readouterr().err
    assert names(tmp_path) == {"g.fa"}


def test_a_record_states_what_was_run(config: AnnotateConfig, tmp_path: Path) -> None:
    run.annotate_genome(replace(config, record=tmp_path / "run.json"))
    record = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    assert record["summary"]["genes"] == 2
    assert record["genetic_code"] == 11
    assert (record["settings"]["annotator"]["model"], record["model"]) == ("auto", "nano")
    assert record["learned"] == []


def test_a_record_states_what_ran_where_and_when(config: AnnotateConfig, tmp_path: Path) -> None:
    run.annotate_genome(replace(config, record=tmp_path / "run.json"))
    record = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    assert {"genet5", "python", "torch", "numpy"} <= set(record["versions"])
    weights = SHIPPED / "nano" / "model.safetensors"
    assert record["weights_sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert record["machine"]["device"] == "cpu"
    assert record["started"] <= record["finished"]


def trna(contig: str, start: int, end: int) -> Gene:
    transcript = Transcript(
        id="rna.1", exons=(Exon(start, end),), type="tRNA",
        attributes=(("product", "tRNA-Ala"),),
    )  # fmt: skip
    return Gene(id="rna", contig=contig, strand=1, transcripts=(transcript,), type="tRNA",
                source="aragorn")  # fmt: skip


@pytest.fixture
def rna(monkeypatch: pytest.MonkeyPatch) -> RnaFound:
    """A transfer RNA after the gene of contig a, and one on the gene of contig b."""
    found = RnaFound({0: [trna("a", 40, 55)], 2: [trna("b", 0, 55)]}, {"aragorn": "1.2"})
    monkeypatch.setattr(run, "choose_runs", lambda wanted, **_: [])
    monkeypatch.setattr(run, "find_rna", lambda runs, contigs, **_: found)
    monkeypatch.setattr("genet5.annotate.finish.MOST_SHARED_BP", 10)
    return found


def test_all_files_have_the_same_names_for_genes_and_rna(
    config: AnnotateConfig, tmp_path: Path, rna: RnaFound
) -> None:
    tagged = replace(config, locus_tag="AB1", formats=("gtf", "gbk", "tbl", "tsv", "faa", "ffn"))
    assert run.annotate_genome(replace(tagged, record=tmp_path / "r.json")).genes == 3
    rows = [line.split("\t") for line in config.output.read_text().splitlines() if "\t" in line]
    assert [(row[0], row[1], row[2], row[3]) for row in rows if row[2] in ("gene", "tRNA")] == [
        ("a", "GeneT5", "gene", "21"), ("a", "aragorn", "gene", "41"),
        ("a", "aragorn", "tRNA", "41"), ("b", "aragorn", "gene", "1"),
        ("b", "aragorn", "tRNA", "1"),
    ]  # fmt: skip
    for kind in ("gff3", "gtf", "gbk", "tbl"):
        text = (tmp_path / f"out.{kind}").read_text()
        for tag in ("AB1_00001", "AB1_00002", "AB1_00003"):
            assert tag in text, (kind, tag)
        assert text.count("hypothetical protein") == 1
    ids = {(tmp_path / f"out.{kind}").read_text().split()[0] for kind in ("faa", "ffn")}
    assert ids == {">AB1_00001.1"}
    assert json.loads((tmp_path / "r.json").read_text())["versions"]["aragorn"] == "1.2"


TABLE2ASN = """\
#!/bin/sh
test "$1 $3 $5" = "-i -f -o" || exit 1
grep '^>' "$2" > "$6"
head -1 "$4" >> "$6"
"""


def test_a_submission_file_is_made_by_table2asn(
    config: AnnotateConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "table2asn"
    program.write_text(TABLE2ASN)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    require_table2asn()
    run.annotate_genome(replace(config, formats=("tbl", "sqn")))
    assert (tmp_path / "out.sqn").read_text().splitlines() == [
        ">a [gcode=11]", ">short [gcode=11]", ">b [gcode=11]", ">Feature a",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "text"),
    [("echo no template >&2; exit 4", "exit code 4: no template"), ("exit 0", "wrote no file")],
)
def test_a_submission_file_that_is_not_made_is_an_error(
    config: AnnotateConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, text: str
) -> None:
    program = tmp_path / "table2asn"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(ExternalToolError, match=text):
        run.annotate_genome(replace(config, formats=("tbl", "sqn")))


def test_table2asn_is_asked_for_before_work_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ConfigError, match="needs NCBI's table2asn on PATH"):
        require_table2asn()


def test_a_run_that_fails_leaves_its_journal_and_no_output(
    config: AnnotateConfig, tmp_path: Path, annotator: KnowingAnnotator
) -> None:
    annotator.fails = True
    with pytest.raises(DataError, match="bad bases"):
        run.annotate_genome(config)
    assert names(tmp_path) == {"g.fa", "out.gff3.progress"}
    annotator.fails = False
    run.annotate_genome(config)
    assert names(tmp_path) == {"g.fa", "out.gff3"}


def test_devices_get_no_journal(config: AnnotateConfig) -> None:
    nowhere = replace(config, output=Path("/dev/null"))
    with plan_genome(nowhere) as plan:
        machine = run.choose_machine(nowhere.annotator)
        assert run.open_journal(nowhere, plan, machine) is None


@pytest.mark.parametrize("reads", [True, False])
def test_other_hints_begin_a_new_run_where_the_network_reads_them(
    config: AnnotateConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads: bool
) -> None:
    monkeypatch.setattr(run, "reads_hints", lambda plan: reads)
    hints = tmp_path / "hints.gff"
    config = replace(config, hints=(hints,))
    machine = run.choose_machine(config.annotator)
    resumed = []
    with plan_genome(config) as plan:
        for text in ("one", "one", "other"):
            hints.write_text(text)
            journal = run.open_journal(config, plan, machine)
            assert journal is not None
            resumed.append(journal.is_resumed)
            journal.close(remove=False)
    assert resumed == [False, True, not reads]


def test_a_quiet_run_says_nothing(
    config: AnnotateConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["annotate", str(config.genome), "-o", str(config.output)]
    assert main([*words, "--quiet"]) == 0
    assert capsys.readouterr().err == ""
    assert main(words) == 0
    assert "2 genes on 3 contigs" in capsys.readouterr().err


def test_a_run_is_described_without_being_done(config: AnnotateConfig, tmp_path: Path) -> None:
    text = run.describe(config)
    assert text.startswith("3 contigs, 120 bp;")
    assert text.endswith("device auto")
    assert names(tmp_path) == {"g.fa"}
