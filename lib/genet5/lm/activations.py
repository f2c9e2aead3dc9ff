"""States of a layer, token by token, with the places of the tokens on their contig.

Windows tile contigs, and each is read on its own, after the model's token of the beginning. Unknown
tokens and that of the beginning are left out: what is given are states of DNA.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genet5.errors import ConfigError, DataError
from genet5.genome.sequence import Bases
from genet5.lm.bpe import BpeVocabulary
from genet5.lm.folders import LanguageModel
from genet5.lm.text import Vocabulary
from genet5.lm.vocabulary import Ids

_MOST_BP = 6144


@dataclass(frozen=True, slots=True)
class Place:
    """A window: 0-based half-open on a contig."""

    contig: str
    start: int
    end: int


@dataclass(frozen=True, slots=True, eq=False)
class TokenStates:
    """The states of a window's S tokens."""

    place: Place
    starts: NDArray[np.int64]
    """(S,) first base of each token on the contig."""
    lengths: NDArray[np.int64]
    """(S,) bases of each token."""
    states_SD: Tensor
    """(S, D) fp32."""


def window_length(lm: LanguageModel, wanted: int | None) -> int:
    """Return the bases of a window: as wanted, or as the model takes, but 6144 at most.

    Raises:
        ConfigError: The model does not take as many.
    """
    room = lm.max_tokens - (lm.vocabulary.bos_id is not None)
    most = int(room * lm.vocabulary.bp_per_token)
    if wanted is not None and wanted > most:
        raise ConfigError("window_bp", wanted, f"must be at most {most}, which the model takes")
    step = int(lm.vocabulary.bp_per_token)
    return min(most, _MOST_BP) // step * step if wanted is None else wanted


def tiles(lengths: Sequence[tuple[str, int]], window_bp: int) -> Iterator[Place]:
    """Cut contigs (name, length) into windows; the last one of each is shorter.

    Example:
        >>> [(p.start, p.end) for p in tiles([("a", 5)], 3)]
        [(0, 3), (3, 5)]
    """
    for name, length in lengths:
        for start in range(0, length, window_bp):
            yield Place(name, start, min(start + window_bp, length))


@torch.no_grad()
def layer_states(
    lm: LanguageModel, windows: Sequence[tuple[Place, Bases]], layer: int
) -> list[TokenStates]:
    """Return the output of a layer (0: the embedding) over windows, read as one batch.

    Raises:
        DataError: A window has more tokens than the model takes.
    """
    cut = [_tokens(lm.vocabulary, bases) for _, bases in windows]
    bos_id = lm.vocabulary.bos_id
    has_bos = bos_id is not None
    longest = max((len(ids) for ids, _ in cut), default=0) + has_bos
    if longest > lm.max_tokens:
        raise DataError(
            f"a window of {longest} tokens", expected=f"at most {lm.max_tokens}",
            remedy="Lower --window_bp",
        )  # fmt: skip
    padded = torch.full((len(cut), longest), lm.vocabulary.pad_id)
    if bos_id is not None:
        padded[:, 0] = bos_id
    for row, (ids, _) in enumerate(cut):
        padded[row, has_bos : has_bos + len(ids)] = torch.from_numpy(ids.astype(np.int64))
    how = {"use_cache": False, "output_hidden_states": True}
    hidden = lm.network.base_model(padded.to(lm.device), **how).hidden_states[layer]
    found = []
    for row, ((place, _), (ids, lengths)) in enumerate(zip(windows, cut, strict=True)):
        known = ids != lm.vocabulary.unk_id
        starts = place.start + np.cumsum(lengths) - lengths
        states = hidden[row, has_bos : has_bos + len(ids)].float()
        found.append(TokenStates(place, starts[known], lengths[known], states[known]))
    return found


def _tokens(vocabulary: Vocabulary, bases: Bases) -> tuple[Ids, NDArray[np.int64]]:
    """Return the whole tokens of a window, and the bases of each."""
    ids = vocabulary.encode(bases)
    if isinstance(vocabulary, BpeVocabulary):
        return ids, vocabulary.token_lengths(bases).astype(np.int64)
    if vocabulary.is_overlapping:
        raise ConfigError("tokenizer", "overlapping k-mers", "share bases: they have no place")
    return ids, np.full(len(ids), vocabulary.k, dtype=np.int64)
