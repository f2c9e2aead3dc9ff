from __future__ import annotations

import json
from pathlib import Path

import pytest

from genet5.errors import FormatError
from genet5.tokens.sequence import KmerTokenizer, NucleotideTokenizer, OverlappingKmerTokenizer
from genet5.tokens.tokenizer_file import (
    Tokenizer,
    load_tokenizer,
    make_tokenizer,
    save_tokenizer,
    tokenizer_hash,
)
from genet5.tokens.vocabulary import DEFAULT_GENE_TYPES, StructureVocabulary


@pytest.mark.parametrize(
    "sequence", [KmerTokenizer(6), OverlappingKmerTokenizer(4), NucleotideTokenizer()]
)
def test_a_saved_tokenizer_comes_back(tmp_path: Path, sequence):
    tokenizer = Tokenizer(sequence, StructureVocabulary((*DEFAULT_GENE_TYPES, "snoRNA")))
    save_tokenizer(tokenizer, tmp_path)
    for path in (tmp_path, tmp_path / "tokenizer.json"):
        loaded = load_tokenizer(path)
        assert loaded.to_dict() == tokenizer.to_dict()
        assert loaded.structure == tokenizer.structure
        assert tokenizer_hash(loaded) == tokenizer_hash(tokenizer)


def test_the_file_is_the_documented_one(tmp_path: Path):
    save_tokenizer(Tokenizer(KmerTokenizer(6)), tmp_path / "t.json")
    assert json.loads((tmp_path / "t.json").read_text()) == {
        "format": 1,
        "sequence": {"kind": "kmer", "k": 6},
        "gene_types": list(DEFAULT_GENE_TYPES),
    }


def test_the_hash_tells_tokenizers_apart_and_never_changes():
    hashes = {tokenizer_hash(Tokenizer(KmerTokenizer(k))) for k in range(1, 9)}
    assert len(hashes) == 8
    more = Tokenizer(KmerTokenizer(6), StructureVocabulary().appended(("snoRNA",)))
    assert tokenizer_hash(more) != tokenizer_hash(Tokenizer(KmerTokenizer(6)))
    assert tokenizer_hash(Tokenizer(KmerTokenizer(6))).startswith("387dcef3bb0e2d34")


@pytest.mark.parametrize(
    "values",
    [
        {"version": "1.0", "model": {"type": "BPE"}},
        {"format": 2, "sequence": {"kind": "kmer", "k": 6}, "gene_types": ["tRNA"]},
        {"format": 1, "sequence": {"kind": "kmer", "k": 6}},
        {"format": 1, "sequence": {"kind": "kmer", "k": 60}, "gene_types": ["tRNA"]},
        {"format": 1, "sequence": ["kmer", 6], "gene_types": ["tRNA"]},
        {"format": 1, "sequence": {"kind": "kmer", "k": 6}, "gene_types": [1]},
        {"format": 1, "sequence": {"kind": "kmer", "k": 6}, "gene_types": ["tRNA", "tRNA"]},
        {"format": 1, "sequence": {"kind": "kmer", "k": 6}, "gene_types": []},
    ],
)
def test_wrong_files_are_named(tmp_path: Path, values: dict):
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(values))
    with pytest.raises(FormatError, match=r"tokenizer\.json"):
        load_tokenizer(path)


def test_a_file_of_no_tokenizer_is_named(tmp_path: Path):
    path = tmp_path / "bpe.json"
    path.write_text('{"version": "1.0"}')
    with pytest.raises(FormatError, match=r"bpe\.json: .*must be a tokenizer\.json"):
        make_tokenizer(str(path))


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(FormatError, match=r"tokenizer\.json: file not found"):
        load_tokenizer(tmp_path)
