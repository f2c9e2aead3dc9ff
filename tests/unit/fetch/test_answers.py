"""What a server's answer says of itself, limits of answers, and network errors in words."""

from __future__ import annotations

import pytest
from urllib3.connection import HTTPConnection
from urllib3.exceptions import NewConnectionError, ProtocolError, ReadTimeoutError, SSLError

from genet5.errors import ServerError
from genet5.fetch.answers import (
    Busy,
    Limits,
    in_words,
    innermost_reason,
    length_of,
    range_of,
    within,
)

REFUSED = ConnectionRefusedError(111, "Connection refused")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bytes 5-9/10", (5, 10)),
        ("bytes 5-9/*", (5, None)),
        ("bytes */10", (None, 10)),
        ("lines 5-9/10", (None, None)),
        ("", (None, None)),
    ],
)
def test_a_range_is_first_byte_and_size(text: str, expected: tuple[int | None, ...]) -> None:
    assert range_of({"Content-Range": text}) == expected


def test_a_length_that_is_no_number_is_none() -> None:
    assert length_of({"Content-Length": "12"}) == 12
    assert length_of({"Content-Length": "many"}) is None
    assert length_of({}) is None
    assert length_of({"Content-Length": "9" * 5000}) is None


def test_answers_have_a_largest_size_and_a_longest_time() -> None:
    limits = Limits("https://x/y?api_key=1", 1000.0, 10)
    limits.check(10)
    with pytest.raises(ServerError, match=r"^https://x/y: an answer of more than 10"):
        limits.check(11)
    with pytest.raises(Busy, match="not complete after 0 s"):
        Limits("https://x/y", 0.0, 10, begin=-1.0).check(1)


def new_connection_error() -> NewConnectionError:
    error = NewConnectionError(HTTPConnection("x"), "wrapped")
    error.__cause__ = REFUSED
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ReadTimeoutError(None, "/", "Read timed out."), "no answer in time"),  # type: ignore[arg-type]
        (TimeoutError("timed out"), "no answer in time"),
        (new_connection_error(), "Connection refused"),
        (ProtocolError("broken", REFUSED), "the connection broke"),
        (SSLError(OSError(5, "bad record")), "bad record"),
        (SSLError(), "SSLError"),
    ],
)
def test_network_errors_are_put_in_words(error: BaseException, expected: str) -> None:
    assert in_words(error) == expected


def test_the_innermost_reason_counts() -> None:
    assert innermost_reason(OSError("a", ValueError("b"))) == "b"


def test_what_a_call_raises_or_gives_in_time_is_passed_on() -> None:
    assert within(60.0, lambda: 3) == 3
    with pytest.raises(ZeroDivisionError):
        within(60.0, lambda: 1 // 0)
