"""The front door: what `import genet5` offers, and what it costs."""

from __future__ import annotations

import io
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import genet5
from genet5.errors import ConfigError
from genet5.genome.gene import Cds, Exon, Gene, Transcript

SPLICED = Gene(
    id="g",
    contig="c",
    strand=-1,
    score=0.5,
    transcripts=(
        Transcript(id="t", exons=(Exon(2, 10), Exon(20, 30)), cds=(Cds(4, 10, 0), Cds(20, 26, 0))),
    ),
)


def run_python(code: str) -> str:
    """Run some code in a new interpreter; return what it prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


def test_the_front_door_offers_these_names_and_no_others() -> None:
    assert sorted(genet5.__all__) == [
        "Annotator",
        "PackedReader",
        "TrainConfig",
        "__version__",
        "read_annotation",
        "read_fasta",
        "score_genes",
        "to_dataframe",
        "train",
        "write_gff3",
    ]


@pytest.mark.parametrize("name", genet5.__all__)
def test_every_offered_name_is_there_and_listed(name: str) -> None:
    assert getattr(genet5, name) is not None
    assert name in dir(genet5)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'genet5' has no attribute 'anotate'"):
        _ = genet5.anotate


@pytest.mark.slow
def test_importing_the_package_imports_no_other_package() -> None:
    code = "import sys; before = set(sys.modules); import genet5; print(set(sys.modules) - before)"
    heavy = {"numpy", "torch", "Bio", "pyarrow", "pandas", "tyro"}
    assert not any(f"'{name}'" in run_python(code) for name in heavy)


def test_importing_the_package_takes_less_than_fifty_milliseconds() -> None:
    code = "import time; t = time.process_time(); import genet5; print(time.process_time() - t)"
    assert min(float(run_python(code)) for _ in range(3)) < 0.05


@pytest.mark.slow
def test_reading_writing_and_scoring_genes_load_no_torch() -> None:
    names = "read_annotation, read_fasta, score_genes, to_dataframe, write_gff3"
    code = f"from genet5 import {names}; import sys; print('torch' in sys.modules)"
    assert run_python(code) == "False\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    "imports",
    [
        "import genet5; from genet5.train import horizon",
        "from genet5.train import horizon; import genet5",
        "import genet5.train.horizon as horizon; import genet5",
        "from genet5 import train; from genet5.train import horizon; import genet5",
    ],
)
def test_train_is_a_function_and_a_package_in_any_order_of_imports(imports: str) -> None:
    code = f"{imports}; print(callable(genet5.train), genet5.train.horizon is horizon)"
    assert run_python(code) == "True True\n"


def test_calling_the_package_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genet5.api.train", lambda config: f"trained with {config}")
    assert genet5.train("these settings") == "trained with these settings"  # type: ignore


def test_written_genes_are_read_again(tmp_path: Path) -> None:
    path = tmp_path / "genes.gff3.gz"
    genet5.write_gff3(str(path), [SPLICED], contig_lengths={"c": 100}, circular=["c"])
    annotation = genet5.read_annotation(str(path))
    assert [gene.transcripts for gene in annotation] == [SPLICED.transcripts]
    assert (annotation.contig_lengths, annotation.circular) == ({"c": 100}, {"c"})


def test_genes_are_written_to_a_stream_as_to_a_file(tmp_path: Path) -> None:
    stream, path = io.StringIO(), tmp_path / "genes.gff3"
    genet5.write_gff3(stream, [SPLICED], source="mine", prokaryote=True)
    genet5.write_gff3(path, [SPLICED], source="mine", prokaryote=True)
    assert stream.getvalue() == path.read_text()
    assert "\tmine\tCDS\t" in stream.getvalue()


def test_a_failed_write_leaves_the_earlier_file(tmp_path: Path) -> None:
    path = tmp_path / "genes.gff3"
    path.write_text("earlier\n")
    with pytest.raises(AttributeError):
        genet5.write_gff3(path, ["no gene"])  # type: ignore[list-item]
    assert path.read_text() == "earlier\n"
    assert [each.name for each in tmp_path.iterdir()] == ["genes.gff3"]


def test_fasta_is_read_by_its_name_as_text(tmp_path: Path) -> None:
    path = tmp_path / "genome.fa"
    path.write_text(">c1 first\nACGT\nAC\n>c2\nTT\n")
    assert [(c.name, c.bases.tobytes()) for c in genet5.read_fasta(str(path))] == [
        ("c1", b"ACGTAC"),
        ("c2", b"TT"),
    ]


def test_an_annotation_is_a_sequence_of_its_genes(tmp_path: Path) -> None:
    path = tmp_path / "genes.gff3"
    genet5.write_gff3(path, [SPLICED])
    annotation = genet5.read_annotation(path)
    assert len(annotation) == 1
    assert annotation[0] == annotation.genes[0] == annotation[:1][0]
    assert genet5.score_genes(annotation, annotation).levels["gene"].f1 == 1.0


@pytest.mark.parametrize(
    ("level", "starts"), [("gene", [2]), ("transcript", [2]), ("exon", [2, 20]), ("cds", [4, 20])]
)
def test_a_table_has_one_row_for_each_part_of_its_level(level, starts) -> None:
    pytest.importorskip("pandas", reason="needs the extra pandas")
    table = genet5.to_dataframe([SPLICED], level=level)
    assert list(table["start"]) == starts
    assert set(table["strand"]) == {-1}
    assert set(table["score"]) == {0.5}


def test_parts_are_numbered_from_the_five_prime_end() -> None:
    pytest.importorskip("pandas", reason="needs the extra pandas")
    table = genet5.to_dataframe([SPLICED], level="cds")
    assert list(table["number"]) == [2, 1]


def test_a_table_of_genes_says_how_sure_their_starts_are() -> None:
    pytest.importorskip("pandas", reason="needs the extra pandas")
    table = genet5.to_dataframe([replace(SPLICED, start_score=0.75)])
    assert table["start_score"].tolist() == [0.75]


def test_a_table_of_no_genes_has_the_columns_and_no_rows() -> None:
    pytest.importorskip("pandas", reason="needs the extra pandas")
    table = genet5.to_dataframe([])
    assert len(table) == 0
    assert list(table.columns[:4]) == ["contig", "start", "end", "strand"]


def test_an_unknown_level_is_an_error_that_names_the_known_ones() -> None:
    pytest.importorskip("pandas", reason="needs the extra pandas")
    with pytest.raises(ConfigError, match="level = 'intron': must be one of gene, transcript"):
        genet5.to_dataframe([SPLICED], level="intron")  # type: ignore[arg-type]


def test_without_pandas_a_table_is_an_error_that_names_the_extra(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"genet5\[pandas\]"):
        genet5.to_dataframe([SPLICED])
