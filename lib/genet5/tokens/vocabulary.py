"""The decoder's vocabulary: structural tokens with fixed ids, gene types appended after them.

Positions are not in the vocabulary: in label arrays a token is its id (>= 0) and base p of the
window is -1 - p.

Example:
    >>> vocabulary = StructureVocabulary()
    >>> vocabulary.tokens[vocabulary.bos], encode_position(0), decode_position(-1)
    ('<bos>', -1, 0)
"""

from __future__ import annotations

from dataclasses import dataclass

from genet5.config.clades import CLADES
from genet5.errors import ConfigError, DataError
from genet5.genome.codes import known_codes
from genet5.genome.frames import strand_index

DEFAULT_GENE_TYPES = ("protein_coding", "tRNA", "rRNA", "ncRNA", "pseudogene")

_CLADES = (*CLADES,)
_SPECIAL = ("<pad>", "<bos>", "<eos>", "+", "-", "<tx>", "<cut_left>", "<cut_right>")
_KINDS = ("<cds>", "<utr>", "<exon>")
_FRAMES = ("<frame_0>", "<frame_1>", "<frame_2>", "<frame_none>")
_MAX_CODE = 40  # NCBI stands at 33; ids stay fixed when it adds tables
_FIXED = (
    *_SPECIAL,
    *_KINDS,
    *_FRAMES,
    *(f"<code_{number}>" for number in range(1, _MAX_CODE + 1)),
    *(f"<taxon_{clade}>" for clade in _CLADES),
)


def encode_position(position: int) -> int:
    """Label of base `position` of the window."""
    return -1 - position


def decode_position(label: int) -> int:
    """Base that a negative label names."""
    return -1 - label


@dataclass(frozen=True)
class StructureVocabulary:
    """Ids of the structural tokens; appending gene types never shifts an id."""

    gene_types: tuple[str, ...] = DEFAULT_GENE_TYPES

    def __post_init__(self) -> None:
        if len(set(self.gene_types)) != len(self.gene_types) or not self.gene_types:
            raise ConfigError("gene_types", self.gene_types, "must be distinct names, at least one")

    @property
    def tokens(self) -> tuple[str, ...]:
        """All tokens in the order of their ids."""
        return (*_FIXED, *self.gene_types)

    def __len__(self) -> int:
        return len(_FIXED) + len(self.gene_types)

    pad = _FIXED.index("<pad>")
    bos = _FIXED.index("<bos>")
    eos = _FIXED.index("<eos>")
    plus = _FIXED.index("+")
    minus = _FIXED.index("-")
    tx = _FIXED.index("<tx>")
    cut_left = _FIXED.index("<cut_left>")
    cut_right = _FIXED.index("<cut_right>")
    cds = _FIXED.index("<cds>")
    utr = _FIXED.index("<utr>")
    exon = _FIXED.index("<exon>")
    frame_0 = _FIXED.index("<frame_0>")
    frame_none = _FIXED.index("<frame_none>")
    first_clade = _FIXED.index(f"<taxon_{_CLADES[0]}>")
    first_type = len(_FIXED)

    def strand(self, strand: int) -> int:
        """Id of a strand, +1 or -1."""
        return (self.plus, self.minus)[strand_index(strand)]

    def frame(self, frame: int | None) -> int:
        """Id of a frame: 0, 1, 2 or None for "not coding"."""
        return self.frame_none if frame is None else self.frame_0 + frame

    def code(self, genetic_code: int) -> int:
        """Id of a genetic code by NCBI number."""
        if genetic_code not in known_codes():
            raise ConfigError("genetic_code", genetic_code, "must be one of NCBI's numbers")
        return _FIXED.index("<code_1>") + genetic_code - 1

    def clade(self, clade: str) -> int:
        """Id of a clade."""
        if clade not in _CLADES:
            raise ConfigError("clade", clade, f"must be one of {', '.join(_CLADES)}")
        return self.first_clade + _CLADES.index(clade)

    def gene_type(self, gene_type: str) -> int:
        """Id of a gene type.

        Raises:
            DataError: The vocabulary lacks it.
        """
        if gene_type not in self.gene_types:
            raise DataError(
                f'gene type "{gene_type}"',
                expected=f"one of {', '.join(self.gene_types)}",
                remedy="Append it to the vocabulary, or leave such genes out",
            )
        return self.first_type + self.gene_types.index(gene_type)

    def appended(self, gene_types: tuple[str, ...]) -> StructureVocabulary:
        """A vocabulary with the types of `gene_types` that this one lacks added at its end."""
        new = tuple(t for t in dict.fromkeys(gene_types) if t not in self.gene_types)
        return StructureVocabulary(self.gene_types + new)
