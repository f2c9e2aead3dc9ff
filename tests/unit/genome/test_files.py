from __future__ import annotations

import bz2
import gzip
import io
import sys
from pathlib import Path

import pytest

from genet5.errors import DataError
from genet5.genome.files import atomic_writer, damage_as_data_error, open_binary, open_text


@pytest.mark.parametrize("name", ["plain.gff3", "misleading.txt"])
def test_gzip_is_told_by_its_first_bytes(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(b"one\ntwo\n"))
    with open_text(path) as lines:
        assert list(lines) == ["one\n", "two\n"]


def test_plain_text_with_all_line_ends_and_bad_utf8(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(b"a\r\nb\rc\xff\n")
    with open_text(path) as lines:
        assert list(lines) == ["a\n", "b\n", "c�\n"]


def test_empty_file_opens(tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.touch()
    with open_text(path) as lines:
        assert list(lines) == []


def test_other_compression_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.fa.bz2"
    path.write_bytes(bz2.compress(b"x"))
    with pytest.raises(DataError, match=r"a.fa.bz2: a bzip2 file; expected plain text.*Decompress"):
        open_text(path)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="file not found"):
        open_text(tmp_path / "none")
    with pytest.raises(DataError, match="cannot be opened"):
        open_text(tmp_path)


def test_truncated_gzip_is_a_data_error(tmp_path: Path) -> None:
    path = tmp_path / "cut.gz"
    path.write_bytes(gzip.compress(b"abc\n" * 1000)[:-12])
    with (
        pytest.raises(DataError, match=r"cut.gz: damaged gzip"),
        damage_as_data_error(path),
        open_binary(path) as source,
    ):
        source.read()


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    for content in (b"x\n", gzip.compress(b"x\n")):
        stdin = io.TextIOWrapper(io.BufferedReader(io.BytesIO(content)))  # type: ignore[type-var]
        monkeypatch.setattr(sys, "stdin", stdin)
        assert open_text(Path("-")).read() == "x\n"


def test_atomic_writer_leaves_the_old_file_when_the_block_fails(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "out.txt.gz"
    with atomic_writer(path) as out:
        out.write("old\n")
    with pytest.raises(RuntimeError), atomic_writer(path) as out:  # noqa: PT012
        out.write("new\n")
        raise RuntimeError
    assert gzip.decompress(path.read_bytes()) == b"old\n"
    assert list(path.parent.iterdir()) == [path]


def test_atomic_writer_same_content_same_bytes(tmp_path: Path) -> None:
    for name in ("a.gz", "b.gz"):
        with atomic_writer(tmp_path / name, binary=True) as out:
            out.write(b"content")
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()


def test_atomic_writer_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    with atomic_writer(Path("-")) as out:
        out.write("genes\n")
    assert capsys.readouterr().out == "genes\n"
