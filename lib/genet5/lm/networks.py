"""From a shape to a network of `transformers`: Llama for GENERator, ours for Nucleotide GPT.

Example:
    >>> from genet5.config.lm.init import PRESETS
    >>> from genet5.lm.vocabulary import generator_vocabulary
    >>> with torch.device("meta"):
    ...     model = build_network(PRESETS["generator-1.2b"], generator_vocabulary())
    >>> f"{model.num_parameters():,}"
    '1,162,061,824'
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel, set_seed

from genet5.config.lm.init import LmShape
from genet5.lm.nucleotide_gpt import NucleotideGPTConfig, NucleotideGPTForCausalLM
from genet5.lm.text import Vocabulary

_ACTIVATIONS = {"generator": "silu", "nucleotide_gpt": "gelu_pytorch_tanh"}


def network_config(shape: LmShape, vocabulary: Vocabulary) -> LlamaConfig:
    """Return the configuration that is saved as config.json."""
    cls = NucleotideGPTConfig if shape.family == "nucleotide_gpt" else LlamaConfig
    return cls(
        vocab_size=vocabulary.vocab_size,
        hidden_size=shape.width,
        intermediate_size=shape.ff_width,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.head_width,
        hidden_act=_ACTIVATIONS[shape.family],
        max_position_embeddings=shape.max_tokens,
        rms_norm_eps=shape.norm_eps,
        rope_parameters={"rope_type": "default", "rope_theta": shape.rope_theta},
        tie_word_embeddings=False,
        pad_token_id=vocabulary.pad_id,
        bos_token_id=vocabulary.bos_id,
        eos_token_id=vocabulary.eos_id,
    )


def build_network(
    shape: LmShape, vocabulary: Vocabulary, *, seed: int | None = None
) -> PreTrainedModel:
    """Return a network with random weights.

    Args:
        shape: Its architecture.
        vocabulary: Its tokens.
        seed: Of the weights; None = the generator's present state.
    """
    if seed is not None:
        set_seed(seed)
    config = network_config(shape, vocabulary)
    is_ours = shape.family == "nucleotide_gpt"
    return NucleotideGPTForCausalLM(config) if is_ours else LlamaForCausalLM(config)


def count_parts(model: torch.nn.Module) -> dict[str, int]:
    """Return the parameters of each part, and their total."""
    counts: dict[str, Any] = dict.fromkeys(("embedding", "layers", "norm", "head"), 0)
    for name, parameter in model.named_parameters():
        part = "layers" if ".layers." in name else "norm"
        if name.startswith("lm_head"):
            part = "head"
        elif "embed_tokens" in name:
            part = "embedding"
        counts[part] += parameter.numel()
    return {**counts, "total": sum(counts.values())}
