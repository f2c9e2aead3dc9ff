"""BUSCO's rules on made-up matches, and the search with HMMs made here."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import numpy as np
import pytest

from genet5.errors import DataError, ExternalToolError, FormatError
from genet5.genome.gene import Cds, Exon, Gene, Transcript
from genet5.score.busco import Cutoff, Lineage, Match, classify, summary
from genet5.score.busco_search import choose_scorer, extract_proteins, read_full_table, run_busco

CUTOFFS = {name: Cutoff(100.0, 10.0, 200.0) for name in ("a", "b", "c")}


def status(*matches: Match) -> dict[str, str]:
    found = classify(matches, CUTOFFS)
    return {result.group: result.status for result in found if result.status != "missing"}


@pytest.mark.parametrize(
    ("score", "length", "expected"),
    [
        (99.9, 200, {}),
        (100.0, 200, {"a": "single"}),
        (100.0, 180, {"a": "single"}),
        (100.0, 179, {"a": "fragmented"}),
        (100.0, 220, {"a": "single"}),
        (100.0, 999, {"a": "single"}),
    ],
)
def test_score_and_length_decide(score: float, length: int, expected: dict[str, str]) -> None:
    assert status(Match("a", "p", score, length)) == expected


def test_two_proteins_of_like_score_are_a_duplicate() -> None:
    assert status(Match("a", "p", 200, 200), Match("a", "q", 170, 200)) == {"a": "duplicated"}
    assert status(Match("a", "p", 200, 200), Match("a", "q", 169, 200)) == {"a": "single"}


def test_complete_matches_hide_long_ones_and_fragments() -> None:
    results = classify([Match("a", "p", 200, 150), Match("a", "q", 120, 200)], CUTOFFS)
    assert [match.protein for match in results[0].matches] == ["q"]
    assert status(Match("a", "p", 200, 300), Match("a", "q", 199, 200)) == {"a": "single"}


def test_a_protein_belongs_to_one_group_of_a_rank() -> None:
    assert status(Match("a", "p", 200, 200), Match("b", "p", 201, 200)) == {"b": "single"}


def test_a_protein_that_is_complete_somewhere_is_no_fragment_elsewhere() -> None:
    assert status(Match("a", "p", 200, 200), Match("b", "p", 300, 100)) == {"a": "single"}


def test_of_fragments_the_best_counts() -> None:
    results = classify([Match("a", "p", 190, 100), Match("a", "q", 200, 100)], CUTOFFS)
    assert results[0].status == "fragmented"
    assert [match.protein for match in results[0].matches] == ["q"]


def test_the_summary_rounds_as_busco_does() -> None:
    cutoffs = {str(n): Cutoff(1.0, 1.0, 10.0) for n in range(3)}
    results = classify(
        [Match("0", "p", 9, 10), Match("1", "q", 9, 10), Match("1", "r", 9, 10)], cutoffs
    )
    assert summary(results) == "C:66.6%[S:33.3%,D:33.3%],F:0.0%,M:33.4%,n:3"


LETTERS = "ACDEFGHIKLMNPQRSTVWY"


@pytest.fixture(scope="module")
def families() -> dict[str, str]:
    """One random protein per group."""
    rng = np.random.default_rng(7)
    return {
        name: "M" + "".join(rng.choice(list(LETTERS), 149)) for name in ("f1", "f2", "f3", "f4")
    }


@pytest.fixture(scope="module")
def lineage(families: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Lineage:
    """A lineage whose HMMs are built from single sequences."""
    pytest.importorskip("pyhmmer")
    from pyhmmer.easel import Alphabet, TextSequence
    from pyhmmer.plan7 import Background, Builder

    folder = tmp_path_factory.mktemp("toy_odb")
    (folder / "hmms").mkdir()
    alphabet = Alphabet.amino()
    for name, letters in families.items():
        sequence = TextSequence(name=name.encode(), sequence=letters).digitize(alphabet)
        hmm, _, _ = Builder(alphabet, seed=1).build(sequence, Background(alphabet))
        with (folder / "hmms" / f"{name}.hmm").open("wb") as out:
            hmm.write(out)
    (folder / "scores_cutoff").write_text("".join(f"{name}\t50\n" for name in families))
    (folder / "lengths_cutoff").write_text("".join(f"{name}\t0\t5.0\t149\n" for name in families))
    return Lineage.read(folder)


def test_pyhmmer_finds_single_duplicated_fragmented_and_missing_groups(
    families: dict[str, str], lineage: Lineage
) -> None:
    proteins = [
        ("one:1-9", families["f1"]),
        ("two", families["f2"]),
        ("two", families["f2"][:-3] + "AAA"),
        ("part", families["f3"][:80]),
        ("odd", "MX*"),
    ]
    seen: list[tuple[int, int]] = []
    report = run_busco(
        proteins, lineage, scorer="pyhmmer", threads=1, progress=lambda *at: seen.append(at)
    )
    assert {result.group: result.status for result in report.results} == {
        "f1": "single",
        "f2": "duplicated",
        "f3": "fragmented",
        "f4": "missing",
    }
    assert report.summary == "C:50.0%[S:25.0%,D:25.0%],F:25.0%,M:25.0%,n:4"
    assert report.results[0].matches[0].protein == "one:1-9"
    assert report.to_dict()["duplicated"] == 1
    assert "  duplicated           1    25.0" in report.table()
    assert seen[-1] == (4, 4)


FAKE = """#!/bin/sh
[ "$1" = --version ] && { echo BUSCO 5.9.9; exit 0; }
[ -n "$FAIL" ] && { echo "ERROR: no hmmsearch"; exit 1; }
grep -q '^>p0' proteins.faa || exit 3
echo "INFO: [hmmsearch]	2 of 4 task(s) completed"
mkdir -p run/run_toy
printf '# Busco id\\tStatus\\tSequence\\tScore\\tLength\\n' > run/run_toy/full_table.tsv
printf 'f1\\tComplete\\tp1\\t99.5\\t148\\n' >> run/run_toy/full_table.tsv
printf 'f2\\tFragmented\\tp0\\t60.0\\t80\\n' >> run/run_toy/full_table.tsv
printf 'f3\\tMissing\\nf4\\tMissing\\n' >> run/run_toy/full_table.tsv
"""


@pytest.fixture
def fake_busco(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "busco"
    program.parent.mkdir()
    program.write_text(FAKE)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.usefixtures("fake_busco")
def test_the_program_is_run_and_its_table_read(lineage: Lineage) -> None:
    seen: list[tuple[int, int]] = []
    report = run_busco(
        [("x", "MA"), ("y:2-3", "MC")],
        lineage,
        threads=1,
        progress=lambda *at: seen.append(at),
    )
    assert report.scorer == "busco 5.9.9"
    assert seen == [(2, 4)]
    assert report.summary == "C:25.0%[S:25.0%,D:0.0%],F:25.0%,M:50.0%,n:4"
    assert report.results[0].matches == (Match("f1", "y:2-3", 99.5, 148),)


@pytest.mark.usefixtures("fake_busco")
def test_a_failed_program_is_named_with_its_words(
    lineage: Lineage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAIL", "1")
    with pytest.raises(ExternalToolError, match="exit code 1: ERROR: no hmmsearch"):
        run_busco([("x", "MA")], lineage)


def test_a_missing_program_is_an_error_that_tells_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ExternalToolError, match="busco is not on PATH"):
        choose_scorer("busco")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ExternalToolError, match="pip install pyhmmer"):
        choose_scorer("auto")


def test_duplicated_groups_of_a_table_keep_all_proteins(lineage: Lineage, tmp_path: Path) -> None:
    table = tmp_path / "full_table.tsv"
    table.write_text("f1\tDuplicated\tp0\t90.0\t148\nf1\tDuplicated\tp1\t99.0\t148\n")
    results = read_full_table(table, lineage, ["x", "y"])
    assert [match.protein for match in results[0].matches] == ["y", "x"]
    assert [result.status for result in results] == ["duplicated", *["missing"] * 3]


@pytest.mark.parametrize("row", ["f1\tSplit\tp0\t90.0\t148", "f1\tComplete\tp7\t90.0\t148", "f1"])
def test_a_strange_table_of_busco_names_the_line(
    lineage: Lineage, tmp_path: Path, row: str
) -> None:
    table = tmp_path / "full_table.tsv"
    table.write_text(f"# Busco id\n{row}\n")
    with pytest.raises(FormatError, match=r"full_table.tsv:2: line 'f1.*expected group, status"):
        read_full_table(table, lineage, ["x", "y"])


def test_a_wrong_lineage_names_the_file(lineage: Lineage, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="no lineage"):
        Lineage.read(tmp_path)
    (tmp_path / "hmms").mkdir()
    (tmp_path / "scores_cutoff").write_text("f1\tx\n")
    with pytest.raises(FormatError, match="scores_cutoff:1"):
        Lineage.read(tmp_path)
    (tmp_path / "scores_cutoff").write_text("f1\t50\n")
    (tmp_path / "lengths_cutoff").write_text("f2\t0\t0\t9\n")
    with pytest.raises(FormatError, match=r'lengths_cutoff: no group "f1"; expected .* Download'):
        Lineage.read(tmp_path)
    (tmp_path / "lengths_cutoff").write_text("f1\t0\t0\t9\n")
    with pytest.raises(FormatError, match=r"f1\.hmm"):
        Lineage.read(tmp_path)
    (tmp_path / "hmms" / "f1.hmm").write_text("nothing\n")
    broken = Lineage.read(tmp_path)
    assert broken.cutoffs["f1"].sigma == 1.0
    with pytest.raises(DataError, match="no HMM"):
        run_busco([("x", "MA")], broken, scorer="pyhmmer", threads=1)


def test_proteins_are_of_the_longest_isoform_or_of_all(tmp_path: Path) -> None:
    genome = tmp_path / "g.fa"
    genome.write_text(">c1\nATGAAATGGTAACC\n>c2\nTTTT\n")
    both = tuple(
        Transcript(id=name, exons=(Exon(0, 12),), cds=(Cds(start, 12, 0),))
        for name, start in (("short", 6), ("long", 0))
    )
    gene = Gene(id="g", contig="c1", strand=1, transcripts=both)
    assert extract_proteins(genome, [gene]) == [("long", "MKW")]
    assert extract_proteins(genome, [gene], all_isoforms=True) == [("short", "W"), ("long", "MKW")]
    lost = Gene(id="g", contig="c9", strand=1, transcripts=both)
    with pytest.raises(DataError, match='1 genes on contig "c9"'):
        extract_proteins(genome, [lost])
