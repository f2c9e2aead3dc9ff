"""`genet5 busco` on files, and on the reference proteins of yeast."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from genet5.cli.busco import main
from genet5.score.busco import BuscoReport, Match, Result


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    (tmp_path / "g.fa").write_text(">c1\nATGAAATGGTAACC\n")
    (tmp_path / "p.gff3").write_text(
        "##gff-version 3\nc1\tx\tgene\t1\t12\t.\t+\t.\tID=g\n"
        "c1\tx\tCDS\t1\t12\t.\t+\t0\tID=c;Parent=g\n"
    )
    lineage = tmp_path / "toy_odb10"
    (lineage / "hmms").mkdir(parents=True)
    (lineage / "hmms" / "f1.hmm").write_text("")
    (lineage / "scores_cutoff").write_text("f1\t50\n")
    (lineage / "lengths_cutoff").write_text("f1\t0\t5\t100\n")
    paths = {"predictions": "p.gff3", "genome": "g.fa", "lineage": "toy_odb10"}
    return [word for name, path in paths.items() for word in (f"--{name}", str(tmp_path / path))]


@pytest.fixture
def _found(monkeypatch: pytest.MonkeyPatch) -> None:
    def search(proteins, lineage, **options) -> BuscoReport:
        options["progress"](1, 1)
        assert [letters for _, letters in proteins] == ["MKW"]
        match = Match("f1", proteins[0][0], 80.0, 99)
        result = Result("f1", "single", (match,))
        return BuscoReport(lineage=lineage.name, scorer="busco 5", proteins=1, results=(result,))

    monkeypatch.setattr("genet5.cli.busco.run_busco", search)
    monkeypatch.setattr("genet5.cli.busco.choose_scorer", lambda scorer: "busco")


@pytest.mark.usefixtures("_found")
def test_summary_and_table_go_to_stdout_and_groups_to_json(files, tmp_path, capsys) -> None:
    out = tmp_path / "busco.json"
    assert main([*files, "--json", str(out)]) == 0
    text = capsys.readouterr().out
    assert text.startswith("C:100.0%[S:100.0%,D:0.0%],F:0.0%,M:0.0%,n:1\n\nBUSCO groups")
    assert "toy_odb10, busco 5" in text
    values = json.loads(out.read_text())
    assert values["isoforms"] == "longest"
    assert values["results"][0]["matches"][0]["score"] == 80.0


@pytest.mark.usefixtures("_found")
def test_predictions_without_proteins_are_an_error(files, tmp_path, capsys) -> None:
    (tmp_path / "p.gff3").write_text("##gff-version 3\n##sequence-region c1 1 14\n")
    assert main(files) == 1
    assert "no coding gene" in capsys.readouterr().err


def test_without_any_scorer_the_error_names_what_to_install(
    files, monkeypatch, tmp_path, capsys
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main([*files, "--scorer", "busco"]) == 1
    message = capsys.readouterr().err
    assert message.startswith("genet5 busco: the program busco is not on PATH")
    assert message.count("\n") == 1


@pytest.mark.data
@pytest.mark.parametrize("scorer", ["pyhmmer", "busco"])
def test_the_reference_proteins_of_yeast_are_complete(
    scorer: str, shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if scorer == "pyhmmer":
        pytest.importorskip("pyhmmer")
    elif shutil.which("busco") is None:
        pytest.skip("needs the program busco")
    yeast = shared_data / "raw" / "unicellular" / "Saccharomyces_cerevisiae_R64-1-1"
    out = tmp_path / "busco.json"
    words = ("--predictions", yeast / "annotation.gff3.gz", "--genome", yeast / "genome.fa.gz")
    lineage = shared_data / "busco" / "saccharomycetes200_odb10"
    options = ("--lineage", lineage, "--scorer", scorer, "--json", out)
    assert main([str(word) for word in (*words, *options)]) == 0
    assert capsys.readouterr().out.startswith("C:99.5%[S:97.0%,D:2.5%],F:0.0%,M:0.5%,n:200\n")
    assert json.loads(out.read_text())["proteins"] == 6600
