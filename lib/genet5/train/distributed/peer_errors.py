"""Errors that another rank may have caused: broken connections, as gloo and NCCL word them."""

from __future__ import annotations

from collections.abc import Sequence

import torch.distributed as dist

RESUME = "start it again: finet --resume continues from the last checkpoint, annotate by itself"
_BROKEN = (
    "gloo/transport",
    "Connection closed",
    "Connection reset",
    "Connection refused",
    "Broken pipe",
    "remote process exited",
    "remote error",
)


def may_come_from_a_peer(error: BaseException) -> bool:
    """Return whether an error may be the consequence of another rank's end."""
    return isinstance(error, dist.DistError) or is_broken_connection(error)


def is_broken_connection(error: BaseException | None) -> bool:
    """Return whether an error is, or is caused by, a broken connection."""
    if error is None:
        return False
    is_broken = isinstance(error, RuntimeError) and any(word in str(error) for word in _BROKEN)
    return is_broken or is_broken_connection(error.__cause__)


def remedy(error: BaseException, hosts: Sequence[str]) -> str:
    """Return what to do about a broken connection between these machines."""
    if "remote=[127." in str(error) and len(set(hosts)) > 1:
        return (
            "another machine gave its own 127.x address: name the network with --interface"
            " (GLOO_SOCKET_IFNAME)"
        )
    return RESUME
