"""The header of a packed file: its format, tokenizer, provenance, counts and checksum."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from genet5.dataset.windows import Window
from genet5.errors import FormatError
from genet5.tokens.tokenizer_file import canonical_hash
from genet5.tokens.vocabulary import DEFAULT_GENE_TYPES, StructureVocabulary

FORMAT = 2
FORMATS = (1, FORMAT)
"""Formats that are read; files of format 1 are those of format 2 without checksums."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """Header of a packed file."""

    format: int = FORMAT
    """Version of the packed format."""
    split: str = ""
    """training or validation."""
    tokenizer_hash: str = ""
    """SHA-256 of the tokenizer's canonical JSON."""
    tokenizer: dict[str, Any] = field(default_factory=dict)
    """Content of the tokenizer file."""
    gene_types: tuple[str, ...] = DEFAULT_GENE_TYPES
    """Gene types of the structure vocabulary, in the order of their ids."""
    settings: dict[str, Any] = field(default_factory=dict)
    """The bake configuration that determines the content, with the names of former versions."""
    sources: tuple[dict[str, Any], ...] = ()
    """Clade ("taxon"), genome and SHA-256 of FASTA and GFF of each source."""
    counts: dict[str, int] = field(default_factory=dict)
    """Rows, windows, bases, tokens, labels."""
    checksum: str = ""
    """SHA-256 over the windows' digests in file order."""
    validation_genes: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    """By genome and difficulty: the places of the genes that were chosen for validation,
    "contig:start-end(strand)", 1-based as in GFF3. Left out of files that have none."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as a file holds them."""
        values = asdict(self)
        if not self.validation_genes:
            del values["validation_genes"]
        return values

    @property
    def vocabulary(self) -> StructureVocabulary:
        """Return the vocabulary of the labels."""
        return StructureVocabulary(self.gene_types)


def check_tokenizer(header: Header, path: Path) -> None:
    """Compare the tokenizer that a header holds with its hash, and its gene types with the labels'.

    Raises:
        FormatError: They differ.
    """
    tokenizer, remedy = header.tokenizer, "The file is damaged: copy it again, or bake it again"
    if header.tokenizer_hash and canonical_hash(tokenizer) != header.tokenizer_hash:
        raise FormatError(
            "the header's tokenizer", expected="the one of its hash", path=path, remedy=remedy
        )
    types = tokenizer.get("gene_types", list(header.gene_types))
    if types != list(header.gene_types):
        raise FormatError(
            f"gene types {', '.join(header.gene_types)}",
            expected=f"those of its tokenizer, {types}", path=path, remedy=remedy,
        )  # fmt: skip
    for source in header.sources:
        if not all(isinstance(source.get(name), str) for name in ("taxon", "genome")):
            raise FormatError(
                f"source {source}", expected="texts taxon and genome", path=path, remedy=remedy
            )


def combine_digests(digests: Iterable[bytes]) -> str:
    """Return the checksum of a file from its windows' digests in file order."""
    return hashlib.sha256(b"".join(digests)).hexdigest()


def count_content(rows: Sequence[Sequence[Window]]) -> dict[str, int]:
    """Return the counts of a header."""
    windows = list(itertools.chain.from_iterable(rows))
    return {
        "rows": len(rows),
        "windows": len(windows),
        "bases": sum(len(window.bases) for window in windows),
        "tokens": sum(len(window.input_ids) for window in windows),
        "labels": sum(len(window.labels) for window in windows),
    }
