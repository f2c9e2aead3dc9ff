"""Generation by token and by base, and the recovery of true continuations."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from genet5.cli import main
from genet5.config.lm.generate import SamplingConfig
from genet5.errors import ConfigError, DataError
from genet5.genome.sequence import checked_bases
from genet5.lm import recover
from genet5.lm.bpe import BpeVocabulary
from genet5.lm.folders import LanguageModel
from genet5.lm.generation import DnaLogits, continue_tokens
from lm_toys import bpe_json, pair_vocabulary, random_dna, tiny_lm

GREEDY = SamplingConfig(temperature=0.0)
PAIRS = pair_vocabulary()


def logits_of(config: SamplingConfig, scores: torch.Tensor, seen: list[int] | None = None):
    processor = DnaLogits(PAIRS, config, PAIRS.vocab_size)
    return processor(torch.tensor([seen or [1]]), scores[None])[0]


def scores(seed: int = 1) -> torch.Tensor:
    return torch.randn(PAIRS.vocab_size, generator=torch.Generator().manual_seed(seed)) * 2


@pytest.mark.parametrize("family", ["generator", "nucleotide_gpt"])
def test_greedy_tokens_of_a_batch_are_those_of_each_prompt_alone(family: str) -> None:
    lm = tiny_lm(family)
    prompts = [np.array(ids, dtype=np.int32) for ids in ([1, 2], [4, 3, 2, 1, 1], [3])]
    found = continue_tokens(lm, prompts, 4, GREEDY, batch_tokens=1000)
    dna = np.flatnonzero(lm.vocabulary.base_at[:, 0] >= 0)
    for prompt, tokens in zip(prompts, found, strict=True):
        ids = prompt.tolist()
        for _ in range(4):
            logits = lm.network(torch.tensor([ids])).logits[0, -1]
            ids.append(int(dna[int(logits[dna].argmax())]))
        assert tokens.tolist() == ids[len(prompt) :]


@pytest.mark.slow
@pytest.mark.parametrize("family", ["generator", "nucleotide_gpt"])
def test_a_short_sequence_is_learned_by_heart_and_sampled_back(family: str) -> None:
    lm = tiny_lm(family)
    ids = lm.vocabulary.encode(checked_bases("ACGGTTACAAGCTTGCATGC"))
    rows = torch.from_numpy(ids.astype(np.int64))[None]
    lm.network.train().requires_grad_(True)
    optimizer = torch.optim.Adam(lm.network.parameters(), lr=0.01)
    for _ in range(40):
        optimizer.zero_grad()
        lm.network(rows, labels=rows, use_cache=False).loss.backward()
        optimizer.step()
    lm.network.eval().requires_grad_(False)
    (found,) = continue_tokens(lm, [ids[:1]], len(ids) - 1, SamplingConfig(), batch_tokens=100)
    assert found.tolist() == ids[1:].tolist()


def test_special_tokens_are_never_generated() -> None:
    raised = scores()
    raised[:5] = 50.0
    for decode in ("token", "base"):
        found = logits_of(SamplingConfig(decode=decode), raised)
        assert torch.isinf(found[:5]).all()


def test_base_by_base_takes_the_product_of_marginals() -> None:
    raw = scores()
    p = raw[5:].double().softmax(-1)
    names = [PAIRS.decode([5 + n]) for n in range(16)]
    marginals = [
        {base: sum(float(p[n]) for n in range(16) if names[n][place] == base) for base in "ACGT"}
        for place in range(2)
    ]
    found = logits_of(SamplingConfig(decode="base"), raw)[5:].exp()
    for n, name in enumerate(names):
        assert float(found[n]) == pytest.approx(marginals[0][name[0]] * marginals[1][name[1]],
                                                rel=1e-5)  # fmt: skip
    assert float(found.sum()) == pytest.approx(1.0, rel=1e-5)


def test_greedy_by_token_and_greedy_by_base_differ_where_they_should() -> None:
    table = torch.full((PAIRS.vocab_size,), -30.0)
    for name, p in {"AA": 0.34, "CG": 0.33, "CT": 0.33}.items():
        number = PAIRS.encode(np.frombuffer(name.encode(), dtype=np.uint8))[0]
        table[int(number)] = float(np.log(p))
    by_token = PAIRS.decode([int(logits_of(GREEDY, table).argmax())])
    by_base = logits_of(SamplingConfig(temperature=0.0, decode="base"), table).argmax()
    assert by_token == "AA"
    assert PAIRS.decode([int(by_base)])[0] == "C"


def test_top_k_and_top_p_leave_the_most_probable_tokens() -> None:
    raw = scores()
    kept = torch.isfinite(logits_of(SamplingConfig(top_k=3), raw)).nonzero()[:, 0]
    assert set(kept.tolist()) == set((raw[5:].topk(3).indices + 5).tolist())
    p, order = raw[5:].softmax(-1).sort(descending=True)
    needed = int((p.cumsum(-1) < 0.6).sum()) + 1
    kept = torch.isfinite(logits_of(SamplingConfig(top_p=0.6), raw)).nonzero()[:, 0]
    assert set(kept.tolist()) == set((order[:needed] + 5).tolist())


def test_temperature_and_repetition_penalty_change_logits() -> None:
    raw = scores()
    assert torch.allclose(logits_of(SamplingConfig(temperature=2.0), raw)[5:], raw[5:] / 2)
    found = logits_of(SamplingConfig(repetition_penalty=2.0), raw, [1, 6, 7])
    for token in (6, 7):
        value = float(raw[token])
        assert float(found[token]) == pytest.approx(value * 2 if value < 0 else value / 2)
    assert float(found[8]) == pytest.approx(float(raw[8]))


def test_the_same_seed_gives_the_same_sequences_and_leaves_the_random_state() -> None:
    lm, prompts = tiny_lm(), [np.array([1], dtype=np.int32)] * 3
    state = torch.random.get_rng_state()
    first, again, other = (
        continue_tokens(lm, prompts, 6, SamplingConfig(), batch_tokens=100, seed=seed)
        for seed in (1, 1, 2)
    )
    assert torch.equal(state, torch.random.get_rng_state())
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert len({tuple(tokens) for tokens in first}) > 1


def test_what_cannot_be_generated_is_refused() -> None:
    lm = tiny_lm("nucleotide_gpt")
    empty, long = np.zeros(0, dtype=np.int32), np.ones(60, dtype=np.int32)
    with pytest.raises(DataError, match="an empty prompt"):
        continue_tokens(lm, [empty], 2, GREEDY, batch_tokens=10)
    with pytest.raises(DataError, match="at most 64 together"):
        continue_tokens(lm, [long], 5, GREEDY, batch_tokens=10)
    with pytest.raises(ConfigError, match="decode = 'base'"):
        DnaLogits(BpeVocabulary(bpe_json()), SamplingConfig(decode="base"), 12)


def test_lm_generate_writes_sequences_of_the_length_that_is_asked_for(
    tmp_path: Path, capsys
) -> None:
    tiny_lm().save(tmp_path / "model")
    words = ["lm", "generate", str(tmp_path / "model"), "--length_bp", "7", "--number", "2"]
    assert main([*words, "--prompt", "<s>ACG", "--with_prompt"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[::2]] == [">generated_1", ">generated_2"]
    assert all(line.startswith("ACG") and len(line) == 10 for line in lines[1::2])
    (tmp_path / "p.fa").write_text(">x\nACGT\n>y\nGGN\n")
    assert main([*words, "--prompts", str(tmp_path / "p.fa")]) == 1
    assert "prompt y: 1 ambiguous letters" in capsys.readouterr().err


# ---- recovery ------------------------------------------------------------------------------------


def repeating(period: int, missing: int = 0):
    """Continue each prompt with what stood `period` tokens earlier, less the last `missing`."""

    def tokens(lm: LanguageModel, prompts, num_tokens: int, config, **how):
        found = []
        for prompt in prompts:
            ids = prompt.tolist()
            for _ in range(num_tokens):
                ids.append(ids[-period])
            found.append(np.array(ids[len(prompt) :][: num_tokens - missing]))
        return found

    return tokens


def run_recovery(folder: Path, *words: str) -> dict[str, object]:
    rows = [
        {"sequence": "ACGTTG" * 10, "label": "ACGTTG" * 5, "type": "plants"},
        {"sequence": "AACCGG" * 9 + "A", "label": "ACCGGA" * 5, "type": "fungi"},
        {"sequence": "AACCGG" * 10, "label": "TTTTTT" * 5, "type": "fungi"},
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "test.parquet")
    tiny_lm().save(folder / "model")
    places = [str(folder / "model"), str(folder / "test.parquet"), "-o", str(folder / "out.tsv")]
    summary = folder / "summary.json"
    assert main(["lm", "recover", *places, "--summary", str(summary), *words]) == 0
    return json.loads(summary.read_text())


def test_a_model_that_repeats_its_input_recovers_periodic_dna(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recover, "continue_tokens", repeating(3))
    found = run_recovery(tmp_path)["6144"]
    assert found["by_type"] == {"fungi": 0.5, "plants": 1.0}
    assert found["accuracy"] == pytest.approx(2 / 3)
    assert found["rows"] == 3


def test_short_predictions_count_as_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recover, "continue_tokens", repeating(3, missing=6))
    assert run_recovery(tmp_path)["6144"]["by_type"]["plants"] == pytest.approx(18 / 30)


def test_contexts_are_the_rightmost_whole_tokens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def noted(lm: LanguageModel, prompts, num_tokens: int, config, **how):
        seen.extend(lm.vocabulary.decode(prompt.tolist()) for prompt in prompts)
        return repeating(1)(lm, prompts, num_tokens, config)

    monkeypatch.setattr(recover, "continue_tokens", noted)
    run_recovery(tmp_path, "--context_bp", "5", "600")
    assert seen[:2] == ["<s>GTTG", "<s>CGGA"]
    assert seen[4] == "<s>" + ("AACCGG" * 9 + "A")[1:]


@pytest.mark.slow
def test_places_of_a_genome_are_drawn_and_plotted(tmp_path: Path) -> None:
    genome = tmp_path / "g.fa"
    genome.write_text(f">a\n{random_dna(300)}\n>b\n{'N' * 100}\n>c\nACGT\n")
    tiny_lm().save(tmp_path / "model")
    places = [str(tmp_path / "model"), str(genome), "-o", str(tmp_path / "out.csv")]
    how = ["--context_bp", "8", "20", "--number", "5", "--length_bp", "4", "--decode", "base"]
    plot = tmp_path / "plot.svg"
    assert main(["lm", "recover", *places, *how, "--plot", str(plot)]) == 0
    header, *rows = (tmp_path / "out.csv").read_text().splitlines()
    assert header == "context_bp,type,pred,label,accuracy"
    assert [row.split(",")[:2] for row in rows] == [["8", "a"]] * 5 + [["20", "a"]] * 5
    assert plot.stat().st_size > 1000
    assert {len(x) for row in rows for x in itertools.islice(row.split(","), 2, 4)} == {4}
