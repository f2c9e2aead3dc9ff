"""Ranks of toy runs for `test_liveness.py`.

Reads `SCENE WORLD_SIZE PORT LOGS` from standard input, forks the ranks (torch is imported once),
and answers with their process ids and, when all have ended, with their exit codes. Rank r logs to
LOGS/r.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from genet5.errors import DataError
from genet5.train.distributed.liveness import watch_ranks
from genet5.train.distributed.rendezvous import run_store
from genet5.train.progress_watch import ProgressWatch

LIMIT_S, INTERVAL_S = 3.0, 0.2
PATIENCE_S = 120.0
TIMEOUT = timedelta(seconds=600)


@contextmanager
def joined(rank: int, world_size: int) -> Iterator[None]:
    store = run_store(rank, world_size, timeout=TIMEOUT, join_s=PATIENCE_S)
    with watch_ranks(store, rank, world_size, limit_s=LIMIT_S, interval_s=INTERVAL_S):
        dist.init_process_group(
            "gloo", store=store, rank=rank, world_size=world_size, timeout=TIMEOUT
        )
        dist.barrier()
        write("ready")
        yield
        dist.destroy_process_group()


def write(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def wait_for_victim(rank: int, world_size: int) -> None:
    """The last rank is going to be killed; rank 0 of three does not even talk with the others."""
    with joined(rank, world_size):
        if rank == world_size - 1 or (rank == 0 and world_size == 3):
            time.sleep(600)
        dist.all_reduce(torch.ones(1))


def wait_for_first(rank: int, world_size: int) -> None:
    """Rank 0, which hosts the store, is going to be stopped."""
    with joined(rank, world_size):
        if rank == 0:
            time.sleep(600)
        dist.all_reduce(torch.ones(1))


def wrong_data(rank: int, world_size: int) -> None:
    with joined(rank, world_size):
        if rank == 1:
            raise DataError("no genes", path="x.arrow")
        time.sleep(600)


def no_memory(rank: int, world_size: int) -> None:
    with joined(rank, world_size):
        if rank == 0:
            raise RuntimeError("CUDA out of memory\nTried to allocate")
        dist.all_reduce(torch.ones(1))


def hang_up(rank: int, world_size: int) -> None:
    """Rank 1 lives, but does not answer."""
    with joined(rank, world_size):
        if rank == 1:
            dist.destroy_process_group()
            time.sleep(600)
        dist.all_reduce(torch.ones(1))


def stuck_in_compute(rank: int, world_size: int) -> None:
    """Rank 1 computes for ever, and rank 0 waits for it; both have heartbeats."""
    stacks = Path("/proc/self/fd/2").readlink().with_name(f"stacks-{rank}")
    with joined(rank, world_size), ProgressWatch(stacks, lambda: False, 1.0, look_s=0.1):
        if rank == 1:
            time.sleep(600)
        dist.all_reduce(torch.ones(1))


def finish(rank: int, world_size: int) -> None:
    """Ranks 0 and 1 end long before rank 2."""
    with joined(rank, world_size):
        time.sleep(0 if rank < 2 else 1.2 * LIMIT_S)
    write("done")


def restart(rank: int, world_size: int) -> None:
    """What torchrun does, in this process: start two ranks, and both again when one dies."""
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=2,
        max_restarts=1,
        monitor_interval=0.1,
        rdzv_backend="c10d",
        rdzv_endpoint="127.0.0.1:0",
        start_method="fork",
    )
    totals = elastic_launch(config, run_twice)()
    write(f"totals {sorted(totals.items())}")


def run_twice() -> float:
    """One rank of two; rank 1 dies in the first attempt."""
    is_first = os.environ["TORCHELASTIC_RESTART_COUNT"] == "0"
    rank, total = int(os.environ["RANK"]), torch.ones(1)
    with joined(rank, 2):
        if is_first and rank == 1:
            os.kill(os.getpid(), 9)
        dist.all_reduce(total)
        time.sleep(1.2 * LIMIT_S)  # a stale beat or verdict would end the second attempt meanwhile
    return total.item()


SCENES: dict[str, Callable[[int, int], None]] = {
    scene.__name__: scene
    for scene in (
        *(wait_for_victim, wait_for_first, wrong_data, no_memory, hang_up, stuck_in_compute),
        *(finish, restart),
    )
}


def fork_rank(scene: str, rank: int, world_size: int, port: str, logs: str) -> int:
    if pid := os.fork():
        return pid
    code = 1
    try:
        with (Path(logs) / str(rank)).open("w") as log:
            os.dup2(log.fileno(), 2)
            os.dup2(log.fileno(), 1)  # gloo of torch 2.10 talks there
        os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=port)
        SCENES[scene](rank, world_size)
        code = 0
    except Exception:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def wait_for(pids: list[int]) -> list[int | None]:
    codes: dict[int, int] = {}
    end = time.monotonic() + PATIENCE_S
    while len(codes) < len(pids) and time.monotonic() < end:
        for pid in set(pids) - set(codes):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                codes[pid] = os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    for pid in set(pids) - set(codes):
        os.kill(pid, 9)
        os.waitpid(pid, 0)
    return [codes.get(pid) for pid in pids]


def serve() -> None:
    for line in sys.stdin:
        scene, world_size, port, logs = line.split()
        pids = [fork_rank(scene, r, int(world_size), port, logs) for r in range(int(world_size))]
        sys.stdout.write(json.dumps(pids) + "\n")
        sys.stdout.flush()
        sys.stdout.write(json.dumps(wait_for(pids)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    torch.set_num_threads(1)
    serve()
