"""A page in headless Chromium: opened, looked into and clicked, over the DevTools protocol's pipe.

What the page logs as an error and whatever it requests is noted. Chromium is the Debian package
`chromium`; tests skip where it is missing.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROGRAM = shutil.which("chromium")
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--no-first-run",
    "--disable-extensions", "--disable-sync", "--window-size=1200,1000", "--remote-debugging-pipe",
)  # fmt: skip
_PATIENCE_S = 60


class Page:
    """One page of a running Chromium.

    Args:
        out: Descriptor that commands go to.
        answers: Descriptor that answers and events come from.
    """

    def __init__(self, out: int, answers: int) -> None:
        self._out, self._answers, self._buffer = out, answers, b""
        self._number, self._session = 0, ""
        self.errors: list[str] = []
        """Errors and warnings that the page logged, and exceptions that nothing caught."""
        self.requests: list[str] = []
        """Addresses that it asked for, but for data within the page."""

    def open(self, path: Path) -> None:
        """Load a file."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        found = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = found["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call("Page.navigate", url=path.absolute().as_uri())

    def value(self, expression: str) -> Any:
        """Return what a JavaScript expression, or its promise, comes to."""
        found = self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        return found["result"].get("value")

    def wait_for(self, expression: str) -> Any:
        """Wait until an expression is true; return it."""
        deadline = time.monotonic() + _PATIENCE_S
        while not (found := self.value(expression)):
            assert time.monotonic() < deadline, (expression, self.errors)
            time.sleep(0.1)
        return found

    def screenshot(self, path: Path) -> None:
        """Write what is seen as PNG."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command, and return its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result
            self._note(answer.get("method", ""), answer.get("params", {}))

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            assert select.select([self._answers], [], [], _PATIENCE_S)[0], "Chromium is silent"
            self._buffer += os.read(self._answers, 1 << 20)
        line, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        return message

    def _note(self, event: str, facts: dict[str, Any]) -> None:
        if event == "Network.requestWillBeSent":
            address = facts["request"]["url"]
            if not address.startswith(("data:", "blob:", "file:")):
                self.requests.append(address)
        if event == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(facts)[:2000])
        if event == "Runtime.consoleAPICalled" and facts["type"] in ("error", "warning", "assert"):
            self.errors.append(json.dumps(facts["args"])[:2000])
        if event == "Log.entryAdded" and facts["entry"]["level"] == "error":
            self.errors.append(facts["entry"]["text"])


@contextmanager
def chromium_page(path: Path, profile: Path) -> Iterator[Page]:
    """Open a file in a Chromium of its own.

    Args:
        path: The page.
        profile: An empty folder for Chromium's own files.
    """
    commands, answers = os.pipe(), os.pipe()
    # the protocol has its descriptors: 3 for commands, 4 for answers
    script = f'exec "$0" "$@" 3<&{commands[0]} 4>&{answers[1]}'
    command = ["bash", "-c", script, str(PROGRAM), *FLAGS, f"--user-data-dir={profile}"]
    process = subprocess.Popen(
        command, pass_fds=(commands[0], answers[1]), stderr=subprocess.DEVNULL
    )
    try:
        page = Page(commands[1], answers[0])
        page.open(path)
        yield page
    finally:
        process.kill()
        process.wait()
        for end in (*commands, *answers):
            os.close(end)
