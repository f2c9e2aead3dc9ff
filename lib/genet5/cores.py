"""Processor cores that this process may use, and threads that do not hinder others.

Two things make a run slow beside other work, though there is nothing wrong with its code:

- OpenMP starts a thread for each core that it sees. It heeds a process's affinity (`taskset`,
  Slurm), but not the quota of a container (`docker --cpus 2`, Kubernetes): with more threads than
  the quota pays for, all of them are stopped for most of each period.
- Threads that wait for the next task spin. On a busy machine they take the core from the
  thread that they wait for.

`settle_threads` repairs both by OpenMP's environment variables, which it reads when it is loaded:
with torch.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, MutableMapping
from pathlib import Path

_WAIT_VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
_COUNT_VARIABLE = "OMP_NUM_THREADS"


def settle_threads(environment: MutableMapping[str, str] = os.environ) -> None:
    """Let threads wait without spinning, and start no more than the quota pays for.

    What the user has set stays. Has an effect only before torch is loaded, and on the processes
    that this one starts.
    """
    if not any(name in environment for name in _WAIT_VARIABLES):
        environment["OMP_WAIT_POLICY"] = "PASSIVE"
    if _COUNT_VARIABLE not in environment and usable_cores() < _cores_of_affinity():
        environment[_COUNT_VARIABLE] = str(usable_cores())


def threads_of_each(count: int, environment: Mapping[str, str] = os.environ) -> str:
    """Return OMP_NUM_THREADS of each of `count` processes: the user's, else an even share.

    A number that is the quota's is what `settle_threads` has set for one process.
    """
    cores, wanted = usable_cores(), environment.get(_COUNT_VARIABLE, "")
    is_of_quota = cores < _cores_of_affinity() and wanted == str(cores)
    return wanted if wanted and not is_of_quota else str(max(cores // count, 1))


def usable_cores() -> int:
    """Return the cores that this process may use: its affinity's, at most its cgroups' quota.

    A quota of 1.5 cores counts as 2.
    """
    quota = cpu_quota()
    cores = _cores_of_affinity()
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))


def _cores_of_affinity() -> int:
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_quota(
    membership: Path = Path("/proc/self/cgroup"), mount: Path = Path("/sys/fs/cgroup")
) -> float | None:
    """Return the smallest quota of the process's cgroups, in cores; None where there is none.

    Args:
        membership: The kernel's list of the process's cgroups (man 7 cgroups), of version 1, 2 or
            both.
        mount: Where they are mounted.
    """
    try:
        lines = membership.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    quotas = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:  # version 2
            quotas += [_read_v2(folder) for folder in _ancestors(mount, path)]
        elif "cpu" in controllers.split(","):
            quotas += [_read_v1(folder) for folder in _ancestors(mount / controllers, path)]
    return min((quota for quota in quotas if quota is not None), default=None)


def _ancestors(root: Path, path: str) -> Iterator[Path]:
    """The cgroup's folder and those above it; in a container only the root may be there."""
    folder = root / path.lstrip("/")
    while folder != root and root in folder.parents:
        yield folder
        folder = folder.parent
    yield root


def _read_v2(folder: Path) -> float | None:
    """Read cpu.max: "QUOTA PERIOD" in microseconds, or "max PERIOD"."""
    try:
        quota, period = (folder / "cpu.max").read_text(encoding="ascii").split()
        return int(quota) / int(period)
    except (OSError, ValueError):
        return None


def _read_v1(folder: Path) -> float | None:
    """Read cpu.cfs_quota_us, -1 for none, and cpu.cfs_period_us."""
    try:
        quota = int((folder / "cpu.cfs_quota_us").read_text(encoding="ascii"))
        period = int((folder / "cpu.cfs_period_us").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return quota / period if quota > 0 else None
