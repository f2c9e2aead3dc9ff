"""Data sets of several files."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bakes import write_packed
from genet5.cli.bake import main
from genet5.config.batches import BatchLimits
from genet5.dataset.header import Header, combine_digests
from genet5.dataset.loader import Loader
from genet5.dataset.packed import PackedReader
from genet5.dataset.shard_index import index_name, shard_name, write_index
from genet5.errors import FormatError
from genet5.tokens.tokenizer_file import canonical_hash

SMALL = {"limits": BatchLimits(token_budget=200, max_batch_size=3), "seed": 5}


@pytest.fixture
def index_file(tmp_path: Path, packed_rows) -> Path:
    """The forty rows in three files and an index."""
    parts = [packed_rows[:13], packed_rows[13:26], packed_rows[26:]]
    shards = []
    for number, rows in enumerate(parts):
        path = tmp_path / shard_name("training", number, len(parts))
        shards.append((path, write_packed(path, rows, Header(split="training"))))
    counts = {name: sum(h.counts[name] for _, h in shards) for name in shards[0][1].counts}
    digests = (window.digest() for row in packed_rows for window in row)
    header = replace(shards[0][1], counts=counts, checksum=combine_digests(digests))
    path = tmp_path / index_name("training")
    write_index(path, header, shards)
    return path


def test_shards_read_as_one_file(index_file, packed_file) -> None:
    one, many = PackedReader(packed_file), PackedReader(index_file)
    assert many.header == one.header
    assert len(many) == len(one) == 40
    assert [w.digest() for w in many.windows()] == [w.digest() for w in one.windows()]
    assert many.row(26)[0].id == one.row(26)[0].id
    for name in ("num_windows", "longest_tokens", "longest_labels", "num_tokens"):
        assert np.array_equal(getattr(many.row_sizes(), name), getattr(one.row_sizes(), name))
    assert many.verify() == one.verify()
    assert pickle.loads(pickle.dumps(many)).row(39)[0].id == one.row(39)[0].id


@pytest.mark.slow
@pytest.mark.parametrize(("rank", "world_size", "workers"), [(0, 1, 0), (1, 3, 0), (0, 2, 2)])
def test_the_loader_gives_the_same_batches(index_file, packed_file, rank, world_size, workers):
    ranks = {"rank": rank, "world_size": world_size, "num_workers": workers}
    one, many = (Loader(path, **SMALL, **ranks) for path in (packed_file, index_file))
    for left, right in zip(one, many, strict=True):
        assert left.window_ids == right.window_ids
        assert left.inputs.input_ids.equal(right.inputs.input_ids)
        assert left.inputs.bases.equal(right.inputs.bases)
        assert left.targets.labels.equal(right.targets.labels)
    assert one.state_dict() == many.state_dict()


@pytest.mark.slow
def test_a_run_may_change_from_one_file_to_shards(index_file, packed_file) -> None:
    one, many = Loader(packed_file, **SMALL), Loader(index_file, **SMALL)
    batches = iter(one)
    for _ in range(3):
        next(batches)
    many.load_state_dict(one.state_dict())
    assert next(iter(many)).window_ids == next(batches).window_ids


def test_check_reads_every_shard_and_names_the_damaged_one(index_file, packed_rows, capsys) -> None:
    assert main(["--check", str(index_file)]) == 0
    assert "training-00001-of-00003.packed: 13 rows" in capsys.readouterr().out
    shard = index_file.with_name("training-00001-of-00003.packed")
    content = bytearray(shard.read_bytes())
    content[content.index(packed_rows[14][0].bases.tobytes())] ^= 0x20
    shard.write_bytes(content)
    assert main(["--check", str(index_file)]) == 1
    assert "training-00001-of-00003.packed: rows 0 to 12: bytes" in capsys.readouterr().err


def test_a_missing_or_foreign_shard_is_refused(index_file, packed_rows) -> None:
    shard = index_file.with_name("training-00002-of-00003.packed")
    shard.unlink()
    with pytest.raises(FormatError, match=r"00002-of-00003.packed: file not found"):
        PackedReader(index_file)
    write_packed(shard, packed_rows[:14], Header(split="training"))
    with pytest.raises(FormatError, match=r"00002-of-00003.packed: checksum .* as in the index"):
        PackedReader(index_file)
    other = {"tokenizer": {"a": 1}, "tokenizer_hash": canonical_hash({"a": 1})}
    write_packed(shard, packed_rows[26:], Header(split="training", **other))
    with pytest.raises(FormatError, match=r"tokenizer \w+; .* as in the first shard"):
        PackedReader(index_file)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 9}, "index format 9"),
        ({"shards": []}, "0 shards"),
        ({"more": 1}, "more"),
    ],
)
def test_a_wrong_index_is_refused(index_file, change, message: str) -> None:
    values = json.loads(index_file.read_text()) | {"crc32": ""}  # as former versions wrote it
    index_file.write_text(json.dumps(values | change))
    with pytest.raises(FormatError, match=message):
        PackedReader(index_file)


def test_an_index_names_files_beside_it_only(index_file) -> None:
    text = index_file.read_text()
    index_file.write_text(text.replace("training-00000", "../training-00000"))
    with pytest.raises(FormatError, match="another checksum than was written"):
        PackedReader(index_file)
    text = text.replace(json.loads(text)["crc32"], "")
    index_file.write_text(text.replace("training-00000", "../training-00000"))
    with pytest.raises(FormatError, match="without folders"):
        PackedReader(index_file)
