"""Few padded lengths, so that compiled layers, kernels and the allocator meet few shapes.

A length is rounded up to a multiple of 1/32 of the power of two below it, and of 8 at least: 32
lengths an octave, at most 1/32 of padding beyond 256 and half of that on average. Multiples of 8
are what tensor cores and fused attention want of a length.

Example:
    >>> [bucket(length) for length in (3, 250, 300, 1024, 1025, 6000)]
    [8, 256, 304, 1024, 1056, 6016]
"""

from __future__ import annotations

_FINEST = 8
_OCTAVE_BITS = 5  # 32 lengths between a power of two and the next


def bucket(length: int) -> int:
    """Return the padded length for `length` tokens or labels; a padded length stays itself."""
    step = max(_FINEST, 1 << max(length.bit_length() - 1 - _OCTAVE_BITS, 0))
    return -(-length // step) * step
