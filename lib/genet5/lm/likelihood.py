"""The exact log-likelihood of DNA under a causal model, for any length and any letters, in fp32.

A k-mer model gives probabilities of whole k-mers. That of a remainder shorter than k is the sum
over all k-mers that begin with it, and that of a k-mer with ambiguous letters the sum over all
k-mers that they allow (IUPAC). What comes after such a k-mer depends on which one it was, so the
likelihood of the whole is a sum over all completions: `exact` evaluates each of them, and costs
their number. `oov` shows later tokens the unknown token instead, as the published scripts do, and
costs one pass. `split` scores the intervals between ambiguous letters on their own.

A sequence begins with the model's token for that, if it has one; else its first token is given, not
scored (and averaged over, if it is ambiguous). Logits and their normalisation are fp32 whatever the
network's precision, over the whole vocabulary; sums over tokens are fp64. A BPE model's likelihood
is that of the tokenization that its tokenizer gives.

Example:
    rows = likelihood_rows(lm.vocabulary, bases, "exact", LikelihoodConfig(), lm.max_tokens)
    combine(rows, log_probabilities(lm, rows, batch_tokens=16_384))
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from Bio.Data.IUPACData import ambiguous_dna_values
from numpy.typing import NDArray
from torch import Tensor

from genet5.config.lm.score import AmbiguousName, LikelihoodConfig
from genet5.errors import ConfigError, DataError
from genet5.genome.sequence import BASE_INDEX, Bases
from genet5.lm.bpe import BpeVocabulary
from genet5.lm.folders import LanguageModel
from genet5.lm.nucleotide_gpt import MODEL_TYPE
from genet5.lm.text import Vocabulary, count_ambiguous
from genet5.lm.vocabulary import Ids, KmerVocabulary

Allowed = NDArray[np.bool_]
"""(V,) tokens whose probabilities are summed."""

_LOGITS_AT_ONCE = 1 << 23
_HEADED = ("llama", MODEL_TYPE)
"""Models whose logits are the output matrix times the last hidden state, and nothing else."""


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One sequence of tokens that the network reads."""

    ids: Ids
    """(S,) tokens."""
    first: int = 1
    """Position of the first token that is scored; the ones before are context."""
    sums: Mapping[int, Allowed] = field(default_factory=dict)
    """Positions of which not the token, but a set of them is scored."""
    sequence: int = 0
    """Number of the completed interval that this row belongs to: rows of one are summed as
    probabilities, intervals as logarithms."""
    log_weight: float = 0.0
    """Added to the row's log-probability."""
    scored_bp: int = 0
    """Bases that the row scores."""


def likelihood_rows(
    vocabulary: Vocabulary,
    bases: Bases,
    ambiguous: AmbiguousName,
    config: LikelihoodConfig,
    max_tokens: int,
) -> list[Row]:
    """Return the rows whose probabilities make up a sequence's likelihood.

    Args:
        vocabulary: The model's.
        bases: One strand of a sequence.
        ambiguous: How letters other than A, C, G, T are scored.
        config: Limits and overlap.
        max_tokens: Longest row.

    Raises:
        DataError: There are too many completions, or the length and letters cannot both be dealt
            with exactly.
        ConfigError: Tokens overlap, or the overlap leaves no room.
    """
    intervals = _intervals(bases) if ambiguous == "split" else [bases]
    rows: list[Row] = []
    for number, interval in enumerate(intervals):
        tokens = _tokens_of(vocabulary, interval)
        begins = vocabulary.bos_id is not None
        if len(tokens.ids) + begins <= max_tokens:
            found = _whole(vocabulary, tokens, ambiguous, config.max_completions)
            rows += [_numbered(row, number) for row in found]
            continue
        if ambiguous == "exact" and any(at + 1 < len(tokens.ids) for at in tokens.sums):
            raise DataError(
                f"{len(bases)} bases with ambiguous letters",
                expected=f"at most {max_tokens} tokens to be scored exactly",
                remedy="Use --ambiguous oov or split",
            )
        overlap = max_tokens // 2 if config.overlap is None else config.overlap
        if overlap + 1 >= max_tokens:
            raise ConfigError("overlap", overlap, f"must be below {max_tokens - 1} tokens")
        windows = _windows(vocabulary, tokens, max_tokens, overlap)
        rows += [_numbered(row, len(intervals) + len(rows) + n) for n, row in enumerate(windows)]
    return rows


def combine(rows: Sequence[Row], log_p: NDArray[np.float64]) -> tuple[float, int]:
    """Return a sequence's log-likelihood in nats, and how many bases it covers.

    Args:
        rows: Of one sequence.
        log_p: (rows,) what `log_probabilities` found for them.
    """
    total, scored_bp = 0.0, 0
    for _, group in itertools.groupby(range(len(rows)), key=lambda index: rows[index].sequence):
        members = list(group)
        total += float(np.logaddexp.reduce([log_p[i] + rows[i].log_weight for i in members]))
        scored_bp += rows[members[0]].scored_bp
    return total, scored_bp


@torch.no_grad()
def log_probabilities(
    lm: LanguageModel, rows: Sequence[Row], *, batch_tokens: int
) -> NDArray[np.float64]:
    """Return the log-probability of each row's scored tokens, (rows,), in nats.

    Rows are batched by length; padding is on the right, where a causal model cannot see it.
    """
    found = np.zeros(len(rows), dtype=np.float64)
    order = sorted(range(len(rows)), key=lambda index: len(rows[index].ids))
    for batch in _batches(order, [len(row.ids) for row in rows], batch_tokens):
        found[batch] = _batch_log_p(lm, [rows[index] for index in batch])
    return found


@torch.no_grad()
def last_log_probabilities(
    lm: LanguageModel, contexts: Sequence[Ids], *, batch_tokens: int
) -> NDArray[np.float32]:
    """Return the log-probabilities of the token after each context, (contexts, V)."""
    found = np.zeros((len(contexts), lm.network.config.vocab_size), dtype=np.float32)
    order = sorted(range(len(contexts)), key=lambda index: len(contexts[index]))
    for batch in _batches(order, [len(ids) for ids in contexts], batch_tokens):
        padded = _padded([contexts[index] for index in batch], lm)
        last = torch.tensor([len(contexts[index]) - 1 for index in batch], device=lm.device)
        states = _states(lm, padded)
        chosen = states[torch.arange(len(batch), device=lm.device), last]
        found[batch] = _logits(lm, chosen).log_softmax(-1).cpu().numpy()
    return found


# ---- sequences to rows ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Tokens:
    """An interval cut into tokens."""

    ids: Ids
    """(S,) tokens; unknown ones where a set is allowed."""
    lengths: NDArray[np.int32]
    """(S,) bases of each."""
    sums: dict[int, Allowed]


def _tokens_of(vocabulary: Vocabulary, bases: Bases) -> _Tokens:
    if isinstance(vocabulary, BpeVocabulary):
        ids = vocabulary.encode(bases)
        return _Tokens(ids, vocabulary.token_lengths(bases), {})
    if vocabulary.is_overlapping:
        raise ConfigError("tokenizer", "overlapping k-mers", "cannot be scored: tokens share bases")
    k, rest = vocabulary.k, len(bases) % vocabulary.k
    ids = vocabulary.encode(bases)
    lengths = np.full(len(ids), k, dtype=np.int32)
    if rest:
        ids = np.append(ids, np.int32(vocabulary.unk_id))
        lengths = np.append(lengths, np.int32(rest))
    at = np.flatnonzero(ids == vocabulary.unk_id).tolist()
    sums = {n: _allowed(vocabulary, bases[n * k : n * k + k].tobytes()) for n in at}
    return _Tokens(ids, lengths, sums)


@functools.lru_cache(maxsize=4096)
def _allowed(vocabulary: KmerVocabulary, letters: bytes) -> Allowed:
    """Return which k-mers agree with letters, fewer than k or ambiguous ones."""
    table = vocabulary.base_at
    allowed: Allowed = table[:, 0] >= 0
    for place, letter in enumerate(letters.decode("ascii").upper().replace("U", "T")):
        bases = ["ACGT".index(base) for base in ambiguous_dna_values[letter]]
        allowed &= np.isin(table[:, place], bases)
    return allowed


def _intervals(bases: Bases) -> list[Bases]:
    """Return the parts without ambiguous letters."""
    if not count_ambiguous(bases):
        return [bases]
    known = np.concatenate([[False], BASE_INDEX[bases] < 4, [False]])
    borders = np.flatnonzero(known[1:] != known[:-1]).reshape(-1, 2)
    return [bases[begin:end] for begin, end in borders.tolist()]


def _whole(
    vocabulary: Vocabulary, tokens: _Tokens, ambiguous: AmbiguousName, limit: int
) -> list[Row]:
    """Return the rows of an interval that fits the model: one for each completion."""
    has_bos = vocabulary.bos_id is not None
    first = 0 if has_bos else 1
    last = len(tokens.ids) - 1
    # Nothing depends on which token the last one was: it is summed in place.
    branching = [] if ambiguous == "oov" else [at for at in tokens.sums if first <= at < last]
    given = [] if ambiguous == "oov" else [at for at in tokens.sums if at < first]
    options = {at: np.flatnonzero(tokens.sums[at]) for at in [*given, *branching]}
    count = math.prod(len(found) for found in options.values())
    if count > limit:
        raise DataError(
            f"{len(tokens.sums)} tokens with ambiguous letters, {count:,} completions",
            expected=f"at most {limit:,} (--max_completions)",
            remedy="Use --ambiguous oov or split",
        )
    weight = -math.log(math.prod(len(options[at]) for at in given)) if given else 0.0
    sums = {at + has_bos: s for at, s in tokens.sums.items() if at not in options}
    rows = []
    for chosen in itertools.product(*options.values()):
        ids = tokens.ids.copy()
        ids[list(options)] = chosen
        rows.append(
            Row(
                _begun(vocabulary, ids), sums=sums, log_weight=weight,
                scored_bp=int(tokens.lengths[first:].sum()),
            )
        )  # fmt: skip
    return rows


def _windows(
    vocabulary: Vocabulary, tokens: _Tokens, max_tokens: int, overlap: int
) -> Iterator[Row]:
    """Yield rows that score a long interval in parts, each after `overlap` tokens of context."""
    has_bos = vocabulary.bos_id is not None
    scored, length = (0 if has_bos else 1), len(tokens.ids)
    while scored < length:
        begin = max(0, scored - overlap)
        end = min(length, begin + max_tokens - has_bos)
        ids = tokens.ids[begin:end]
        sums = {at - begin + has_bos: s for at, s in tokens.sums.items() if scored <= at < end}
        yield Row(
            _begun(vocabulary, ids),
            first=scored - begin + has_bos,
            sums=sums,
            scored_bp=int(tokens.lengths[scored:end].sum()),
        )
        scored = end


def _begun(vocabulary: Vocabulary, ids: Ids) -> Ids:
    if vocabulary.bos_id is None:
        return ids
    return np.concatenate([np.array([vocabulary.bos_id], dtype=np.int32), ids])


def _numbered(row: Row, number: int) -> Row:
    return Row(row.ids, row.first, row.sums, number, row.log_weight, row.scored_bp)


# ---- rows to probabilities -----------------------------------------------------------------------


def _batches(
    order: Sequence[int], lengths: Sequence[int], batch_tokens: int
) -> Iterator[list[int]]:
    """Cut an order of ascending lengths into batches within the budget, one row at least."""
    batch: list[int] = []
    for index in order:
        if batch and lengths[index] * (len(batch) + 1) > batch_tokens:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def _padded(ids: Sequence[Ids], lm: LanguageModel) -> Tensor:
    length = max(len(each) for each in ids)
    padded = np.full((len(ids), max(length, 1)), lm.vocabulary.pad_id, dtype=np.int64)
    for index, each in enumerate(ids):
        padded[index, : len(each)] = each
    return torch.from_numpy(padded).to(lm.device)


def _states(lm: LanguageModel, ids: Tensor) -> Tensor:
    """Return what `_logits` takes of each position, (B, S, D)."""
    network = lm.network
    if network.config.model_type in _HEADED:
        states: Tensor = network.base_model(ids, use_cache=False).last_hidden_state
        return states
    logits: Tensor = network(ids, use_cache=False).logits
    return logits


def _logits(lm: LanguageModel, states: Tensor) -> Tensor:
    """Return fp32 logits; those of bf16 are too coarse for differences between alleles."""
    if lm.network.config.model_type in _HEADED:
        head: Tensor = lm.network.get_output_embeddings().weight
        return states.float() @ head.float().T
    return states.float()


def _batch_log_p(lm: LanguageModel, rows: Sequence[Row]) -> NDArray[np.float64]:
    ids = _padded([row.ids for row in rows], lm)
    states, size = _states(lm, ids), lm.network.config.vocab_size
    first = torch.tensor([row.first for row in rows], device=lm.device)
    lengths = torch.tensor([len(row.ids) for row in rows], device=lm.device)
    total = torch.zeros(len(rows), dtype=torch.float64, device=lm.device)
    step = max(1, _LOGITS_AT_ONCE // (len(rows) * size))
    for begin in range(0, ids.shape[1] - 1, step):
        end = min(begin + step, ids.shape[1] - 1)
        log_p = _logits(lm, states[:, begin:end]).log_softmax(-1)
        targets = torch.arange(begin + 1, end + 1, device=lm.device)
        chosen = log_p.gather(-1, ids[:, begin + 1 : end + 1, None])[..., 0].double()
        _put_sums(rows, log_p, chosen, begin)
        is_scored = (targets >= first[:, None]) & (targets < lengths[:, None])
        total += torch.where(is_scored, chosen, 0.0).sum(1)
    return total.cpu().numpy()


def _put_sums(rows: Sequence[Row], log_p: Tensor, chosen: Tensor, begin: int) -> None:
    """Replace the log-probabilities of tokens by those of sets where a set is scored."""
    for index, row in enumerate(rows):
        for position, allowed in row.sums.items():
            column = position - 1 - begin
            if 0 <= column < log_p.shape[1]:
                mask = torch.from_numpy(np.flatnonzero(allowed)).to(log_p.device)
                chosen[index, column] = log_p[index, column, mask].double().logsumexp(-1)
