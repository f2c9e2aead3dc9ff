"""Labelled sequences from tables, FASTA, regions of a genome, and folders in a hub's layout."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from genet5.config.lm.finetune import ExamplesConfig
from genet5.errors import DataError
from genet5.lm.examples import Splits, read_examples, read_splits
from genet5.lm.targets import label_space

PLAIN = ExamplesConfig()


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def pairs(path: Path, config: ExamplesConfig = PLAIN) -> list[tuple[str, str, object]]:
    return [(each.name, each.sequence, each.label) for each in read_examples(path, config)]


def test_a_table_is_divided_by_its_column_split(tmp_path: Path) -> None:
    text = "text,label,split\nAC,a,train\nGT,b,dev\nCC,a,test\nGG,b,validation\n"
    found = read_splits(str(write(tmp_path / "t.csv", text)), PLAIN)
    parts = [[row.sequence for row in part] for part in (found.train, found.valid, found.test)]
    assert parts == [["AC"], ["GT", "GG"], ["CC"]]


def test_the_letters_na_are_a_sequence_and_no_missing_value(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "sequence,label\nNA,null\n")
    assert pairs(path) == [("row_2", "NA", "null")]


def test_several_label_columns_are_several_targets(tmp_path: Path) -> None:
    path = write(tmp_path / "t.tsv", "name\tseq\tdev\thk\nx\tAC\t1.5\t-2\n")
    config = ExamplesConfig(label_column=("dev", "hk"))
    assert pairs(path, config) == [("x", "AC", ["1.5", "-2"])]


def test_fasta_has_its_labels_in_headers_or_in_a_table(tmp_path: Path) -> None:
    path = write(tmp_path / "s.fa", ">x label=p species=y\nAC\nGT\n>z\nCC\n")
    assert pairs(path) == [("x", "ACGT", "p"), ("z", "CC", None)]
    table = write(tmp_path / "l.tsv", "name\tlabel\nz\tq\n")
    assert [row[2] for row in pairs(path, ExamplesConfig(labels=table))] == [None, "q"]


def test_regions_are_taken_from_the_genome_on_their_strand(tmp_path: Path) -> None:
    genome = write(tmp_path / "g.fa", ">chr1\nAACCGGTTAC\n")
    bed = write(tmp_path / "r.bed", "1\t0\t4\tpromoter\t3\t+\nchr1\t1\t4\tother\t5\t-\n")
    config = ExamplesConfig(genome=genome)
    assert pairs(bed, config) == [("promoter", "AACC", "promoter"), ("other", "GGT", "other")]
    score = ExamplesConfig(genome=genome, label_column=("score",))
    assert [row[2] for row in pairs(bed, score)] == ["3", "5"]
    lines = "chr1\t.\tCDS\t1\t2\t.\t-\t0\tID=c;kind=a%3Bb\nchr1\t.\texon\t3\t4\t.\t+\t.\tID=e\n"
    gff = write(tmp_path / "r.gff3", f"##gff-version 3\n{lines}")
    assert pairs(gff, config) == [("c", "TT", "CDS"), ("e", "CC", "exon")]
    chosen = ExamplesConfig(genome=genome, feature_types=("CDS",), label_column=("kind",))
    assert pairs(gff, chosen) == [("c", "TT", "a;b")]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("t.csv", "dna,label\nAC,1\n", "columns dna, label; expected a column sequence or seq"),
        ("t.csv", "seq,split\nAC,first\n", r"t\.csv:2: split 'first'"),
        ("r.bed", "chr1\t0\t4\n", "regions without sequences; expected a genome"),
        ("r.gff3", "chr1\t.\tCDS\n", "regions without sequences"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_splits(str(write(tmp_path / name, text)), PLAIN)


def test_validation_data_are_given_once(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "seq,label,split\nAC,a,train\nGT,b,valid\n")
    with pytest.raises(ValueError, match="has a split valid of its own"):
        read_splits(str(path), PLAIN, valid=path)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    datasets = pytest.importorskip("datasets", reason="needs genet5[lm]")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return tmp_path / "cache"


def write_hub(folder: Path, valid: str) -> None:
    """A data set as hubs hold it: parquet files by split, the names of classes in README.md."""
    (folder / "data").mkdir(parents=True)
    for split, labels in (("train", [1, 0, 1]), (valid, [0]), ("test", [1])):
        table = pa.table({"seq": ["ACGT"[: n + 1] for n in range(len(labels))], "label": labels})
        pq.write_table(table, folder / "data" / f"{split}-00000-of-00001.parquet")
    classes = "        names:\n          '0': negative\n          '1': positive\n"
    (folder / "README.md").write_text(
        "---\ndataset_info:\n  features:\n  - name: seq\n    dtype: string\n  - name: label\n"
        f"    dtype:\n      class_label:\n{classes}"
        f"---\n"
    )


@pytest.mark.parametrize("valid", ["validation", "valid", "val"])
def test_a_folder_in_a_hubs_layout_has_its_splits_and_names(
    tmp_path: Path, cache: Path, valid: str
) -> None:
    write_hub(tmp_path / "set", valid)
    found = read_splits(str(tmp_path / "set"), PLAIN)
    assert [len(part) for part in (found.train, found.valid, found.test)] == [3, 1, 1]
    assert (found.train[2].sequence, found.train[2].label) == ("ACG", "positive")
    assert found.names == ("negative", "positive")


def test_another_split_may_be_trained_on(tmp_path: Path, cache: Path) -> None:
    write_hub(tmp_path / "set", "high")
    how = replace(PLAIN, train_split="high")
    found = read_splits(str(tmp_path / "set"), how)
    assert [len(part) for part in (found.train, found.valid, found.test)] == [1, 0, 1]
    with pytest.raises(DataError, match="expected a split low"):
        read_splits(str(tmp_path / "set"), replace(PLAIN, train_split="low"))


def test_a_data_set_that_is_nowhere_is_named(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(DataError, match="expected a file, a folder of a data set"):
        read_splits(str(tmp_path / "missing"), PLAIN)


def test_splits_may_be_empty() -> None:
    assert Splits([]).valid == ()


# ---- labels --------------------------------------------------------------------------------------


def test_classes_are_names_in_order_or_numbers_without_gaps() -> None:
    single = "single_label_classification"
    assert label_space(single, ["b", "a", "b"]).names == ("a", "b")
    assert label_space(single, ["0", "3"]).names == ("0", "1", "2", "3")
    assert label_space(single, [1.0, 0]).target("1") == 1
    with pytest.raises(DataError, match="class 250000; expected numbers below 100,000"):
        label_space(single, ["0", "250000"])
    with pytest.raises(DataError, match="label 'c'; expected one of a, b"):
        label_space(single, ["a", "b"]).target("c")
    with pytest.raises(DataError, match="one class, a"):
        label_space(single, ["a", "a"])


def test_several_classes_at_once_are_names_or_numbers() -> None:
    multi = "multi_label_classification"
    named = label_space(multi, ["x;y", "z", "x"])
    assert (named.names, named.target("z; x")) == (("x", "y", "z"), [1.0, 0.0, 1.0])
    numbers = label_space(multi, [[0, 1]])
    assert numbers.target("[1, 0]") == [1.0, 0.0]
    with pytest.raises(DataError, match="expected 0 or 1 for each class"):
        numbers.target([0, 2])


def test_values_are_numbers_in_any_writing() -> None:
    space = label_space("regression", ["1.5,-2"])
    assert (space.names, space.target([3, 4])) == (("value_0", "value_1"), [3.0, 4.0])
    assert label_space("regression", [0.5]).target("2") == [2.0]
    for wrong in ("1", "1,x", [1, float("nan")]):
        with pytest.raises(DataError, match=r"label|1 values"):
            space.target(wrong)
