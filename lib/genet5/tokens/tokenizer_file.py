"""A model's `tokenizer.json`: how DNA becomes tokens and which gene types the decoder can name.

    {"format": 1, "sequence": {"kind": "kmer", "k": 6}, "gene_types": ["protein_coding", ...]}

`sequence` is {"kind": "kmer" | "overlapping_kmer", "k": K}, {"kind": "nucleotide"}, or {"kind":
"bpe", "tokenizer": {...}} with a whole file of the `tokenizers` library inside.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genet5.config.json_files import load_json, save_json
from genet5.config.manifest import MANIFEST, record_checksums
from genet5.errors import ConfigError, DataError, FormatError
from genet5.tokens.sequence import (
    BpeTokenizer,
    KmerTokenizer,
    NucleotideTokenizer,
    SequenceTokenizer,
    sequence_tokenizer,
)
from genet5.tokens.vocabulary import StructureVocabulary

FORMAT = 1
FILE_NAME = "tokenizer.json"

_KEYS = {"format", "sequence", "gene_types"}


@dataclass(frozen=True)
class Tokenizer:
    """Both vocabularies of a model."""

    sequence: SequenceTokenizer
    structure: StructureVocabulary = field(default_factory=StructureVocabulary)

    def to_dict(self) -> dict[str, Any]:
        """Return what the file holds."""
        return {
            "format": FORMAT,
            "sequence": self.sequence.to_dict(),
            "gene_types": list(self.structure.gene_types),
        }


def save_tokenizer(tokenizer: Tokenizer, path: Path) -> None:
    """Write a tokenizer to a file, or as `tokenizer.json` into an existing directory.

    The checksums of a model's folder take it up.
    """
    path = _file(path)
    save_json(path, tokenizer.to_dict())
    if (path.parent / MANIFEST).exists():
        record_checksums(path.parent, path.name)


def load_tokenizer(path: Path) -> Tokenizer:
    """Read a tokenizer from its file or from a model's directory.

    Raises:
        FormatError: The file is missing, of another format, or holds a wrong value.
    """
    path = _file(path)
    values = load_json(path)
    if values.get("format") != FORMAT or set(values) != _KEYS:
        raise FormatError(
            f"format {values.get('format')!r} with keys {', '.join(sorted(values))}",
            expected=f"format {FORMAT} with keys {', '.join(sorted(_KEYS))}",
            path=path,
            remedy="`genet5 init` writes such a file, also around a bare BPE tokenizer.json",
        )
    return _from_dict(values, path)


def make_tokenizer(name: str) -> Tokenizer:
    """Make the tokenizer that a user names.

    Args:
        name: kmer:K (K = 1..8), nucleotide, a tokenizer.json of ours or a folder that holds one, or
            the tokenizer.json
            of a BPE tokenizer (`tokenizers` library).

    Raises:
        ConfigError: It is none of these.
        FormatError: The file holds no tokenizer.
    """
    if name == "nucleotide":
        return Tokenizer(NucleotideTokenizer())
    kind, _, k = name.partition(":")
    if kind == "kmer" and k.isdigit():
        return Tokenizer(KmerTokenizer(int(k)))
    path = _file(Path(name))
    if not path.is_file():
        raise ConfigError(
            "tokenizer", name, "must be kmer:1 to kmer:8, nucleotide, or a tokenizer.json file"
        )
    if "gene_types" in load_json(path):
        return load_tokenizer(path)
    try:
        return Tokenizer(BpeTokenizer(path.read_text(encoding="utf-8")))
    except ConfigError as error:
        raise FormatError(str(error), path=path) from error


def _from_dict(values: dict[str, Any], path: Path) -> Tokenizer:
    sequence, gene_types = values["sequence"], values["gene_types"]
    if not isinstance(sequence, dict):
        raise FormatError(f"sequence = {sequence!r}", expected="an object", path=path)
    if not isinstance(gene_types, list) or not all(isinstance(name, str) for name in gene_types):
        raise FormatError(f"gene_types = {gene_types!r}", expected="a list of names", path=path)
    try:
        return Tokenizer(sequence_tokenizer(sequence), StructureVocabulary(tuple(gene_types)))
    except ConfigError as error:
        raise FormatError(str(error), path=path) from error


def require_extension(
    old: Tokenizer, new: Tokenizer, *, known: int | None = None, path: Path | None = None
) -> tuple[str, ...]:
    """Check that `new` is `old` with gene types appended; return the added types.

    No id then means something else.

    Args:
        old: The tokenizer in use.
        new: The one to take its place.
        known: How many of the gene types of `old` are in use; None = all.
        path: File of `new`, for the message.

    Raises:
        DataError: It is not.
    """
    if new.sequence.to_dict() != old.sequence.to_dict():
        raise DataError(
            f"sequence tokenizer {_kind(new)}",
            expected=f"{_kind(old)} with the same content, as before",
            path=path,
            remedy="Only gene types can be appended (genet5 append_tokens); for another sequence "
            "tokenizer make a new model (genet5 init)",
        )
    types, wanted = new.structure.gene_types, old.structure.gene_types[:known]
    if types[: len(wanted)] != wanted:
        raise DataError(
            f"gene types {', '.join(types)}",
            expected=f"{', '.join(wanted)} first, in this order",
            path=path,
            remedy="Append types with genet5 append_tokens, which keeps their order",
        )
    return types[len(wanted) :]


def _kind(tokenizer: Tokenizer) -> str:
    values = tokenizer.sequence.to_dict()
    return " ".join(str(values[key]) for key in ("kind", "k") if key in values)


def tokenizer_hash(tokenizer: Tokenizer) -> str:
    """SHA-256 (hexadecimal) of the tokenizer's canonical JSON: the same on any machine."""
    return canonical_hash(tokenizer.to_dict())


def canonical_hash(values: dict[str, Any]) -> str:
    """SHA-256 (hexadecimal) of a tokenizer file's content in canonical JSON."""
    canonical = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _file(path: Path) -> Path:
    return path / FILE_NAME if path.is_dir() else path
