"""How sure a gene's start is, as attributes `start_score` and `start_alternatives` of GFF3 and GTF.

Example:
    >>> texts = {"start_score": "0.9000", "start_alternatives": "+6:0.0500,-30:0.0200"}
    >>> read_start_score(texts), read_start_alternatives(texts)
    (0.9, ((6, 0.05), (-30, 0.02)))
"""

from __future__ import annotations

import re

from genet5.genome.gene import Gene
from genet5.genome.io.attributes import Attributes, unescape

_SCORE, _OTHERS = "start_score", "start_alternatives"
START_WORDS = frozenset({_SCORE, _OTHERS})
"""The attributes' names."""
_PROBABILITY = r"(?:0(?:\.\d+)?|1(?:\.0+)?)"
_ONE = re.compile(_PROBABILITY)
_OTHER = re.compile(rf"([+-]\d+):({_PROBABILITY})")


def start_attributes(gene: Gene) -> dict[str, str]:
    """Return what is known about how sure a gene's start is."""
    found = {} if gene.start_score is None else {_SCORE: f"{gene.start_score:.4f}"}
    if gene.start_alternatives:
        found[_OTHERS] = ",".join(f"{o:+d}:{p:.4f}" for o, p in gene.start_alternatives)
    return found


def read_start_score(attributes: Attributes) -> float | None:
    """Return the probability of the start; None: not stated, or another program's number."""
    text = attributes.get(_SCORE, "")
    return float(text) if _ONE.fullmatch(text) else None


def read_start_alternatives(attributes: Attributes) -> tuple[tuple[int, float], ...]:
    """Return the other starts; none where they are not stated as `start_attributes` does."""
    if _OTHERS not in attributes:
        return ()
    found = [_OTHER.fullmatch(text) for text in unescape(attributes[_OTHERS]).split(",")]
    return tuple((int(one[1]), float(one[2])) for one in found if one) if all(found) else ()
