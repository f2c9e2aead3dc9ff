"""k-mer vocabularies and the policies under which DNA becomes ids."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest

from genet5.errors import ConfigError, DataError
from genet5.genome.sequence import checked_bases
from genet5.lm.text import encode_bases, encode_text, fit_length, with_ends
from genet5.lm.vocabulary import (
    KmerVocabulary,
    SpecialTokens,
    generator_vocabulary,
    nucleotide_gpt_kmers,
    nucleotide_gpt_vocabulary,
)

GENERATOR, NUCLEOTIDE = generator_vocabulary(), nucleotide_gpt_vocabulary()


@pytest.mark.parametrize(
    ("kmer", "number"), [("AAAAAA", 32), ("AAAAAT", 33), ("GGGGGG", 4127), ("TTTTTT", 1397)]
)
def test_generators_6_mers_count_in_the_order_a_t_c_g(kmer: str, number: int) -> None:
    assert GENERATOR.encode(checked_bases(kmer)).tolist() == [number]
    assert GENERATOR.decode([number]) == kmer


def test_generators_golden_sentences() -> None:
    assert encode_text(GENERATOR, "<s>AAAAAATTTTTT").tolist() == [1, 32, 1397]
    sentence = encode_text(GENERATOR, "ACGTNACGTNAC", bos=True, ambiguous="unknown")
    assert sentence.tolist() == [1, 0, 0]


def test_generators_special_tokens_have_their_published_ids() -> None:
    ids = GENERATOR.special_ids
    assert [ids[n] for n in ("<oov>", "<s>", "</s>", "<pad>", "<mask>")] == [0, 1, 2, 3, 4]
    assert sorted(ids.values()) == list(range(32))
    assert (GENERATOR.vocab_size, GENERATOR.unk_id, GENERATOR.pad_id) == (4128, 0, 3)


def test_nucleotide_gpt_reads_p_a_c_g_t_n_as_0_to_5() -> None:
    assert NUCLEOTIDE.encode(checked_bases("ACGTNacgtn")).tolist() == [1, 2, 3, 4, 5, 1, 2, 3, 4, 5]
    assert (NUCLEOTIDE.vocab_size, NUCLEOTIDE.pad_id, NUCLEOTIDE.bos_id) == (6, 0, None)


@pytest.mark.parametrize(("is_overlapping", "tokens"), [(True, 8187), (False, 1365)])
def test_nucleotide_gpts_6_mers_of_a_window(is_overlapping: bool, tokens: int) -> None:
    vocabulary = nucleotide_gpt_kmers(is_overlapping=is_overlapping)
    ids = vocabulary.encode(np.full(8192, ord("A"), dtype=np.uint8))
    assert (len(ids), set(ids.tolist()), vocabulary.vocab_size) == (tokens, {2}, 4098)
    assert vocabulary.encode(checked_bases("AAAAAN")).tolist() == [1]


def test_overlapping_k_mers_decode_to_the_sequence() -> None:
    vocabulary = nucleotide_gpt_kmers(is_overlapping=True)
    assert vocabulary.decode(vocabulary.encode(checked_bases("ACGTTGCA"))) == "ACGTTGCA"


def test_every_k_mer_decodes_to_the_letters_that_gave_its_id() -> None:
    specials = SpecialTokens(ids={"?": 0, "_": 9}, unk="?", pad="_")
    vocabulary = KmerVocabulary(k=2, letters="GATC", first_id=10, specials=specials)
    for first, second in itertools.product("ACGT", repeat=2):
        ids = vocabulary.encode(checked_bases(first + second))
        assert vocabulary.decode(ids) == first + second
        assert ["ACGT"[b] for b in vocabulary.base_at[ids[0]]] == [first, second]
    assert vocabulary.base_at[:10].max() == -1


def test_rna_and_lower_case_read_as_dna() -> None:
    same = [encode_bases(GENERATOR, checked_bases(t)).tolist() for t in ("ACGTTA", "acguua")]
    assert same[0] == same[1]


@pytest.mark.parametrize(
    ("policy", "text"),
    [
        ("pad_left", "AAAAAACGTACG"),
        ("pad_right", "ACGTACGAAAAA"),
        ("trim_left", "CGTACG"),
        ("trim_right", "ACGTAC"),
    ],
)
def test_length_policies(policy: str, text: str) -> None:
    assert fit_length(checked_bases("ACGTACG"), 6, policy).tobytes().decode() == text


@pytest.mark.parametrize("length", range(13))
@pytest.mark.parametrize("policy", ["pad_left", "pad_right", "trim_left", "trim_right"])
def test_no_length_gives_an_unknown_token(length: int, policy: str) -> None:
    bases = np.full(length, ord("C"), dtype=np.uint8)
    ids = encode_bases(GENERATOR, bases, length=policy)
    assert GENERATOR.unk_id not in ids
    up = policy.startswith("pad")
    assert len(ids) == (-(-length // 6) if up else length // 6)


def test_a_length_that_is_no_multiple_is_refused_by_default() -> None:
    with pytest.raises(DataError, match="7 bases; expected a multiple of 6"):
        encode_bases(GENERATOR, checked_bases("ACGTACG"))


@pytest.mark.parametrize("letter", "NRYX")
def test_ambiguous_letters_are_refused_by_default(letter: str) -> None:
    with pytest.raises(DataError, match=f"1 ambiguous letters, the first '{letter}' at position 3"):
        encode_bases(GENERATOR, checked_bases(f"AC{letter}TAC"))


@pytest.mark.parametrize("text", ["AAAAAA", "<s>AAAAAA"])
def test_there_is_never_a_second_token_of_the_beginning(text: str) -> None:
    ids = encode_text(GENERATOR, text, bos=True)
    assert ids.tolist() == [1, 32]
    assert with_ends(GENERATOR, ids, bos=True, eos=True).tolist() == [1, 32, 2]


def test_tags_stand_where_they_are_written() -> None:
    assert encode_text(GENERATOR, "<s>AAAAAA<s>", bos=True).tolist() == [1, 32, 1]


def test_a_model_without_a_token_of_the_beginning_says_so() -> None:
    with pytest.raises(ConfigError, match="needs a model that has such a token"):
        encode_text(NUCLEOTIDE, "ACGT", bos=True)


@pytest.mark.parametrize(
    "change",
    [{"k": 9}, {"letters": "ACGU"}, {"first_id": 3}, {"stride": 2}],
    ids=str,
)
def test_a_wrong_vocabulary_is_refused(change: dict[str, object]) -> None:
    how: dict[str, object] = {"k": 3, "letters": "ACGT", "first_id": 8}
    specials = SpecialTokens(ids={"<unk>": 0, "<pad>": 7}, unk="<unk>", pad="<pad>")
    make: Callable[..., KmerVocabulary] = KmerVocabulary
    with pytest.raises(ConfigError):
        make(**(how | change), specials=specials)
