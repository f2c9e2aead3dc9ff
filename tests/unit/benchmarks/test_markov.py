"""The chains that language models are measured beside: counts by hand, and probabilities."""

from __future__ import annotations

import numpy as np
import pytest
from markov import BackOff, back_off, fifth_order

from genet5.genome.sequence import checked_bases

TEXTS = [checked_bases("ACGACGACGT"), checked_bases("acgNACGA")]


def test_a_chain_counts_what_follows_a_context() -> None:
    chain = BackOff(2, prior=2.0, orders=(2,)).fit(TEXTS)
    p = chain.probabilities(np.array([[0, 1]]))  # after AC: G, five times
    np.testing.assert_allclose(p, [[0.5 / 7, 0.5 / 7, 5.5 / 7, 0.5 / 7]])


@pytest.mark.parametrize("chain", [fifth_order(), back_off(8.0)])
def test_probabilities_of_the_next_base_sum_to_one(chain: BackOff) -> None:
    contexts = np.random.default_rng(0).integers(4, size=(20, 11))
    np.testing.assert_allclose(chain.fit(TEXTS).probabilities(contexts).sum(1), 1)


def test_likelihood_is_the_sum_over_bases_with_what_is_before_each() -> None:
    chain = BackOff(2, prior=1.0).fit(TEXTS)
    index = [0, 1, 2, 0, 1]
    expected = sum(
        np.log2(chain.probabilities(np.array([index[max(0, at - 2) : at]]))[0, index[at]])
        for at in range(1, 5)
    )
    found, number = chain.log2_likelihood(checked_bases("ACGAC"))
    assert number == 4
    assert found == pytest.approx(expected)


def test_periodic_dna_is_continued() -> None:
    chain = BackOff(4, prior=1.0).fit([checked_bases("ACG" * 30)])
    assert chain.continue_greedily(checked_bases("ACGAC"), 6) == "GACGAC"
