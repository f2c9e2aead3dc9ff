"""Open reading frames, whole and cut, with the start that the heads prefer."""

from __future__ import annotations

import numpy as np
import pytest

from genet5.decode.open_frames import FrameWeights, OpenFrame, open_frames
from genet5.genome.frames import frames_to_right, leftmost_frame
from genet5.genome.sequence import encode_bases, reverse_complement
from genet5.tokens.grammar import prokaryote_options
from genet5.tokens.signals import build_signals

BODY = "GCC" * 20
TEXT = "CC" + "ATG" + BODY + "ATG" + BODY + "TAA" + "CC"
SURE = FrameWeights(state=0.1, edge=0.0, least=10.0)


def find(
    text: str, strand: int, first: int, weights: FrameWeights = SURE, *, is_cut: bool = False
) -> list[OpenFrame]:
    """Frames of a window that codes from `first` in reading order on, or from its edge if cut."""
    bases = encode_bases(text)
    length = len(bases)
    codons = np.full((2, 3, length), -5.0, dtype=np.float32)
    positions = frames_to_right(leftmost_frame(1), length + 3, 1)[(-first) % 3 :][:length]
    logits = np.full((3, length), -5.0, dtype=np.float32)
    logits[positions, np.arange(length)] = 5.0
    if not is_cut:
        logits[:, :first] = -5.0
    codons[0 if strand > 0 else 1] = logits if strand > 0 else logits[:, ::-1]
    edges = np.zeros((8, length), dtype=np.float32)
    window = bases if strand > 0 else reverse_complement(bases)
    signals = build_signals([window], [11], prokaryote_options())
    return open_frames(signals, 0, codons, edges, weights)


@pytest.mark.parametrize("strand", [1, -1])
def test_a_whole_gene_begins_where_most_is_coding(strand: int) -> None:
    (frame,) = find(TEXT, strand, 2)
    ends = (2, len(TEXT) - 3)
    expected = ends if strand > 0 else (len(TEXT) - 1 - ends[1], len(TEXT) - 1 - ends[0])
    assert (frame.strand, frame.first, frame.last) == (strand, *expected)
    assert not frame.cut_left
    assert not frame.cut_right


@pytest.mark.parametrize("shift", [0, 1, 2])
@pytest.mark.parametrize("strand", [1, -1])
def test_a_gene_that_is_cut_at_its_5_end_knows_its_frame(strand: int, shift: int) -> None:
    text = ("GCC" * 20)[shift:] + "TAACC"
    frame = max(find(text, strand, (-shift) % 3, is_cut=True), key=lambda found: found.score)
    if strand > 0:
        assert (frame.first, frame.last, frame.frame) == (0, len(text) - 3, shift)
        assert (frame.cut_left, frame.cut_right) == (True, False)
    else:
        assert (frame.first, frame.last) == (2, len(text) - 1)
        assert (frame.cut_left, frame.cut_right) == (False, True)


@pytest.mark.parametrize("strand", [1, -1])
def test_a_gene_that_is_cut_at_its_3_end_reaches_the_edge(strand: int) -> None:
    text = "CCATG" + BODY + "G"
    frame = max(find(text, strand, 2), key=lambda found: found.score)
    assert frame.last - frame.first + 1 == len(text) - 2
    assert (frame.cut_left, frame.cut_right) == ((False, True) if strand > 0 else (True, False))
    assert frame.frame == 0


def test_tiny_windows_have_frames_without_ends() -> None:
    for text in ("A", "AC", "ATG", "TAA"):
        for frame in find(text, 1, 0, FrameWeights(least=-99.0)):
            assert 0 <= frame.first <= frame.last < len(text)
