"""The store by which the processes of a run meet."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from genet5.train.distributed import rendezvous


def test_the_store_listens_at_the_address_of_the_run_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    for name, value in {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("TORCHELASTIC_USE_AGENT_STORE", raising=False)
    store = rendezvous._connect(0, 2, 5.0)
    text = "".join(Path("/proc/net", name).read_text() for name in ("tcp", "tcp6"))
    listening = [line.split()[1] for line in text.splitlines() if line.split()[3] == "0A"]
    assert [place for place in listening if place.endswith(f":{port:04X}")] == [
        f"0100007F:{port:04X}"
    ]
    del store


@pytest.mark.parametrize("host", ["", "no-such-host.invalid", "192.0.2.1"])
def test_an_address_that_is_not_this_machines_is_left_to_torch(
    monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.setenv("MASTER_ADDR", host)
    monkeypatch.setenv("MASTER_PORT", "29501")
    assert rendezvous._listener() is None
