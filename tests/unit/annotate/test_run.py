"""A run of `annotate` with an annotator that knows the genes: which files hold what."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from genet5.annotate import run
from genet5.annotate.annotator import GeneBlock
from genet5.annotate.plan import plan_genome
from genet5.config.annotate import AnnotateConfig
from genet5.errors import DataError
from genet5.genome.gene import Cds, Exon, Gene, Transcript
from genet5.genome.io.fasta import write_fasta
from genet5.genome.io.formats import read_annotation

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

    def annotate_blocks(self, contigs: Any, **options: Any) -> Iterator[GeneBlock]:
        for index, contig in enumerate(contigs):
            assert not options["is_circular"](contig)
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


def test_genes_of_a_region_lie_where_they_lie_on_the_contig(config: AnnotateConfig) -> None:
    summary = run.annotate_genome(replace(config, region=("b:6-58",)))
    assert summary.bases == 53
    assert [(g.contig, g.start) for g in read_annotation(config.output).genes] == [("b", 25)]


def test_a_record_states_what_was_run(config: AnnotateConfig, tmp_path: Path) -> None:
    run.annotate_genome(replace(config, record=tmp_path / "run.json"))
    record = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    assert record["summary"]["genes"] == 2
    assert record["genetic_code"] == 11
    assert (record["settings"]["annotator"]["model"], record["model"]) == ("auto", "nano")
    assert record["learned"] == []


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


def test_a_run_is_described_without_being_done(config: AnnotateConfig, tmp_path: Path) -> None:
    text = run.describe(config)
    assert text.startswith("3 contigs, 120 bp;")
    assert text.endswith("device auto")
    assert names(tmp_path) == {"g.fa"}
