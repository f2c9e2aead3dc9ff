"""The packed format."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from bakes import write_packed
from genet5.dataset import packed
from genet5.dataset.header import Header, count_content
from genet5.dataset.packed import PackedReader, PackedWriter
from genet5.dataset.windows import Window
from genet5.errors import DataError, FormatError

ARRAYS = ("bases", "input_ids", "token_start_bp", "labels", "label_weights", "ignore")
VALUES = ("genetic_code", "clade", "genome", "contig", "start", "strand", "recoded")


def assert_equal(found: Window, expected: Window) -> None:
    for name in ARRAYS:
        assert np.array_equal(getattr(found, name), getattr(expected, name)), name
        assert getattr(found, name).dtype == getattr(expected, name).dtype, name
    for name in VALUES:
        assert getattr(found, name) == getattr(expected, name), name


@pytest.mark.parametrize("per_batch", [1, 7, 512])
def test_rows_come_back_as_they_were_written(tmp_path, packed_rows, monkeypatch, per_batch) -> None:
    monkeypatch.setattr(packed, "_WINDOWS_PER_RECORD_BATCH", per_batch)
    header = write_packed(
        tmp_path / "a.packed", packed_rows, Header(split="x", gene_types=("a", "b"))
    )
    reader = PackedReader(tmp_path / "a.packed")
    assert len(reader) == len(packed_rows)
    for index, row in enumerate(packed_rows):
        found = reader.row(index)
        assert len(found) == len(row)
        for one, other in zip(found, row, strict=True):
            assert_equal(one, other)
    assert reader.header == header
    assert reader.header.vocabulary.gene_types == ("a", "b")
    assert reader.verify() == count_content(packed_rows) == header.counts
    sizes = reader.row_sizes()
    assert sizes.num_windows.tolist() == [len(row) for row in packed_rows]
    assert sizes.longest_tokens.tolist() == [
        max(len(w.input_ids) for w in row) for row in packed_rows
    ]
    assert sizes.longest_labels.tolist() == [max(len(w.labels) for w in row) for row in packed_rows]
    assert sizes.num_tokens.tolist() == [sum(len(w.input_ids) for w in row) for row in packed_rows]


def test_arrays_are_views_into_the_file(packed_file) -> None:
    window = PackedReader(packed_file).row(0)[0]
    assert not window.bases.flags.owndata
    assert not window.bases.flags.writeable


def test_a_reader_may_be_pickled(packed_file, packed_rows) -> None:
    reader = pickle.loads(pickle.dumps(PackedReader(packed_file)))
    assert_equal(reader.row(3)[0], packed_rows[3][0])


def test_any_arrow_program_can_read_it(packed_file, packed_rows) -> None:
    table = pa.ipc.open_file(str(packed_file)).read_all()
    row = table.slice(5, 1).to_pylist()[0]
    second = packed_rows[5][-1]
    offsets = row["base_offsets"]
    assert bytes(row["bases"][offsets[-2] : offsets[-1]]) == second.bases.tobytes()
    assert row["contig"][-1] == second.contig


def test_a_failed_write_leaves_no_file(tmp_path, packed_rows) -> None:
    path = tmp_path / "a.packed"

    def fail() -> None:
        with PackedWriter(path, Header()) as writer:
            writer.write_row(packed_rows[0])
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_an_empty_file_has_no_rows(tmp_path) -> None:
    header = write_packed(tmp_path / "a.packed", [], Header())
    reader = PackedReader(tmp_path / "a.packed")
    assert len(reader) == len(reader.row_sizes().num_windows) == 0
    assert reader.verify() == header.counts


def test_a_changed_byte_is_found_when_its_rows_are_read(packed_file, packed_rows) -> None:
    content = bytearray(packed_file.read_bytes())
    content[content.index(packed_rows[7][0].bases.tobytes())] ^= 0x20
    packed_file.write_bytes(content)
    reader = PackedReader(packed_file)
    with pytest.raises(FormatError, match=r"rows 0 to 39: bytes .* another checksum"):
        reader.row(7)


@pytest.mark.parametrize(
    ("text", "change"),
    [
        (b'"seed": 7', b'"seed": 3'),  # of the header
        (b"ARROW1", b"ARROW2"),
        (b"GT5SUMS", b"GT5SUMT"),
        (b'{"pieces":', b'{"piecez":'),
    ],
)
def test_a_changed_byte_around_the_rows_is_found_at_once(
    tmp_path, packed_rows, text: bytes, change: bytes
) -> None:
    path = tmp_path / "a.packed"
    write_packed(path, packed_rows[:3], Header(settings={"seed": 7}))
    content = path.read_bytes()
    at = content.rindex(text)
    path.write_bytes(content[:at] + change + content[at + len(change) :])
    with pytest.raises(FormatError, match=r"a\.packed: .*(damaged|no packed file|checksum)"):
        PackedReader(path)


def test_a_header_whose_tokenizer_is_not_that_of_its_hash_is_refused(tmp_path) -> None:
    write_packed(tmp_path / "a.packed", [], Header(tokenizer={"a": 1}, tokenizer_hash="0" * 64))
    with pytest.raises(FormatError, match="the header's tokenizer; expected the one of its hash"):
        PackedReader(tmp_path / "a.packed")


def test_offsets_that_lead_out_of_a_row_are_refused(tmp_path, packed_rows, monkeypatch) -> None:
    monkeypatch.setattr(packed, "_PARTS", packed._PARTS | {"token_offsets": "bases"})
    write_packed(tmp_path / "a.packed", packed_rows[:3], Header())
    with pytest.raises(FormatError, match="record batch 0: token_offsets do not divide input_ids"):
        PackedReader(tmp_path / "a.packed")


def test_a_file_without_checksums_is_read_with_a_warning(root, caplog) -> None:
    reader = PackedReader(root / "tests/golden/format_1.packed")
    assert reader.header.format == 1
    assert reader.verify() == reader.header.counts
    assert sum("without checksums" in message for message in caplog.messages) == 1


def test_an_error_in_the_last_rows_leaves_no_file(tmp_path, packed_rows) -> None:
    def write() -> None:
        with PackedWriter(tmp_path / "a.packed", Header()) as writer:
            writer.write_row([replace(packed_rows[0][0], token_start_bp=np.array([0, -9]))])

    with pytest.raises(DataError, match="a token of"):
        write()
    assert list(tmp_path.iterdir()) == []


def test_other_files_are_refused(tmp_path, packed_file) -> None:
    text = tmp_path / "a.txt"
    text.write_text("no arrow")
    with pytest.raises(FormatError, match="no packed file"):
        PackedReader(text)
    with pytest.raises(FormatError, match="not found"):
        PackedReader(tmp_path / "absent")
    cut = tmp_path / "cut.packed"
    cut.write_bytes(packed_file.read_bytes()[:-100])
    with pytest.raises(FormatError, match="no packed file"):
        PackedReader(cut)
    foreign = tmp_path / "b.arrow"
    table = pa.table({"a": [1]})
    with pa.ipc.new_file(str(foreign), table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(FormatError, match="without GeneT5's header"):
        PackedReader(foreign)


def test_another_format_version_is_refused(tmp_path, packed_rows, monkeypatch) -> None:
    monkeypatch.setattr(packed, "FORMAT", 99)
    write_packed(tmp_path / "a.packed", packed_rows[:1], Header())
    with pytest.raises(FormatError, match="packed format 99"):
        PackedReader(tmp_path / "a.packed")


def test_format_1_file_of_the_repository_can_be_read(root: Path) -> None:
    reader = PackedReader(root / "tests" / "golden" / "format_1.packed")
    reader.verify()
    first = reader.row(0)[0]
    assert first.id == "genome_0/contig_0:0-85(+)"
