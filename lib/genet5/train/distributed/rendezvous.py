"""The processes of a run meet: `run_store` returns a key-value store of this attempt alone.

Address and host of the store come from the environment that torchrun sets (or MASTER_ADDR and
MASTER_PORT, where rank 0 hosts it). torchrun's store outlives a restart, and torch does not divide
it into attempts (https://github.com/pytorch/pytorch/issues/135712): a new rank that reads the
address of a dead one waits for it. torchrun's restart count cannot tell attempts apart, as machines
may count differently. So rank 0 names the attempt, and the others take a name only when rank 0 has
admitted them to it.
"""

from __future__ import annotations

import ipaddress
import json
import os
import socket
import time
import uuid
from datetime import timedelta

import torch.distributed as dist
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from genet5.errors import ConfigError, RankError

JOIN_S = 600.0
"""Seconds that ranks wait for each other at the start; torchrun's agents wait as long."""
VERDICT_KEY = "verdict"
"""Why the run ends (`liveness`); empty at first."""
HOSTS_KEY = "hosts"
"""The name of each rank's machine, a JSON list."""
_POLL_S = 0.1


def run_store(rank: int, world_size: int, *, timeout: timedelta, join_s: float = JOIN_S) -> Store:
    """Meet the other ranks and return the store; every rank calls it, before anything else.

    Args:
        rank: This process.
        world_size: Number of processes.
        timeout: Longest wait for a key of the returned store.
        join_s: Longest wait for the other ranks.

    Raises:
        ConfigError: The environment does not give the store's address.
        RankError: Not all ranks came in time.
    """
    if world_size == 1:
        alone: Store = dist.HashStore()  # type: ignore[attr-defined]
        return alone
    deadline = time.monotonic() + join_s
    root = PrefixStore("genet5", _connect(rank, world_size, join_s))
    if rank == 0:
        store = open_attempt(root, world_size, deadline)
    else:
        store = enter_attempt(root, rank, deadline)
    store.set_timeout(timeout)
    return store


def open_attempt(root: Store, world_size: int, deadline: float) -> Store:
    """Name an attempt and admit the other ranks to it; rank 0 calls it.

    Args:
        root: Store of all attempts.
        world_size: Number of processes.
        deadline: Time on the monotonic clock.

    Raises:
        RankError: The deadline has passed; the missing ranks are named.
    """
    name = uuid.uuid4().hex
    store = PrefixStore(name, root)
    store.set(VERDICT_KEY, "")
    for rank in range(world_size):
        store.set(beat_key(rank), "0")
    root.set("attempt", name)
    keys = [f"here/{rank}" for rank in range(1, world_size)]
    while not store.check(keys):
        if time.monotonic() > deadline:
            missing = [rank for rank in range(1, world_size) if not store.check([f"here/{rank}"])]
            raise RankError(
                f"waited in vain for rank {', '.join(map(str, missing))} of {world_size}; expected"
                f" all of them to reach the run's store at {store_address()}. See their logs",
                missing[0] if missing else None,
            )
        time.sleep(_POLL_S)
    tickets = [json.loads(text) for text in store.multi_get(keys)]
    store.set(HOSTS_KEY, json.dumps([socket.gethostname(), *(host for _, host in tickets)]))
    store.set("admitted", json.dumps([ticket for ticket, _ in tickets]))
    return store


def enter_attempt(root: Store, rank: int, deadline: float) -> Store:
    """Enter the attempt that rank 0 has named, once it has admitted this process.

    Raises:
        RankError: The deadline has passed.
    """
    ticket = uuid.uuid4().hex
    while time.monotonic() < deadline:
        if root.check(["attempt"]):
            store = PrefixStore(root.get("attempt").decode(), root)
            store.set(f"here/{rank}", json.dumps([ticket, socket.gethostname()]))
            if store.check(["admitted"]) and ticket in json.loads(store.get("admitted")):
                return store
        time.sleep(_POLL_S)
    raise RankError(
        f"rank {rank} reached the run's store at {store_address()}, but rank 0 did not admit it;"
        " expected all ranks to start together. See rank 0's log",
        0,
    )


def beat_key(rank: int) -> str:
    """Return the key of a rank's heartbeat counter; -1 there: the rank has signed off."""
    return f"beat/{rank}"


def store_address() -> str:
    """Return host and port of the run's store."""
    return f"{os.environ.get('MASTER_ADDR', '')}:{os.environ.get('MASTER_PORT', '')}"


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text."""
    return str(error).strip().partition("\n")[0][:300]


def _connect(rank: int, world_size: int, join_s: float) -> Store:
    where, timeout = store_address(), timedelta(seconds=join_s)
    is_own = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"
    listener = _listener() if rank == 0 and is_own else None
    try:
        if listener is not None:
            host, port = listener.getsockname()[:2]
            own: Store = dist.TCPStore(  # type: ignore[attr-defined]
                host, port, world_size, True, timeout, wait_for_workers=False,
                master_listen_fd=listener.detach(),
            )  # fmt: skip
            return own
        store: Store = next(rendezvous("env://", rank, world_size, timeout=timeout))[0]
    except ValueError as error:
        rule = "must name rank 0's machine; torchrun sets them"
        raise ConfigError("MASTER_ADDR, MASTER_PORT", where, rule) from error
    except RuntimeError as error:
        raise RankError(
            f"rank {rank} cannot reach the run's store at {where} ({first_line(error)}); expected"
            " rank 0's machine there. Check --master, the port and the firewall",
            0,
        ) from error
    return store


def _listener() -> socket.socket | None:
    """Open the port of the run's store at the address that the ranks use, and at no other.

    torch's own store listens at all addresses of the machine, and knows no password. None where the
    address is a name that this machine takes for itself alone, or another machine's: torch decides.
    """
    host, port = os.environ.get("MASTER_ADDR", ""), os.environ.get("MASTER_PORT", "")
    if not host:
        return None
    try:
        found = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)[0]
        family, address = found[0], found[4]
        is_local = ipaddress.ip_address(address[0]).is_loopback
        if is_local and host != "localhost" and not _is_ip(host):
            return None
        return socket.create_server(address[:2], family=family, backlog=1024)
    except (OSError, ValueError):
        return None


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
