"""Contigs cut at runs of N."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from genet5.genome.gaps import between_gaps
from genet5.genome.sequence import encode_bases


@given(st.text("ANn", max_size=40), st.integers(1, 4), st.integers(1, 9))
def test_intervals_are_what_lies_between_gaps_whatever_is_read_at_a_time(
    text: str, least_gap_bp: int, block_bp: int
) -> None:
    found = list(between_gaps(encode_bases(text), least_gap_bp, block_bp=block_bp))
    between = [m.span() for m in re.finditer(rf"[Nn]{{{least_gap_bp},}}", text)]
    ends = [0, *(at for span in between for at in span), len(text)]
    assert found == [(a, b) for a, b in zip(ends[::2], ends[1::2], strict=True) if a < b]
