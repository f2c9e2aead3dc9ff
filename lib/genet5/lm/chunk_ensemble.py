"""A classifier of long sequences: chunks read alone, their last states joined by one layer.

A row of ids is cut into chunks of `chunk_tokens` from its first token on. The last state of each
chunk is put beside the others, zeros where a row has fewer chunks, and one matrix without bias
makes the logits: the scheme of GENERator's `chunk_ensemble`, for any backbone. Classes are
registered with `AutoModelForSequenceClassification` when this module is imported.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    PretrainedConfig,
    PreTrainedModel,
)
from transformers.modeling_outputs import SequenceClassifierOutput

MODEL_TYPE = "dna_chunk_ensemble"


class ChunkEnsembleConfig(PretrainedConfig):  # type: ignore[misc]  # no types for its bases
    """Shape of the backbone, and how sequences are cut.

    Args:
        backbone: Its configuration, or that as a dictionary.
        chunk_tokens: Tokens of a chunk.
        max_chunks: Most chunks of a sequence.
    """

    model_type = MODEL_TYPE

    def __init__(
        self,
        backbone: Any = None,
        chunk_tokens: int = 8192,
        max_chunks: int = 1,
        **how: Any,
    ) -> None:
        if isinstance(backbone, PretrainedConfig):
            backbone = backbone.to_dict()
        self.backbone, self.chunk_tokens, self.max_chunks = backbone, chunk_tokens, max_chunks
        super().__init__(**how)

    def backbone_config(self) -> Any:
        """Return the backbone's configuration."""
        values = dict(self.backbone)
        return AutoConfig.for_model(values.pop("model_type"), **values)


class ChunkEnsembleForSequenceClassification(PreTrainedModel):  # type: ignore[misc]
    """Backbone and head."""

    config_class = ChunkEnsembleConfig
    base_model_prefix = "model"
    supports_gradient_checkpointing = True
    _supports_sdpa = True

    def __init__(self, config: ChunkEnsembleConfig) -> None:
        super().__init__(config)
        shape = config.backbone_config()
        self.model = AutoModel.from_config(shape)
        self._no_split_modules = self.model._no_split_modules
        self.score = nn.Linear(config.max_chunks * shape.hidden_size, config.num_labels, bias=False)
        self.post_init()

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, **_: Any
    ) -> SequenceClassifierOutput:
        """Return logits, (B, L)."""
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        size, width = self.config.chunk_tokens, self.score.in_features // self.config.max_chunks
        states = []
        for begin in range(0, input_ids.shape[1], size):
            mask = attention_mask[:, begin : begin + size]
            ids = input_ids[:, begin : begin + size]
            states.append(self._last_states(ids, mask))
        joined = torch.cat(states, dim=1)
        missing = self.config.max_chunks * width - joined.shape[1]
        return SequenceClassifierOutput(logits=self.score(nn.functional.pad(joined, (0, missing))))

    def _last_states(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Return the state of each row's last token, (B, D); zeros of rows that have ended."""
        lengths = mask.sum(dim=1)
        seen = torch.where(lengths[:, None] > 0, mask, torch.ones_like(mask))  # no empty rows
        states = self.model(input_ids=ids, attention_mask=seen, use_cache=False).last_hidden_state
        last = states[torch.arange(len(ids), device=ids.device), (lengths - 1).clamp_min(0)]
        found: Tensor = torch.where(lengths[:, None] > 0, last, torch.zeros_like(last))
        return found


AutoConfig.register(MODEL_TYPE, ChunkEnsembleConfig)
AutoModelForSequenceClassification.register(
    ChunkEnsembleConfig, ChunkEnsembleForSequenceClassification
)
