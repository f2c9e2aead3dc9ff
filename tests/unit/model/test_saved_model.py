"""A model that is saved and loaded, or rebuilt from its tensors, is the same model."""

import json
import os
import subprocess
import sys

import pytest
import torch

from genet5.errors import CheckpointError
from genet5.model.network import GeneT5
from small_models import make_batch, make_model


def test_choice_biases_are_saved_with_the_model(tmp_path):
    model = make_model(num_experts=4, encoder_experts=4, balance="bias")
    biases = [module.choice_bias for module in model.modules() if hasattr(module, "choice_bias")]
    assert len(biases) == 3
    for bias in biases:
        bias.normal_()
    model.save_pretrained(tmp_path)
    again = GeneT5.from_pretrained(tmp_path).eval()
    batch = make_batch()
    assert torch.equal(again(batch).token_logits, model(batch).token_logits)
    assert torch.equal(again.decoder.layers[0].feedforward.choice_bias, biases[1])


@torch.no_grad()
def test_saved_and_loaded_model_is_the_same(tmp_path):
    model, batch = make_model(num_experts=2), make_batch()
    model.save_pretrained(tmp_path)
    loaded = GeneT5.from_pretrained(tmp_path).eval()
    assert loaded.config == model.config
    assert loaded.token_head.weight is loaded.label_embedding.weight
    torch.testing.assert_close(
        loaded(batch).token_logits, model(batch).token_logits, atol=0, rtol=0
    )


@pytest.mark.slow
def test_loading_a_model_draws_no_weights_and_loads_no_compiler(root):
    code = (
        "import sys; from genet5.model.network import GeneT5\n"
        "before = {'torch._dynamo'} & sys.modules.keys()\n"
        "model = GeneT5.from_pretrained('nano')\n"
        "print(before, {'torch._dynamo'} & sys.modules.keys(), model.label_embedding.weight.dtype)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(root / "lib")},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "set() set() torch.float32\n"


def test_weights_may_be_read_by_whom_the_config_may(tmp_path):
    make_model().save_pretrained(tmp_path)
    config, weights = (tmp_path / name for name in ("config.json", "model.safetensors"))
    assert weights.stat().st_mode == config.stat().st_mode


@torch.no_grad()
def test_weights_stored_in_half_precision_take_half_the_room_and_load_as_fp32(tmp_path):
    model, batch = make_model(), make_batch()
    sizes = {}
    for name, dtype in (("whole", None), ("half", torch.float16)):
        model.save_pretrained(tmp_path / name, dtype=dtype)
        sizes[name] = (tmp_path / name / "model.safetensors").stat().st_size
    assert sizes["half"] < 0.6 * sizes["whole"]
    loaded = GeneT5.from_pretrained(tmp_path / "half").eval()
    assert {weight.dtype for weight in loaded.parameters()} == {torch.float32}
    # fp16 keeps 11 bits of each weight.
    torch.testing.assert_close(
        loaded(batch).token_logits, model(batch).token_logits, atol=5e-3, rtol=0
    )


@torch.no_grad()
def test_a_model_is_rebuilt_from_its_tensors_and_settings():
    model, batch = make_model(num_experts=4, balance="bias"), make_batch()
    model.use_attention("sdpa")
    again = model.rebuilt(model.stored()).eval()
    assert torch.equal(again(batch).token_logits, model(batch).token_logits)
    assert again.encoder.attention == again.compressor.attention == "sdpa"
    assert again.token_head.weight is again.label_embedding.weight


def test_weights_that_do_not_fit_are_named(tmp_path):
    make_model().save_pretrained(tmp_path)
    values = json.loads((tmp_path / "config.json").read_text())
    values["base_channels"] = 24
    (tmp_path / "config.json").write_text(json.dumps(values))
    (tmp_path / "checksums.json").unlink()  # as its message advises after an edit
    with pytest.raises(CheckpointError, match=r"base_heads\.boundaries\.weight"):
        GeneT5.from_pretrained(tmp_path)
