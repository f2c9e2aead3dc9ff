"""A tiny model with random weights."""

from __future__ import annotations

import pytest

from genet5.config.model import CompressorConfig, DecoderConfig, EncoderConfig, ModelConfig


@pytest.fixture(scope="session")
def tiny_config() -> ModelConfig:
    from genet5.tokens.sequence import KmerTokenizer
    from genet5.tokens.vocabulary import StructureVocabulary

    return ModelConfig(
        preset="tiny",
        width=32,
        sequence_vocab=KmerTokenizer(4).vocab_size,
        structure_vocab=len(StructureVocabulary()),
        bp_per_token=4.0,
        base_channels=16,
        pointer_width=16,
        encoder=EncoderConfig(
            layers=1, heads=2, ff_dim=32, window_tokens=64, positions="rope", norm_first=True
        ),
        compressor=CompressorConfig(
            num_latents=64, bin_bp=16, layers=1, heads=2, kv_heads=1, ff_dim=32, window_bp=128
        ),
        decoder=DecoderConfig(
            layers=1,
            heads=2,
            kv_heads=1,
            cross_kv_heads=1,
            ff_dim=32,
            num_experts=0,
            moe_top_k=1,
            dropout=0.0,
        ),
    )


@pytest.fixture(scope="session")
def tiny_model(tiny_config: ModelConfig):
    """Random weights, large enough that choices differ from window to window; slow to end a window or to cut a gene."""
    import torch

    from genet5.model.network import GeneT5
    from genet5.tokens.vocabulary import StructureVocabulary

    model = GeneT5(tiny_config).eval().requires_grad_(False)
    model.init_weights(3)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.mul_(6.0)
        model.base_heads.boundaries.bias.zero_()
    bias = torch.zeros(tiny_config.structure_vocab)
    bias[[StructureVocabulary.eos, StructureVocabulary.cut_left]] = -4.0
    plain = model.token_logits
    model.token_logits = lambda states: plain(states) + bias
    return model


@pytest.fixture(scope="session")
def tiny_tokenizer():
    from genet5.tokens.sequence import KmerTokenizer
    from genet5.tokens.tokenizer_file import Tokenizer

    return Tokenizer(KmerTokenizer(4))
