"""One model on several ranks: whole on each (DDP), or a share of every tensor (FSDP2).

FSDP2 gathers the model layer by layer. Both average gradients over the ranks during the backward
pass. The loop wants their sum (every rank divides its loss by global counts), so it minimises
`world_size` times the loss. Alone, nothing is wrapped.

With FSDP2 and bf16, layers are gathered as bf16 and their gradients summed in fp32; embeddings and
heads stay in fp32.

    parallel = Parallel(model, ranks, "fsdp", use_bf16=True)     # changes parameters: before the
    with parallel.accumulate(is_last=True):                      # optimizer is made
        loss(parallel.call(batch)).backward()
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel
from torch.utils import _pytree as pytree

from genet5.blocks.moe import RouterLoss
from genet5.config.train import ParallelName
from genet5.model.adapters import merged
from genet5.model.results import Encoded, Output
from genet5.train.distributed.processes import Ranks


class Model(Protocol):
    """What a model must offer besides being a module."""

    def blocks(self) -> list[nn.Module]:
        """Return the layers, each of which is gathered as one."""

    def stored(self) -> dict[str, Tensor]:
        """Return the tensors that a file holds, tied weights once."""

    def save_pretrained(self, path: Path, *, tensors: Mapping[str, Tensor] | None = None) -> None:
        """Write the model's files, with these tensors instead of its own."""

    def rebuilt(self, tensors: Mapping[str, Tensor]) -> nn.Module:
        """Return another model of this shape with these tensors."""


class Parallel:
    """A model as the ranks share it.

    Args:
        model: On this rank's device, with equal weights on all ranks; a `Model`.
        ranks: This process among the run's.
        mode: ddp or fsdp.
        use_bf16: Gather layers in bf16 (fsdp).
    """

    def __init__(
        self, model: nn.Module, ranks: Ranks, mode: ParallelName, *, use_bf16: bool
    ) -> None:
        self.model: Any = model
        self.ranks = ranks
        self.call: nn.Module = model
        """What a training or validation pass calls; of `model` only names, tensors and mode are
        used."""
        self.is_sharded = ranks.world_size > 1 and mode == "fsdp"
        if self.is_sharded:
            _shard(self.model, ranks, use_bf16=use_bf16)
        elif ranks.world_size > 1:
            self.call = _replicate(model)

    def accumulate(self, *, is_last: bool) -> AbstractContextManager[None]:
        """Surround one micro-batch's passes; DDP sums gradients over ranks with the last one only.

        FSDP2 sums with each: whole gradients would take the memory that the shares save.
        """
        if isinstance(self.call, DistributedDataParallel) and not is_last:
            return self.call.no_sync()
        return nullcontext()

    @torch.no_grad()
    def weights(self) -> dict[str, Tensor]:
        """Return the model's whole tensors on rank 0, nothing elsewhere; every rank calls it.

        Adapters are merged.
        """
        return self._gathered(is_wanted=self.ranks.is_first)

    @torch.no_grad()
    def undivided(self, *, is_wanted: bool) -> nn.Module | None:
        """Return a model that this rank can use without the others; every rank calls it.

        Args:
            is_wanted: Whether this rank needs one; otherwise it gets None.
        """
        weights = self._gathered(is_wanted=is_wanted) if self.is_sharded else {}
        if not is_wanted:
            return None
        model: nn.Module = self.model
        if not self.is_sharded:
            return model
        copy: nn.Module = self.model.rebuilt(weights)
        return copy.to(self.ranks.device)

    def _gathered(self, *, is_wanted: bool) -> dict[str, Tensor]:
        tensors: dict[str, Tensor] = self.model.stored()
        if not self.is_sharded:
            return merged(tensors) if is_wanted else {}
        found = {}
        for name, tensor in tensors.items():
            gathered = whole(tensor)
            if is_wanted:
                found[name] = gathered.cpu()
        return merged(found)


def _show_outputs() -> None:
    """Let FSDP2 see the tensors in a model's output.

    It gathers the root's weights for the backward pass when a gradient reaches an output that it
    found, and torch 2.10 looks for outputs in trees only (PyTorch pull requests 173415 and 174692
    mended that).
    """
    for kind in (RouterLoss, Encoded, Output):
        if kind not in pytree.SUPPORTED_NODES:
            pytree.register_dataclass(kind)


def whole(tensor: Tensor) -> Tensor:
    """Return all of a tensor of which this rank may hold a share; every rank calls it."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


class _Replica(nn.Module):
    """A model and one number that no pass uses."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.idle = nn.Parameter(next(model.parameters()).new_zeros(1))

    def forward(self, batch: Any) -> Any:
        return self.model(batch)


def _replicate(model: nn.Module) -> DistributedDataParallel:
    """Wrap a model that all ranks hold.

    Buffers stay each rank's own: `experts.update_experts` moves them alike.

    DDP regroups gradients after its first step, unless parameters may be unused. Sums over more
    than two ranks depend on the groups, so a resumed run would not be equal to the bit. It warns
    when none is unused: hence `idle`.
    """
    names = inspect.signature(DistributedDataParallel).parameters
    no_sync = "forward_sync_buffers" if "forward_sync_buffers" in names else "broadcast_buffers"
    return DistributedDataParallel(
        _Replica(model),
        gradient_as_bucket_view=True,
        find_unused_parameters=True,
        **{no_sync: False},  # type: ignore[arg-type]  # its name depends on torch's version
    )


def _shard(model: Any, ranks: Ranks, *, use_bf16: bool) -> None:
    """Give this rank its share of each parameter, in place.

    The root is dropped after its forward pass like the layers: kept, it would miss weights that are
    exchanged between two passes (a moving average during validation).
    """
    # It warns of writes into a layer's output; there are none.
    warnings.filterwarnings("ignore", "FSDP2-wrapped module .* returned a view tensor", UserWarning)
    _show_outputs()
    mesh = init_device_mesh(ranks.device.type, (ranks.world_size,))
    policy = MixedPrecisionPolicy(cast_forward_inputs=False)
    if use_bf16:
        in_bf16 = {"param_dtype": torch.bfloat16, "reduce_dtype": torch.float32}
        layer_policy = MixedPrecisionPolicy(**in_bf16, cast_forward_inputs=False)
    else:
        layer_policy = policy
    for layer in model.blocks():
        fully_shard(layer, mesh=mesh, mp_policy=layer_policy, reshard_after_forward=True)
    fully_shard(model, mesh=mesh, mp_policy=policy, reshard_after_forward=True)
