"""The workflow's sheet of genomes and its settings: what is read, and what is said about errors."""

from __future__ import annotations

from pathlib import Path

import pytest
from sheet import Genome, SheetError, read_sheet


@pytest.fixture
def write(tmp_path: Path):
    """Write a sheet beside a genome, an annotation and a lineage."""
    for name in ("a.fa", "b c.fa", "a.gff3"):
        (tmp_path / name).touch()
    (tmp_path / "lineage").mkdir()

    def sheet(*lines: str) -> Path:
        path = tmp_path / "genomes.tsv"
        path.write_text("".join(f"{line}\n" for line in lines))
        return path

    return sheet


def test_a_sheet_gives_genomes_by_name_with_paths_beside_it(write, tmp_path) -> None:
    path = write(
        "name\tfasta\tmodel\tgenetic_code\treference\tlineage",
        "one\ta.fa\tnano\t4\ta.gff3\tlineage",
        "",
        "# left out\tx.fa",
        "B. c (2)\tb c.fa\t-",
    )
    assert read_sheet(path) == {
        "one": Genome(
            name="one",
            fasta=str(tmp_path / "a.fa"),
            model="nano",
            genetic_code="4",
            reference=str(tmp_path / "a.gff3"),
            lineage=str(tmp_path / "lineage"),
        ),
        "B. c (2)": Genome(name="B. c (2)", fasta=str(tmp_path / "b c.fa")),
    }


def test_columns_come_in_any_order(write) -> None:
    genomes = read_sheet(write("#fasta\tName", "a.fa\tone"))
    assert list(genomes) == ["one"]


def test_flags_are_those_that_the_sheet_names() -> None:
    plain = Genome(name="a", fasta="a.fa")
    assert plain.annotate_flags("nano") == ["--model", "nano"]
    full = Genome(name="a", fasta="a.fa", model="my model", clade="plants", genetic_code="1")
    assert full.annotate_flags("nano") == [
        *("--model", "my model"),
        *("--clade", "plants"),
        *("--genetic_code", "1"),
    ]
    assert full.code_flags() == ["--genetic_code", "1"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "empty; expected a header line"),
        (["name\tmodel"], ":1: no column 'fasta'"),
        (["name\tfasta\tsize"], ":1: unknown column 'size'"),
        (["name\tfasta\tname"], ":1: twice the column 'name'"),
        (["name\tfasta"], "no genome"),
        (["name\tfasta", "x\tnone.fa"], ":2: fasta: no file"),
        (["name\tfasta", "x\t"], ":2: no FASTA file for 'x'"),
        (["name\tfasta", "x\ta.fa\tmore"], ":2: 3 columns; expected 2"),
        (["name\tfasta", "x\ta.fa", "X\ta.fa"], ":3: name 'X' again"),
        (["name\tfasta", "../x\ta.fa"], r":2: name '\.\./x'"),
        (["name\tfasta", "{x}\ta.fa"], ":2: name '{x}'"),
        (["name\tfasta", "$(id)\ta.fa"], r":2: name '\$\(id\)'"),
        (["name\tfasta", "-x\ta.fa"], ":2: name '-x'"),
        (["name\tfasta\tgenetic_code", "x\ta.fa\tbacterial"], ":2: genetic_code 'bacterial'"),
        (["name\tfasta\tlineage", "x\ta.fa\ta.fa"], ":2: lineage: no folder"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(write, lines, message) -> None:
    with pytest.raises(SheetError, match=message):
        read_sheet(write(*lines))


def test_a_missing_sheet_is_named(tmp_path) -> None:
    with pytest.raises(SheetError, match=r"none\.tsv: No such file"):
        read_sheet(tmp_path / "none.tsv")


def test_settings_get_defaults_and_errors_name_setting_and_expectation(root) -> None:
    pytest.importorskip("jsonschema")
    from settings import SettingsError, complete

    schema = root / "workflow" / "config.schema.yaml"
    found = complete({"sheet": "a.tsv", "threads": 3}, schema)
    assert found["threads"] == 3
    assert found["results"] == "results"
    assert found["command"] == ["genet5"]
    wrong = {"threads": 0, "thread": 1, "results": "a{b}"}
    with pytest.raises(SettingsError) as error:
        complete(wrong, schema)
    text = str(error.value)
    assert "unknown setting 'thread'; expected any of sheet, results" in text
    assert "'sheet' is a required property" in text
    assert "threads: 0 is less than the minimum of 1; expected: Threads of one" in text
    assert "results: 'a{b}' does not match" in text
