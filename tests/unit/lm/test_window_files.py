"""Ready-made windows: records of TensorFlow written here by hand, and tables."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from genet5.cli import main
from genet5.config.lm.bake import LmBakeConfig
from genet5.dataset.packed import PackedReader
from genet5.errors import DataError, FormatError
from genet5.genome.sequence import decode_bases, encode_bases
from genet5.lm.bake import bake
from genet5.lm.vocabulary import nucleotide_gpt_kmers, nucleotide_gpt_vocabulary
from genet5.lm.window_files import read_window_files

pytest.importorskip("google_crc32c", reason="google-crc32c is not installed")


def varint(value: int) -> bytes:
    found = b""
    while value > 127:
        found, value = found + bytes([value & 127 | 128]), value >> 7
    return found + bytes([value])


def message(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def numbers(values, *, packed: bool = True) -> bytes:
    words = [varint(int(value)) for value in values]
    each = b"".join(b"\x08" + word for word in words)
    return message(3, message(1, b"".join(words)) if packed else each)


def example(chromosome: str = "chr1", *, packed: bool = True, **features) -> bytes:
    entries = {name: numbers(values, packed=packed) for name, values in features.items()}
    entries["chromosome"] = message(1, message(1, chromosome.encode()))
    pairs = (message(1, name.encode()) + message(2, value) for name, value in entries.items())
    return message(1, b"".join(message(1, pair) for pair in pairs))


def record(data: bytes) -> bytes:
    from genet5.lm.tfrecord import masked_checksum

    head = struct.pack("<Q", len(data))
    sums = [struct.pack("<I", masked_checksum(part)) for part in (head, data)]
    return head + sums[0] + data + sums[1]


def window(text: str, start: int = 100, *, tokens: str = "bases", **how) -> bytes:
    upper, k = encode_bases(text.upper()), 1 if tokens == "bases" else 6
    is_lower = np.array([letter.islower() for letter in text])
    vocabularies = {
        "bases": nucleotide_gpt_vocabulary(),
        "6-mers": nucleotide_gpt_kmers(is_overlapping=False),
        "overlapping": nucleotide_gpt_kmers(is_overlapping=True),
    }
    ids = [*vocabularies[tokens].encode(upper), 0, 0]
    mask = np.resize(is_lower[::k], len(ids))
    segments = [1] * (len(ids) - 2) + [0, 0]
    place = {"start_pos": [start], "end_pos": [start + len(text)]}
    return example(x=ids, segment_ids=segments, lowercase_mask=mask, **place, **how)


def read(path: Path) -> list[tuple[str, int, str]]:
    return [(p.contig, p.start, decode_bases(p.bases)) for p in read_window_files([path])]


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("tokens", ["bases", "6-mers"])
def test_a_records_tokens_become_its_soft_masked_bases(
    tmp_path: Path, tokens: str, packed: bool
) -> None:
    texts = ["ACGTTGacgttgGGGCCC" * 3, "TTTAAAtttaaa" * 2]
    path = tmp_path / "record_0.tfrecord"
    path.write_bytes(b"".join(record(window(t, 7, tokens=tokens, packed=packed)) for t in texts))
    assert read(path) == [("chr1", 7, text) for text in texts]


def test_the_checksum_of_a_record_is_the_published_one() -> None:
    from genet5.lm.tfrecord import masked_checksum

    crc_of_zeros = 0x8A9136AA  # 32 zero bytes, RFC 3720 B.4
    rotated = (crc_of_zeros >> 15 | crc_of_zeros << 17) & 0xFFFFFFFF
    assert masked_checksum(bytes(32)) == (rotated + 0xA282EAD8) & 0xFFFFFFFF


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data[:-5], "record 0 is cut off"),
        (lambda data: data[:7], "record 0: no length"),
        (lambda data: data[:40] + b"?" + data[41:], "record 0 is damaged"),
        (lambda _: record(b"\xff\xff"), "record 0: index out of"),
        (lambda _: record(example(x=[1, 2])), "record 0: no segment_ids"),
        (lambda _: record(window("ACGT" * 9, tokens="overlapping")), "6-mers that overlap"),
    ],
)
def test_what_is_no_record_of_windows_is_named(tmp_path: Path, change, message: str) -> None:
    path = tmp_path / "record_0.tfrecord"
    path.write_bytes(change(record(window("ACGT" * 9))))
    with pytest.raises(FormatError, match=message):
        read(path)


def test_padding_within_a_window_is_an_unknown_letter(tmp_path: Path) -> None:
    path = tmp_path / "record_0.tfrecord"
    ones = [1] * 4
    place = {"start_pos": [0], "end_pos": [4]}
    path.write_bytes(
        record(example(x=[1, 0, 5, 4], segment_ids=ones, lowercase_mask=ones, **place))
    )
    assert read(path) == [("chr1", 0, "annt")]


def test_ready_made_windows_are_baked_and_whole_chromosomes_held_out(tmp_path: Path) -> None:
    rows = [("chr1", 0, "ACGT" * 8), ("chr1", 32, "acgt" * 8), ("chr2", 64, "GGCC" * 8)]
    table = tmp_path / "bins.csv"
    lines = [f"{c},{s},{s + 32},{text}" for c, s, text in rows]
    table.write_text("\n".join(["Chrom,Start,End,Sequence", *lines]) + "\n")
    config = LmBakeConfig(
        out=tmp_path, base="-", windows=(table,), window_bp=32, shortest_bp=8, valid_share=0.3
    )
    bake(config, nucleotide_gpt_vocabulary())
    found = {
        split: [
            (w.contig, w.start, decode_bases(w.bases))
            for w in PackedReader(tmp_path / f"{split}.packed").windows()
        ]
        for split in ("training", "validation")
    }
    assert sorted(found["training"] + found["validation"]) == sorted(rows)
    assert not {c for c, *_ in found["training"]} & {c for c, *_ in found["validation"]}


def test_windows_have_no_genes(tmp_path: Path, capsys) -> None:
    words = ["--windows", "a.csv", "--regions", "genes"]
    assert main(["lm", "bake", str(tmp_path / "out"), "--base", "m", *words]) == 2
    assert "needs genomes, not --windows" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("c,-5,1,ACGT", r"t\.csv:2: .*Start '-5'; expected a whole number"),
        ("c,0,4,AC!T", r"t\.csv:2: .*letter '!' at position 3"),
    ],
)
def test_a_bad_row_is_named_by_its_line(tmp_path: Path, row: str, message: str) -> None:
    table = tmp_path / "t.csv"
    table.write_text(f"Chrom,Start,End,Sequence\n{row}\n")
    with pytest.raises(DataError, match=message):
        list(read_window_files([table]))
