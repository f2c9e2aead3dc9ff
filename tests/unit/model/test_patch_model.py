"""A model that reads patches of bases in place of sequence tokens."""

from dataclasses import replace

import pytest
import torch

import builders
from genet5.cli.init import main as init
from genet5.config.model import EncoderConfig, preset
from genet5.dataset.collate import make_inputs
from genet5.errors import ConfigError
from genet5.genome.sequence import encode_bases
from genet5.model.network import GeneT5, count_parameters
from genet5.tokens.sequence import KmerTokenizer

TEXTS = ["ATGCCGTAAGGCTTACGATCGGATTACAGCATTAAGCCTTGACCATGCCC", "TTGCATGCCGATTAGCCAT"]


def make_model(**encoder):
    shape = {"layers": 2, "heads": 4, "window_tokens": 0, "positions": "rope", "norm_first": True}
    model = GeneT5(
        builders.tiny_config(
            preset="prok",
            patch_bp=6,
            bp_per_token=6.0,
            encoder={**shape, **encoder},
            compressor={"num_latents": 16, "bin_bp": 6, "heads": 4, "kv_heads": 2, "window_bp": 24},
            decoder={"layers": 1, "heads": 4, "kv_heads": 2, "cross_kv_heads": 4},
        )
    )
    model.init_weights(1)
    return model.eval()


def encode(model, texts, k=6):
    with torch.no_grad():
        return model.encode(
            make_inputs([encode_bases(t) for t in texts], [11] * len(texts), KmerTokenizer(k))
        )


@pytest.mark.parametrize("kv_heads", [None, 1])
@pytest.mark.parametrize("window", [0, 4])
def test_padded_windows_equal_windows_alone(kv_heads, window):
    model = make_model(kv_heads=kv_heads, window_tokens=window)
    together = encode(model, TEXTS)
    for row, text in enumerate(TEXTS):
        alone = encode(model, [text])
        size, count = len(text), -(-len(text) // 6)
        for name, end in (("state_logits", size), ("boundary_logits", size), ("latents", count)):
            torch.testing.assert_close(
                getattr(together, name)[row, :end], getattr(alone, name)[0], atol=2e-5, rtol=0
            )


def test_the_sequence_tokens_do_not_matter():
    model = make_model()
    by_six, by_three = encode(model, TEXTS), encode(model, TEXTS, k=3)
    assert torch.equal(by_six.state_logits, by_three.state_logits)
    assert torch.equal(by_six.latents, by_three.latents)


def test_files_give_the_same_model(tmp_path):
    model = make_model(kv_heads=2)
    model.save_pretrained(tmp_path)
    again = GeneT5.from_pretrained(tmp_path).eval()
    assert again.config == model.config
    assert torch.equal(encode(again, TEXTS).latents, encode(model, TEXTS).latents)


def test_prok_is_made_by_init_and_stays_small(capsys):
    assert init(["nowhere", "--preset", "prok", "--dry_run"]) == 0
    assert "upsampler" in capsys.readouterr().out
    with torch.device("meta"):
        model = GeneT5(preset("prok"))
    assert 7.5e6 < count_parameters(model)["total"] < 8.5e6
    assert model.config.max_window_bp > 8_192


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"patch_bp": 16, "bp_per_token": 16.0}, "multiple of 3"),
        ({"bp_per_token": 6.0}, "patch_bp = 24"),
        ({"encoder": EncoderConfig(heads=4, kv_heads=3)}, "divide 4 heads"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(changes, text):
    with pytest.raises(ConfigError, match=text):
        replace(preset("prok"), **changes)


def test_an_imported_encoder_needs_tokens(capsys):
    assert init(["nowhere", "--preset", "prok", "--dnabert_path", "x"]) != 0
    assert "reads patches of bases" in capsys.readouterr().err
