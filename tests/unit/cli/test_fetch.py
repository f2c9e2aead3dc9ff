"""The command: what it prints and returns; the server is not reached, or refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from genet5.cli.fetch import main
from genet5.errors import DataError, ServerError
from genet5.fetch.fetcher import Fetcher


@pytest.fixture
def genomes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    asked: list[str] = []

    def fetch(self: Fetcher, text: str) -> Path:
        asked.append(text)
        if text == "GCF_000000002.1":
            raise DataError("NCBI knows no assembly GCF_000000002.1", remedy="Check the accession")
        if text == "GCF_000000003.1":
            raise ServerError("https://x: no answer")
        return self.out_dir / "prokaryotes" / text

    monkeypatch.setattr(Fetcher, "fetch", fetch)
    return asked


def test_each_folder_is_a_line_of_output(
    genomes: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["GCF_000000001.1", "NC_000913.3", "-o", "here"]) == 0
    printed = capsys.readouterr().out
    assert printed == "here/prokaryotes/GCF_000000001.1\nhere/prokaryotes/NC_000913.3\n"


def test_one_that_fails_does_not_stop_the_others(
    genomes: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["GCF_000000002.1", "NC_000913.3"]) == 1
    printed = capsys.readouterr()
    assert printed.out == "raw/prokaryotes/NC_000913.3\n"
    assert "GCF_000000002.1: NCBI knows no assembly" in printed.err
    assert "genet5 fetch: 1 of 2 not downloaded: GCF_000000002.1" in printed.err


def test_a_server_that_is_down_stops_all(
    genomes: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["GCF_000000003.1", "NC_000913.3"]) == 1
    assert genomes == ["GCF_000000003.1"]
    assert capsys.readouterr().err == "genet5 fetch: https://x: no answer\n"


def test_one_that_fails_is_one_line(genomes: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["GCF_000000002.1"]) == 1
    assert (
        capsys.readouterr().err
        == "genet5 fetch: NCBI knows no assembly GCF_000000002.1. Check the accession\n"
    )


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["NP_000001.1"],
        ["NC_000913.3", "nonsense"],
        ["NC_000913.3", "--tries", "0"],
        ["NC_000913.3", "--genomes_url", "ftp://ftp.ncbi.nlm.nih.gov"],
        ["NC_000913.3", "--clade", "viruses"],
    ],
)
def test_wrong_usage_asks_nobody(genomes: list[str], words: list[str]) -> None:
    assert main(words) == 2
    assert genomes == []
