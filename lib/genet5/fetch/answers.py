"""What servers answer: how long and how large it may be, and what went wrong, in words.

`Busy` is a failure that another try may mend; all others end the request. Errors show a URL without
its query, which may contain a key.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import urlsplit

import urllib3
from urllib3.exceptions import (
    HTTPError,
    IncompleteRead,
    NewConnectionError,
    ProtocolError,
    TimeoutError,
)

from genet5.errors import ServerError
from genet5.genome.io.contig_lines import whole_number

T = TypeVar("T")

_BLOCK_BYTES = 1 << 17
_TRANSIENT_CODES = frozenset({408, 425, 429, 500, 502, 503, 504})


class Busy(Exception):
    """A failure that may pass: the server is overloaded, or the connection broke."""

    def __init__(self, reason: str, pause_s: float | None = None) -> None:
        super().__init__(reason)
        self.pause_s = pause_s


@dataclass(frozen=True)
class Limits:
    """Time and size of an answer."""

    url: str
    most_s: float
    most_bytes: int
    begin: float = field(default_factory=time.monotonic)

    def check(self, size: int) -> None:
        """Raise if the answer is too long.

        Raises:
            Busy: It takes too long.
            ServerError: It is too large.
        """
        if size > self.most_bytes:
            raise ServerError(f"{plain(self.url)}: an answer of more than {self.most_bytes} bytes")
        if time.monotonic() - self.begin > self.most_s:
            raise Busy(f"not complete after {self.most_s:.0f} s")


def within(seconds: float, send: Callable[[], T]) -> T:
    """Call a function in a thread and wait for it: a server may send its headers byte by byte."""
    found: list[T] = []
    failed: list[BaseException] = []

    def work() -> None:
        try:
            found.append(send())
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    if not found:
        raise Busy("no answer in time")
    return found[0]


def plain(url: str) -> str:
    """Return a URL without its query, which may contain a key, and without a password.

    Example:
        >>> plain("https://me:secret@example.org/efetch.fcgi?api_key=1234")
        'https://example.org/efetch.fcgi'
    """
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def taken(answer: urllib3.BaseHTTPResponse) -> bytes:
    """Read what has arrived of an answer.

    Raises:
        Busy: The connection broke.
    """
    try:
        return answer.read1(_BLOCK_BYTES)
    except IncompleteRead:
        return b""  # the caller knows what is missing
    except (HTTPError, OSError) as error:
        raise Busy(in_words(error)) from None


def http_error(answer: urllib3.BaseHTTPResponse, url: str) -> Exception:
    """Return the exception for an answer with an error code."""
    if answer.status in _TRANSIENT_CODES:
        pause = whole_number(answer.headers.get("Retry-After", ""))
        answer.close()
        return Busy(f"HTTP {answer.status}", None if pause is None else float(pause))
    try:
        body = answer.read(2_000).decode("utf-8", "replace")
    except (HTTPError, OSError):
        body = ""
    answer.close()
    text = " ".join(re.sub(r"<[^>]*>", " ", body).split())[:200]
    return ServerError(
        f"{plain(url)}: HTTP {answer.status} {answer.reason}" + (f" ({text})" if text else ""),
        status=answer.status,
    )


def length_of(headers: Mapping[str, str]) -> int | None:
    """Return the bytes that an answer announces."""
    return whole_number(headers.get("Content-Length", ""))


def range_of(headers: Mapping[str, str]) -> tuple[int | None, int | None]:
    """Return first byte and size of the whole file from Content-Range."""
    match = re.fullmatch(
        r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", headers.get("Content-Range", "").strip()
    )
    if match is None:
        return None, None
    first, size = match.groups()
    return whole_number(first or ""), whole_number(size)


def in_words(error: BaseException) -> str:
    """Describe a network error."""
    if isinstance(error, (TimeoutError, OSError)) and "timed out" in str(error):
        return "no answer in time"
    if isinstance(error, NewConnectionError) and isinstance(error.__cause__, OSError):
        return error.__cause__.strerror or str(error.__cause__)
    if isinstance(error, ProtocolError):
        return "the connection broke"
    return innermost_reason(error)


def innermost_reason(error: BaseException) -> str:
    """The innermost reason: urllib3 wraps the errors of sockets."""
    while error.args and isinstance(error.args[-1], BaseException):
        error = error.args[-1]
    text = getattr(error, "verify_message", None) or getattr(error, "strerror", None) or str(error)
    return str(text) or type(error).__name__
