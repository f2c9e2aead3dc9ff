"""Continuing DNA: by whole tokens, or base by base from the marginals of k-mers.

`transformers` generates, with cache and padding on the left; a single logits processor does all
that concerns DNA, in this order: special tokens out, repetition penalty, temperature, top-k and
top-p over tokens, and, with `decode = base`, marginals. There the probability of a k-mer becomes
the product over its places of the probability of the base there, summed over all k-mers: so the
most probable k-mer has the most probable base at each place, and sampling draws each place by
itself. Greedy by token and greedy by base differ.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

from genet5.config.lm.generate import SamplingConfig
from genet5.errors import ConfigError, DataError
from genet5.lm.folders import LanguageModel
from genet5.lm.text import Vocabulary
from genet5.lm.vocabulary import Ids, KmerVocabulary


class DnaLogits(LogitsProcessor):  # type: ignore[misc]  # no types for its base
    """Turns logits into those of the tokens that may come next.

    Args:
        vocabulary: The model's.
        config: How tokens are chosen.
        size: Number of the network's logits.
        end_id: The token of the end, if it may come; None = it never does.

    Raises:
        ConfigError: Bases are wanted of tokens that have them at no fixed places, or of the end.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        config: SamplingConfig,
        size: int,
        end_id: int | None = None,
    ) -> None:
        is_kmer = isinstance(vocabulary, KmerVocabulary) and not vocabulary.is_overlapping
        if config.decode == "base" and not is_kmer:
            raise ConfigError("decode", "base", "needs k-mers that do not overlap")
        if getattr(vocabulary, "is_overlapping", False):
            raise ConfigError("tokenizer", "overlapping k-mers", "cannot be generated")
        if config.decode == "base" and end_id is not None:
            raise ConfigError("until_end", True, "needs decode = token: the end has no bases")
        self._config = config
        table = torch.from_numpy(vocabulary.base_at.astype("int64"))
        is_dna = torch.zeros(size, dtype=torch.bool)
        is_dna[: len(table)] = table[:, 0] >= 0
        self._is_dna, self._is_allowed = is_dna, is_dna.clone()
        if end_id is not None:
            self._is_allowed[end_id] = True
        self._one_hot = F.one_hot(table[is_dna[: len(table)]], 4).float()  # (4^k, k, 4)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return the logits that the next token is taken by, (B, V) fp32."""
        logits = self._penalised(input_ids, scores.float())
        logits = logits.masked_fill(~self._is_allowed.to(logits.device), -torch.inf)
        if self._config.temperature > 0:
            logits = _nucleus(logits / self._config.temperature, self._config)
        if self._config.decode == "base":
            logits = self._by_base(logits)
        return logits

    def _penalised(self, input_ids: Tensor, logits: Tensor) -> Tensor:
        penalty = self._config.repetition_penalty
        if penalty == 1.0:
            return logits
        seen = logits.gather(1, input_ids)
        return logits.scatter(1, input_ids, torch.where(seen < 0, seen * penalty, seen / penalty))

    def _by_base(self, logits: Tensor) -> Tensor:
        is_dna, one_hot = self._is_dna.to(logits.device), self._one_hot.to(logits.device)
        p = logits[:, is_dna].softmax(-1)
        marginals = torch.einsum("bn,nkc->bkc", p, one_hot).log()
        found = torch.full_like(logits, -torch.inf)
        found[:, is_dna] = (marginals[:, None].masked_fill(one_hot == 0, 0.0)).sum((-1, -2))
        return found


def _nucleus(logits: Tensor, config: SamplingConfig) -> Tensor:
    """Leave the most probable tokens by number and by probability."""
    if config.top_k is not None and config.top_k < logits.shape[-1]:
        least = logits.topk(config.top_k, dim=-1).values[:, -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    if config.top_p < 1:
        ordered, order = logits.sort(dim=-1, descending=True)
        before = ordered.softmax(-1).cumsum(-1) - ordered.softmax(-1)
        dropped = torch.zeros_like(before, dtype=torch.bool).scatter(
            1, order, before >= config.top_p
        )
        logits = logits.masked_fill(dropped, -torch.inf)
    return logits


@torch.no_grad()
def continue_tokens(
    lm: LanguageModel,
    prompts: Sequence[Ids],
    num_tokens: int,
    config: SamplingConfig,
    *,
    batch_tokens: int,
    seed: int = 0,
    end_id: int | None = None,
) -> list[NDArray[np.int64]]:
    """Return `num_tokens` tokens after each prompt, or those before the token of the end.

    Args:
        lm: The model.
        prompts: At least one token each.
        num_tokens: How many.
        config: How they are chosen.
        batch_tokens: Tokens of a batch, padding and what is generated included.
        seed: Of the sampling.
        end_id: The token that ends a sequence; None = none does.

    Raises:
        DataError: A prompt is empty, or the model does not take as many tokens.
    """
    longest = max(len(prompt) for prompt in prompts)
    if not min(len(prompt) for prompt in prompts):
        raise DataError(
            "an empty prompt", expected="one token or more: this model has no token of a beginning",
            remedy="Give --prompt, such as ATG",
        )  # fmt: skip
    if longest + num_tokens > lm.max_tokens:
        raise DataError(
            f"{longest} tokens of prompt and {num_tokens} to generate",
            expected=f"at most {lm.max_tokens} together", remedy="Shorten one of them",
        )  # fmt: skip
    size = max(1, batch_tokens // (longest + num_tokens))
    order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
    found: dict[int, NDArray[np.int64]] = {}
    devices = [lm.device] if lm.device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        for begin in range(0, len(order), size):
            batch = order[begin : begin + size]
            rows = [prompts[index] for index in batch]
            tokens = _generate(lm, rows, num_tokens, config, end_id)
            found |= dict(zip(batch, tokens, strict=True))
    return [found[index] for index in range(len(prompts))]


def _generate(
    lm: LanguageModel,
    prompts: Sequence[Ids],
    num_tokens: int,
    config: SamplingConfig,
    end_id: int | None,
) -> list[NDArray[np.int64]]:
    length, pad = max(len(prompt) for prompt in prompts), lm.vocabulary.pad_id
    ids = torch.full((len(prompts), length), pad, dtype=torch.int64)
    mask = torch.zeros_like(ids)
    for index, prompt in enumerate(prompts):
        ids[index, length - len(prompt) :] = torch.from_numpy(prompt.astype(np.int64))
        mask[index, length - len(prompt) :] = 1
    processor = DnaLogits(lm.vocabulary, config, lm.network.config.vocab_size, end_id)
    how = GenerationConfig(
        do_sample=config.temperature > 0,
        min_new_tokens=num_tokens if end_id is None else 0,
        max_new_tokens=num_tokens,
        top_k=0 if config.temperature > 0 else None,
        pad_token_id=pad,
        eos_token_id=end_id,
        bos_token_id=None,
        use_cache=True,
    )
    generated = lm.network.generate(
        ids.to(lm.device),
        attention_mask=mask.to(lm.device),
        generation_config=how,
        logits_processor=LogitsProcessorList([processor]),
    )
    tokens: NDArray[np.int64] = generated[:, length:].cpu().numpy()
    if end_id is None:
        return list(tokens)
    counts = np.cumprod(tokens != end_id, axis=1).sum(axis=1)  # before the first end
    return [row[:count] for row, count in zip(tokens, counts, strict=True)]
