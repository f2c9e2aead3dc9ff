"""HTTP requests with limits and retries, and downloads that resume where they stopped.

urllib3 makes the requests. `https` only (plain `http` on this machine, for tests and local
mirrors); redirections are followed to the hosts that the client was given, and to no other. Each
answer has a limit of time and of size, and a web page (`text/html`, as a network's log-in page
sends it) is no answer. Pauses between tries grow. A download is appended to a `.part` file, so that
a killed run loses nothing that was written; the caller checks the content and renames the file; a
symbolic link in its place is refused. Errors show a URL without its query, which may contain a key.

Example:
    client = Client(hosts=("ftp.ncbi.nlm.nih.gov",))
    words = client.read("https://ftp.ncbi.nlm.nih.gov/robots.txt", bytes.decode)
    with DownloadProgress("README.txt") as meter:
        url = "https://ftp.ncbi.nlm.nih.gov/genomes/README.txt"
        client.download(url, Path("README.part"), meter)
"""

from __future__ import annotations

import errno
import logging
import os
import random
import re
import shutil
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol, TypeVar
from urllib.parse import urljoin, urlsplit

import urllib3
from urllib3.exceptions import (
    HTTPError,
    IncompleteRead,
    NewConnectionError,
    ProtocolError,
    SSLError,
    TimeoutError,
)

from genet5 import __version__
from genet5.errors import DataError, ServerError
from genet5.fetch.urls import EUTILS_URL, GENOMES_URL, host_of, is_safe_url

log = logging.getLogger(__name__)

T = TypeVar("T")

AGENT = f"genet5/{__version__}"
_BLOCK_BYTES = 1 << 17
_LARGEST_ANSWER = 64 << 20
"""Bytes of an answer that is read into memory."""
_LARGEST_FILE = 64 << 30
"""Bytes of a downloaded file; the largest genome known (160 Gbp) is less when compressed."""
_LONGEST_ANSWER_S = 300.0
_LONGEST_DOWNLOAD_S = 24 * 3600.0
_MOST_REDIRECTIONS = 5
_REDIRECTIONS = frozenset({301, 302, 303, 307, 308})
_LONGEST_PAUSE_S = 60.0
_TRANSIENT_CODES = frozenset({408, 425, 429, 500, 502, 503, 504})


class Busy(Exception):
    """A failure that may pass: the server is overloaded, or the connection broke."""

    def __init__(self, reason: str, pause_s: float | None = None) -> None:
        super().__init__(reason)
        self.pause_s = pause_s


class Meter(Protocol):
    """Receives the progress of a download."""

    def at(self, done: int, total: int | None) -> None:
        """Report the bytes that have arrived, and those of the whole file if known."""


@dataclass
class Throttle:
    """Keeps requests apart in time, as a server's terms require."""

    interval_s: float
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    _next: float = field(default=float("-inf"), init=False)

    def wait(self) -> None:
        """Sleep until the next request may go out."""
        now = self.clock()
        if now < self._next:
            self.sleep(self._next - now)
        self._next = max(now, self._next) + self.interval_s


@dataclass
class Client:
    """Makes requests; knows nothing of their content."""

    timeout_s: float = 60.0
    """Longest silence of a server."""
    tries: int = 6
    hosts: tuple[str, ...] = (host_of(EUTILS_URL), host_of(GENOMES_URL))
    """Whither redirections may lead."""
    deadline_s: float = _LONGEST_DOWNLOAD_S
    """Longest time that one try of a download may take; answers have five minutes."""
    sleep: Callable[[float], None] = time.sleep
    _pools: dict[str, urllib3.PoolManager] = field(default_factory=dict, init=False, repr=False)
    """By the proxy's URL; empty for none."""

    def read(self, url: str, accept: Callable[[bytes], T], throttle: Throttle | None = None) -> T:
        """Get a small answer and parse it.

        Args:
            url: The address.
            accept: Turns the answer into the result; raises `Busy` to request it again.
            throttle: Waited for before each try.

        Raises:
            ServerError: The server cannot be reached, or does not return what was requested.
        """
        failures = 0
        while True:
            try:
                if throttle is not None:
                    throttle.wait()
                with closing(self._open(url, {})) as answer:
                    limits = _Limits(url, min(_LONGEST_ANSWER_S, self.deadline_s), _LARGEST_ANSWER)
                    body = bytearray()
                    while block := _taken(answer):
                        body += block
                        limits.check(len(body))
                if len(body) < (_length(answer.headers) or 0):
                    raise Busy("the connection broke")
                return accept(bytes(body))
            except Busy as trouble:
                failures += 1
                self._pause(url, trouble, failures)

    def download(
        self,
        url: str,
        part: Path,
        meter: Meter,
        *,
        throttle: Throttle | None = None,
        restart: bool = False,
    ) -> None:
        """Download a file to `part`; bytes that are there already are not requested again.

        Args:
            url: The address.
            part: The file to write or to resume.
            meter: Receives the progress.
            throttle: Waited for before each try.
            restart: Start over at each try: for answers that are generated on demand.

        Raises:
            DataError: The disk is full, or a symbolic link stands in the place of the file.
            ServerError: The server cannot be reached, or has no such file.
        """
        failures, most = 0, _size(part)
        while True:
            try:
                if throttle is not None:
                    throttle.wait()
                if restart:
                    part.unlink(missing_ok=True)
                self._append(url, part, meter)
                return
            except Busy as trouble:
                grown = _size(part)
                failures = 1 if grown > most else failures + 1
                most = max(most, grown)
                self._pause(url, trouble, failures)
            except OSError as error:
                raise disk_error(error, part) from error

    def _append(self, url: str, part: Path, meter: Meter) -> None:
        """One try of a download."""
        have = _size(part)
        headers = {"Range": f"bytes={have}-"} if have else {}
        with closing(self._open(url, headers)) as answer:
            if answer.status == 416:  # no byte after those here: complete, or another file
                if _range(answer.headers)[1] != have:
                    part.unlink()
                    raise Busy("the partial file does not match the file on the server", 0.0)
                meter.at(have, have)
                return
            resumes = answer.status == 206 and _range(answer.headers)[0] == have
            if answer.status == 206 and not resumes:
                part.unlink()
                raise Busy("another part than was requested", 0.0)
            done = have if resumes else 0
            length = _length(answer.headers)
            total = None if length is None else done + length
            limits = _Limits(url, self.deadline_s, _LARGEST_FILE)
            limits.check(total or 0)
            _check_space(part, length or 0)
            with _opened(part, append=resumes) as out:
                while block := _taken(answer):
                    out.write(block)
                    out.flush()  # a killed run resumes from here
                    done += len(block)
                    limits.check(done)
                    meter.at(done, total)
            if total is not None and done < total:
                raise Busy(f"the connection broke after {done} of {total} bytes")

    def _open(self, url: str, headers: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        """Send a request, following redirections; 416 comes back as an answer."""
        if not is_safe_url(url):
            raise ServerError(f"{plain(url)}: only https is used")
        at = url
        for _ in range(_MOST_REDIRECTIONS):
            answer = self._request(at, headers)
            if answer.status in _REDIRECTIONS:
                answer.close()
                at = self._redirected(at, answer)
                continue
            if answer.status != 416 and answer.status >= 300:
                raise _http_error(answer, url)
            if answer.headers.get("Content-Type", "").startswith("text/html"):
                answer.close()
                raise ServerError(
                    f"{plain(url)}: a web page in place of data. Does the network ask for a log-in?"
                )
            return answer
        raise ServerError(f"{plain(url)}: more than {_MOST_REDIRECTIONS} redirections")

    def _redirected(self, url: str, answer: urllib3.BaseHTTPResponse) -> str:
        target = urljoin(url, answer.headers.get("Location", ""))
        if not is_safe_url(target):
            raise ServerError(f"{plain(url)}: redirects to {plain(target)}; only https is used")
        if host_of(target) not in {*self.hosts, host_of(url)}:
            raise ServerError(
                f"{plain(url)}: redirects to another host, {host_of(target)}. If it is a mirror of"
                " NCBI, give its URL (--genomes_url, --eutils_url)"
            )
        return target

    def _request(self, url: str, headers: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        pool = self._pool(url)
        asked = {"User-Agent": AGENT, "Accept-Encoding": "identity", **headers}

        def send() -> urllib3.BaseHTTPResponse:
            return pool.request(
                "GET", url, headers=asked, timeout=self.timeout_s, retries=False, redirect=False,
                preload_content=False, decode_content=False,
            )  # fmt: skip

        try:
            return _within(min(_LONGEST_ANSWER_S, self.deadline_s), send)
        except SSLError as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise ServerError(
                    f"{plain(url)}: its certificate cannot be verified ({_reason(error)}). Install"
                    " the system's ca-certificates, or name a bundle in SSL_CERT_FILE"
                ) from None
            raise Busy(_words(error)) from None
        except (HTTPError, OSError) as error:
            raise Busy(_words(error)) from None

    def _pool(self, url: str) -> urllib3.PoolManager:
        """Return the connections through the proxy that the environment names for a URL."""
        parts = urlsplit(url)
        is_direct = urllib.request.proxy_bypass(parts.netloc)
        proxy = "" if is_direct else urllib.request.getproxies().get(parts.scheme, "")
        if proxy not in self._pools:
            self._pools[proxy] = urllib3.ProxyManager(proxy) if proxy else urllib3.PoolManager()
        return self._pools[proxy]

    def _pause(self, url: str, trouble: Busy, failures: int) -> None:
        """Sleep before the next try, or give up.

        Raises:
            ServerError: It was the last try.
        """
        if failures >= self.tries:
            raise ServerError(
                f"{plain(url)}: {trouble} ({failures} tries). Is the network up?"
                " Run the same command again: it resumes where it stopped"
            ) from None
        pause = trouble.pause_s
        if pause is None:
            pause = 2.0 ** (failures - 1) * (1 + random.random() / 4)
        pause = min(pause, _LONGEST_PAUSE_S)
        log.debug("%s: %s; again in %.1f s", plain(url), trouble, pause)
        self.sleep(pause)


@dataclass(frozen=True)
class _Limits:
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


def _within(seconds: float, send: Callable[[], T]) -> T:
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


def _taken(answer: urllib3.BaseHTTPResponse) -> bytes:
    """Read what has arrived of an answer.

    Raises:
        Busy: The connection broke.
    """
    try:
        return answer.read1(_BLOCK_BYTES)
    except IncompleteRead:
        return b""  # the caller knows what is missing
    except (HTTPError, OSError) as error:
        raise Busy(_words(error)) from None


def _http_error(answer: urllib3.BaseHTTPResponse, url: str) -> Exception:
    """Return the exception for an answer with an error code."""
    if answer.status in _TRANSIENT_CODES:
        pause = answer.headers.get("Retry-After", "")
        answer.close()
        return Busy(f"HTTP {answer.status}", float(pause) if pause.isdecimal() else None)
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


def _opened(part: Path, *, append: bool) -> BinaryIO:
    """Open a partial file for writing, but no symbolic link."""
    how = os.O_APPEND if append else os.O_TRUNC
    try:
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | how, 0o666)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise DataError(
            "a symbolic link", expected="a file of fetch's own", path=part, remedy="Remove it"
        ) from error
    return os.fdopen(handle, "ab" if append else "wb")


def disk_error(error: OSError, path: Path) -> DataError:
    """Return the error to raise when writing under `path` failed."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return _disk_full(path)
    return DataError(f"cannot be written ({error.strerror or error})", path=path)


def _disk_full(path: Path) -> DataError:
    return DataError(
        "the disk is full", path=path,
        remedy="Free some space and run the same command again: it resumes",
    )  # fmt: skip


def _check_space(part: Path, wanted: int) -> None:
    """Raise if the rest of the file does not fit on the disk."""
    if wanted > shutil.disk_usage(part.parent).free:
        raise _disk_full(part)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _length(headers: Mapping[str, str]) -> int | None:
    text = headers.get("Content-Length", "")
    return int(text) if text.isdecimal() else None


def _range(headers: Mapping[str, str]) -> tuple[int | None, int | None]:
    """Return first byte and size of the whole file from Content-Range."""
    match = re.fullmatch(
        r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", headers.get("Content-Range", "").strip()
    )
    if match is None:
        return None, None
    first, size = match.groups()
    return int(first) if first else None, int(size) if size.isdecimal() else None


def _words(error: BaseException) -> str:
    """Describe a network error."""
    if isinstance(error, (TimeoutError, OSError)) and "timed out" in str(error):
        return "no answer in time"
    if isinstance(error, NewConnectionError) and isinstance(error.__cause__, OSError):
        return error.__cause__.strerror or str(error.__cause__)
    if isinstance(error, ProtocolError):
        return "the connection broke"
    return _reason(error)


def _reason(error: BaseException) -> str:
    """The innermost reason: urllib3 wraps the errors of sockets."""
    while error.args and isinstance(error.args[-1], BaseException):
        error = error.args[-1]
    text = getattr(error, "verify_message", None) or getattr(error, "strerror", None) or str(error)
    return str(text) or type(error).__name__
