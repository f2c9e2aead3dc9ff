"""A resized model is the old one, and knows more gene types."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from builders import tiny_config
from genet5.annotate.calling_config import CallingConfig, save_calling_config
from genet5.cli.resize_model import main
from genet5.config.model import ModelConfig
from genet5.dataset.collate import make_inputs
from genet5.decode.greedy import decode_windows
from genet5.errors import CheckpointError, ConfigError, DataError
from genet5.model.network import GeneT5
from genet5.model.resize import require_fit, resize_model
from genet5.simulate.prokaryote import simulate_bacterium
from genet5.tokens.grammar import prokaryote_options
from genet5.tokens.sequence import KmerTokenizer
from genet5.tokens.tokenizer_file import Tokenizer, load_tokenizer, save_tokenizer
from genet5.tokens.vocabulary import StructureVocabulary

V = StructureVocabulary()
NEW = ("snoRNA", "lncRNA", "miRNA")
OLD_TOKENIZER = Tokenizer(KmerTokenizer(4))
LARGER = Tokenizer(KmerTokenizer(4), V.appended(NEW))


def shape_of(*, tied: bool) -> ModelConfig:
    return tiny_config(sequence_vocab=260, structure_vocab=len(V), tie_weights=tied)


def save_model(
    folder: Path, *, tied: bool = True, dtype: torch.dtype | None = None, seed: int = 3
) -> Path:
    """A random model whose choices differ from window to window."""
    model = GeneT5(shape_of(tied=tied))
    model.init_weights(seed)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.mul_(6.0)
        model.base_heads.boundaries.bias.zero_()
    model.save_pretrained(folder, dtype=dtype)
    save_tokenizer(OLD_TOKENIZER, folder)
    return folder


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("dtype", [None, torch.float16, torch.bfloat16])
def test_old_weights_are_bit_identical_and_keep_their_type(tmp_path, tied, dtype) -> None:
    folder = save_model(tmp_path / "old", tied=tied, dtype=dtype)
    assert resize_model(folder, tmp_path / "new", LARGER) == NEW
    old, new = (load_file(tmp_path / name / "model.safetensors") for name in ("old", "new"))
    assert old.keys() == new.keys()
    grown = {name for name in old if old[name].shape != new[name].shape}
    assert grown == {"label_embedding.weight"} | (set() if tied else {"token_head.weight"})
    for name, tensor in old.items():
        assert new[name].dtype == tensor.dtype
        kept = new[name][: len(tensor)] if name in grown else new[name]
        assert torch.equal(kept.view(torch.uint8), tensor.view(torch.uint8)), name
    for name in grown:
        assert len(new[name]) == len(V) + 3
        expected = old[name][V.first_type :].double().mean(dim=0).to(old[name].dtype)
        assert all(torch.equal(row, expected) for row in new[name][len(V) :])


# A product with another number of columns may sum in another order: 32 terms about 1, fp32.
ROUNDING = 32 * 2.0**-23


@pytest.mark.parametrize("tied", [True, False])
def test_states_and_logits_of_old_tokens_and_bases_are_equal_and_new_ones_never_win(
    tmp_path, tied
) -> None:
    folder = save_model(tmp_path / "old", tied=tied)
    resize_model(folder, tmp_path / "new", LARGER)
    models = [GeneT5.from_pretrained(path).eval() for path in (folder, tmp_path / "new")]
    contigs, _ = simulate_bacterium(2_000, seed=1)
    windows = [contigs[0].bases[:700], contigs[0].bases[700:1_300]]
    rng = np.random.default_rng(1)
    labels = np.where(
        rng.random((2, 30)) < 0.4,
        -1 - rng.integers(0, 600, (2, 30)),
        rng.integers(1, len(V), (2, 30)),
    )
    found = []
    for model in models:
        with torch.no_grad():
            encoded = model.encode(make_inputs(windows, [11, 11], KmerTokenizer(4)))
            cache = model.start_decoding(encoded)
            states = model.extend(encoded, cache, torch.from_numpy(labels))
            scores = model.position_logits(encoded, states, cache.places[:, :30])
            found.append((states, model.token_logits(states), scores))
    old, new = found
    assert torch.equal(old[0], new[0])
    same_shape = new[0] @ models[1].token_head.weight.detach()[: len(V)].T
    assert torch.equal(old[1], same_shape)
    torch.testing.assert_close(new[1][..., : len(V)], old[1], rtol=0, atol=ROUNDING)
    assert torch.equal(old[2], new[2])
    best_old, best_new = (
        new[1][..., ids].amax(dim=-1) for ids in (slice(V.first_type, len(V)), slice(len(V), None))
    )
    assert (best_new < best_old).all()


@pytest.mark.slow
def test_the_same_genes_are_found(tmp_path) -> None:
    folder = save_model(tmp_path / "old")
    resize_model(folder, tmp_path / "new", LARGER)
    contigs, _ = simulate_bacterium(12_000, seed=2)
    windows = [contigs[0].bases[start : start + 900] for start in range(0, 12_000, 900)]
    codes = [11] * len(windows)
    options = prokaryote_options(gene_types=V.gene_types)
    old, new = (
        decode_windows(GeneT5.from_pretrained(path).eval(), tokenizer, windows, codes, options)
        for path, tokenizer in ((folder, OLD_TOKENIZER), (tmp_path / "new", LARGER))
    )
    assert [window.labels for window in new] == [window.labels for window in old]
    assert [len(window.fragments) for window in new] == [len(window.fragments) for window in old]
    assert sum(len(window.fragments) for window in old) > 5


def test_config_tokenizer_and_settings_of_annotation_go_along(tmp_path) -> None:
    folder = save_model(tmp_path / "old")
    save_calling_config(CallingConfig(window_bp=512, overlap_bp=128), folder)
    (folder / "run.json").write_text("{}")
    resize_model(folder, tmp_path / "new", LARGER)
    assert {path.name for path in (tmp_path / "new").iterdir()} == {
        "config.json", "model.safetensors", "tokenizer.json", "annotate.json", "checksums.json",
    }  # fmt: skip
    assert load_tokenizer(tmp_path / "new").to_dict() == LARGER.to_dict()
    config = GeneT5.from_pretrained(tmp_path / "new").config
    assert config == replace(shape_of(tied=True), structure_vocab=len(V) + 3)
    assert (tmp_path / "new/annotate.json").read_bytes() == (folder / "annotate.json").read_bytes()
    require_fit(tmp_path / "new")
    modes = {
        path.stat().st_mode for path in (tmp_path / "new").glob("*.*") if path.stem != "annotate"
    }
    assert len(modes) == 1, "weights can be read by whoever can read the config"


def test_without_a_tokenizer_the_models_own_appended_one_counts(tmp_path) -> None:
    folder = save_model(tmp_path / "old")
    save_tokenizer(LARGER, folder)
    with pytest.raises(CheckpointError, match=r"knows 5 gene types.* has 8.*genet5 resize_model"):
        require_fit(folder)
    assert resize_model(folder, tmp_path / "new") == NEW
    require_fit(tmp_path / "new")
    assert resize_model(tmp_path / "new", tmp_path / "same") == ()


def test_tokenizers_that_would_change_a_meaning_are_refused(tmp_path) -> None:
    folder = save_model(tmp_path / "old")
    wrong = {
        "other order": Tokenizer(KmerTokenizer(4), StructureVocabulary(V.gene_types[::-1])),
        "fewer": Tokenizer(KmerTokenizer(4), StructureVocabulary(V.gene_types[:3])),
        "other sequence": Tokenizer(KmerTokenizer(5), V.appended(NEW)),
    }
    for tokenizer in wrong.values():
        with pytest.raises(DataError, match="genet5"):
            resize_model(folder, tmp_path / "new", tokenizer)
    assert not (tmp_path / "new").exists()
    save_tokenizer(wrong["fewer"], folder)
    with pytest.raises(DataError, match="never taken away"):
        resize_model(folder, tmp_path / "new")


def test_models_are_not_overwritten_unasked_and_never_by_themselves(tmp_path) -> None:
    folder, other = save_model(tmp_path / "old"), save_model(tmp_path / "other", seed=5)
    before = (other / "model.safetensors").read_bytes()
    for overwrite in (True, False):
        with pytest.raises(ConfigError, match="another folder"):
            resize_model(folder, tmp_path / "other" / ".." / "old", LARGER, overwrite=overwrite)
    with pytest.raises(ConfigError, match="--overwrite"):
        resize_model(folder, other, LARGER)
    assert (other / "model.safetensors").read_bytes() == before
    resize_model(folder, other, LARGER, overwrite=True)
    assert (other / "model.safetensors").read_bytes() != before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old", "other"]


def test_the_command_says_what_it_added(tmp_path, capsys) -> None:
    folder = save_model(tmp_path / "old")
    save_tokenizer(LARGER, tmp_path / "t.json")
    words = [str(folder), str(tmp_path / "new"), "--tokenizer", str(tmp_path / "t.json")]
    assert main(words) == 0
    assert "snoRNA, lncRNA, miRNA added" in capsys.readouterr().out
    assert main(words) == 2
    assert (
        main(
            [str(tmp_path / "absent"), str(tmp_path / "x"), "--tokenizer", str(tmp_path / "t.json")]
        )
        == 1
    )
