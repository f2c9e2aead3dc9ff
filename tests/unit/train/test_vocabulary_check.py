"""Whose gene types a model may be trained on."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from genet5.dataset.header import Header
from genet5.errors import DataError
from genet5.tokens.sequence import KmerTokenizer
from genet5.tokens.tokenizer_file import Tokenizer
from genet5.tokens.vocabulary import StructureVocabulary
from genet5.train.setup import check_vocabulary

SMALL = Tokenizer(KmerTokenizer(4))
LARGE = Tokenizer(KmerTokenizer(4), SMALL.structure.appended(("scRNA",)))


def header(tokenizer: Tokenizer) -> Header:
    return Header(tokenizer=tokenizer.to_dict(), gene_types=tokenizer.structure.gene_types)


def test_a_file_baked_before_types_were_appended_is_taken_and_named(caplog) -> None:
    with caplog.at_level(logging.INFO, "genet5"):
        check_vocabulary(header(LARGE), LARGE, Path("a.packed"))
        check_vocabulary(header(SMALL), SMALL, Path("a.packed"))
        assert not caplog.text
        check_vocabulary(header(SMALL), LARGE, Path("a.packed"))
    assert "a.packed: baked before the model got scRNA" in caplog.text


def test_a_file_with_more_types_than_the_model_names_the_remedy() -> None:
    with pytest.raises(DataError, match=r"a\.packed.*scRNA.*resize_model"):
        check_vocabulary(header(LARGE), SMALL, Path("a.packed"))


@pytest.mark.parametrize(
    "other",
    [
        Tokenizer(KmerTokenizer(5)),
        Tokenizer(KmerTokenizer(4), StructureVocabulary(LARGE.structure.gene_types[::-1])),
    ],
)
def test_other_tokenizers_are_refused(other: Tokenizer) -> None:
    with pytest.raises(DataError, match="Bake it again"):
        check_vocabulary(header(other), LARGE, Path("a.packed"))
