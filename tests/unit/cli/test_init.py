"""`genet5 init`: presets, flags that override them, and a DNABERT-2 checkpoint on the way in."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

import dnabert2_files
from dnabert2_files import SMALL
from genet5.cli.init import main
from genet5.config.init import InitConfig, InitStdConfig, ShapeConfig
from genet5.config.model import preset
from genet5.errors import ConfigError
from genet5.model.network import GeneT5
from genet5.tokens.tokenizer_file import load_tokenizer

# A model of nano's shape would take seconds.
TINY = ["--decoder_layers", "1", "--decoder_ff_dim", "16", "--num_latents", "8"]
ISSUE = (
    "--preset base --tie_weights --decoder_layers 12 --decoder_heads 12 --decoder_kv_heads 3"
    " --decoder_ff_dim 3072"
    " --decoder_dropout 0.1 --use_moe --num_experts 16 --moe_top_k 2 --init_std 0.02"
    " --init_embed_std 0.02"
    " --init_ffn_std 0.02 --init_attn_std 0.02 --init_moe_router_std 0.006"
    " --encoder_window_size 512 --num_latents 1024"
)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = dnabert2_files.write(tmp_path / "dnabert2", SMALL, dnabert2_files.random_state(SMALL))
    dnabert2_files.write_tokenizer(folder)
    return folder


def table(text: str) -> dict[str, list[int]]:
    rows = re.findall(r"^(\w+) +([\d, ]+)$", text, re.MULTILINE)
    return {part: [int(n.replace(",", "")) for n in numbers.split()] for part, numbers in rows}


# Flags


@pytest.mark.slow
def test_the_recipe_for_base_is_the_preset(tmp_path, capsys):
    assert main([str(tmp_path / "base"), *ISSUE.split(), "--dry_run"]) == 0
    recipe = capsys.readouterr().out
    assert main([str(tmp_path / "base"), "--preset", "base", "--dry_run"]) == 0
    assert capsys.readouterr().out == recipe
    assert table(recipe)["total"][0] == pytest.approx(1.55e9, rel=0.01)
    assert not (tmp_path / "base").exists()


def test_flags_override_the_preset():
    shape = ShapeConfig(
        untie_weights=True,
        decoder_layers=3,
        decoder_heads=8,
        decoder_kv_heads=2,
        decoder_ff_dim=64,
        decoder_dropout=0.25,
        num_experts=6,
        moe_top_k=3,
        encoder_window_size=64,
        num_latents=32,
    )
    stds = InitStdConfig(
        init_std=0.1,
        init_embed_std=0.2,
        init_ffn_std=0.3,
        init_attn_std=0.4,
        init_moe_router_std=0.5,
    )
    config = InitConfig(preset="nano", shape=shape, weights=stds).model_config()
    decoder, init = config.decoder, config.init
    assert (decoder.layers, decoder.heads, decoder.kv_heads, decoder.cross_kv_heads) == (3, 8, 2, 8)
    assert (decoder.ff_dim, decoder.dropout, decoder.num_experts) == (64, 0.25, 6)
    assert (decoder.moe_top_k, config.encoder.window_tokens) == (3, 64)
    assert (config.compressor.num_latents, config.tie_weights) == (32, False)
    assert (init.std, init.embed_std, init.ffn_std, init.attn_std) == (0.1, 0.2, 0.3, 0.4)
    assert init.moe_router_std == 0.5
    assert InitConfig(preset="small").model_config() == preset("small")


def test_experts_come_to_a_dense_preset_and_leave_base():
    dense = InitConfig(preset="nano", shape=ShapeConfig(use_moe=True)).model_config().decoder
    assert (dense.num_experts, dense.moe_top_k) == (16, 2)
    none = InitConfig(preset="base", shape=ShapeConfig(num_experts=0)).model_config().decoder
    assert none.num_experts == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--decoder_heads", "5"], "decoder.heads = 5: must divide the width 256"),
        (["--decoder_kv_heads", "3"], "decoder.kv_heads = 3: must divide 4 heads"),
        (["--decoder_layers", "0"], "decoder.layers = 0: must be from 1 to 1,000"),
        (["--num_latents", "0"], "compressor.num_latents = 0: must be from 1 to"),
        (["--num_experts", "2", "--moe_top_k", "3"], "decoder.moe_top_k = 3"),
        (["--use_moe", "--num_experts", "0"], "must be at least 1 with --use_moe"),
        (["--decoder_dropout", "1"], "must be at least 0 and below 1"),
        (["--init_std", "-1"], "init.std = -1.0: must not be negative"),
        (["--encoder_window_size", "7"], "encoder.window_tokens = 7: must be even"),
        (["--tie_weights", "--untie_weights"], "cannot be combined with --tie_weights"),
        (["--save_dir", "elsewhere"], "must not differ from OUT"),
        (["--tokenizer", "kmer:9"], "must be a whole number from 1 to 8"),
    ],
)
def test_wrong_flags_name_the_rule(tmp_path, capsys, words, message):
    assert main([str(tmp_path / "model"), *words]) == 2
    text = " ".join(re.sub("[│╭╮╰╯─]", " ", capsys.readouterr().err).split())
    assert message in text
    assert not (tmp_path / "model").exists()


def test_a_place_is_needed_and_kept(tmp_path, capsys):
    assert main(["--preset", "nano"]) == 2
    assert "must be given, as the first argument or with --save_dir" in capsys.readouterr().err
    (tmp_path / "model.safetensors").touch()
    assert main(["--save_dir", str(tmp_path)]) == 2
    assert "--overwrite replaces it" in capsys.readouterr().err


# DNABERT-2


@pytest.mark.parametrize("as_flag", [False, True])
def test_dnabert2_becomes_a_model_that_loads(tmp_path, checkpoint, capsys, as_flag):
    out = tmp_path / "model"
    place = ["--save_dir", str(out)] if as_flag else [str(out)]
    words = [*place, "--dnabert_path", str(checkpoint), *TINY, "--use_moe", "--num_experts", "2"]
    assert main(words) == 0
    text = capsys.readouterr().out
    model = GeneT5.from_pretrained(out)
    config = model.config
    assert (config.width, config.sequence_vocab, config.bp_per_token < 2) == (48, 8, True)
    assert (config.encoder.layers, config.encoder.heads, config.encoder.ff_dim) == (3, 6, 80)
    assert (config.encoder.positions, config.encoder.norm_first) == ("alibi", False)
    ids, _ = load_tokenizer(out).sequence.encode(
        torch.tensor([*b"ACGTN"], dtype=torch.uint8).numpy()
    )
    assert ids.tolist() == [7, 5, 0]
    rows = table(text)
    size = sum(weight.numel() for weight in model.parameters())
    in_encoder = sum(weight.numel() for weight in model.encoder.parameters())
    assert rows["encoder"] == [in_encoder, in_encoder, 0, 0]
    assert rows["total"][0] == sum(rows["total"][1:]) == size
    for column in range(4):
        assert rows["total"][column] == sum(row[column] for row in rows.values()) / 2
    assert "not used: cls.predictions.decoder.bias, pooler.dense.bias" in text


def test_a_dry_run_prints_the_same_table_and_writes_nothing(tmp_path, checkpoint, capsys):
    words = [str(tmp_path / "model"), "--dnabert_path", str(checkpoint), *TINY]
    assert main([*words, "--dry_run"]) == 0
    dry = capsys.readouterr().out
    assert not (tmp_path / "model").exists()
    assert main(words) == 0
    assert capsys.readouterr().out == dry


def test_a_tokenizer_of_another_size_is_refused(tmp_path, checkpoint, capsys):
    words = [str(tmp_path / "model"), "--dnabert_path", str(checkpoint)]
    assert main([*words, "--tokenizer", "kmer:6"]) == 1
    assert "embeds 8 tokens; the tokenizer has 4100" in capsys.readouterr().err
    (checkpoint / "tokenizer.json").unlink()
    assert main(words) == 1
    assert "no tokenizer.json beside the weights" in capsys.readouterr().err


def test_what_is_no_checkpoint_is_one_line(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    words = [str(tmp_path / "model"), "--dnabert_path", str(tmp_path / "empty")]
    assert main(words) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "holds no weights; expected model.safetensors or pytorch_model.bin" in error
    assert not (tmp_path / "model").exists()


def test_the_shared_tokenizer_fits_the_published_vocabulary(shared_data: Path):
    from genet5.tokens.sequence import BpeTokenizer

    text = (shared_data / "dnabert2" / "tokenizer.json").read_text()
    assert BpeTokenizer(text).vocab_size == dnabert2_files.PUBLISHED["vocab_size"]


def test_shape_flags_refuse_contradictions():
    with pytest.raises(ConfigError, match="untie_weights"):
        ShapeConfig(tie_weights=True, untie_weights=True)
