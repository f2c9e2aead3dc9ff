"""Patches of bases: 6-mers at each base, products of patches, and what padding must not change."""

import torch

import builders
from genet5.blocks.patches import PatchStem, PatchUpsampler, patch_starts, words_at_bases
from genet5.genome.sequence import BASE_INDEX, encode_bases


def config(patch_bp=6):
    return builders.tiny_config(
        preset="nano", patch_bp=patch_bp, bp_per_token=float(patch_bp), base_channels=4
    )


def stem_of(text, length=None):
    """A stem and what it makes of one window, padded to `length`."""
    torch.manual_seed(0)
    stem = PatchStem(config()).eval()
    padded = text.ljust(length or len(text), "A")
    with torch.no_grad():
        made = stem(
            torch.from_numpy(encode_bases(padded))[None],
            torch.tensor([11]),
            torch.tensor([len(text)]),
        )
    return stem, made


def test_words_are_numbered_as_base_4_and_need_six_known_letters():
    index = torch.tensor(BASE_INDEX[encode_bases("AAAACGTNACGTAC")].astype("int64"))[None]
    words = words_at_bases(index)[0].tolist()
    assert words[0] == int("000012", 4)
    assert words[1] == int("000123", 4)
    assert words[8] == int("012301", 4)
    assert words[2:8] == [4096] * 6  # over the N
    assert words[9:] == [4096] * 5  # over the end


def test_each_row_has_the_patches_that_its_bases_begin():
    starts, counts = patch_starts(torch.tensor([13, 12, 1]), 13, 6)
    assert starts.tolist() == [[0, 6, 12]] * 3
    assert counts.tolist() == [3, 2, 1]


def test_features_do_not_depend_on_padding_and_are_zero_there():
    text = "ATGCCGTAAGGCTTACGATC"
    _, alone = stem_of(text)
    _, padded = stem_of(text, 31)
    torch.testing.assert_close(padded[:, : len(text)], alone, atol=1e-6, rtol=0)
    assert not padded[:, len(text) :].any()


@torch.no_grad()
def test_a_patch_is_one_product_of_its_bases_side_by_side():
    stem, made = stem_of("ATGCCGTAAGGCTT")
    patches = stem.pool(made)[0]
    assert patches.shape[0] == 3
    second = stem.to_patches.weight @ made[0, 6:12].flatten()
    torch.testing.assert_close(patches[1], second, atol=1e-6, rtol=0)
    rest = torch.cat((made[0, 12:].flatten(), torch.zeros(4 * 4)))  # two bases, four missing
    torch.testing.assert_close(patches[2], stem.to_patches.weight @ rest, atol=1e-6, rtol=0)


@torch.no_grad()
def test_each_base_gets_its_own_part_of_the_patch_state():
    torch.manual_seed(0)
    upsampler = PatchUpsampler(config())
    upsampler.conv.weight.zero_()
    upsampler.conv.bias.zero_()
    states, raw = torch.randn(1, 3, 32), torch.zeros(1, 14, 4)
    features = upsampler(states, raw, torch.tensor([14]))[0]
    own = (upsampler.from_patches.weight @ states[0, 1]).view(6, 4)
    expected = upsampler.norm(torch.nn.functional.gelu(own))
    torch.testing.assert_close(features[6:12], expected, atol=1e-5, rtol=0)
