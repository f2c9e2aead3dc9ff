"""Log-likelihoods equal brute-force sums over all completions, in a batch, alone and cached."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from genet5.cli import main
from genet5.config.lm.score import LikelihoodConfig
from genet5.errors import ConfigError, DataError
from genet5.genome.sequence import checked_bases
from genet5.lm.bpe import BpeVocabulary
from genet5.lm.folders import LanguageModel
from genet5.lm.likelihood import (
    combine,
    last_log_probabilities,
    likelihood_rows,
    log_probabilities,
)
from genet5.lm.text import encode_bases, with_ends
from genet5.lm.vocabulary import nucleotide_gpt_kmers
from lm_toys import bpe_json, random_dna, tiny_lm

NATS = {"abs": 2e-5}  # sums of a dozen fp32 log-probabilities
FAMILIES = ("generator", "nucleotide_gpt")


@pytest.fixture(scope="module", params=FAMILIES)
def lm(request: pytest.FixtureRequest) -> LanguageModel:
    return tiny_lm(request.param)


def score(lm: LanguageModel, text: str, ambiguous: str = "exact", **how) -> tuple[float, int]:
    config = LikelihoodConfig(**how)
    rows = likelihood_rows(lm.vocabulary, checked_bases(text), ambiguous, config, lm.max_tokens)
    return combine(rows, log_probabilities(lm, rows, batch_tokens=100))


def plain(lm: LanguageModel, text: str) -> float:
    """The log-likelihood of whole tokens, from one pass of the network."""
    ids = ids_of(lm, text)
    log_p = lm.network(torch.tensor([ids[:-1]])).logits[0].double().log_softmax(-1)
    return float(log_p[range(len(ids) - 1), ids[1:]].sum())


def ids_of(lm: LanguageModel, text: str) -> list[int]:
    ids = encode_bases(lm.vocabulary, checked_bases(text))
    has_bos = lm.vocabulary.bos_id is not None
    return with_ends(lm.vocabulary, ids, bos=has_bos).tolist()


def stepwise(lm: LanguageModel, text: str) -> float:
    """The same, one token at a time with a cache."""
    total, cache, ids = 0.0, None, ids_of(lm, text)
    for token, following in itertools.pairwise(ids):
        out = lm.network(torch.tensor([[token]]), past_key_values=cache, use_cache=True)
        cache = out.past_key_values
        total += float(out.logits[0, -1].double().log_softmax(-1)[following])
    return total


def completions(text: str) -> list[str]:
    letters = {"N": "ACGT", "R": "AG", "Y": "CT"}
    options = [letters.get(letter, letter) for letter in text]
    return ["".join(chosen) for chosen in itertools.product(*options)]


@pytest.mark.filterwarnings("ignore")
def test_a_likelihood_equals_single_steps_with_a_cache(lm: LanguageModel) -> None:
    text = random_dna(20)
    found, scored_bp = score(lm, text)
    assert found == pytest.approx(stepwise(lm, text), **NATS)
    assert found == pytest.approx(plain(lm, text), **NATS)
    assert scored_bp == (20 if lm.vocabulary.bos_id is not None else 19)


@pytest.mark.slow
@pytest.mark.parametrize("text", ["ACGTA", "ACNTAC", "ACGRACYT", "ANNTACG", "ACGTAN", "acgun"])
def test_what_has_no_token_is_summed_over_all_completions(lm: LanguageModel, text: str) -> None:
    k = getattr(lm.vocabulary, "k", 1)
    whole = text.upper().replace("U", "T") + "N" * (-len(text) % k)
    brute = np.logaddexp.reduce([plain(lm, each) for each in completions(whole)])
    assert score(lm, text)[0] == pytest.approx(brute, **NATS)


def test_an_ambiguous_first_token_that_is_given_is_averaged_over() -> None:
    lm = tiny_lm("nucleotide_gpt")
    brute = np.logaddexp.reduce([plain(lm, each) for each in completions("RCG")]) - math.log(2)
    assert score(lm, "RCG")[0] == pytest.approx(brute, **NATS)


@pytest.mark.slow
def test_the_probabilities_of_all_sequences_of_one_length_sum_to_one_or_less() -> None:
    lm = tiny_lm("generator")
    everything, by_length = score(lm, "NNN", max_completions=16)[0], []
    for text in completions("NNN"):
        by_length.append(score(lm, text)[0])
    assert np.logaddexp.reduce(by_length) == pytest.approx(everything, **NATS)
    assert everything < 0  # special tokens have the rest


def test_a_batch_equals_its_sequences_alone(lm: LanguageModel) -> None:
    texts = [random_dna(length, length) for length in (7, 30, 12, 41)]
    how = ("exact", LikelihoodConfig(), lm.max_tokens)
    each = [likelihood_rows(lm.vocabulary, checked_bases(text), *how) for text in texts]
    rows = [row for part in each for row in part]
    together = log_probabilities(lm, rows, batch_tokens=10_000)
    alone = [log_probabilities(lm, [row], batch_tokens=1)[0] for row in rows]
    np.testing.assert_allclose(together, alone, atol=2e-5)


def test_logits_in_chunks_equal_logits_at_once(
    lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = random_dna(31)
    at_once = score(lm, text)
    monkeypatch.setattr("genet5.lm.likelihood._LOGITS_AT_ONCE", 50)
    assert score(lm, text)[0] == pytest.approx(at_once[0], **NATS)


def test_oov_sums_as_well_but_later_tokens_see_the_unknown_one() -> None:
    lm = tiny_lm("generator")
    exact, seen = score(lm, "ACNTGC")[0], score(lm, "ACNTGC", "oov")[0]
    assert seen != pytest.approx(exact, **NATS)
    assert score(lm, "ACGTNC", "oov")[0] == pytest.approx(score(lm, "ACGTNC")[0], **NATS)


def test_split_scores_the_intervals_on_their_own(lm: LanguageModel) -> None:
    found, parts = score(lm, "ACGTANNNNGGCA", "split"), (score(lm, "ACGTA"), score(lm, "GGCA"))
    assert found[0] == pytest.approx(parts[0][0] + parts[1][0], **NATS)
    assert found[1] == parts[0][1] + parts[1][1]


def test_a_long_sequence_is_scored_in_windows_with_context(lm: LanguageModel) -> None:
    text = random_dna(300)
    found, scored_bp = score(lm, text, overlap=40)
    assert scored_bp == (300 if lm.vocabulary.bos_id is not None else 299)
    assert found < 0
    short = LanguageModel(lm.network, lm.vocabulary, "short")
    first_window = score(short, text[: 63 * getattr(lm.vocabulary, "k", 1)])[0]
    rest = found - first_window
    assert rest < 0


def test_windows_whose_overlap_covers_everything_equal_one_pass() -> None:
    lm = tiny_lm("generator")
    bases = checked_bases(random_dna(41))
    config, whole = LikelihoodConfig(overlap=5), LikelihoodConfig()
    few = likelihood_rows(lm.vocabulary, bases, "exact", config, 8)
    assert max(len(row.ids) for row in few) == 8
    assert sum(row.scored_bp for row in few) == 41
    (one,) = likelihood_rows(lm.vocabulary, bases, "exact", whole, 64)
    first = log_probabilities(lm, few[:1], batch_tokens=100)[0]
    part = likelihood_rows(lm.vocabulary, bases[:14], "exact", whole, 64)
    assert first == pytest.approx(log_probabilities(lm, part, batch_tokens=100)[0], **NATS)
    assert one.first == 1


def test_too_many_completions_are_refused_with_a_remedy() -> None:
    lm = tiny_lm("generator")
    with pytest.raises(DataError, match="Use --ambiguous oov or split"):
        score(lm, "NNNNNNNNNN")
    with pytest.raises(DataError, match="to be scored exactly"):
        score(lm, "N" + random_dna(300))


def test_an_overlap_that_leaves_no_room_is_refused() -> None:
    with pytest.raises(ConfigError, match="overlap = 63"):
        score(tiny_lm("generator"), random_dna(300), overlap=63)


def test_overlapping_k_mers_are_refused() -> None:
    lm = tiny_lm("nucleotide_gpt", nucleotide_gpt_kmers(is_overlapping=True))
    with pytest.raises(ConfigError, match="tokens share bases"):
        score(lm, "ACGTACGT")


def test_a_bpe_model_scores_the_tokens_of_its_file() -> None:
    lm = tiny_lm("generator", BpeVocabulary(bpe_json()))
    found, scored_bp = score(lm, "ACGTACGTA")
    assert found == pytest.approx(plain(lm, "ACGTACGTA"), **NATS)
    assert scored_bp == 9


def test_the_next_token_after_contexts_of_any_length(lm: LanguageModel) -> None:
    contexts = [np.array(ids, dtype=np.int32) for ids in ([1, 2, 3], [4], [2, 2, 1, 3, 4])]
    found = last_log_probabilities(lm, contexts, batch_tokens=100)
    for row, ids in zip(found, contexts, strict=True):
        logits = lm.network(torch.from_numpy(ids).long()[None]).logits[0, -1]
        np.testing.assert_allclose(row, logits.log_softmax(-1), atol=1e-5)


def test_lm_score_writes_a_row_for_each_sequence(tmp_path: Path, capsys) -> None:
    lm = tiny_lm("generator")
    lm.save(tmp_path / "model")
    fasta = tmp_path / "in.fa"
    fasta.write_text(">a one\nACGTA\n>empty\n>b\nACNtgca\n")
    words = ["lm", "score", str(tmp_path / "model"), str(fasta)]
    assert main([*words, "--strand", "both"]) == 0
    header, *rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert header == ["name", "length_bp", "scored_bp", "log_likelihood", "bits_per_base"]
    assert [row[:3] for row in rows] == [["a", "5", "5"], ["empty", "0", "0"], ["b", "7", "7"]]
    mean = (score(lm, "ACGTA")[0] + score(lm, "TACGT")[0]) / 2
    assert float(rows[0][3]) == pytest.approx(mean, **NATS)
    assert float(rows[0][4]) == pytest.approx(-mean / math.log(2) / 5, **NATS)


def test_lm_score_names_the_sequence_that_cannot_be_scored(tmp_path: Path, capsys) -> None:
    tiny_lm("generator").save(tmp_path / "model")
    fasta = tmp_path / "in.fa"
    fasta.write_text(">good\nACGT\n>bad\nNNNNNNNNNNNN\n")
    out = tmp_path / "scores.tsv"
    assert main(["lm", "score", str(tmp_path / "model"), str(fasta), "-o", str(out)]) == 1
    assert "bad: 6 tokens with ambiguous letters" in capsys.readouterr().err
    assert not out.exists()
