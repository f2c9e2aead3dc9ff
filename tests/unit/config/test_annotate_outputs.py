"""Names of the files that `annotate` writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from genet5.config.annotate import AnnotateConfig
from genet5.errors import ConfigError


def config(output: str, *formats: str, **options: object) -> AnnotateConfig:
    return AnnotateConfig(genome=Path("g.fa"), output=Path(output), formats=formats, **options)  # type: ignore[arg-type]


def test_other_formats_lie_beside_the_output() -> None:
    assert config("out/x.y.gff3", "bed", "faa").beside == {
        "bed": Path("out/x.y.bed"), "faa": Path("out/x.y.faa"),
    }  # fmt: skip


def test_they_are_compressed_as_the_output_is() -> None:
    assert config("x.gff3.gz", "gbk").beside == {"gbk": Path("x.gbk.gz")}


def test_all_outputs_are_known_by_their_flags() -> None:
    assert config("x.gff3", "tsv").outputs == {
        "output": Path("x.gff3"), "proteins": None, "cds": None, "record": None, "report": None,
        "formats tsv": Path("x.tsv"),
    }  # fmt: skip


@pytest.mark.parametrize(("output", "name"), [("-", "bed"), ("x.gff3", "xml")])
def test_what_cannot_be_is_refused(output: str, name: str) -> None:
    with pytest.raises(ConfigError, match="formats"):
        config(output, name)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"locus_tag": "A_1"}, "locus_tag = 'A_1': must be 3 to 12 letters and digits"),
        ({"rna": ("auto", "barrnap")}, "rna = .* must be auto, off or names of programs"),
        ({"rna": ("infernal",)}, "rna = 'infernal': must be of auto, off, trnascan-se"),
        ({"max_masked": 1.5}, "max_masked = 1.5: must be between 0 and 1"),
    ],
)
def test_values_outside_their_rule_are_refused(options: dict[str, object], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        config("x.gff3", **options)


@pytest.mark.parametrize(
    ("output", "formats"), [("x.gff3", ["sqn"]), ("x.gff3.gz", ["sqn", "tbl"])]
)
def test_a_submission_file_is_made_of_a_plain_feature_table(
    output: str, formats: list[str]
) -> None:
    with pytest.raises(ConfigError, match="formats = 'sqn': needs tbl beside it"):
        config(output, *formats)
