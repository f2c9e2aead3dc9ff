"""bin/check_network.sh, with programs that show it networks in order and others."""

from __future__ import annotations

import re
import shlex
import shutil
import socket
from pathlib import Path

import pytest

from shell_scripts import add_program, call, value_of

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")

FAKE_IP = """#!/usr/bin/env bash
case "$*" in
    *"route get"*) [ "${ROUTE:-gt0}" = none ] ||
        echo "127.0.0.1 dev ${ROUTE:-gt0} src 10.0.0.1 uid 0" ;;
    *link*) echo "2: gt0: <UP> mtu ${MTU:-9000} state UP" ;;
esac
"""
FAKE_PING = """#!/usr/bin/env bash
[[ $* == *"-M do -s 8972"* ]] || exit 2
echo "3 packets transmitted, 3 received, ${LOSS:-0}% packet loss, time 3ms"
[ "${LOSS:-0}" = 0 ]
"""
FAKE_ETHTOOL = """#!/usr/bin/env bash
echo "	Speed: ${MBIT:-200000}Mb/s"
"""


@pytest.fixture
def network(programs: Path) -> Path:
    """Programs that find the network in order, except for what the environment sets."""
    for name, text in (("ip", FAKE_IP), ("ping", FAKE_PING), ("ethtool", FAKE_ETHTOOL)):
        add_program(programs, name, text)
    return programs


def check_network(
    root: Path, path: Path, *arguments: str, **environment: str
) -> tuple[int, dict[str, str]]:
    """Return the exit code, and "verdict text" of each finding."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        done = call(
            root / "bin/check_network.sh", "127.0.0.1", "--socket", "--speed", "200",
            "--port", port, *arguments,
            path=path, **environment,
        )  # fmt: skip
    rows = [re.split(r"\s{2,}", line, maxsplit=1) for line in done.stdout.splitlines()]
    found = {}
    for verdict, rest in (row if len(row) == 2 else row[0].split(" ", 1) for row in rows):
        what = next(
            w
            for w in ("route", "MTU", "jumbo frames", "link speed", "port", "RDMA")
            if rest.startswith(w)
        )
        found[what] = f"{verdict} {rest.removeprefix(what).strip()}"
    return done.returncode, found


def test_check_network_finds_all_in_order(root: Path, network: Path) -> None:
    code, found = check_network(root, network)
    assert code == 0
    assert list(found) == ["route", "MTU", "jumbo frames", "link speed", "port"]
    assert all(text.startswith("ok ") for text in found.values())
    assert "200 Gbit/s" in found["link speed"]
    assert "answers" in found["port"]


@pytest.mark.parametrize(
    ("environment", "what", "message"),
    [
        ({"MTU": "1500"}, "MTU", "gt0 has 1500, expected 9000: ip link set dev gt0 mtu 9000"),
        ({"LOSS": "100"}, "jumbo frames", "100% packet loss), expected all: set MTU 9000"),
        ({"MBIT": "100000"}, "link speed", "gt0 has 100 Gbit/s, expected 200: check the cable"),
        ({"ROUTE": "none"}, "route", "expected one: give this machine an address"),
        ({"ROUTE": "lo"}, "route", "this machine, expected another one"),
    ],
)
def test_check_network_says_what_is_wrong(
    root: Path, network: Path, environment: dict[str, str], what: str, message: str
) -> None:
    code, found = check_network(root, network, **environment)
    assert code == 1
    assert [name for name, text in found.items() if text.startswith("wrong")] == [what]
    assert message in found[what]


def test_check_network_tells_what_it_could_not_try(root: Path, network: Path) -> None:
    (network / "ping").unlink()
    add_program(network, "ethtool", "#!/usr/bin/env bash\necho 'Speed: Unknown!'\n")
    code, found = check_network(root, network)
    assert code == 0
    assert found["jumbo frames"].startswith("unknown not tried: ping is missing")
    assert found["link speed"].startswith("unknown")


def test_check_network_starts_the_sums_on_both_machines(root: Path, network: Path) -> None:
    words = {}
    for rank in ("0", "1"):
        done = call(
            root / "bin/check_network.sh", "127.0.0.1", "--bandwidth", "15", f"--node_rank={rank}",
            "--interface", "gt0",
            "--dry_run", "--", "--rounds", "3", path=network,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        words[rank] = shlex.split(done.stdout.splitlines()[-1])
    assert value_of(words["1"], "--master") == "127.0.0.1"
    assert value_of(words["0"], "--master") == "ADDRESS_OF_THIS_MACHINE"
    assert (value_of(words["0"], "--at_least"), words["0"][-2:]) == ("15", ["--rounds", "3"])
    assert value_of(words["0"], "--script") == str(root / "benchmarks/bench_allreduce.py")
    done = call(root / "bin/check_network.sh", "127.0.0.1", "--bandwidth", "15", path=network)
    assert done.returncode == 2
    assert "--node-rank" in done.stderr
