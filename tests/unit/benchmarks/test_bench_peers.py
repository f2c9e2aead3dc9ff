"""Tables and JSON of a comparison, which tools run, and what is taken from an earlier run."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import bench_peers
import numpy as np
import peers
import pytest
from peers import Job, Models, Run, run_job, why_not
from report import Result, markdown, to_dict
from testset import Entry

from genet5.errors import ConfigError, DataError
from genet5.score.genes import score_genes

COLI = Entry("prokaryotes", "Escherichia_coli_K-12", ("*",), "species")
POMBE = Entry("unicellular", "Schizosaccharomyces_pombe_X", ("III",), "chromosome")


@pytest.fixture
def make_result(make_gene):
    def make(entry: Entry, tool: str, num_right: int, **more: object) -> Result:
        true = [make_gene((k * 1_000, k * 1_000 + 300)) for k in range(10)]
        wrong = [make_gene((k * 1_000 + 30, k * 1_000 + 300)) for k in range(num_right, 10)]
        guess = [*true[:num_right], *wrong]
        scores = score_genes(guess, true, prokaryote=entry.clade == "prokaryotes")
        run = Run(2.0, 3.0, 100.0, "i", "2026-01-01", reused=bool(more.pop("reused", False)))
        return Result(entry, tool, f"{tool} 1.0", "yes", 10_000, run, scores, **more)

    return make


def test_a_table_has_a_line_for_each_tool_and_one_for_the_difference(make_result) -> None:
    coli = Entry("prokaryotes", "Bacillus_subtilis_168", ("*",), "species")
    results = [
        make_result(entry, tool, right)
        for entry, rights in ((COLI, (8, 9)), (coli, (6, 8)))
        for tool, right in zip(("pyrodigal", "genet5"), rights, strict=True)
    ]
    lines = [x for x in markdown(results).splitlines() if x.startswith("| ")]
    cells = [[c.strip() for c in line.strip("|").split("|")] for line in lines]
    assert cells[0][:5] == [
        "genome",
        "tool",
        "parameters trained on this species",
        "stop F1",
        "exact F1",
    ]
    assert {len(row) for row in cells} == {len(cells[0])}
    assert cells[1][:5] == [
        "Escherichia coli K-12, 0.01 Mbp, 10 genes",
        "pyrodigal 1.0",
        "yes",
        "1.000",
        "0.800",
    ]
    assert cells[1][-4:] == ["2.0", "3.0", "5.0", "100"]
    assert cells[3][1:5] == ["*ours - pyrodigal 1.0*", "", "*+0.000*", "*+0.100*"]
    assert [row[0] for row in cells[-3:]] == ["**mean of 2**", "**mean of 2**", ""]
    assert cells[-1][4] == "*+0.150*", "two genomes are too few for an interval"


def test_regimes_stand_in_separate_tables_and_blocks_give_intervals(make_result) -> None:
    blocks = {x: np.array([[8, 10, 10]] * 6) for x in ("nucleotide", "exon", "intron", "gene")}
    better = {x: np.array([[9, 10, 10]] * 6) for x in blocks}
    results = [
        make_result(COLI, "genet5", 9),
        make_result(POMBE, "augustus", 8, blocks=blocks),
        make_result(POMBE, "genet5", 9, blocks=better, reused=True),
    ]
    text = markdown(results, ["Left out: x."])
    species, chromosome = text.split("### Held-out chromosomes")
    assert "Schizosaccharomyces" not in species
    assert "stop F1" not in chromosome
    assert "*ours - augustus 1.0 (6 blocks)*" in chromosome
    assert "*+0.100 [+0.100, +0.100]*" in chromosome
    assert "2.0\\*" in chromosome
    assert "earlier call" in chromosome
    assert text.endswith("Left out: x.\n")


def test_json_holds_scores_costs_and_differences(make_result) -> None:
    results = [make_result(COLI, "pyrodigal", 8), make_result(COLI, "genet5", 9)]
    values = json.loads(json.dumps(to_dict(results), allow_nan=False))
    table = values["regimes"]["species"]
    first = table["results"][0]
    assert first["f1"]["exact"] == pytest.approx(0.8)
    assert first["f1"]["intron"] is None
    assert (first["wall_s"], first["cpu_s"], first["kbp_per_s"]) == (2.0, 3.0, 5.0)
    assert first["scores"]["levels"]["exact"]["tp"] == 8
    gains = {(d["genome"], d["level"]): d["value"] for d in table["differences"]}
    assert gains[COLI.genome, "exact"] == pytest.approx(0.1)
    assert gains["mean", "exact"] == pytest.approx(0.1)
    assert "stop codon included" in values["protocols"]["prokaryote"]


def test_the_model_of_a_genome_beats_that_of_its_clade() -> None:
    models = Models.parse(
        ["unicellular=a", "Schizosaccharomyces=b", "Schizosaccharomyces_japonicus=c"]
    )
    assert models.find(POMBE) == "b"
    assert models.find(Entry("unicellular", "Plasmodium_x", ("*",), "species")) == "a"
    assert models.find(COLI) == "nano"
    with pytest.raises(ConfigError, match="CLADE=MODEL"):
        Models.parse(["runs/nano"])


def test_a_tool_that_is_missing_is_named_and_left_out(monkeypatch) -> None:
    monkeypatch.setattr(peers.shutil, "which", lambda name: None)
    models = Models.parse([])
    plan, notes = bench_peers.plan_runs([COLI, POMBE], ("augustus", "genet5"), models)
    assert plan == [(COLI, ["genet5"])]
    assert notes == [
        "Left out: augustus (not on PATH: apt install augustus): Schizosaccharomyces pombe X III.",
        "Left out: genet5 (no model: name one with --model unicellular=MODEL): "
        "Schizosaccharomyces pombe X III.",
    ]
    with pytest.raises(DataError, match="no tool for any genome"):
        bench_peers.plan_runs([POMBE], ("augustus", "genet5"), models)


def test_augustus_runs_with_parameters_of_the_species_only(monkeypatch) -> None:
    monkeypatch.setattr(peers.shutil, "which", lambda name: "/usr/bin/" + name)
    models = Models.parse([])
    assert why_not("augustus", POMBE, models) == ""
    other = Entry("unicellular", "Leishmania_major_x", ("*",), "chromosome")
    assert why_not("augustus", other, models) == "no parameters trained on Leishmania major"
    assert why_not("augustus", COLI, models) == why_not("pyrodigal", POMBE, models) == "-"


@pytest.mark.slow
def test_an_output_is_reused_only_if_asked_and_made_the_same_way(tmp_path: Path) -> None:
    output = tmp_path / "genes.gff3"
    script = "import sys, pathlib; pathlib.Path(sys.argv[1]).open('a').write('x')"
    command = (sys.executable, "-c", script, str(output))
    job = Job("augustus", "Augustus", command, output, "v1", "yes")
    first = run_job(job, reuse=True)
    again = run_job(job, reuse=True)
    assert not first.reused
    assert again.reused
    assert (again.wall_s, again.date) == (first.wall_s, first.date)
    assert not run_job(job, reuse=False).reused
    other = Job("augustus", "Augustus", command, output, "v2", "yes")
    assert not run_job(other, reuse=True).reused
    assert output.read_text() == "x", "every run starts without the former output"


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="needs --work"):
        bench_peers.BenchConfig(reuse=True)
    with pytest.raises(ConfigError, match="20000"):
        bench_peers.BenchConfig(max_bp=100)
