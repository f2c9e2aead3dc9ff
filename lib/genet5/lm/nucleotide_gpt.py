"""Nucleotide GPT's network: Llama's attention in a sandwich of norms, and an ungated GELU.

Each sublayer has a norm before *and* after it, inside the residual: `x + norm(attention(norm(x)))`.
The feed-forward layer is two matrices with GELU (tanh form) between them; nothing has a bias. Heads
are 128 wide whatever the model's width. Rotary embedding turns halves, from a base that is a
key of the configuration: the original takes its `max_seq_len`, so weights go with that number.

Sequences packed into one row are kept apart by position ids that restart: without a cache
(`use_cache=False`), `transformers` masks by them. A classifier's head is two matrices with GELU
between them on the last token's state, as in the original. Classes are registered with
`AutoModelForCausalLM` and `AutoModelForSequenceClassification` when this module is imported.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaModel,
)
from transformers import initialization as init
from transformers.activations import ACT2FN
from transformers.modeling_layers import GenericForSequenceClassification
from transformers.models.llama.modeling_llama import (
    LlamaAttention,
    LlamaDecoderLayer,
    LlamaPreTrainedModel,
    LlamaRMSNorm,
    LlamaRotaryEmbedding,
)

MODEL_TYPE = "nucleotide_gpt"


class NucleotideGPTConfig(LlamaConfig):  # type: ignore[misc]  # no types for its bases
    """Shape of a model; fields are Llama's."""

    model_type = MODEL_TYPE


class _FeedForward(nn.Module):
    def __init__(self, config: NucleotideGPTConfig) -> None:
        super().__init__()
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)
        self.act_fn = ACT2FN[config.hidden_act]

    def forward(self, x_BSD: Tensor) -> Tensor:
        found: Tensor = self.down_proj(self.act_fn(self.up_proj(x_BSD)))
        return found


class NucleotideGPTLayer(LlamaDecoderLayer):  # type: ignore[misc]
    """Attention and feed-forward layer, each between two norms."""

    def __init__(self, config: NucleotideGPTConfig, layer_idx: int) -> None:
        super().__init__(config, layer_idx)
        self.mlp = _FeedForward(config)
        width, eps = config.hidden_size, config.rms_norm_eps
        self.attention_output_layernorm = LlamaRMSNorm(width, eps=eps)
        self.feedforward_output_layernorm = LlamaRMSNorm(width, eps=eps)

    def forward(self, hidden_states: Tensor, **how: Any) -> Tensor:
        """Return the residual stream, (B, S, D), after both sublayers."""
        normed = self.input_layernorm(hidden_states)
        attended = self.self_attn(hidden_states=normed, **how)[0]
        hidden_states = hidden_states + self.attention_output_layernorm(attended)
        fed = self.mlp(self.post_attention_layernorm(hidden_states))
        found: Tensor = hidden_states + self.feedforward_output_layernorm(fed)
        return found


class _PreTrained(LlamaPreTrainedModel):  # type: ignore[misc]
    config_class = NucleotideGPTConfig
    _no_split_modules = ["NucleotideGPTLayer"]  # noqa: RUF012
    _can_record_outputs = {"hidden_states": NucleotideGPTLayer, "attentions": LlamaAttention}  # noqa: RUF012

    def _init_weights(self, module: nn.Module) -> None:
        """He-normal on all matrices, as in the original; gains are 1."""
        super()._init_weights(module)
        if isinstance(module, nn.Linear):
            init.normal_(module.weight, std=(2 / module.in_features) ** 0.5)
        elif isinstance(module, nn.Embedding):
            init.normal_(module.weight, std=(2 / module.num_embeddings) ** 0.5)


class NucleotideGPTModel(_PreTrained, LlamaModel):  # type: ignore[misc]
    """Embedding, layers and final norm."""

    def __init__(self, config: NucleotideGPTConfig) -> None:
        super(LlamaModel, self).__init__(config)  # Llama's own would make its layers first
        width, self.padding_idx = config.hidden_size, config.pad_token_id
        self.vocab_size = config.vocab_size
        self.embed_tokens = nn.Embedding(config.vocab_size, width, self.padding_idx)
        layers = [NucleotideGPTLayer(config, n) for n in range(config.num_hidden_layers)]
        self.layers = nn.ModuleList(layers)
        self.norm = LlamaRMSNorm(width, eps=config.rms_norm_eps)
        self.rotary_emb = LlamaRotaryEmbedding(config=config)
        self.gradient_checkpointing = False
        self.post_init()


class NucleotideGPTForCausalLM(_PreTrained, LlamaForCausalLM):  # type: ignore[misc]
    """The network with its output matrix."""

    def __init__(self, config: NucleotideGPTConfig) -> None:
        super(LlamaForCausalLM, self).__init__(config)
        self.model = NucleotideGPTModel(config)
        self.vocab_size = config.vocab_size
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()


class NucleotideGPTForSequenceClassification(
    GenericForSequenceClassification,  # type: ignore[misc]
    _PreTrained,
):
    """The network with a classifier's head."""

    def __init__(self, config: NucleotideGPTConfig) -> None:
        super().__init__(config)
        width = config.hidden_size
        self.score = nn.Sequential(
            nn.Linear(width, width, bias=False),
            nn.GELU(approximate="tanh"),
            nn.Linear(width, self.num_labels, bias=False),
        )
        self.post_init()


AutoConfig.register(MODEL_TYPE, NucleotideGPTConfig)
AutoModelForCausalLM.register(NucleotideGPTConfig, NucleotideGPTForCausalLM)
AutoModel.register(NucleotideGPTConfig, NucleotideGPTModel)
AutoModelForSequenceClassification.register(
    NucleotideGPTConfig, NucleotideGPTForSequenceClassification
)
