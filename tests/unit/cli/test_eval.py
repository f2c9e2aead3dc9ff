"""`genet5 eval` on files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from genet5.cli.eval import main


def write(path: Path, *genes: tuple[int, int, str], contig: str = "c1") -> str:
    lines = ["##gff-version 3", f"##sequence-region {contig} 1 9000"]
    for number, (first, last, strand) in enumerate(genes):
        where = f"{first}\t{last}\t.\t{strand}"
        lines.append(f"{contig}\tx\tgene\t{where}\t.\tID=g{number}")
        lines.append(f"{contig}\tx\tCDS\t{where}\t0\tID=c{number};Parent=g{number}")
    path.write_text("\n".join(lines) + "\n")
    return str(path)


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    truth = write(tmp_path / "r.gff3", (101, 400, "+"), (1001, 1600, "-"))
    guess = write(tmp_path / "p.gff3", (131, 400, "+"), (1001, 1600, "-"), (3001, 3090, "+"))
    return guess, truth


@pytest.mark.slow
def test_table_and_protocol_go_to_stdout_and_scores_to_json(files, tmp_path, capsys) -> None:
    guess, truth = files
    out = tmp_path / "scores.json"
    assert main(["--predictions", guess, "--reference", truth, "--json", str(out)]) == 0
    text = capsys.readouterr().out
    assert "stop         1.000  0.667  0.800" in text
    assert "exact        0.500  0.333  0.400" in text
    assert "Ignored references: pseudogenes" in text
    values = json.loads(out.read_text())
    assert values["levels"]["stop"]["tp"] == 2
    assert values["predictions"] == guess


def test_kind_chooses_the_levels(files, capsys) -> None:
    guess, truth = files
    assert main(["--predictions", guess, "--reference", truth, "--kind", "eukaryote"]) == 0
    assert "stop coordinate" not in capsys.readouterr().out


def test_files_without_a_common_contig_are_an_error(files, tmp_path, capsys) -> None:
    other = write(tmp_path / "o.gff3", (101, 400, "+"), contig="chr1")
    assert main(["--predictions", other, "--reference", files[1]]) == 1
    *_, message = capsys.readouterr().err.splitlines()
    assert message.startswith(
        "genet5 eval: predictions and reference share no contig: chr1 against c1"
    )


def test_a_missing_file_is_one_line(files, capsys) -> None:
    assert main(["--predictions", "nowhere.gff3", "--reference", files[1]]) == 1
    message = capsys.readouterr().err
    assert "nowhere.gff3" in message
    assert message.count("\n") == 1


def test_no_predictions_warn_and_score_0(files, tmp_path, capsys) -> None:
    assert main(["--predictions", write(tmp_path / "e.gff3"), "--reference", files[1]]) == 0
    captured = capsys.readouterr()
    assert "holds no coding gene" in captured.err
    assert "gene         0.000" in captured.out


@pytest.mark.slow
@pytest.mark.parametrize("script", ["bin/eval", "test/eval_f1"])
def test_scripts_run_from_any_folder_without_installation(script, root, files, tmp_path) -> None:
    command = [
        sys.executable,
        str(root / script),
        "--predictions",
        files[0],
        "--reference",
        files[1],
    ]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert "gene " in done.stdout


def test_error_causes_are_printed_and_stored(files, tmp_path, capsys) -> None:
    out = tmp_path / "scores.json"
    assert main(["--predictions", files[0], "--reference", files[1], "--json", str(out)]) == 0
    assert "wrong start                 1          1" in capsys.readouterr().out
    assert json.loads(out.read_text())["gene_causes"]["extra"] == {"reference": 0, "predicted": 1}


@pytest.mark.parametrize(("name", "start"), [("s.svg", "<svg "), ("s.html", "<!DOCTYPE html>")])
def test_plot_writes_a_picture_or_a_page(name, start, files, tmp_path) -> None:
    out = tmp_path / name
    assert main(["--predictions", files[0], "--reference", files[1], "--plot", str(out)]) == 0
    assert out.read_text().startswith(start)


def test_plot_of_another_kind_is_wrong_usage(files, capsys) -> None:
    assert main(["--predictions", files[0], "--reference", files[1], "--plot", "s.png"]) == 2
    assert "must end in .svg or .html" in capsys.readouterr().err


def test_predictions_without_stop_codons_give_a_warning_with_the_remedy(tmp_path, capsys) -> None:
    truth = write(tmp_path / "r.gff3", (101, 400, "+"), (1001, 1600, "-"), (3001, 3090, "+"))
    guess = write(tmp_path / "p.gff3", (101, 397, "+"), (1004, 1600, "-"), (3001, 3090, "+"))
    assert main(["--predictions", guess, "--reference", truth]) == 0
    assert (
        "2 of 3 predicted genes (67 %) end exactly 3 bases before a reference gene does. Do the"
        " predictions leave the stop codon out of the CDS? If so, use --stop_codon_outside"
        " predictions"
    ) in capsys.readouterr().err
    assert main(["--predictions", truth, "--reference", guess]) == 0
    assert "end exactly 3 bases after" in capsys.readouterr().err


def test_a_file_without_stop_codons_is_completed(tmp_path, capsys) -> None:
    truth = write(tmp_path / "r.gff3", (101, 400, "+"), (1001, 1600, "-"))
    guess = write(tmp_path / "p.gff3", (101, 397, "+"), (1004, 1600, "-"))
    words = ["--predictions", guess, "--reference", truth]
    assert main([*words, "--stop_codon_outside", "predictions"]) == 0
    captured = capsys.readouterr()
    assert "exact        1.000  1.000  1.000" in captured.out
    assert "stop codon" not in captured.err
    assert main([*words[2:], *words[:2], "--stop_codon_outside", "both"]) == 0
    assert "exact        0.000" in capsys.readouterr().out


def test_stops_that_agree_give_no_warning(files, capsys) -> None:
    assert main(["--predictions", files[0], "--reference", files[1]]) == 0
    assert "stop codon" not in capsys.readouterr().err
