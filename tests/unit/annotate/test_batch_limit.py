"""A batch that the device has no room for is decoded in parts."""

from __future__ import annotations

import pytest
import torch

from genet5.annotate.batch_limit import BatchLimit


class Device:
    """Room for some windows."""

    def __init__(self, room: int) -> None:
        self.room, self.sizes = room, list[int]()

    def decode(self, some: slice) -> list[int]:
        numbers = list(range(some.start, some.stop))
        self.sizes.append(len(numbers))
        if len(numbers) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return numbers


def test_a_batch_that_fits_is_decoded_at_once() -> None:
    device = Device(8)
    assert BatchLimit().decode(8, device.decode) == list(range(8))
    assert device.sizes == [8]


def test_windows_are_halved_until_they_fit_and_it_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    device, limit = Device(3), BatchLimit()
    assert limit.decode(10, device.decode) == list(range(10))
    assert device.sizes == [10, 5, 2, 2, 2, 2, 2]
    device.sizes.clear()
    assert limit.decode(4, device.decode) == list(range(4))
    assert device.sizes == [2, 2]  # the size that fits is remembered
    assert [record.getMessage()[:50] for record in caplog.records] == [
        "no memory for 10 segments of windows at a time: ha"
    ]


def test_no_room_for_one_segment_is_an_error() -> None:
    with pytest.raises(torch.OutOfMemoryError):
        BatchLimit().decode(2, Device(0).decode)
