"""A GeneT5 of some thousand weights, none of them zero, and batches for it."""

import numpy as np
import torch

import builders
from genet5.dataset.batch import Batch, Inputs, Targets, position_steps
from genet5.model.network import GeneT5

TOGETHER = ("--batch_size", "16")
"""Flags of `annotate`: more windows in each pass of the decoder than the machine's own choice."""


def tiny_config(num_experts=0, norm_first=True, encoder_experts=0, balance="loss"):
    experts = {"num_experts": num_experts, "moe_top_k": 2} if num_experts else {}
    return builders.tiny_config(
        preset="nano",
        sequence_vocab=70,
        bp_per_token=3.0,
        encoder={
            "layers": 2,
            "heads": 4,
            "window_tokens": 8,
            "positions": "rope" if norm_first else "alibi",
            "norm_first": norm_first,
            "num_experts": encoder_experts,
            "moe_every": 2,
            "moe_balance": balance,
        },
        compressor={"num_latents": 16, "bin_bp": 8, "heads": 4, "kv_heads": 2, "window_bp": 24},
        decoder={
            "layers": 2,
            "heads": 4,
            "kv_heads": 2,
            "cross_kv_heads": 4,
            "moe_balance": balance,
            **experts,
        },
    )


def make_model(**changes):
    model = GeneT5(tiny_config(**changes))
    model.init_weights(1)
    torch.manual_seed(1)
    with torch.no_grad():  # what starts at zero must matter in these tests
        model.stem.to_tokens.weight.normal_(0, 0.1)
        model.code_embedding.weight.normal_(0, 0.1)
    return model.eval()


def make_batch(lengths=(96, 60), seed=0, length=None, steps=12):
    rng = np.random.default_rng(seed)
    length = length or max(lengths)
    tokens = -(-length // 3)
    bases = np.full((len(lengths), length), ord("N"), dtype=np.uint8)
    ids = np.zeros((len(lengths), tokens), dtype=np.int64)
    starts = np.zeros((len(lengths), tokens), dtype=np.int64)
    labels = np.zeros((len(lengths), steps), dtype=np.int64)
    for row, size in enumerate(lengths):
        rng = np.random.default_rng([seed, row])
        bases[row, :size] = rng.choice(np.frombuffer(b"ACGT", np.uint8), size)
        count = -(-size // 3)
        ids[row, :count] = rng.integers(4, 68, count)
        starts[row] = np.minimum(np.arange(tokens) * 3, size)
        labels[row] = np.where(
            rng.random(steps) < 0.4, -1 - rng.integers(0, size, steps), rng.integers(1, 65, steps)
        )
    inputs = Inputs(
        input_ids=torch.from_numpy(ids),
        token_start_bp=torch.from_numpy(starts),
        num_tokens=torch.tensor([-(-size // 3) for size in lengths]),
        bases=torch.from_numpy(bases),
        num_bases=torch.tensor(lengths),
        genetic_code=torch.tensor([11, 4])[: len(lengths)],
        evidence=torch.zeros(len(lengths), 0, length, dtype=torch.uint8),
    )
    shape = (len(lengths), 2, length)
    targets = Targets(
        labels=torch.from_numpy(labels),
        label_weights=torch.ones(labels.shape),
        position_steps=position_steps(torch.from_numpy(labels)),
        states=torch.randint(0, 8, shape).to(torch.int8),
        boundaries=(torch.rand(len(lengths), 8, length) < 0.05).to(torch.int8),
        base_weights=torch.ones(shape),
        starts=torch.full((*labels.shape, 9), -1, dtype=torch.int32),
    )
    return Batch(inputs, targets, ("a", "b")[: len(lengths)])
