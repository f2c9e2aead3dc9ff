"""GeneT5: encoder, compressor, decoder and heads.

`model(batch)` gives the logits that training needs; `encode` (`read`, then `compress`),
`start_decoding`, `extend`, `token_logits` and `position_logits` are the steps of decoding. The
model knows arrays, not genes.

Example:
    >>> from genet5.config.model import preset
    >>> f"{sum(p.numel() for p in GeneT5(preset('nano')).parameters()):,} parameters"
    '6,633,504 parameters'
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from genet5.blocks.bases import BaseStem, BaseUpsampler, base_slots
from genet5.blocks.compiled import compile_layer
from genet5.blocks.decoder import Cache, Decoder, DecoderLayer
from genet5.blocks.encoder import Encoder, EncoderLayer
from genet5.blocks.evidence import EvidenceStem
from genet5.blocks.heads import BaseHeads, Pointer
from genet5.blocks.moe import RouterLoss
from genet5.blocks.patches import PatchStem, PatchUpsampler, patch_starts
from genet5.blocks.perceiver import Compressor
from genet5.config.json_files import config_to_dict, save_json
from genet5.config.manifest import record_checksums
from genet5.config.model import EVIDENCE_CHANNELS, AttentionName, KeepName, ModelConfig
from genet5.dataset.batch import Batch, Inputs
from genet5.model.files import load_weights, save_weights
from genet5.model.folders import CONFIG_FILE, load_config, model_folder
from genet5.model.results import Encoded, Local, Output
from genet5.model.weights import check_fit, draw_weights, without_weights


class GeneT5(nn.Module):
    """The network; its architecture is a `ModelConfig`."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        has_patches = config.patch_bp is not None
        self.stem = PatchStem(config) if has_patches else BaseStem(config)
        if config.evidence_channels:
            self.evidence = EvidenceStem(config)
        self.code_embedding = nn.Embedding(64, config.width)
        self.encoder = Encoder(config)
        self.upsampler = PatchUpsampler(config) if has_patches else BaseUpsampler(config)
        self.base_heads = BaseHeads(config)
        self.compressor = Compressor(config)
        self.decoder = Decoder(config)
        self.pointer = Pointer(config)
        self.label_embedding = nn.Embedding(config.structure_vocab, config.width)
        self.token_head = nn.Linear(config.width, config.structure_vocab, bias=False)
        if config.tie_weights:
            self.token_head.weight = self.label_embedding.weight

    @torch.no_grad()
    def init_weights(self, seed: int = 0) -> None:
        """Draw all weights from `config.init`, seeded, as `weights.draw_weights` says.

        Boundary biases become `boundary_bias`. Zero: the features added to token embeddings (base
        means) and the genetic code, so that an imported encoder stays equal to itself.
        """
        draw_weights(self, self.config.init, seed)
        self.base_heads.boundaries.bias.fill_(self.config.init.boundary_bias)
        if isinstance(self.stem, BaseStem):
            self.stem.to_tokens.weight.zero_()
        self.code_embedding.weight.zero_()

    def encode(self, inputs: Inputs, router_losses: list[RouterLoss] | None = None) -> Encoded:
        """Read windows: `compress(read(inputs))`."""
        return self.compress(self.read(inputs, router_losses))

    def read(self, inputs: Inputs, router_losses: list[RouterLoss] | None = None) -> Local:
        """Read rows up to the latents: windows, or segments of any length that hold several.

        Args:
            inputs: The rows.
            router_losses: Encoder layers with experts append their losses here.

        Raises:
            AttributeError: There is evidence, and the model has no channels for it.
        """
        raw = self.stem(inputs.bases, inputs.genetic_code, inputs.num_bases)
        if inputs.evidence.shape[1]:
            raw = raw + self.evidence(inputs.evidence, inputs.num_bases)
        read = self._read_tokens if self.config.patch_bp is None else self._read_patches
        states, features, start_bp, num_tokens = read(inputs, raw, router_losses)
        state_logits, boundary_logits = self.base_heads(features)
        return Local(
            states=states,
            start_bp=start_bp,
            num_tokens=num_tokens,
            features=features,
            state_logits=state_logits,
            boundary_logits=boundary_logits,
            num_bases=inputs.num_bases,
        )

    def compress(self, local: Local) -> Encoded:
        """Let latents read windows, and prepare the pointer.

        Raises:
            ValueError: A window is longer than `config.max_window_bp`.
        """
        features, num_bases = local.features, local.num_bases
        tokens = local.states, local.start_bp, local.num_tokens
        latents = self.compressor(*tokens, num_bases, features.shape[1])
        return Encoded(
            latents=latents,
            num_latents=-(-num_bases // self.config.compressor.bin_bp),
            features=features,
            keys=self.pointer.keys(latents, features),
            state_logits=local.state_logits,
            boundary_logits=local.boundary_logits,
            num_bases=num_bases,
        )

    def _read_tokens(
        self, inputs: Inputs, raw_BLC: Tensor, router_losses: list[RouterLoss] | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Encode sequence tokens: states, base features, first base of each token, their number."""
        starts, counts = inputs.token_start_bp, inputs.num_tokens
        assert isinstance(self.stem, BaseStem)
        slots = base_slots(starts, raw_BLC.shape[1])
        added = self.stem.pool(raw_BLC, slots, inputs.input_ids.shape[1])
        added = added + self.code_embedding(inputs.genetic_code)[:, None]
        states = self.encoder(inputs.input_ids, starts, counts, added, router_losses)
        return states, self.upsampler(states, raw_BLC, slots, inputs.num_bases), starts, counts

    def _read_patches(
        self, inputs: Inputs, raw_BLC: Tensor, router_losses: list[RouterLoss] | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Encode patches; what is returned is as of `_read_tokens`."""
        assert isinstance(self.stem, PatchStem)
        patch_bp, num_bases = self.stem.patch_bp, inputs.num_bases
        starts, counts = patch_starts(num_bases, raw_BLC.shape[1], patch_bp)
        added = self.stem.pool(raw_BLC) + self.code_embedding(inputs.genetic_code)[:, None]
        states = self.encoder(None, starts, counts, added, router_losses)
        return states, self.upsampler(states, raw_BLC, num_bases), starts, counts

    def forward(self, batch: Batch) -> Output:
        """Predict each label from those before it."""
        encoder_router_losses: list[RouterLoss] = []
        encoded = self.encode(batch.inputs, encoder_router_losses)
        labels = batch.targets.labels[:, :-1]
        real = batch.targets.label_weights[:, 1:] > 0
        x = self._embed(encoded, labels)
        places = _places(labels)
        states, router_losses = self.decoder(x, encoded.latents, encoded.num_latents, places, real)
        steps = batch.targets.position_steps
        pointing = states.gather(1, steps[..., None].expand(-1, -1, states.shape[-1]))
        return Output(
            token_logits=self.token_logits(states),
            position_logits=self.position_logits(encoded, pointing, places.gather(1, steps)),
            encoded=encoded,
            router_losses=router_losses,
            encoder_router_losses=encoder_router_losses,
        )

    def start_decoding(self, encoded: Encoded) -> Cache:
        """Prepare decoding: a cache that holds no label yet."""
        return self.decoder.start(encoded.latents, encoded.num_latents)

    def extend(self, encoded: Encoded, cache: Cache, labels: Tensor) -> Tensor:
        """Read the next labels of each row.

        Args:
            encoded: The windows.
            cache: From `start_decoding`; gets the labels. Lower its `lengths` to take some back.
            labels: (N, T) int64 labels, positions as -1 - p.

        Returns:
            (N, T, D) states, for `token_logits` and `position_logits`: what comes after each label.
        """
        places = _places(labels, cache.place() if cache.places.shape[1] else None)
        return self.decoder.extend(self._embed(encoded, labels, cache.rows), places, cache)

    def token_logits(self, states: Tensor) -> Tensor:
        """Score structural tokens, (..., D) to fp32 (..., V)."""
        logits: Tensor = self.token_head(states)
        return logits.float()

    def position_logits(self, encoded: Encoded, states: Tensor, places: Tensor) -> Tensor:
        """Score the bases of each row for some of its states.

        Args:
            encoded: The windows.
            states: (N, P, D) from `extend`.
            places: (N, P) base that each state's labels named last.

        Returns:
            (N, P, L) fp32, -inf after a window's end.
        """
        scores = self.pointer.scores(states, places, encoded.keys, encoded.boundary_logits)
        base = torch.arange(scores.shape[-1], device=scores.device)
        return scores.masked_fill_((base >= encoded.num_bases[:, None])[:, None], float("-inf"))

    def _embed(self, encoded: Encoded, labels_NT: Tensor, rows_N: Tensor | None = None) -> Tensor:
        """Embed labels of the windows `rows_N`; None = of all."""
        tokens = self.label_embedding(labels_NT.clamp_min(0))
        positions = (-1 - labels_NT).clamp_min(0)
        pointed = self.pointer.embed(positions, encoded.latents, encoded.features, rows_N)
        return torch.where((labels_NT < 0)[..., None], pointed.to(tokens.dtype), tokens)

    def interleave(self) -> None:
        """Reorder the encoder's weights for fast rotation in fp32 on a CPU.

        `encode` gives the same; the weights are no longer those of a file, so this is for a model
        that is neither trained nor saved afterwards.
        """
        self.encoder.interleave()
        self.compressor.interleave()

    def encoder_to_bf16(self) -> None:
        """Hold what `encode` computes with in bfloat16, so that it casts nothing.

        Decoding stays in fp32. For a model that is neither trained nor saved afterwards.
        """
        parts: tuple[nn.Module, ...] = (
            self.stem, self.code_embedding, self.encoder, self.upsampler, self.base_heads,
            self.compressor, self.pointer.key_where, self.pointer.key_which,
        )  # fmt: skip
        for part in (*parts, *([self.evidence] if self.config.evidence_channels else [])):
            part.to(torch.bfloat16)

    @property
    def encoder_dtype(self) -> torch.dtype:
        """Type of the encoder's weights."""
        return self.code_embedding.weight.dtype

    def use_attention(self, name: AttentionName) -> None:
        """Set what computes attention within windows; "auto" until then."""
        self.encoder.attention = self.compressor.attention = name

    def enable_gradient_checkpointing(self, every: int = 1, keep: KeepName = "nothing") -> None:
        """Recompute every `every`-th layer of encoder and decoder in the backward pass.

        Args:
            every: Layers from one that is recomputed to the next.
            keep: nothing = only a layer's input is kept; products = matrix products and attention,
                too, so that only cheap operations are recomputed (`blocks.recompute`).
        """
        stacks: list[Sequence[EncoderLayer | DecoderLayer]]
        stacks = [self.encoder.layers, self.decoder.layers]
        for stack in stacks:
            for index, layer in enumerate(stack):
                layer.keep = keep if index % every == 0 else None

    def blocks(self) -> list[nn.Module]:
        """Return the layers, in the order of the forward pass."""
        return [*self.encoder.layers, *self.compressor.layers, *self.decoder.layers]

    def compile_blocks(self, backend: str | Callable[..., Any] = "inductor") -> None:
        """Compile each layer, after checkpointing is set; weights keep their names.

        Args:
            backend: Of torch.compile.
        """
        for layer in self.blocks():
            compile_layer(layer, backend)

    def save_pretrained(
        self,
        path: Path,
        *,
        dtype: torch.dtype | None = None,
        tensors: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Write config.json and model.safetensors into the folder `path`, atomically.

        Args:
            path: Made if it is not there.
            dtype: Type that the weights are stored in, such as torch.float16 for half the size;
                None = as they are.
            tensors: Weights to write instead of the model's own, named as `stored` names them.
        """
        path.mkdir(parents=True, exist_ok=True)
        save_json(path / CONFIG_FILE, config_to_dict(self.config))
        found = self.stored() if tensors is None else tensors
        save_weights(path, {name: tensor.to(dtype).contiguous() for name, tensor in found.items()})
        record_checksums(path, CONFIG_FILE)

    def stored(self) -> dict[str, Tensor]:
        """Return the tensors that a file holds: tied weights once."""
        state = self.state_dict()
        if self.config.tie_weights:
            del state["token_head.weight"]
        return state

    @classmethod
    def from_pretrained(
        cls, path_or_id: str | Path, *, device: torch.device | str = "cpu"
    ) -> GeneT5:
        """Load a model from a folder or the Hugging Face Hub ("owner/name"); weights become fp32.

        Raises:
            CheckpointError: There is no such model, or its weights do not fit its config.
        """
        folder = model_folder(path_or_id)
        model = cls._without_weights(load_config(folder))
        state = load_weights(folder, device)
        check_fit(folder, model.stored(), state)
        return model._filled(state)

    def rebuilt(self, tensors: Mapping[str, Tensor]) -> GeneT5:
        """Return another model of this architecture with `tensors` as fp32 weights."""
        model = self._without_weights(self.config)._filled(tensors)
        model.use_attention(self.encoder.attention)
        return model

    def with_evidence(self) -> GeneT5:
        """Return this model with channels of evidence, whose weights are 0; itself if it has them.

        The channels change nothing until they are trained.
        """
        if self.config.evidence_channels:
            return self
        config = replace(self.config, evidence_channels=EVIDENCE_CHANNELS)
        model, own = self._without_weights(config), self.stored()
        device = self.label_embedding.weight.device
        added = {
            name: torch.zeros(tensor.shape, device=device)
            for name, tensor in model.stored().items()
            if name not in own
        }
        model = model._filled({**own, **added})
        model.use_attention(self.encoder.attention)
        return model

    @classmethod
    def _without_weights(cls, config: ModelConfig) -> GeneT5:
        """Return the network on the meta device."""
        with without_weights():
            return cls(config)

    def _filled(self, tensors: Mapping[str, Tensor]) -> GeneT5:
        """Give a network without weights these; those in fp32 are not copied."""
        state = {name: tensor.float() for name, tensor in tensors.items()}
        if self.config.tie_weights:
            state["token_head.weight"] = state["label_embedding.weight"]
        self.load_state_dict(state, assign=True)
        if self.config.tie_weights:
            self.token_head.weight = self.label_embedding.weight
        self.stem.features = type(self.stem.features)().to(self.label_embedding.weight.device)
        return self.requires_grad_(True)


def count_parameters(model: GeneT5) -> dict[str, int]:
    """Parameters of each part and "total"; tied weights count once."""
    parts: dict[str, int] = {}
    for name, weight in model.named_parameters():
        part = name.split(".")[0]
        parts[part] = parts.get(part, 0) + weight.numel()
    return {**parts, "total": sum(parts.values())}


def _places(labels_NT: Tensor, before_N: Tensor | None = None) -> Tensor:
    """(N, T) base that was named last at each step, the step included.

    Before the first that is named it is `before_N`, or 0.
    """
    step = torch.arange(labels_NT.shape[1], device=labels_NT.device)
    last = torch.where(labels_NT < 0, step, -1).cummax(dim=1).values
    named = (-1 - labels_NT).gather(1, last.clamp_min(0))
    return torch.where(last < 0, 0 if before_N is None else before_N[:, None], named)
