"""HTTP requests with timeouts and retries, and downloads that resume where they stopped.

Pauses between tries grow. `https` only (plain `http` on this machine, for tests and local mirrors),
redirections included. A download is appended to a `.part` file, so that a killed run loses nothing
that was written; the caller checks the content and renames the file. Errors show a URL without its
query, which may contain a key.

Example:
    client = Client()
    words = client.read("https://ftp.ncbi.nlm.nih.gov/robots.txt", bytes.decode)
    with DownloadProgress("README.txt") as meter:
        url = "https://ftp.ncbi.nlm.nih.gov/genomes/README.txt"
        client.download(url, Path("README.part"), meter)
"""

from __future__ import annotations

import errno
import http.client
import logging
import random
import re
import shutil
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import IO, Any, Protocol, TypeVar
from urllib.parse import urlsplit

from genet5 import __version__
from genet5.errors import DataError, ServerError
from genet5.fetch.urls import is_safe_url

log = logging.getLogger(__name__)

T = TypeVar("T")

AGENT = f"genet5/{__version__}"
_BLOCK_BYTES = 1 << 17
_LARGEST_ANSWER = 64 << 20
"""Bytes of an answer that is read into memory."""
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
    tries: int = 6
    sleep: Callable[[float], None] = time.sleep
    _opener: urllib.request.OpenerDirector = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._opener = urllib.request.OpenerDirector()
        handlers: list[Any] = [
            urllib.request.ProxyHandler(),
            urllib.request.HTTPHandler(),
            urllib.request.HTTPSHandler(),
            urllib.request.HTTPDefaultErrorHandler(),
            _SafeRedirects(),
            urllib.request.HTTPErrorProcessor(),
        ]  # no file: and no ftp:, whatever a server redirects to
        for handler in handlers:
            self._opener.add_handler(handler)

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
                with self._open(url, {}) as answer:
                    body = _taken(answer.read, _LARGEST_ANSWER + 1)
                if len(body) > _LARGEST_ANSWER:
                    raise ServerError(
                        f"{plain(url)}: an answer of more than {_LARGEST_ANSWER} bytes"
                    )
                if len(body) < (_length(answer.headers) or 0):
                    raise Busy("the connection broke")
                return accept(body)
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
            DataError: The disk is full.
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
        with self._open(url, {"Range": f"bytes={have}-"} if have else {}) as answer:
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
            _check_space(part, length or 0)
            with part.open("ab" if resumes else "wb") as out:
                while block := _taken(answer.read1, _BLOCK_BYTES):
                    out.write(block)
                    out.flush()  # a killed run resumes from here
                    done += len(block)
                    meter.at(done, total)
            if total is not None and done < total:
                raise Busy(f"the connection broke after {done} of {total} bytes")

    def _open(self, url: str, headers: Mapping[str, str]) -> http.client.HTTPResponse:
        """Send a request; 416 comes back as an answer."""
        if not is_safe_url(url):
            raise ServerError(f"{plain(url)}: only https is used")
        request = urllib.request.Request(
            url, headers={"User-Agent": AGENT, "Accept-Encoding": "identity", **headers}
        )
        try:
            answer: http.client.HTTPResponse = self._opener.open(request, timeout=self.timeout_s)
        except urllib.error.HTTPError as error:
            if error.code == 416:
                return error  # type: ignore[return-value]
            raise _http_error(error, url) from None
        except urllib.error.URLError as error:
            if isinstance(error.reason, ssl.SSLCertVerificationError):
                raise ServerError(
                    f"{plain(url)}: its certificate cannot be verified"
                    f" ({error.reason.verify_message}). Install the system's ca-certificates, or"
                    " name a bundle in SSL_CERT_FILE"
                ) from None
            raise Busy(_words(error.reason)) from None
        except (http.client.HTTPException, OSError) as error:
            raise Busy(_words(error)) from None
        return answer

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


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirections to https only (or to this machine)."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: Message,
        newurl: str,
    ) -> urllib.request.Request | None:
        if not is_safe_url(newurl):
            raise ServerError(
                f"{plain(req.full_url)}: redirects to {plain(newurl)}; only https is used"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


def plain(url: str) -> str:
    """Return a URL without its query, which may contain a key, and without a password.

    Example:
        >>> plain("https://me:secret@example.org/efetch.fcgi?api_key=1234")
        'https://example.org/efetch.fcgi'
    """
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _taken(read: Callable[[int], bytes], count: int) -> bytes:
    """Read from a connection.

    Raises:
        Busy: The connection broke.
    """
    try:
        return read(count)
    except (http.client.HTTPException, OSError) as error:
        raise Busy(_words(error)) from None


def _http_error(error: urllib.error.HTTPError, url: str) -> Exception:
    """Return the exception for an answer with an error code."""
    if error.code in _TRANSIENT_CODES:
        pause = error.headers.get("Retry-After", "") if error.headers else ""
        return Busy(f"HTTP {error.code}", float(pause) if pause.isdecimal() else None)
    try:
        body = error.read(2_000).decode("utf-8", "replace")
    except (http.client.HTTPException, OSError):
        body = ""
    text = " ".join(re.sub(r"<[^>]*>", " ", body).split())[:200]
    return ServerError(
        f"{plain(url)}: HTTP {error.code} {error.reason}" + (f" ({text})" if text else ""),
        status=error.code,
    )


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


def _length(headers: Message) -> int | None:
    text = headers.get("Content-Length", "")
    return int(text) if text.isdecimal() else None


def _range(headers: Message) -> tuple[int | None, int | None]:
    """Return first byte and size of the whole file from Content-Range."""
    match = re.fullmatch(
        r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", headers.get("Content-Range", "").strip()
    )
    if match is None:
        return None, None
    first, size = match.groups()
    return int(first) if first else None, int(size) if size.isdecimal() else None


def _words(reason: object) -> str:
    """Describe a network error."""
    if isinstance(reason, TimeoutError):
        return "no answer in time"
    if isinstance(reason, http.client.IncompleteRead):
        return "the connection broke"
    if isinstance(reason, OSError) and reason.strerror:
        return reason.strerror
    return str(reason) or type(reason).__name__
