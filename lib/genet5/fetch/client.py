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

import logging
import random
import time
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar
from urllib.parse import urljoin, urlsplit

import urllib3
from urllib3.exceptions import HTTPError, SSLError

from genet5 import __version__
from genet5.errors import ServerError
from genet5.fetch.answers import (
    Busy,
    Limits,
    http_error,
    in_words,
    innermost_reason,
    length_of,
    plain,
    range_of,
    taken,
    within,
)
from genet5.fetch.partial_file import check_space, disk_error, opened, size_of
from genet5.fetch.urls import EUTILS_URL, GENOMES_URL, host_of, is_safe_url

log = logging.getLogger(__name__)

T = TypeVar("T")

AGENT = f"genet5/{__version__}"
_LARGEST_ANSWER = 64 << 20
"""Bytes of an answer that is read into memory."""
_LARGEST_FILE = 64 << 30
"""Bytes of a downloaded file; the largest genome known (160 Gbp) is less when compressed."""
_LONGEST_ANSWER_S = 300.0
_LONGEST_DOWNLOAD_S = 24 * 3600.0
_MOST_REDIRECTIONS = 5
_REDIRECTIONS = frozenset({301, 302, 303, 307, 308})
_LONGEST_PAUSE_S = 60.0


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
                    limits = Limits(url, min(_LONGEST_ANSWER_S, self.deadline_s), _LARGEST_ANSWER)
                    body = bytearray()
                    while block := taken(answer):
                        body += block
                        limits.check(len(body))
                if len(body) < (length_of(answer.headers) or 0):
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
        failures, most = 0, size_of(part)
        while True:
            try:
                if throttle is not None:
                    throttle.wait()
                if restart:
                    part.unlink(missing_ok=True)
                self._append(url, part, meter)
                return
            except Busy as trouble:
                grown = size_of(part)
                failures = 1 if grown > most else failures + 1
                most = max(most, grown)
                self._pause(url, trouble, failures)
            except OSError as error:
                raise disk_error(error, part) from error

    def _append(self, url: str, part: Path, meter: Meter) -> None:
        """One try of a download."""
        have = size_of(part)
        headers = {"Range": f"bytes={have}-"} if have else {}
        with closing(self._open(url, headers)) as answer:
            if answer.status == 416:  # no byte after those here: complete, or another file
                if range_of(answer.headers)[1] != have:
                    part.unlink()
                    raise Busy("the partial file does not match the file on the server", 0.0)
                meter.at(have, have)
                return
            resumes = answer.status == 206 and range_of(answer.headers)[0] == have
            if answer.status == 206 and not resumes:
                part.unlink()
                raise Busy("another part than was requested", 0.0)
            done = have if resumes else 0
            length = length_of(answer.headers)
            total = None if length is None else done + length
            limits = Limits(url, self.deadline_s, _LARGEST_FILE)
            limits.check(total or 0)
            check_space(part, length or 0)
            with opened(part, append=resumes) as out:
                while block := taken(answer):
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
                raise http_error(answer, url)
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
            return within(min(_LONGEST_ANSWER_S, self.deadline_s), send)
        except SSLError as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise ServerError(
                    f"{plain(url)}: its certificate cannot be verified ({innermost_reason(error)})."
                    " Install the system's ca-certificates, or name a bundle in SSL_CERT_FILE"
                ) from None
            raise Busy(in_words(error)) from None
        except (HTTPError, OSError) as error:
            raise Busy(in_words(error)) from None

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
