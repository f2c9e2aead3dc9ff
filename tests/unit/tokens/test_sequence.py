from __future__ import annotations

import itertools
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genet5.errors import ConfigError, DataError
from genet5.genome.sequence import encode_bases
from genet5.tokens.sequence import (
    NUM_SPECIAL,
    PAD_ID,
    UNK_ID,
    BpeTokenizer,
    KmerTokenizer,
    NucleotideTokenizer,
    OverlappingKmerTokenizer,
    SequenceTokenizer,
    sequence_tokenizer,
)

IUPAC = "ACGTURYSWKMBDHVNacgturyswkmbdhvn"


def toy_bpe(*, fuse_unk: bool = False, unk: str | None = "[UNK]", **changes) -> str:
    """Four bases, two merges."""
    tokens = ["[UNK]", "[PAD]", "A", "C", "G", "T", "AC", "ACG"]
    model = {
        "type": "BPE",
        "dropout": None,
        "unk_token": unk,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": fuse_unk,
        "byte_fallback": False,
        "vocab": {token: number for number, token in enumerate(tokens)},
        "merges": ["A C", "AC G"],
    }
    frame = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": None,
    }
    frame |= {"pre_tokenizer": {"type": "Whitespace"}, "post_processor": None, "decoder": None}
    return json.dumps(frame | {"model": model} | changes)


def kmer_ids_by_hand(text: str, k: int) -> list[int]:
    order = {
        "".join(kmer): NUM_SPECIAL + i for i, kmer in enumerate(itertools.product("ACGT", repeat=k))
    }
    pieces = [text[i : i + k].upper().replace("U", "T") for i in range(0, len(text), k)]
    return [order.get(piece, UNK_ID) for piece in pieces]


TOKENIZERS = [
    KmerTokenizer(1),
    KmerTokenizer(3),
    KmerTokenizer(6),
    KmerTokenizer(8),
    OverlappingKmerTokenizer(1),
    OverlappingKmerTokenizer(6),
    NucleotideTokenizer(),
    BpeTokenizer(toy_bpe()),
    BpeTokenizer(toy_bpe(fuse_unk=True)),
]


@pytest.mark.slow
@given(st.text(IUPAC, max_size=60), st.sampled_from(TOKENIZERS))
def test_no_base_is_lost(text: str, tokenizer: SequenceTokenizer):
    ids, starts = tokenizer.encode(encode_bases(text))
    assert ids.dtype == starts.dtype == np.int32
    assert len(ids) == len(starts)
    assert (len(ids) > 0) == bool(text)
    assert np.all((ids >= 0) & (ids < tokenizer.vocab_size) & (ids != tokenizer.pad_id))
    if text:
        assert starts[0] == 0
        assert starts[-1] < len(text)
        assert np.all(np.diff(starts) > 0)


@given(st.text(IUPAC, max_size=60), st.sampled_from(TOKENIZERS))
def test_case_and_u_do_not_matter(text: str, tokenizer: SequenceTokenizer):
    plain = text.upper().replace("U", "T")
    for found, expected in zip(
        tokenizer.encode(encode_bases(text)), tokenizer.encode(encode_bases(plain)), strict=True
    ):
        np.testing.assert_array_equal(found, expected)


@given(st.text("ACGTacgtUN", max_size=60), st.integers(1, 5))
def test_kmer_ids_are_base_4_numbers_after_the_special_ids(text: str, k: int):
    ids, starts = KmerTokenizer(k).encode(encode_bases(text))
    assert ids.tolist() == kmer_ids_by_hand(text, k)
    assert starts.tolist() == list(range(0, len(text), k))


@given(st.text("ACGTacgtUN", max_size=60), st.integers(1, 5))
def test_overlapping_kmers_start_at_every_base(text: str, k: int):
    ids, starts = OverlappingKmerTokenizer(k).encode(encode_bases(text))
    if 0 < len(text) < k:
        assert (ids.tolist(), starts.tolist()) == ([UNK_ID], [0])
        return
    assert starts.tolist() == list(range(max(0, len(text) - k + 1)))
    assert ids.tolist() == [kmer_ids_by_hand(text[i : i + k], k)[0] for i in starts]


@pytest.mark.parametrize("k", range(1, 9))
def test_the_first_and_the_last_kmer_fill_the_vocabulary(k: int):
    tokenizer = KmerTokenizer(k)
    ids, _ = tokenizer.encode(encode_bases("A" * k + "T" * k + "N" * k + "T" * (k - 1) + "N"))
    assert ids.tolist() == [NUM_SPECIAL, tokenizer.vocab_size - 1, UNK_ID, UNK_ID]
    assert tokenizer.pad_id == PAD_ID
    assert tokenizer.bp_per_token == k


@pytest.mark.parametrize("k", [0, 9, -1, 2.0, "6"])
def test_k_is_from_1_to_8(k):
    with pytest.raises(ConfigError, match="k = "):
        KmerTokenizer(k)
    with pytest.raises(ConfigError, match="k = "):
        OverlappingKmerTokenizer(k)


def test_bpe_starts_follow_token_lengths_through_unknown_letters():
    ids, starts = BpeTokenizer(toy_bpe()).encode(encode_bases("acgNNNACTG"))
    assert ids.tolist() == [7, 0, 0, 0, 6, 5, 4]
    assert starts.tolist() == [0, 3, 4, 5, 6, 8, 9]


def test_a_fused_run_of_n_keeps_its_length():
    ids, starts = BpeTokenizer(toy_bpe(fuse_unk=True)).encode(encode_bases("acgNNNACTG"))
    assert ids.tolist() == [7, 0, 6, 5, 4]
    assert starts.tolist() == [0, 3, 6, 8, 9]


def test_bpe_ignores_padding_truncation_and_special_tokens_of_its_file():
    padding = {
        "strategy": {"Fixed": 32},
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": 1,
        "pad_type_id": 0,
        "pad_token": "[PAD]",
    }
    truncation = {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0}
    tokenizer = BpeTokenizer(toy_bpe(padding=padding, truncation=truncation))
    assert tokenizer.encode(encode_bases("ACGT" * 3))[0].tolist() == [7, 5] * 3


def test_a_bpe_tokenizer_that_drops_bases_is_refused():
    lossy = BpeTokenizer(toy_bpe(unk=None))
    with pytest.raises(DataError, match="drops or moves"):
        lossy.encode(encode_bases("NNACGT"))


def test_a_file_that_is_no_tokenizer_is_an_error():
    with pytest.raises(ConfigError, match=r"tokenizer\.json"):
        BpeTokenizer("{}")
    with pytest.raises(ConfigError, match="padding"):
        BpeTokenizer(toy_bpe().replace("[PAD]", "padding"))


@pytest.mark.parametrize("tokenizer", TOKENIZERS, ids=lambda t: type(t).__name__)
def test_tokenizers_survive_pickle_and_json(tokenizer: SequenceTokenizer):
    bases = encode_bases("acgNNNACTGACGTT")
    for copy in (
        pickle.loads(pickle.dumps(tokenizer)),
        sequence_tokenizer(json.loads(json.dumps(tokenizer.to_dict()))),
    ):
        assert type(copy) is type(tokenizer)
        assert copy.to_dict() == tokenizer.to_dict()
        assert (copy.vocab_size, copy.pad_id, copy.unk_id) == (
            tokenizer.vocab_size,
            tokenizer.pad_id,
            tokenizer.unk_id,
        )
        np.testing.assert_array_equal(copy.encode(bases)[0], tokenizer.encode(bases)[0])


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"kind": "word"},
        {"kind": "kmer"},
        {"kind": "nucleotide", "k": 1},
        {"kind": "kmer", "k": 3, "stride": 1},
    ],
)
def test_unknown_settings_are_errors(values: dict):
    with pytest.raises(ConfigError):
        sequence_tokenizer(values)


@pytest.mark.data
def test_dnabert2_tokens_spell_the_sequence(shared_data: Path):
    text = (shared_data / "dnabert2" / "tokenizer.json").read_text()
    tokenizer = BpeTokenizer(text)
    names = {number: token for token, number in json.loads(text)["model"]["vocab"].items()}
    rng = np.random.default_rng(0)
    letters = np.frombuffer(b"ACGT" * 30 + b"acgtNNRY", np.uint8)
    bases = letters[rng.integers(0, len(letters), 30_000)]
    bases[5_000:5_300] = ord("N")
    ids, starts = tokenizer.encode(bases)
    assert (tokenizer.vocab_size, tokenizer.pad_id, tokenizer.unk_id) == (4096, 3, 0)
    assert 4 < tokenizer.bp_per_token < 7
    sequence = bases.tobytes().decode().upper()
    for number, start, end in zip(
        ids.tolist(), starts.tolist(), [*starts[1:].tolist(), len(bases)], strict=True
    ):
        piece = sequence[start:end]
        assert piece == names[number] or (number == tokenizer.unk_id and set(piece) <= set("NRY"))
