"""The grammar of genes: what may be written about a window, given its DNA.

`Grammar` (`automaton`) constrains decoding: masks over tokens and bases, batch-wise; it reads the DNA once (`signals`).
`violations` (`legality`) reports why one written gene is illegal. Both follow `GrammarOptions` and the tables of `rules`.

Example:
    >>> import numpy as np
    >>> from genet5.genome.sequence import encode_bases
    >>> from genet5.tokens.vocabulary import StructureVocabulary
    >>> vocabulary = StructureVocabulary()
    >>> grammar = Grammar([encode_bases("CCATGAAATAGCC")], [11], prokaryote_options(), vocabulary)
    >>> np.flatnonzero(grammar.legal_tokens()[0]).tolist() == [vocabulary.eos, vocabulary.first_type]
    True
    >>> for token in (vocabulary.first_type, vocabulary.plus, vocabulary.tx, vocabulary.cds, -1 - 2):
    ...     grammar.advance([token])
    >>> np.flatnonzero(grammar.legal_positions()[0])
    array([10])
"""

from __future__ import annotations

from genet5.tokens.automaton import Grammar
from genet5.tokens.rules import GrammarOptions, prokaryote_options

__all__ = ["Grammar", "GrammarOptions", "prokaryote_options"]
