"""Which structural tokens may follow which, by syntax alone.

Label smoothing spreads over these and no others.

Example:
    >>> from genet5.tokens.vocabulary import StructureVocabulary
    >>> vocabulary = StructureVocabulary()
    >>> table = successors(len(vocabulary))
    >>> [vocabulary.tokens[i] for i in table[vocabulary.plus].nonzero()[0]]
    ['<tx>']
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from genet5.config.clades import CLADES
from genet5.tokens.vocabulary import StructureVocabulary


@functools.cache
def successors(num_tokens: int) -> NDArray[np.bool_]:
    """Tabulate the syntax of `tokens.structure`.

    Args:
        num_tokens: Size of the vocabulary; all tokens after the fixed ones are gene types.

    Returns:
        (num_tokens + 1, num_tokens) bool, not to be written to: row i holds the tokens that may
        follow token i, the last row those that may follow the last base of a part. Rows of tokens
        that only a position or nothing follows are empty.
    """
    v = StructureVocabulary
    codes = range(v.frame_none + 1, v.first_type - len(CLADES))
    clades = range(codes.stop, v.first_type)
    types = range(v.first_type, num_tokens)
    frames = range(v.frame_0, v.frame_none + 1)
    kinds = (v.cds, v.utr, v.exon)
    after_transcript = (v.tx, *types, v.eos)
    rules: list[tuple[range | tuple[int, ...], tuple[int, ...]]] = [
        ((v.bos,), tuple(codes)),
        (codes, (*clades, *types, v.eos)),
        (clades, (*types, v.eos)),
        (types, (v.plus, v.minus)),
        ((v.plus, v.minus), (v.tx,)),
        ((v.tx,), (*kinds, v.cut_left)),
        ((v.cut_left,), tuple(frames)),
        (frames, (*kinds, v.cut_right)),
        ((v.cut_right,), after_transcript),
        ((num_tokens,), (*kinds, v.cut_right, *after_transcript)),
    ]
    table = np.zeros((num_tokens + 1, num_tokens), dtype=np.bool_)
    for tokens, followers in rules:
        table[np.ix_(tuple(tokens), followers)] = True
    table.flags.writeable = False
    return table
