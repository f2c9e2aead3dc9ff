"""Tokenizer files: round trips, the published layout, and `AutoTokenizer`."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from genet5.errors import FormatError
from genet5.genome.sequence import checked_bases
from genet5.lm.bpe import BpeVocabulary
from genet5.lm.text import Vocabulary, encode_text
from genet5.lm.tokenizer_files import load_vocabulary, save_vocabulary
from genet5.lm.vocabulary import (
    generator_vocabulary,
    nucleotide_gpt_kmers,
    nucleotide_gpt_vocabulary,
)
from lm_toys import bpe_json

SPECIALS = ("<oov>", "<s>", "</s>", "<pad>", "<mask>")


VOCABULARIES: list[Vocabulary] = [
    generator_vocabulary(),
    nucleotide_gpt_vocabulary(),
    nucleotide_gpt_kmers(is_overlapping=True),
    BpeVocabulary(bpe_json()),
]


def write_published(folder: Path, *, with_ids: bool, letters: str = "ATCG") -> None:
    """GENERator's layout with 3-mers."""
    names = [*SPECIALS, *(f"<extra{n}>" for n in range(27))]
    kmers = ["".join(word) for word in itertools.product(letters, repeat=3)]
    lines = [f"{t} {n}" if with_ids else t for n, t in enumerate([*names, *kmers])]
    (folder / "vocab.txt").write_text("\n".join(lines) + "\n")
    config = {"k": 3, "unk_token": "<oov>", "auto_map": {"AutoTokenizer": ["tokenizer.X", None]}}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


@pytest.mark.parametrize("vocabulary", VOCABULARIES, ids=lambda v: f"{v.kind}_{v.vocab_size}")
def test_a_saved_vocabulary_is_loaded_equal(vocabulary: Vocabulary, tmp_path: Path) -> None:
    save_vocabulary(vocabulary, tmp_path)
    assert load_vocabulary(tmp_path).to_dict() == vocabulary.to_dict()


@pytest.mark.parametrize("with_ids", [False, True])
def test_a_published_k_mer_vocabulary_is_read_with_or_without_ids(
    with_ids: bool, tmp_path: Path
) -> None:
    write_published(tmp_path, with_ids=with_ids)
    found = load_vocabulary(tmp_path)
    assert (found.k, found.letters, found.first_id) == (3, "ATCG", 32)
    assert (found.unk_id, found.bos_id, found.eos_id, found.pad_id) == (0, 1, 2, 3)


def test_the_order_of_the_letters_is_read_and_not_assumed(tmp_path: Path) -> None:
    write_published(tmp_path, with_ids=False, letters="ACGT")
    assert load_vocabulary(tmp_path).letters == "ACGT"


def test_k_mers_in_no_order_are_refused(tmp_path: Path) -> None:
    write_published(tmp_path, with_ids=False)
    text = (tmp_path / "vocab.txt").read_text()
    (tmp_path / "vocab.txt").write_text(text.replace("AAT\nAAC\n", "AAC\nAAT\n"))
    with pytest.raises(FormatError, match="counted up in the order"):
        load_vocabulary(tmp_path)


def test_a_folder_without_a_tokenizer_says_what_it_needs(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"expected dna_tokenizer\.json"):
        load_vocabulary(tmp_path)


def test_bpe_begins_and_ends_with_the_tokens_of_its_file() -> None:
    vocabulary = BpeVocabulary(bpe_json())
    assert encode_text(vocabulary, "ACGTA", bos=True, eos=True).tolist() == [1, 11, 5, 2]
    assert vocabulary.token_lengths(checked_bases("ACGTA")).tolist() == [4, 1]
    assert vocabulary.decode([1, 11, 5, 2]) == "[CLS]ACGTA[SEP]"


@pytest.mark.parametrize("index", [0, 1, 3])
def test_auto_tokenizer_gives_the_same_ids_without_remote_code(index: int, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="needs genet5[lm]")
    vocabulary = VOCABULARIES[index]
    save_vocabulary(vocabulary, tmp_path)
    stock = transformers.AutoTokenizer.from_pretrained(tmp_path, trust_remote_code=False)
    assert stock.is_fast
    text = "ACGTTGCATTAGACGTAC" if index == 3 else "ACGTTGcattagACGTUC"
    assert stock(text).input_ids == encode_text(vocabulary, text).tolist()
    assert stock.pad_token_id == vocabulary.pad_id
    decoded = stock.decode(stock(text).input_ids).replace(" ", "")  # DNABERT-2's file puts blanks
    assert decoded == text.upper().replace("U", "T")


def test_auto_tokenizer_recognises_tags_and_adds_none(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="needs genet5[lm]")
    save_vocabulary(generator_vocabulary(), tmp_path)
    stock = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert stock("<s>AAAAAATTTTTT").input_ids == [1, 32, 1397]
    assert (stock.bos_token_id, stock.eos_token_id, stock.unk_token_id) == (1, 2, 0)


def test_a_published_vocabulary_that_is_no_text_is_named(tmp_path: Path) -> None:
    write_published(tmp_path, with_ids=True)
    path = tmp_path / "vocab.txt"
    path.write_bytes(path.read_bytes().replace(b"AAA", b"A\xffA"))
    with pytest.raises(FormatError, match=r"vocab.txt: not a text in UTF-8"):
        load_vocabulary(tmp_path)
    path.write_text("<oov> " + "9" * 5000)
    with pytest.raises(FormatError, match=r"vocab.txt:1: line '<oov> 999"):
        load_vocabulary(tmp_path)
