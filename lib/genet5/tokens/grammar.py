"""The grammar of genes: what may be written about a window, given its DNA.

`Grammar` (`automaton`) constrains decoding: masks over tokens and bases, batch-wise; it reads the
DNA once (`signals`). `violations` (`legality`) reports why one written gene is illegal. Both follow
`GrammarOptions` and the tables of `rules`.

Example:
    >>> import numpy as np
    >>> from genet5.genome.sequence import encode_bases
    >>> from genet5.tokens.vocabulary import StructureVocabulary
    >>> vocabulary = StructureVocabulary()
    >>> grammar = Grammar([encode_bases("CCATGAAATAGCC")], [11], prokaryote_options(), vocabulary)
    >>> [vocabulary.tokens[token] for token in np.flatnonzero(grammar.legal_tokens()[0])]
    ['<eos>', 'protein_coding']
    >>> gene = (vocabulary.first_type, vocabulary.plus, vocabulary.tx, vocabulary.cds, -1 - 2)
    >>> for label in gene:
    ...     grammar.advance([label])
    >>> np.flatnonzero(grammar.legal_positions()[0])
    array([10])
"""

from __future__ import annotations

from genet5.tokens.automaton import Grammar
from genet5.tokens.rules import GrammarOptions, prokaryote_options

__all__ = ["Grammar", "GrammarOptions", "prokaryote_options"]
