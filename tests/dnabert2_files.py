"""DNABERT-2 for tests: checkpoints with random weights, and its equations written out.

Nothing here uses the library's own layers, so that agreement means something.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

SMALL = {
    "num_hidden_layers": 3,
    "hidden_size": 48,
    "num_attention_heads": 6,
    "intermediate_size": 80,
    "vocab_size": 8,
    "type_vocab_size": 2,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
}
PUBLISHED = SMALL | {
    "num_hidden_layers": 12,
    "hidden_size": 768,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "vocab_size": 4096,
}


def shapes(config: dict) -> dict[str, tuple[int, ...]]:
    """Keys and shapes as published, those that GeneT5 has no use for included."""
    d, f = config["hidden_size"], config["intermediate_size"]
    found = {
        "bert.embeddings.word_embeddings.weight": (config["vocab_size"], d),
        "bert.embeddings.token_type_embeddings.weight": (config["type_vocab_size"], d),
        "bert.embeddings.LayerNorm.weight": (d,),
        "bert.embeddings.LayerNorm.bias": (d,),
    }
    for n in range(config["num_hidden_layers"]):
        found |= {
            f"bert.encoder.layer.{n}.attention.self.Wqkv.weight": (3 * d, d),
            f"bert.encoder.layer.{n}.attention.self.Wqkv.bias": (3 * d,),
            f"bert.encoder.layer.{n}.attention.output.dense.weight": (d, d),
            f"bert.encoder.layer.{n}.attention.output.dense.bias": (d,),
            f"bert.encoder.layer.{n}.attention.output.LayerNorm.weight": (d,),
            f"bert.encoder.layer.{n}.attention.output.LayerNorm.bias": (d,),
            f"bert.encoder.layer.{n}.mlp.gated_layers.weight": (2 * f, d),
            f"bert.encoder.layer.{n}.mlp.wo.weight": (d, f),
            f"bert.encoder.layer.{n}.mlp.wo.bias": (d,),
            f"bert.encoder.layer.{n}.mlp.layernorm.weight": (d,),
            f"bert.encoder.layer.{n}.mlp.layernorm.bias": (d,),
        }
    return found | {
        "bert.pooler.dense.weight": (d, d),
        "bert.pooler.dense.bias": (d,),
        "cls.predictions.decoder.bias": (config["vocab_size"],),
    }


def random_state(config: dict, seed: int = 0) -> dict[str, Tensor]:
    """Weights of unit gain, so that attention is not uniform; norms and biases far from 1 and 0.

    At a gain of 1.5 the equations in fp32 themselves are 1e-5 from those in fp64.
    """
    draw = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in shapes(config).items():
        std = shape[-1] ** -0.5 if len(shape) == 2 else 0.2
        state[name] = torch.randn(shape, generator=draw) * std
        if name.lower().endswith("layernorm.weight"):
            state[name] += 1
    return state


def write(folder: Path, config: dict, state: dict, name: str = "pytorch_model.bin") -> Path:
    """Write config.json and the weights; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    if name.endswith(".safetensors"):
        save_file(state, folder / name)
    else:
        torch.save(state, folder / name)
    return folder


def write_tokenizer(folder: Path) -> str:
    """Write a BPE tokenizer.json of eight tokens; return its text."""
    tokens = ["[UNK]", "[PAD]", "A", "C", "G", "T", "AC", "ACG"]
    model = {
        "type": "BPE",
        "dropout": None,
        "unk_token": "[UNK]",
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": False,
        "byte_fallback": False,
        "vocab": {token: number for number, token in enumerate(tokens)},
        "merges": ["A C", "AC G"],
    }
    whole = dict.fromkeys(("truncation", "padding", "normalizer", "post_processor", "decoder"))
    whole |= {"version": "1.0", "added_tokens": [], "pre_tokenizer": {"type": "Whitespace"}}
    text = json.dumps(whole | {"model": model})
    (folder / "tokenizer.json").write_text(text)
    return text


def slopes(heads: int) -> list[float]:
    """ALiBi's, for powers of two and for what lies between."""

    def geometric(n: int) -> list[float]:
        s = 2 ** (-(2 ** -(math.log2(n) - 3)))
        return [s * s**i for i in range(n)]

    lower = 2 ** int(math.log2(heads))
    if lower == heads:
        return geometric(heads)
    return geometric(lower) + geometric(2 * lower)[::2][: heads - lower]


def states(state: dict, config: dict, ids: Tensor, half_window: int | None = None) -> Tensor:
    """Last states of one sequence without padding, (S,) to (S, D), in the weights' type.

    `half_window`: tokens further apart do not see each other.
    """
    d, f, heads = (config[n] for n in ("hidden_size", "intermediate_size", "num_attention_heads"))

    def norm(x: Tensor, name: str) -> Tensor:
        centred = x - x.mean(-1, keepdim=True)
        variance = centred.square().mean(-1, keepdim=True)
        x = centred / (variance + 1e-12).sqrt()
        return x * state[f"{name}.weight"] + state[f"{name}.bias"]

    words = state["bert.embeddings.word_embeddings.weight"]
    types = state["bert.embeddings.token_type_embeddings.weight"]
    x = norm(words[ids] + types[0], "bert.embeddings.LayerNorm")
    distance = (torch.arange(len(ids))[:, None] - torch.arange(len(ids))[None]).abs().to(x.dtype)
    for n in range(config["num_hidden_layers"]):
        at = f"bert.encoder.layer.{n}"
        qkv = x @ state[f"{at}.attention.self.Wqkv.weight"].T
        qkv = qkv + state[f"{at}.attention.self.Wqkv.bias"]
        q, k, v = qkv[:, :d], qkv[:, d : 2 * d], qkv[:, 2 * d :]
        size, seen = d // heads, []
        for head, slope in enumerate(slopes(heads)):
            part = slice(head * size, (head + 1) * size)
            scores = q[:, part] @ k[:, part].T / math.sqrt(size) - slope * distance
            if half_window is not None:
                scores = scores.masked_fill(distance > half_window, float("-inf"))
            seen.append(scores.softmax(-1) @ v[:, part])
        dense = torch.cat(seen, -1) @ state[f"{at}.attention.output.dense.weight"].T
        dense = dense + state[f"{at}.attention.output.dense.bias"]
        h = norm(x + dense, f"{at}.attention.output.LayerNorm")
        u = h @ state[f"{at}.mlp.gated_layers.weight"].T
        u1, u2 = u[:, :f], u[:, f:]
        gelu = u1 * 0.5 * (1 + torch.erf(u1 / math.sqrt(2)))
        wo = (gelu * u2) @ state[f"{at}.mlp.wo.weight"].T + state[f"{at}.mlp.wo.bias"]
        x = norm(h + wo, f"{at}.mlp.layernorm")
    return x
