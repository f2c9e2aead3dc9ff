"""`genet5 init_tokens` and `append_tokens`, and what they leave valid."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from genet5.cli.append_tokens import main as append_tokens
from genet5.cli.init_tokens import main as init_tokens
from genet5.errors import ConfigError, DataError
from genet5.tokens.sequence import KmerTokenizer, NucleotideTokenizer
from genet5.tokens.structure import decode_window, encode_window
from genet5.tokens.tokenizer_file import (
    Tokenizer,
    load_tokenizer,
    make_tokenizer,
    require_extension,
    save_tokenizer,
)
from genet5.tokens.vocabulary import DEFAULT_GENE_TYPES, StructureVocabulary
from genet5.tokens.window import Part, WindowGene, WindowStructure, WindowTranscript

GFF3 = "##gff-version 3\n" + "".join(
    f"c1\tx\t{kind}\t{100 * n + 1}\t{100 * n + 90}\t.\t+\t.\tID=g{n};gene_biotype={biotype}{more}\n"
    f"c1\tx\texon\t{100 * n + 1}\t{100 * n + 90}\t.\t+\t.\tParent=g{n}\n"
    for n, (kind, biotype, more) in enumerate(
        [
            ("gene", "miRNA", ""), ("gene", "lncRNA", ""), ("gene", "lncRNA", ""),
            ("gene", "tRNA", ""),
            ("pseudogene", "lncRNA", ";pseudo=true"), ("gene", "snoRNA", ""),
        ]
    )
)  # fmt: skip


@pytest.fixture
def gff3(tmp_path: Path) -> Path:
    path = tmp_path / "genes.gff3"
    path.write_text(GFF3)
    return path


def types(path: Path) -> tuple[str, ...]:
    return load_tokenizer(path).structure.gene_types


def test_a_new_tokenizer_names_the_types_of_the_annotations(tmp_path, gff3, capsys) -> None:
    out = tmp_path / "t.json"
    words = [str(out), "--tokenizer", "kmer:4", "--gene_types", "scRNA", "--annotations", str(gff3)]
    assert init_tokens(words) == 0
    assert types(out) == (*DEFAULT_GENE_TYPES, "scRNA", "lncRNA", "miRNA", "snoRNA")
    assert load_tokenizer(out).sequence.to_dict() == {"kind": "kmer", "k": 4}
    printed = [line.split() for line in capsys.readouterr().out.splitlines()]
    first = StructureVocabulary.first_type
    assert printed[0] == [str(first), "protein_coding", "0", "genes"]
    assert printed[6] == [str(first + 6), "lncRNA", "2", "genes", "new"]
    assert printed[4][1:3] == ["pseudogene", "1"]
    assert init_tokens(words) == 2, "OUT is there"
    assert init_tokens([*words, "--overwrite"]) == 0


def test_types_of_a_folder_of_genomes_are_met(tmp_path, gff3) -> None:
    folder = tmp_path / "raw" / "plants" / "one"
    folder.mkdir(parents=True)
    (folder / "genome.fa").write_text(">c1\nACGT\n")
    (folder / "genome.gff3").write_text(GFF3)
    assert init_tokens([str(tmp_path / "made"), "--raw_dir", str(tmp_path / "raw")]) == 0
    assert types(tmp_path / "made") == (*DEFAULT_GENE_TYPES, "lncRNA", "miRNA", "snoRNA")
    assert init_tokens([str(tmp_path / "x"), "--raw_dir", str(tmp_path / "absent")]) == 1


def test_appending_never_moves_an_id_and_is_idempotent(tmp_path, gff3) -> None:
    path = tmp_path / "tokenizer.json"
    old = Tokenizer(NucleotideTokenizer(), StructureVocabulary(("protein_coding", "snoRNA")))
    save_tokenizer(old, path)
    words = [str(path), "--gene_types", "scRNA", "snoRNA", "--annotations", str(gff3)]
    assert append_tokens([*words, "--dry_run"]) == 0
    assert types(path) == ("protein_coding", "snoRNA")
    assert append_tokens(words) == 0
    assert types(path) == (
        "protein_coding",
        "snoRNA",
        "scRNA",
        "lncRNA",
        "miRNA",
        "pseudogene",
        "tRNA",
    )
    new = load_tokenizer(path)
    assert new.sequence.to_dict() == old.sequence.to_dict()
    assert new.structure.tokens[: len(old.structure)] == old.structure.tokens
    before = path.read_bytes()
    assert append_tokens(words) == 0
    assert path.read_bytes() == before


def test_appending_may_write_elsewhere(tmp_path) -> None:
    path = tmp_path / "tokenizer.json"
    save_tokenizer(Tokenizer(KmerTokenizer(3)), path)
    before = path.read_bytes()
    for out in ("other.json", "folder", "a/new/folder/t.json"):
        assert (
            append_tokens([str(path), "--gene_types", "scRNA", "--out", str(tmp_path / out)]) == 0
        )
        assert types(tmp_path / out) == (*DEFAULT_GENE_TYPES, "scRNA")
    assert path.read_bytes() == before


def test_a_model_needs_resizing_afterwards_and_says_so(tmp_path, caplog) -> None:
    save_tokenizer(Tokenizer(KmerTokenizer(3)), tmp_path)
    (tmp_path / "model.safetensors").touch()
    with caplog.at_level(logging.WARNING, "genet5"):
        assert append_tokens([str(tmp_path), "--gene_types", "scRNA"]) == 0
    assert f"genet5 resize_model {tmp_path} OUT" in caplog.text
    assert types(tmp_path) == (*DEFAULT_GENE_TYPES, "scRNA")
    assert init_tokens([str(tmp_path), "--overwrite"]) == 2, "a model's tokenizer is not replaced"
    assert types(tmp_path) == (*DEFAULT_GENE_TYPES, "scRNA")


def test_a_tokenizer_beside_a_models_own_asks_for_no_resizing(tmp_path, caplog) -> None:
    save_tokenizer(Tokenizer(KmerTokenizer(3)), tmp_path)
    (tmp_path / "model.safetensors").touch()
    out = str(tmp_path / "other.json")
    with caplog.at_level(logging.WARNING, "genet5"):
        assert append_tokens([str(tmp_path), "--gene_types", "scRNA", "--out", out]) == 0
    assert not caplog.records
    assert types(tmp_path) == DEFAULT_GENE_TYPES


@pytest.mark.parametrize("words", [[], ["--gene_types", "scRNA"]])
def test_wrong_usage_of_append_tokens(tmp_path, words) -> None:
    assert append_tokens([str(tmp_path / "absent.json"), *words]) == (1 if words else 2)


def test_labels_of_an_old_file_mean_the_same_to_a_larger_vocabulary() -> None:
    old = StructureVocabulary()
    genes = (
        WindowGene("protein_coding", -1, (WindowTranscript((Part("cds", 3, 20),)),)),
        WindowGene("pseudogene", 1, (WindowTranscript((Part("exon", 40, 59),), cut_right=True),)),
    )
    structure = WindowStructure(4, "plants", genes)
    labels = encode_window(structure, old)
    new = old.appended(("scRNA", "miRNA"))
    assert np.array_equal(encode_window(structure, new), labels)
    assert decode_window(labels, new) == structure


@pytest.mark.parametrize("name", ["kmer:3", "nucleotide"])
def test_tokenizers_are_made_by_name_or_from_a_file(tmp_path, name) -> None:
    made = make_tokenizer(name)
    larger = replace(made, structure=made.structure.appended(("scRNA",)))
    save_tokenizer(larger, tmp_path)
    for path in (tmp_path, tmp_path / "tokenizer.json"):
        assert make_tokenizer(str(path)).to_dict() == larger.to_dict()


@pytest.mark.parametrize("name", ["kmer:9", "kmer:", "bpe", "/nowhere/tokenizer.json"])
def test_names_of_no_tokenizer_are_refused(name) -> None:
    with pytest.raises(ConfigError):
        make_tokenizer(name)


def test_only_appending_counts_as_an_extension() -> None:
    old = Tokenizer(KmerTokenizer(4))
    larger = replace(old, structure=old.structure.appended(("scRNA", "miRNA")))
    assert require_extension(old, larger) == ("scRNA", "miRNA")
    assert require_extension(old, old) == ()
    assert require_extension(larger, larger, known=5) == ("scRNA", "miRNA")
    for wrong in (
        replace(larger, sequence=KmerTokenizer(5)),
        replace(larger, structure=StructureVocabulary(larger.structure.gene_types[::-1])),
        replace(larger, structure=StructureVocabulary(DEFAULT_GENE_TYPES[:4])),
    ):
        with pytest.raises(DataError, match="genet5"):
            require_extension(old, wrong)
