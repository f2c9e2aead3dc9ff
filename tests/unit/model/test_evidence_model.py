"""Models with channels of evidence: equal to those without until they are trained."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import builders
from genet5.config.init import InitConfig, ShapeConfig
from genet5.config.json_files import config_to_dict
from genet5.config.model import EVIDENCE_CHANNELS, ModelConfig, preset
from genet5.dataset.batch import Inputs
from genet5.dataset.collate import make_inputs
from genet5.errors import CheckpointError, ConfigError
from genet5.genome.evidence import Channels, paint
from genet5.genome.hints import Hint
from genet5.genome.sequence import encode_bases
from genet5.model.network import GeneT5
from genet5.model.results import Encoded
from genet5.tokens.sequence import KmerTokenizer

TEXTS = ["ATGCCGTAAGGCTTACGATCGGATTACAGCATTAAGCCTTGACCATGCCC", "TTGCATGCCGATTAGCCAT"]
HINTS = [Hint("c", "intron", 8, 14, 1), Hint("c", "coding", 2, 8, 1, 1, 9, "P")]
PATCHES = {
    "patch_bp": 6,
    "bp_per_token": 6.0,
    "compressor": {"bin_bp": 6},
    "encoder": {"window_tokens": 0},
}


def make_model(**changes: object) -> GeneT5:
    model = GeneT5(builders.tiny_config(**changes))
    model.init_weights(1)
    return model.eval().requires_grad_(False)


def trained(model: GeneT5) -> GeneT5:
    """The model with evidence, its weights no longer 0."""
    model = model.with_evidence().eval().requires_grad_(False)
    model.evidence.conv.weight.normal_(0.0, 0.5, generator=torch.Generator().manual_seed(2))
    return model


def channels(text: str) -> Channels:
    return paint(HINTS, 0, len(text))


def inputs(texts: list[str], *, hints: bool) -> Inputs:
    evidence = [channels(text) for text in texts] if hints else []
    bases = [encode_bases(text) for text in texts]
    return make_inputs(bases, [11] * len(texts), KmerTokenizer(4), evidence)


def encode(model: GeneT5, texts: list[str], *, hints: bool) -> Encoded:
    with torch.no_grad():
        return model.encode(inputs(texts, hints=hints))


def equal(one: Encoded, other: Encoded) -> bool:
    names = ("latents", "features", "state_logits", "boundary_logits")
    pairs = ((getattr(one, name), getattr(other, name)) for name in names)
    return all(a.numpy().tobytes() == b.numpy().tobytes() for a, b in pairs)


@pytest.mark.parametrize("shape", [{}, PATCHES])
@pytest.mark.parametrize("hints", [True, False])
def test_channels_that_are_not_trained_change_no_byte(
    shape: dict[str, object], hints: bool
) -> None:
    model = make_model(**shape)
    before = encode(model, TEXTS, hints=False)
    assert equal(before, encode(model.with_evidence(), TEXTS, hints=hints))


def test_trained_channels_change_nothing_without_hints() -> None:
    model = make_model()
    before = encode(model, TEXTS, hints=False)
    assert equal(before, encode(trained(model), TEXTS, hints=False))
    blank = make_inputs(
        [encode_bases(text) for text in TEXTS], [11, 11], KmerTokenizer(4),
        [paint([], 0, len(text)) for text in TEXTS],
    )  # fmt: skip
    with torch.no_grad():
        assert equal(before, trained(model).encode(blank))


@pytest.mark.parametrize("shape", [{}, PATCHES])
def test_trained_channels_move_all_that_the_encoder_gives(shape: dict[str, object]) -> None:
    model = trained(make_model(**shape))
    if not shape:  # a new model's tokens do not see its bases yet
        model.stem.to_tokens.weight.normal_(generator=torch.Generator().manual_seed(3))
    with_hints, without = (encode(model, TEXTS, hints=each) for each in (True, False))
    for name in ("latents", "state_logits", "boundary_logits"):
        assert not torch.equal(getattr(with_hints, name), getattr(without, name)), name


@pytest.mark.parametrize("shape", [{}, PATCHES])
def test_padded_windows_with_hints_equal_windows_alone(shape: dict[str, object]) -> None:
    model = trained(make_model(**shape))
    together = encode(model, TEXTS, hints=True)
    for row, text in enumerate(TEXTS):
        alone = encode(model, [text], hints=True)
        for name in ("state_logits", "boundary_logits"):
            found = getattr(together, name)[row, : len(text)]
            torch.testing.assert_close(found, getattr(alone, name)[0], atol=2e-5, rtol=0)


def test_a_model_is_saved_and_loaded_with_its_channels(tmp_path: Path) -> None:
    model = trained(make_model())
    model.save_pretrained(tmp_path)
    again = GeneT5.from_pretrained(tmp_path).eval()
    assert again.config.evidence_channels == EVIDENCE_CHANNELS
    assert equal(encode(model, TEXTS, hints=True), encode(again, TEXTS, hints=True))
    assert again.with_evidence() is again


def test_a_config_of_an_earlier_version_has_no_channels(tmp_path: Path) -> None:
    model = make_model()
    model.save_pretrained(tmp_path)
    values = config_to_dict(model.config)
    del values["evidence_channels"]
    (tmp_path / "config.json").write_text(json.dumps(values))
    (tmp_path / "checksums.json").unlink()
    again = GeneT5.from_pretrained(tmp_path).eval()
    assert again.config == model.config
    assert equal(encode(model, TEXTS, hints=False), encode(again, TEXTS, hints=False))


def test_weights_without_channels_do_not_fit_a_config_with_them(tmp_path: Path) -> None:
    model = make_model()
    model.save_pretrained(tmp_path)
    values = config_to_dict(model.config) | {"evidence_channels": EVIDENCE_CHANNELS}
    (tmp_path / "config.json").write_text(json.dumps(values))
    (tmp_path / "checksums.json").unlink()
    with pytest.raises(CheckpointError, match=r"1 tensors do not fit .*evidence.conv.weight"):
        GeneT5.from_pretrained(tmp_path)


def test_there_is_one_set_of_channels() -> None:
    with pytest.raises(ConfigError, match="must be 0 or 32"):
        ModelConfig(evidence_channels=7)


def test_all_other_weights_of_a_new_model_are_those_of_one_without() -> None:
    plain, made = make_model(), make_model(evidence_channels=EVIDENCE_CHANNELS)
    assert not made.evidence.conv.weight.any()
    own = plain.state_dict()
    assert all(torch.equal(weight, own[name]) for name, weight in made.state_dict().items()
               if name in own)  # fmt: skip


def test_init_makes_a_model_with_channels() -> None:
    shape = InitConfig(out=Path("m"), shape=ShapeConfig(evidence=True)).model_config()
    assert shape == replace(preset("nano"), evidence_channels=EVIDENCE_CHANNELS)


def test_the_encoder_reads_hints_in_bf16() -> None:
    model = trained(make_model())
    exact = encode(model, TEXTS, hints=True)
    model.encoder_to_bf16()
    rough = encode(model, TEXTS, hints=True)
    assert rough.features.dtype == torch.bfloat16
    size = min(map(len, TEXTS))
    a, b = exact.state_logits[:, :size], rough.state_logits[:, :size].float()
    assert float((a - b).abs().max()) < 0.1 * float(a.abs().max())


def test_inputs_hold_each_windows_channels_and_zeros_after_it() -> None:
    found = inputs(TEXTS, hints=True).evidence.numpy()
    for row, text in enumerate(TEXTS):
        assert np.array_equal(found[row, :, : len(text)], channels(text))
        assert not found[row, :, len(text) :].any()
    assert inputs(TEXTS, hints=False).evidence.shape == (2, 0, 50)
