from __future__ import annotations

import errno
import os
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from genet5.errors import DataError, ServerError
from genet5.fetch.answers import Busy, plain
from genet5.fetch.client import Client, Throttle

BODY = bytes(range(256)) * 1000


class NoMeter:
    """Shows nothing."""

    def at(self, done: int, total: int | None) -> None:
        """Do nothing."""


@pytest.fixture
def url(ncbi: Any) -> str:
    ncbi.files["/data"] = BODY
    return f"{ncbi.url}/data"


class Steps:
    def __init__(self) -> None:
        self.seen: list[tuple[int, int | None]] = []

    def at(self, done: int, total: int | None) -> None:
        self.seen.append((done, total))


def test_a_file_comes_whole(client: Client, url: str, tmp_path: Path) -> None:
    steps = Steps()
    client.download(url, tmp_path / "x.part", steps)
    assert (tmp_path / "x.part").read_bytes() == BODY
    assert steps.seen[-1] == (len(BODY), len(BODY))


def test_a_broken_download_resumes(ncbi: Any, client: Client, url: str, tmp_path: Path) -> None:
    ncbi.fail("/data", break_after=1000)
    ncbi.fail("/data", break_after=5000)
    client.download(url, tmp_path / "x.part", NoMeter())
    assert (tmp_path / "x.part").read_bytes() == BODY
    asked = [request.headers.get("Range") for request in ncbi.requests]
    assert asked == [None, "bytes=1000-", "bytes=6000-"]


def test_progress_counts_as_success(ncbi: Any, client: Client, url: str, tmp_path: Path) -> None:
    ncbi.fail("/data", 20, break_after=1000)  # more than there are tries
    client.download(url, tmp_path / "x.part", NoMeter())
    assert (tmp_path / "x.part").read_bytes() == BODY


def test_a_server_without_ranges_sends_all_again(
    ncbi: Any, client: Client, url: str, tmp_path: Path
) -> None:
    ncbi.ranges = False
    ncbi.fail("/data", break_after=1000)
    client.download(url, tmp_path / "x.part", NoMeter())
    assert (tmp_path / "x.part").read_bytes() == BODY


def test_what_is_whole_is_not_sent_again(
    ncbi: Any, client: Client, url: str, tmp_path: Path
) -> None:
    (tmp_path / "x.part").write_bytes(BODY)
    client.download(url, tmp_path / "x.part", NoMeter())
    assert (tmp_path / "x.part").read_bytes() == BODY
    assert len(ncbi.requests) == 1


def test_too_long_a_part_is_thrown_away(client: Client, url: str, tmp_path: Path) -> None:
    (tmp_path / "x.part").write_bytes(BODY + b"more")
    client.download(url, tmp_path / "x.part", NoMeter())
    assert (tmp_path / "x.part").read_bytes() == BODY


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_an_overloaded_server_is_asked_again(
    ncbi: Any, client: Client, url: str, pauses: list[float], status: int
) -> None:
    ncbi.fail("/data", 2, status=status)
    assert client.read(url, len) == len(BODY)
    assert 1 <= pauses[0] <= 1.25
    assert 2 <= pauses[1] <= 2.5


def test_the_server_may_say_how_long_to_wait(
    ncbi: Any, client: Client, url: str, pauses: list[float]
) -> None:
    ncbi.fail("/data", status=429, headers={"Retry-After": "7"})
    ncbi.fail("/data", status=503, headers={"Retry-After": "86400"})
    client.read(url, len)
    assert pauses == [7.0, 60.0]


def test_it_gives_up_in_the_end(ncbi: Any, client: Client, url: str) -> None:
    ncbi.fail("/data", 9, status=500)
    with pytest.raises(ServerError, match=r"/data: HTTP 500 \(4 tries\)"):
        client.read(url, len)
    assert len(ncbi.requests) == 4


def test_a_missing_file_is_not_asked_for_twice(ncbi: Any, client: Client) -> None:
    with pytest.raises(ServerError, match=r"HTTP 404 Not Found \(Not Found\)") as caught:
        client.read(f"{ncbi.url}/nothing?api_key=secret", len)
    assert caught.value.status == 404
    assert "secret" not in str(caught.value)
    assert len(ncbi.requests) == 1


def test_no_network_is_one_clear_line(client: Client, ncbi: Any, tmp_path: Path) -> None:
    with pytest.raises(ServerError, match=r"Connection refused \(4 tries\)\. Is the network up"):
        client.download("http://127.0.0.1:9/x", tmp_path / "x.part", NoMeter())


def test_a_silent_server_is_given_up(ncbi: Any, url: str, monkeypatch: Any) -> None:
    impatient = Client(timeout_s=0.05, tries=2, sleep=lambda seconds: None)
    ncbi.lock.acquire()  # the server waits for it
    try:
        with pytest.raises(ServerError, match="no answer in time"):
            impatient.read(url, len)
    finally:
        ncbi.lock.release()


def test_an_answer_may_be_refused_by_its_reader(client: Client, url: str) -> None:
    seen: list[int] = []

    def accept(body: bytes) -> str:
        seen.append(len(body))
        if len(seen) < 3:
            raise Busy("not yet")
        return "good"

    assert client.read(url, accept) == "good"
    assert len(seen) == 3


@pytest.mark.parametrize(
    "target", ["http://example.org/x", "ftp://example.org/x", "file:///etc/passwd"]
)
def test_redirections_stay_safe(ncbi: Any, client: Client, url: str, target: str) -> None:
    ncbi.fail("/data", status=302, headers={"Location": target})
    with pytest.raises(ServerError):
        client.read(url, len)
    assert len(ncbi.requests) == 1


def test_redirections_are_followed(ncbi: Any, client: Client, url: str) -> None:
    ncbi.fail("/start", status=302, headers={"Location": url})
    assert client.read(f"{ncbi.url}/start", len) == len(BODY)


def test_redirections_lead_to_no_other_host(ncbi: Any, client: Client, url: str) -> None:
    ncbi.fail("/data", status=302, headers={"Location": "https://example.org/x"})
    with pytest.raises(ServerError, match=r"redirects to another host, example\.org\. If it is"):
        client.read(url, len)
    assert len(ncbi.requests) == 1


def test_redirections_end(ncbi: Any, client: Client, url: str) -> None:
    ncbi.fail("/data", 9, status=302, headers={"Location": url})
    with pytest.raises(ServerError, match="more than 5 redirections"):
        client.read(url, len)


def test_a_web_page_is_no_answer(ncbi: Any, client: Client, url: str, tmp_path: Path) -> None:
    ncbi.fail("/data", status=200, body=b"<html>", headers={"Content-Type": "text/html"})
    with pytest.raises(ServerError, match="a web page in place of data"):
        client.download(url, tmp_path / "x.part", NoMeter())


def test_answers_have_a_largest_size(
    client: Client, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("genet5.fetch.client._LARGEST_ANSWER", 1000)
    monkeypatch.setattr("genet5.fetch.client._LARGEST_FILE", 1000)
    with pytest.raises(ServerError, match="an answer of more than 1000 bytes"):
        client.read(url, len)
    with pytest.raises(ServerError, match="an answer of more than 1000 bytes"):
        client.download(url, tmp_path / "x.part", NoMeter())
    assert not (tmp_path / "x.part").exists()


def test_an_answer_that_trickles_has_a_deadline(ncbi: Any, url: str) -> None:
    slow = Client(timeout_s=10, deadline_s=0.2, tries=1, sleep=lambda seconds: None)
    hold = threading.Event()
    threading.Timer(0.5, hold.set).start()
    ncbi.fail("/data", break_after=1000, hold=hold)
    with pytest.raises(ServerError, match=r"not complete after 0 s|the connection broke"):
        slow.read(url, len)
    ncbi.lock.acquire()  # the server waits for it
    try:
        with pytest.raises(ServerError, match="no answer in time"):
            slow.read(url, len)
    finally:
        ncbi.lock.release()


def test_a_symbolic_link_is_not_written_through(client: Client, url: str, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "x.part").symlink_to("precious")
    with pytest.raises(DataError, match="a symbolic link"):
        client.download(url, tmp_path / "x.part", NoMeter())
    assert (tmp_path / "precious").read_text() == "mine"


@pytest.mark.parametrize("address", ["http://example.org/x", "file:///etc/passwd"])
def test_unsafe_addresses_are_not_opened(client: Client, address: str) -> None:
    with pytest.raises(ServerError, match="only https"):
        client.read(address, len)


def test_a_full_disk_is_reported_before_the_download(
    client: Client, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(DataError, match=r"the disk is full\. Free some space"):
        client.download(url, tmp_path / "x.part", NoMeter())
    assert not (tmp_path / "x.part").exists()


def test_a_disk_that_fills_up_is_reported(
    client: Client, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(Steps):
        def at(self, done: int, total: int | None) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(DataError, match="the disk is full"):
        client.download(url, tmp_path / "x.part", Full())
    assert (tmp_path / "x.part").stat().st_size > 0  # kept for the next run


def test_a_folder_that_cannot_be_written_is_reported(
    client: Client, url: str, tmp_path: Path
) -> None:
    (tmp_path / "x.part").mkdir()
    with pytest.raises(DataError, match="cannot be written"):
        client.download(url, tmp_path / "x.part", NoMeter(), restart=False)


def test_requests_keep_apart() -> None:
    now = [100.0]
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    throttle = Throttle(0.5, sleep=sleep, clock=lambda: now[0])
    for _ in range(3):
        throttle.wait()
    now[0] += 10
    throttle.wait()
    assert slept == [0.5, 0.5]


def test_addresses_are_shown_without_secrets() -> None:
    assert plain("https://me:word@example.org/a?api_key=k#f") == "https://example.org/a"
