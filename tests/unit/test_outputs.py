"""Where outputs go: real FIFOs, links and devices."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from genet5.errors import ConfigError, DataError
from genet5.outputs import (
    atomic_writer,
    check_folder,
    check_outputs,
    is_standard_output,
    is_stream,
    remove_leftovers,
)


def write(path: Path, text: str = "new\n") -> None:
    with atomic_writer(path) as out:
        out.write(text)


def test_a_failed_block_leaves_the_old_file_and_no_temporary_one(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "out.txt.gz"
    write(path, "old\n")
    with pytest.raises(RuntimeError), atomic_writer(path) as out:  # noqa: PT012
        out.write("new\n")
        raise RuntimeError
    assert gzip.decompress(path.read_bytes()) == b"old\n"
    assert list(path.parent.iterdir()) == [path]


def test_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.gz", "b.gz"):
        with atomic_writer(tmp_path / name, binary=True) as out:
            out.write(b"content")
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()


def test_a_dash_is_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    write(Path("-"), "genes\n")
    assert capsys.readouterr().out == "genes\n"


def test_dev_null_stays_a_device() -> None:
    write(Path("/dev/null"))
    assert Path("/dev/null").is_char_device()


def test_a_fifo_gets_the_content_and_stays_a_fifo(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    got: list[str] = []
    reader = threading.Thread(target=lambda: got.append(fifo.read_text()))
    reader.start()
    write(fifo)
    reader.join()
    assert got == ["new\n"]
    assert fifo.is_fifo()


@pytest.mark.parametrize("exists", [True, False])
def test_a_link_is_kept_and_its_target_replaced(tmp_path: Path, exists: bool) -> None:
    target, link = tmp_path / "sub" / "target", tmp_path / "link"
    target.parent.mkdir()
    if exists:
        target.write_text("old\n")
    link.symlink_to(Path("sub", "target"))
    write(link)
    assert link.is_symlink()
    assert target.read_text() == "new\n"
    assert list(target.parent.iterdir()) == [target]


def test_a_link_to_a_device_is_kept(tmp_path: Path) -> None:
    link = tmp_path / "out.gff3"
    link.symlink_to("/dev/null")
    write(link)
    assert link.is_symlink()
    assert Path("/dev/null").is_char_device()


SCRIPT = "from pathlib import Path; from genet5.outputs import atomic_writer\nimport sys\n" + (
    "with atomic_writer(Path(sys.argv[1])) as out:\n    out.write('new\\n')\n"
)


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "-"])
def test_names_of_stdout_append_where_the_shell_appends(tmp_path: Path, name: str) -> None:
    log = tmp_path / "log"
    log.write_text("old\n")
    with log.open("a") as out:
        subprocess.run([sys.executable, "-c", SCRIPT, name], stdout=out, check=True)
    assert log.read_text() == "old\nnew\n"
    assert list(tmp_path.iterdir()) == [log]


def test_process_substitution_gets_the_content(tmp_path: Path) -> None:
    command = f'"{sys.executable}" -c "$SCRIPT" >(cat > {tmp_path / "got"}); wait $!'
    environment = {**os.environ, "SCRIPT": SCRIPT}
    subprocess.run(["bash", "-c", command], env=environment, check=True)
    assert (tmp_path / "got").read_text() == "new\n"


def test_an_error_names_the_output_not_its_temporary_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"file/out: cannot be written \(File exists\)"):
        write(tmp_path / "file" / "out")
    with pytest.raises(DataError, match=r"/dev/full: cannot be written \(No space left"):
        write(Path("/dev/full"))


def test_streams_are_told_from_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("/dev/stdout")
    streams = [Path("-"), Path("/dev/null"), Path("/dev/fd/9"), tmp_path / "fifo"]
    assert all(map(is_stream, [*streams, tmp_path / "link"]))
    assert not any(map(is_stream, [tmp_path, tmp_path / "none", Path(__file__)]))
    assert is_standard_output(tmp_path / "link")
    assert not is_standard_output(None)


def refusal(outputs: dict[str, Path | None], inputs: dict[str, Path | None] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        check_outputs(outputs, inputs)
    return str(caught.value)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    assert "is a folder; name a file" in refusal({"output": tmp_path})
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "cannot be written" in refusal({"output": tmp_path / "file" / "out.gff3"})
    assert "cannot be written" in refusal({"output": Path("/proc/genet5/out.gff3")})
    assert "cannot be written: Bad file descriptor" in refusal({"output": Path("/dev/fd/999")})


def test_one_file_by_two_names_is_refused(tmp_path: Path) -> None:
    (tmp_path / "b").symlink_to("a")
    paths = {"output": tmp_path / "a", "proteins": tmp_path / "sub" / ".." / "b"}
    (tmp_path / "sub").mkdir()
    assert "proteins" in refusal(paths)
    assert "is the same file as output" in refusal(paths)
    assert "is the same file as output" in refusal(
        {"output": Path("-"), "cds": Path("/dev/stdout")}
    )


def test_an_output_must_not_be_an_input(tmp_path: Path) -> None:
    (tmp_path / "genome.fa").touch()
    inputs: dict[str, Path | None] = {"GENOME": tmp_path / "genome.fa", "x": None, "y": Path("-")}
    rule = "is the same file as GENOME; name another one"
    assert rule in refusal({"output": tmp_path / "genome.fa"}, inputs)


def test_good_outputs_pass_and_nothing_is_made(tmp_path: Path) -> None:
    null = Path("/dev/null")
    new = tmp_path / "new" / "a"
    check_outputs({"a": new, "b": null, "c": null, "d": None, "e": Path("-")}, {"in": Path("-")})
    check_folder("out_dir", tmp_path / "x" / "y")
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="must be a folder"):
        check_folder("OUT_DIR", tmp_path / "file")
    with pytest.raises(ConfigError, match="cannot be written"):
        check_folder("OUT_DIR", tmp_path / "file" / "sub")


def test_what_killed_writers_left_of_an_output_is_removed(tmp_path: Path) -> None:
    kept = {"genes.gff3", "other.gff3.12.tmp", "genes.gff3.tmp"}
    for name in (*kept, "genes.gff3.12.tmp", "genes.gff3.genet5.tmp"):
        (tmp_path / name).touch()
    remove_leftovers(tmp_path / "genes.gff3")
    assert {path.name for path in tmp_path.iterdir()} == kept
    remove_leftovers(tmp_path / "missing" / "genes.gff3")
    remove_leftovers(Path("-"))


def test_a_killed_writers_file_is_taken_over_by_the_next(tmp_path: Path) -> None:
    (tmp_path / "genes.gff3.genet5.tmp").write_text("half of a longer file")
    with atomic_writer(tmp_path / "genes.gff3") as out:
        out.write("whole")
    assert [path.name for path in tmp_path.iterdir()] == ["genes.gff3"]
    assert (tmp_path / "genes.gff3").read_text() == "whole"


def test_two_writers_of_one_output_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "genes.gff3"
    with atomic_writer(path) as first:
        first.write("first")
        with atomic_writer(path) as second:
            second.write("the second")
            remove_leftovers(path)  # touches neither
        assert path.read_text() == "the second"
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_in_place_of_the_temporary_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("precious")
    (tmp_path / "genes.gff3.genet5.tmp").symlink_to("other")
    with atomic_writer(tmp_path / "genes.gff3") as out:
        out.write("genes")
    assert (tmp_path / "other").read_text() == "precious"
    assert (tmp_path / "genes.gff3").read_text() == "genes"
