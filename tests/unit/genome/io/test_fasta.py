from __future__ import annotations

import gzip
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakes import read_genome
from genet5.errors import DataError
from genet5.genome.io import fasta
from genet5.genome.io.fasta import read_fasta, write_fasta
from genet5.genome.sequence import decode_bases


def _write(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "x.fa"
    path.write_bytes(content)
    return path


def _read(path: Path) -> list[tuple[str, str, str]]:
    return [(c.name, c.description, decode_bases(c.bases)) for c in read_fasta(path)]


def test_case_iupac_crlf_blank_lines_and_description(tmp_path: Path) -> None:
    path = _write(tmp_path, b"\n\n>one a  description\r\nACgt\r\nNNry\r\n\r\n>two\tx\nA")
    assert _read(path) == [("one", "a  description", "ACgtNNry"), ("two", "x", "A")]


def test_byte_order_mark_and_names_that_end_at_any_white_space(tmp_path: Path) -> None:
    path = _write(tmp_path, b"\xef\xbb\xbf>a;b=c\x0bd e\nAC\n")
    assert _read(path) == [("a;b=c", "d e", "AC")]
    path.write_bytes(b">" + b"x" * 10_240 + b"\nAC\n" + b">" + b"x" * 10_240 + b"\nAC\n")
    with pytest.raises(DataError) as caught:
        _read(path)
    assert len(str(caught.value)) < 1000


def test_gzip_and_empty_contig(tmp_path: Path) -> None:
    path = _write(tmp_path, gzip.compress(b">a\n>b\nAC GT\n>c"))
    assert _read(path) == [("a", "", ""), ("b", "", "ACGT"), ("c", "", "")]
    assert list(read_genome(path)) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"x\.fa: no sequence"),
        (b"\n \n", r"x\.fa: no sequence"),
        (b"\n##gff-version 3\n", r"x\.fa:2: text '##gff-version' before the first header"),
        (b">a\nAC\nAC-T\n", r"x\.fa:3: letter '-' in a sequence; expected DNA letters"),
        (b">a\nAC\n>b\nA\n>a\nC\n", r"x\.fa:5: contig 'a' for the second time"),
        (b">a\nAC\n> \nA\n", r"x\.fa:3: a header without a name"),
        (b">a\rACGT\r>b\rA", r"x\.fa:1: line ends of old Macintosh"),
    ],
)
def test_errors_name_file_and_line(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        _read(_write(tmp_path, content))


@pytest.mark.slow
@given(
    sequences=st.lists(st.text("ACGTNacgtRY", max_size=50), min_size=1, max_size=5),
    width=st.one_of(st.none(), st.integers(1, 9)),
    block=st.integers(1, 30),
)
def test_round_trip_for_any_block_size(
    tmp_path_factory: pytest.TempPathFactory, sequences: list[str], width: int | None, block: int
) -> None:
    path = tmp_path_factory.mktemp("fasta") / "r.fa"
    records = [(f"c{i} number {i}", s) for i, s in enumerate(sequences)]
    write_fasta(path, records, width)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fasta, "_BLOCK_BYTES", block)
        assert _read(path) == [(f"c{i}", f"number {i}", s) for i, s in enumerate(sequences)]


def test_line_number_of_an_error_in_a_later_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fasta, "_BLOCK_BYTES", 5)
    path = _write(tmp_path, b">a\nACGT\nACGT\n>b\nACGT\nAC!T\n")
    with pytest.raises(DataError, match=r"x\.fa:6: letter '!'"):
        _read(path)


def test_write_wraps_lines() -> None:
    out = io.StringIO()
    write_fasta(out, [("a x", "ACGTA"), ("b", "")], width=2)
    assert out.getvalue() == ">a x\nAC\nGT\nA\n>b\n"
