"""Tiny language models with random weights, large enough that predictions differ."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from genet5.config.lm.init import PRESETS, LmShape
from genet5.lm.folders import LanguageModel
from genet5.lm.networks import build_network
from genet5.lm.text import Vocabulary
from genet5.lm.vocabulary import (
    KmerVocabulary,
    SpecialTokens,
    generator_vocabulary,
    nucleotide_gpt_vocabulary,
)

TINY = {"width": 32, "layers": 2, "heads": 4, "ff_width": 48, "max_tokens": 64}
LLAMA = replace(PRESETS["generator-nano"], **TINY, kv_heads=2, head_width=8)
SANDWICH = replace(PRESETS["nucleotide-gpt-nano"], **TINY, kv_heads=4, head_width=16)


def bpe_json() -> str:
    """A tokenizer.json with DNABERT-2's special tokens and three merges."""
    from tokenizers import AddedToken, Tokenizer, models

    words = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]", *"ACGT", "AC", "GT", "ACGT"]
    vocab = {word: number for number, word in enumerate(words)}
    merges = [("A", "C"), ("G", "T"), ("AC", "GT")]
    tokenizer = Tokenizer(models.BPE(vocab, merges, unk_token="[UNK]"))
    tokenizer.add_special_tokens([AddedToken(word, special=True) for word in words[:5]])
    return tokenizer.to_str()


def pair_vocabulary() -> KmerVocabulary:
    """2-mers in the order A, T, C, G after five special tokens."""
    ids = {"<oov>": 0, "<s>": 1, "</s>": 2, "<pad>": 3, "<mask>": 4}
    specials = SpecialTokens(ids=ids, unk="<oov>", pad="<pad>", bos="<s>", eos="</s>")
    return KmerVocabulary(k=2, letters="ATCG", first_id=5, specials=specials)


def tiny_lm(family: str = "generator", vocabulary: Vocabulary | None = None) -> LanguageModel:
    """A model whose next token depends on what came before."""
    shape: LmShape = LLAMA if family == "generator" else SANDWICH
    default = pair_vocabulary() if family == "generator" else nucleotide_gpt_vocabulary()
    vocabulary = vocabulary or default
    network = build_network(shape, vocabulary, seed=5).eval().requires_grad_(False)
    for weight in network.parameters():
        if weight.dim() > 1:
            weight.mul_(4.0 if family == "generator" else 1.5)
    return LanguageModel(network, vocabulary, family)


def write_published_generator(folder: Path, *, with_auto_map: bool) -> LanguageModel:
    """A small checkpoint in GENERator's published layout; returns the model that it holds."""
    vocabulary = generator_vocabulary()
    network = build_network(LLAMA, vocabulary, seed=7).eval().requires_grad_(False)
    config: dict[str, Any] = {
        "architectures": ["GENERatorForCausalLM" if with_auto_map else "LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": LLAMA.width,
        "num_hidden_layers": LLAMA.layers,
        "intermediate_size": LLAMA.ff_width,
        "num_attention_heads": LLAMA.heads,
        "num_key_value_heads": LLAMA.kv_heads,
        "vocab_size": 4128,
        "max_position_embeddings": LLAMA.max_tokens,
        "rope_theta": 500000.0,
        "rope_scaling": None,
        "rms_norm_eps": 1e-5,
        "hidden_act": "silu",
        "initializer_range": 0.02,
        "attention_bias": False,
        "tie_word_embeddings": False,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "torch_dtype": "float32",
        "transformers_version": "4.49.0",
    }
    if with_auto_map:
        config["auto_map"] = {
            "AutoModelForCausalLM": "modeling_generator.GENERatorForCausalLM",
        }
        code = "raise SystemExit('code of a checkpoint was run')\n"
        for name in ("modeling_generator.py", "tokenizer.py"):
            (folder / name).write_text(code)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "generation_config.json").write_text('{"bos_token_id": 1, "eos_token_id": 2}')
    names = sorted(vocabulary.special_ids, key=vocabulary.special_ids.__getitem__)
    kmers = [vocabulary.decode([number]) for number in range(32, 4128)]
    (folder / "vocab.txt").write_text("\n".join([*names, *kmers]) + "\n")
    tokenizer = {"k": 6, "tokenizer_class": "DNAKmerTokenizer", "unk_token": "<oov>"}
    if with_auto_map:
        tokenizer["auto_map"] = {"AutoTokenizer": ["tokenizer.DNAKmerTokenizer", None]}
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    tensors = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return LanguageModel(network, vocabulary, str(folder))


def random_dna(length: int, seed: int = 0) -> str:
    """Upper-case DNA."""
    chosen = torch.randint(0, 4, (length,), generator=torch.Generator().manual_seed(seed))
    return "".join("ACGT"[int(index)] for index in chosen)
