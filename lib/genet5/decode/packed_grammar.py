"""The grammar that a model trained on a packed file decodes with, read off the file's header."""

from __future__ import annotations

from dataclasses import replace

from genet5.config.clades import traits_of
from genet5.dataset.header import Header
from genet5.tokens.grammar import GrammarOptions, prokaryote_options


def packed_grammar(header: Header) -> GrammarOptions:
    """Return the grammar of a packed file's genes.

    Genes get introns and start at ATG alone unless all genomes of the file are prokaryotes'.
    """
    unspliced = not any(traits_of(clade).introns for clade in packed_clades(header))
    grammar = prokaryote_options() if unspliced else GrammarOptions()
    types = header.gene_types if header.settings.get("noncoding") else grammar.gene_types
    return replace(grammar, utr=bool(header.settings.get("utr")), gene_types=tuple(types))


def packed_clades(header: Header) -> set[str]:
    """Return the clades of a packed file's genomes."""
    return {str(source["taxon"]) for source in header.sources}
