"""Matrix products in MXFP8 (OCP Microscaling, arXiv:2310.10537) by torchao, on NVIDIA Blackwell.

Weights stay as they are: only the layers' linear maps multiply otherwise, forward and backward,
each block of 32 numbers with a scale of its own. Experts, routers, embeddings and heads stay in
bf16. torchao calls this part a prototype: the version that it was written against is in TESTED.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genet5.errors import ConfigError

log = logging.getLogger(__name__)

BLOCK = 32
"""Numbers that share a scale, along every side of a product."""
TESTED = "0.18"
_PARTS = ("encoder.layers.", "compressor.layers.", "decoder.layers.")

Product = Callable[[Tensor, Tensor], Tensor]
"""(rows, in) and (out, in) in bf16 to (rows, out)."""


def require_mxfp8(device: torch.device, precision: str) -> Product:
    """Return the product.

    Raises:
        ConfigError: Not on a Blackwell GPU, not in bf16, or without a torchao that has it.
    """
    rule = "needs an NVIDIA Blackwell GPU (compute capability 10 or 12); "
    remedy = "; leave it out to train in bf16"
    if device.type != "cuda":
        raise ConfigError("mxfp8", True, f"{rule}found the device {device.type}{remedy}")
    major, minor = torch.cuda.get_device_capability(device)
    if major < 10:
        name = torch.cuda.get_device_name(device)
        raise ConfigError("mxfp8", True, f"{rule}found {name} with {major}.{minor}{remedy}")
    if precision != "bf16":
        raise ConfigError("mxfp8", True, "must go with --precision bf16")
    return load_product("AUTO")


def load_product(kernels: str) -> Product:
    """Return torchao's product.

    Args:
        kernels: Name of its KernelPreference: AUTO, or EMULATED (slow, for any device).

    Raises:
        ConfigError: There is no torchao, or none with this product.
    """
    try:
        linear = importlib.import_module("torchao.prototype.moe_training.mxfp8_linear")
        common = importlib.import_module("torchao.quantization.quantize_.common.kernel_preference")
        formats = importlib.import_module("torchao.prototype.mx_formats.config")
        return partial(
            linear._to_mxfp8_then_scaled_mm,
            kernel_preference=common.KernelPreference[kernels],
            scale_calculation_mode=formats.ScaleCalculationMode.RCEIL,
        )
    except (ImportError, AttributeError, KeyError) as error:
        raise ConfigError(
            "mxfp8",
            True,
            f"needs torchao {TESTED}; install it with: pip install"
            f' "genet5[gpu]" "torchao=={TESTED}.*"'
            f" ({type(error).__name__}: {error})",
        ) from error


def use_mxfp8(model: nn.Module, product: Product) -> int:
    """Let the linear maps of all layers multiply by `product`; return how many there are.

    Those with a side that is no multiple of 32 stay as they are.
    """
    found = [
        module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear)
        and name.startswith(_PARTS)
        and not name.endswith("router")
        and module.in_features % BLOCK == module.out_features % BLOCK == 0
    ]
    for module in found:
        module.forward = partial(_linear, module, product)  # type: ignore[method-assign]
    log.info("%d linear maps multiply in MXFP8", len(found))
    return len(found)


def _linear(module: nn.Linear, product: Product, x: Tensor) -> Tensor:
    """Return `module(x)` in bf16.

    Rows are padded with zeros, as the weight's gradient has blocks along them, too.
    """
    rows = x.reshape(-1, x.shape[-1]).to(torch.bfloat16)
    padded = F.pad(rows, (0, 0, 0, -len(rows) % BLOCK))
    out = product(padded, module.weight.to(torch.bfloat16))[: len(rows)]
    if module.bias is not None:
        out = out + module.bias.to(out.dtype)
    return out.view(*x.shape[:-1], -1)
