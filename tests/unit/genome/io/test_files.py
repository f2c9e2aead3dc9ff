from __future__ import annotations

import bz2
import errno
import gzip
import io
import os
import random
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from genet5.errors import ConfigError, DataError
from genet5.genome.io.files import (
    UNPACK_ALL,
    check_inputs,
    damage_as_data_error,
    open_binary,
    open_seekable,
    open_text,
    spooled,
)


@pytest.mark.parametrize("name", ["plain.gff3", "misleading.txt"])
def test_gzip_is_recognised_by_its_first_bytes(tmp_path: Path, name: str) -> None:
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


def test_a_gzip_file_may_grow_within_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("genet5.genome.io.files._FREE_BYTES", 1 << 20)
    path, content = tmp_path / "bomb.gz", b"N" * (4 << 20)
    path.write_bytes(gzip.compress(content))
    with open_binary(path) as source, pytest.raises(DataError) as caught:
        source.read()
    assert "bomb.gz: a gzip file that grows over 200 times: " in str(caught.value)
    assert "--unpack_all" in str(caught.value)
    monkeypatch.setenv(UNPACK_ALL, "1")
    with open_binary(path) as source:
        assert source.read() == content


def test_a_large_gzip_file_of_usual_growth_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("genet5.genome.io.files._FREE_BYTES", 1 << 10)
    content = random.Random(1).randbytes(1 << 16) * 20
    (tmp_path / "large.gz").write_bytes(gzip.compress(content))
    with open_binary(tmp_path / "large.gz") as source:
        assert source.read() == content


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    for content in (b"x\n", gzip.compress(b"x\n")):
        stdin = io.TextIOWrapper(io.BufferedReader(io.BytesIO(content)))  # type: ignore[type-var]
        monkeypatch.setattr(sys, "stdin", stdin)
        assert open_text(Path("-")).read() == "x\n"


PIECES = st.sampled_from(
    [b"a\tb", b"\n", b"\r\n", b"\r", b"\xc3\xa9", b"\xc3", b"\xff", b"\xef\xbb\xbf", b"x" * 200_000]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=st.lists(PIECES, max_size=8), squeeze=st.booleans())
def test_seekable_files_hold_what_text_files_say(
    tmp_path: Path, pieces: list[bytes], squeeze: bool
) -> None:
    path = tmp_path / "a"
    data = b"".join(pieces)
    path.write_bytes(gzip.compress(data) if squeeze else data)
    with open_text(path) as text, open_seekable(path) as raw:
        expected = text.read().encode()
        assert raw.read() == expected
        raw.seek(len(expected) // 2)
        assert raw.read() == expected[len(expected) // 2 :]


def test_standard_input_is_seekable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(b"a\nb\n"))))
    with open_seekable(Path("-")) as raw:
        assert list(raw) == [b"a\n", b"b\n"]
        raw.seek(2)
        assert list(raw) == [b"b\n"]


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.BytesIO):
        def write(self, _: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "SpooledTemporaryFile", lambda _: Full())
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(b"a\n"))
    with pytest.raises(DataError, match=r"a.gz: no room in .* Set TMPDIR"), open_seekable(path):
        pass


def fed_fifo(path: Path, content: bytes) -> Path:
    """A FIFO that can be read once."""
    os.mkfifo(path)
    threading.Thread(target=path.write_bytes, args=(content,), daemon=True).start()
    return path


@pytest.mark.parametrize(
    "content", [b"one\n", gzip.compress(b"one\n", mtime=0)], ids=["plain", "gzip"]
)
def test_a_fifo_is_opened_once(tmp_path: Path, content: bytes) -> None:
    with open_text(fed_fifo(tmp_path / "fifo", content)) as lines:
        assert list(lines) == ["one\n"]


def test_a_fifo_is_seekable(tmp_path: Path) -> None:
    with open_seekable(fed_fifo(tmp_path / "fifo", b"a\nb\n")) as raw:
        assert list(raw) == [b"a\n", b"b\n"]
        raw.seek(2)
        assert list(raw) == [b"b\n"]


def test_a_spooled_fifo_can_be_read_twice_and_vanishes(tmp_path: Path) -> None:
    with spooled(fed_fifo(tmp_path / "fifo", b"x\n")) as copy:
        assert [open_text(copy).read() for _ in range(2)] == ["x\n", "x\n"]
    assert not copy.exists()


def test_a_regular_file_is_not_copied(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with spooled(tmp_path / "a") as path:
        assert path == tmp_path / "a"


def test_errors_in_a_spooled_file_name_the_original(tmp_path: Path) -> None:
    fifo = fed_fifo(tmp_path / "fifo", b"x")
    with pytest.raises(DataError, match="fifo:3: bad"), spooled(fifo) as copy:
        raise DataError("bad", path=copy, line=3)


def test_one_stream_cannot_serve_as_two_inputs() -> None:
    with pytest.raises(ConfigError, match=r"reference = '/dev/stdin': is predictions as well"):
        check_inputs({"predictions": Path("-"), "reference": Path("/dev/stdin")})


def test_a_stream_is_refused_where_a_file_is_read_twice(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(ConfigError, match=r"read more than once; give a file"):
        check_inputs({"fasta": tmp_path / "fifo"}, once=False)


def test_missing_inputs_and_folders_are_refused_before_they_are_read(tmp_path: Path) -> None:
    check_inputs({"genome": None, "annotation": Path("/dev/null")})
    with pytest.raises(DataError, match=r"none: file not found\. Check the path"):
        check_inputs({"genome": tmp_path / "none"})
    with pytest.raises(DataError, match="a folder; expected a file"):
        check_inputs({"genome": tmp_path})
