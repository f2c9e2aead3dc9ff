"""Precision: what was asked for, or what the device multiplies fast."""

from __future__ import annotations

import pytest
import torch

from genet5.model import precision
from genet5.model.precision import has_fast_bf16, resolve_precision

CPU = torch.device("cpu")


def test_a_named_precision_is_kept():
    assert [resolve_precision(name, CPU) for name in ("bf16", "fp32")] == ["bf16", "fp32"]


@pytest.mark.parametrize(("is_fast", "expected"), [(True, "bf16"), (False, "fp32")])
def test_auto_is_what_the_device_multiplies_fast(monkeypatch, is_fast, expected):
    monkeypatch.setattr(precision, "has_fast_bf16", lambda device: is_fast)
    assert resolve_precision("auto", CPU) == expected


def test_a_gpu_that_emulates_bf16_is_not_fast(monkeypatch):
    asked = []
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **given: bool(asked.append(given)))
    assert not has_fast_bf16(torch.device("cuda"))
    assert asked == [{"including_emulation": False}]


def test_a_cpu_is_asked_and_other_devices_take_fp32():
    assert has_fast_bf16(CPU) == torch.ops.mkldnn._is_mkldnn_bf16_supported()
    assert not has_fast_bf16(torch.device("meta"))
