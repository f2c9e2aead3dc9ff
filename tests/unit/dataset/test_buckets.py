"""Padded lengths: few, never shorter, hardly longer."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from genet5.dataset.buckets import bucket


@given(st.integers(0, 2**20))
def test_a_padded_length_is_hardly_longer_and_stays_itself(length):
    padded = bucket(length)
    assert length <= padded < length + max(8, length / 32)
    assert padded % 8 == 0
    assert bucket(padded) == padded


@given(st.integers(0, 2**16), st.integers(0, 2**16))
def test_longer_stays_longer(one, other):
    assert (bucket(one) <= bucket(other)) == (one <= other) or bucket(one) == bucket(other)


def test_an_octave_has_32_lengths_and_every_power_of_two_is_one():
    assert len({bucket(length) for length in range(1025, 2049)}) == 32
    assert all(bucket(2**power) == 2**power for power in range(3, 20))
