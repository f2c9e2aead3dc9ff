"""A tiny model with random weights."""

from __future__ import annotations

import pytest

import builders
from genet5.config.model import ModelConfig


@pytest.fixture(scope="session")
def tiny_config() -> ModelConfig:
    return builders.tiny_config()


@pytest.fixture(scope="session")
def tiny_model(tiny_config: ModelConfig):
    """Random weights, large enough that choices differ between windows."""
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
