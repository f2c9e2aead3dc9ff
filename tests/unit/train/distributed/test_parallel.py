"""Gradients of several ranks, with DDP and FSDP2, are those of one process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch.utils import _pytree as pytree

from genet5.train.distributed import parallel
from ranks import run_ranks

pytestmark = pytest.mark.slow

WORKER = Path(__file__).with_name("gradient_worker.py")
CASES = ("dense", "balanced by a loss", "loss off", "balanced by a bias")


@pytest.fixture(scope="module")
def alone(python: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("alone")
    run_ranks(python, 1, WORKER, out)
    return out / "ddp"


@pytest.fixture(scope="module")
def several(python: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("several")
    run_ranks(python, 4, WORKER, out)
    return out


@pytest.mark.parametrize("mode", ["ddp", "fsdp"])
@pytest.mark.parametrize("case", CASES)
def test_gradients_and_figures_equal_those_of_one_process(
    several: Path, alone: Path, mode: str, case: str
) -> None:
    ours, theirs = (load_file(out / f"{case}.safetensors") for out in (several / mode, alone))
    assert ours.keys() == theirs.keys()
    norm = float(theirs["mean/grad_norm"])
    for name, gradient in theirs.items():
        atol = max(2e-5 * float(gradient.abs().max()), 1e-7 * norm)
        torch.testing.assert_close(ours[name], gradient, rtol=2e-5, atol=atol, msg=name)


def test_fsdp_finds_the_outputs_of_a_model_in_trees(toy: Any) -> None:
    parallel._show_outputs()
    output = toy.tiny_gene_model(num_experts=4)(toy.gene_batch())
    leaves = pytree.tree_leaves(output)
    assert all(isinstance(leaf, torch.Tensor) for leaf in leaves)
    found = [output.token_logits, output.encoded.latents, output.router_losses[0].z]
    assert all(any(leaf is tensor for leaf in leaves) for tensor in found)


def test_the_balance_loss_has_a_gradient_and_a_bias_has_none(alone: Path) -> None:
    on, off, bias = (load_file(alone / f"{case}.safetensors") for case in CASES[1:])
    router = "decoder.layers.0.feedforward.router.weight"
    assert (on[router] - off[router]).abs().max() > 1e-3 * off[router].abs().max()
    torch.testing.assert_close(bias[router], off[router], rtol=1e-4, atol=1e-7)
    assert on["mean/tokens_per_expert"] > 0
