"""MXFP8: errors where it cannot run, and which products it takes; a fake stands in for torchao."""

import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch
from torch import nn

from genet5.cli.finet import main
from genet5.errors import ConfigError
from genet5.train.mxfp8 import load_product, require_mxfp8, use_mxfp8

CUDA, CPU = torch.device("cuda"), torch.device("cpu")
TORCHAO = (
    "torchao",
    "torchao.prototype",
    "torchao.prototype.moe_training",
    "torchao.prototype.moe_training.mxfp8_linear",
    "torchao.prototype.mx_formats",
    "torchao.prototype.mx_formats.config",
    "torchao.quantization",
    "torchao.quantization.quantize_",
    "torchao.quantization.quantize_.common",
    "torchao.quantization.quantize_.common.kernel_preference",
)


@pytest.fixture
def calls(monkeypatch):
    """Calls of the fake product."""
    recorded = []

    def product(rows, weight, *, kernel_preference, scale_calculation_mode):
        recorded.append((rows, weight, kernel_preference, scale_calculation_mode))
        return rows @ weight.T

    modules = {name: ModuleType(name) for name in TORCHAO}
    modules[TORCHAO[3]]._to_mxfp8_then_scaled_mm = product
    modules[TORCHAO[5]].ScaleCalculationMode = SimpleNamespace(RCEIL="rceil")
    modules[TORCHAO[9]].KernelPreference = {"AUTO": "auto", "EMULATED": "emulated"}
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    return recorded


@pytest.fixture
def gpu(monkeypatch):
    """Sets the capability of the GPU that there seems to be."""

    def be(capability):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA Some")

    return be


def test_cpu_is_refused_with_a_reason():
    with pytest.raises(ConfigError, match=r"needs an NVIDIA Blackwell GPU.*device cpu.*leave it"):
        require_mxfp8(CPU, "bf16")


def test_gpu_before_blackwell_is_refused_by_name(gpu):
    gpu((9, 0))
    with pytest.raises(ConfigError, match=r"found NVIDIA Some with 9\.0"):
        require_mxfp8(CUDA, "bf16")


def test_fp32_is_refused(gpu):
    gpu((10, 0))
    with pytest.raises(ConfigError, match="--precision bf16"):
        require_mxfp8(CUDA, "fp32")


def test_command_refuses_the_flag_before_it_reads_anything(capsys):
    files = ["no.packed", "no.packed", "no_out", "no_base"]
    assert main([*files, "--mxfp8", "--device", "cpu"]) == 2
    assert "mxfp8 = True: needs an NVIDIA Blackwell GPU" in capsys.readouterr().err


def test_missing_torchao_says_what_to_install(gpu, monkeypatch):
    gpu((10, 0))
    imported = [name for name in sys.modules if name.startswith("torchao.")]
    for name in ("torchao", *imported):
        monkeypatch.setitem(sys.modules, name, None)  # as if it were not installed
    with pytest.raises(ConfigError, match=r"needs torchao 0\.18; install it with: pip install"):
        require_mxfp8(CUDA, "bf16")


def test_torchao_without_the_product_says_which_version(calls):
    del sys.modules[TORCHAO[3]]._to_mxfp8_then_scaled_mm
    with pytest.raises(ConfigError, match=r"needs torchao 0\.18.*_to_mxfp8_then_scaled_mm"):
        load_product("AUTO")


class Toy(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Module()
        layer = nn.ModuleDict(
            {"wide": nn.Linear(64, 32), "odd": nn.Linear(64, 33), "router": nn.Linear(64, 32)}
        )
        self.encoder.layers = nn.ModuleList([layer])
        self.token_head = nn.Linear(64, 32)


def test_layers_multiply_in_blocks_of_bf16_and_nothing_else_does(calls, gpu):
    gpu((10, 0))
    model = Toy()
    assert use_mxfp8(model, require_mxfp8(CUDA, "bf16")) == 1
    x = torch.randn(3, 7, 64, requires_grad=True)
    wide = model.encoder.layers[0]["wide"]
    out = wide(x)
    model.encoder.layers[0]["odd"](x)
    model.token_head(x)
    ((rows, weight, kernels, mode),) = calls
    assert rows.shape == (32, 64)  # 21 tokens, filled up
    assert rows.dtype == weight.dtype == torch.bfloat16
    assert (kernels, mode) == ("auto", "rceil")
    exact = nn.functional.linear(x, wide.weight, wide.bias)
    torch.testing.assert_close(out.float(), exact, atol=0.03, rtol=0.03)  # bf16
    out.sum().backward()
    assert x.grad.shape == x.shape
    assert wide.weight.grad.dtype == torch.float32
    assert set(model.state_dict()) == set(Toy().state_dict())
