"""Base-resolution features against slow loops over strings."""

import math

import numpy as np
import pytest
import torch

from genet5.blocks.bases import BaseStem, BaseUpsampler, base_slots, convolve
from genet5.blocks.codons import NUM_FEATURES, CodonFeatures
from genet5.config.model import preset
from genet5.genome.codes import genetic_code
from genet5.genome.sequence import decode_bases, encode_bases, reverse_complement


def random_bases(length, seed=0, letters="ACGTacgtN"):
    rng = np.random.default_rng(seed)
    return encode_bases("".join(rng.choice(list(letters), length)))


def distances_by_loop(text, position, frame, stops):
    """Codons to the stops around the codon with `position` at place `frame`; edges are stops."""
    start = position - frame
    before = after = 0
    at = start - 3
    while at >= 0 and text[at : at + 3] not in stops:
        before, at = before + 1, at - 3
    at = start
    while at + 3 <= len(text) and text[at : at + 3] not in stops:
        after, at = after + 1, at + 3
    return before + 1, after


def test_distances_to_stops_follow_the_genetic_code_on_both_strands():
    bases = random_bases(90, letters="ACGTacgt")
    for code in (11, 4):
        features = CodonFeatures()(
            torch.from_numpy(bases)[None], torch.tensor([code]), torch.tensor([90])
        )[0]
        assert features.shape == (NUM_FEATURES, 90)
        stops = genetic_code(code).stops
        for strand, row in ((1, 0), (-1, 1)):
            text = decode_bases(bases if strand > 0 else reverse_complement(bases)).upper()
            for p in range(3, 84):
                q = p if strand > 0 else 89 - p
                assert bool(features[4 + row, p]) == (text[q : q + 3] in stops)
                for frame in range(3):
                    before, after = distances_by_loop(text, q, frame, stops)
                    channel = 3 * row + frame
                    assert math.isclose(
                        features[6 + channel, p], math.log2(1 + before) / 8, abs_tol=1e-5
                    )
                    # A frame that leaves the window ends at its last whole codon, or one later.
                    got = 2 ** (8 * float(features[12 + channel, p])) - 1
                    assert round(got) - after in (0, 1)


def test_ambiguous_bases_are_no_letter_and_no_stop():
    bases = torch.from_numpy(encode_bases("TANTAATGN"))[None]
    features = CodonFeatures()(bases, torch.tensor([11]), torch.tensor([9]))[0]
    assert features[:4, 2].tolist() == [0, 0, 0, 0]
    assert features[4].nonzero().flatten().tolist() == [3]


def test_slots_count_tokens_and_codon_phase():
    start = torch.tensor([[0, 6, 12, 14], [0, 5, 14, 14]])
    slots = base_slots(start, 14)
    assert (slots // 3).tolist() == [[0] * 6 + [1] * 6 + [2] * 2, [0] * 5 + [1] * 9]
    assert (slots[0] % 3).tolist() == [p % 3 for p in range(14)]


def test_pooling_is_the_mean_of_each_token_and_phase():
    config = preset("nano")
    stem = BaseStem(config)
    torch.nn.init.normal_(stem.to_tokens.weight)
    features = torch.randn(2, 14, config.base_channels)
    start = torch.tensor([[0, 6, 12, 14], [0, 5, 9, 14]])
    pooled = stem.pool(features, base_slots(start, 14), 4)
    for row in range(2):
        for token in range(4):
            first = int(start[row, token])
            last = int(start[row, token + 1]) if token < 3 else 14
            means = []
            for phase in range(3):
                chosen = [features[row, p] for p in range(first, last) if p % 3 == phase]
                means.append(torch.stack(chosen).mean(0) if chosen else torch.zeros(64))
            expected = stem.to_tokens(torch.cat(means))
            torch.testing.assert_close(pooled[row, token], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("dilation", [1, 2])
def test_convolution_without_gradient_equals_that_with_gradient(dilation):
    conv = torch.nn.Conv1d(3, 5, 9, padding="same", dilation=dilation)
    x_BLC = torch.randn(2, 40, 3)
    expected = conv(x_BLC.transpose(1, 2)).transpose(1, 2)
    torch.testing.assert_close(convolve(conv, x_BLC), expected, atol=0, rtol=0)
    with torch.no_grad():
        torch.testing.assert_close(convolve(conv, x_BLC), expected, atol=1e-6, rtol=0)


def test_upsampling_gives_each_base_its_own_token():
    config = preset("nano")
    up = BaseUpsampler(config)
    torch.nn.init.zeros_(up.conv.weight)
    torch.nn.init.zeros_(up.conv.bias)
    states, raw = torch.randn(1, 3, config.width), torch.zeros(1, 14, config.base_channels)
    slots = base_slots(torch.tensor([[0, 5, 9]]), 14)
    got = up(states, raw, slots, torch.tensor([14]))
    weight = up.from_tokens.weight.view(3, config.base_channels, config.width)
    for p, token in ((0, 0), (4, 0), (5, 1), (13, 2)):
        expected = up.norm(torch.nn.functional.gelu(weight[p % 3] @ states[0, token]))
        torch.testing.assert_close(got[0, p], expected, atol=1e-5, rtol=1e-5)
