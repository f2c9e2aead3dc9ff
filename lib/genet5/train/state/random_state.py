"""Random sources: every seed derives from (seed, purpose, rank), and the whole state can be saved.

with repeatable(derive_seed(0, "train", rank=3), deterministic=True):
tensors, values = capture_random_state()     # goes into a checkpoint
restore_random_state(tensors, values)
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genet5.errors import CheckpointError


def derive_seed(seed: int, purpose: str, rank: int = 0) -> int:
    """Return a 63-bit seed that is unrelated for another purpose or rank."""
    digest = hashlib.sha256(f"{seed}/{purpose}/{rank}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


@contextmanager
def repeatable(seed: int, *, deterministic: bool) -> Iterator[None]:
    """Seed the global generators and choose repeatable kernels while the block runs.

    Products of fp32 matrices may use TF32 in the block. The choice of kernels is put back
    afterwards; the generators stay where the block left them.

    Args:
        seed: Any non-negative number.
        deterministic: Refuse kernels whose sums depend on thread timing; where torch has no other,
            it warns.
    """
    was_deterministic = torch.are_deterministic_algorithms_enabled()
    was_warning = torch.is_deterministic_algorithms_warn_only_enabled()
    filled = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    products = torch.get_float32_matmul_precision()
    _seed(seed)
    torch.use_deterministic_algorithms(deterministic, warn_only=True)
    # filling fresh memory is for debugging reads of it; it costs a pass over every activation
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(was_deterministic, warn_only=was_warning)
        torch.utils.deterministic.fill_uninitialized_memory = filled  # type: ignore[attr-defined]
        torch.set_float32_matmul_precision(products)


def _seed(seed: int) -> None:
    random.seed(seed)
    # code outside this package may draw from numpy's global generator
    np.random.seed(seed % 2**32)  # noqa: NPY002
    torch.manual_seed(seed)


def capture_random_state() -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the state of all global generators: tensors for safetensors, plain values for JSON."""
    version, words, gauss = random.getstate()
    kind, keys, position, has_gauss, cached = np.random.get_state(legacy=True)  # noqa: NPY002
    tensors = {
        "torch_cpu": torch.get_rng_state(),
        "numpy": torch.from_numpy(np.asarray(keys).astype(np.int64)),
        "python": torch.tensor(words, dtype=torch.int64),
    }
    if torch.cuda.is_available():
        tensors["torch_cuda"] = torch.cuda.get_rng_state()
    values = {
        "python": [version, gauss],
        "numpy": [str(kind), int(position), int(has_gauss), float(cached)],
    }
    return tensors, values


def restore_random_state(tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
    """Set all global generators to a captured state.

    Raises:
        CheckpointError: A part of the state is missing.
    """
    try:
        version, gauss = values["python"]
        random.setstate((version, tuple(tensors["python"].tolist()), gauss))
        kind, position, has_gauss, cached = values["numpy"]
        keys = tensors["numpy"].numpy().astype(np.uint32)
        np.random.set_state((kind, keys, position, has_gauss, cached))  # noqa: NPY002
        torch.set_rng_state(tensors["torch_cpu"].cpu())
    except KeyError as error:
        raise CheckpointError(
            f"the checkpoint's random state lacks {error}; it was cut short"
        ) from error
    if "torch_cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["torch_cuda"].cpu())
