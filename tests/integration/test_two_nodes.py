"""Two network namespaces as two machines: training, restarts, and a cable that is cut."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
PATIENCE_S = 200
LIB = Path(__file__).resolve().parents[2] / "lib"

# Rank 1 of the first attempt kills itself; whoever runs joins a sum over both.
WORKER = """
import os, pathlib, signal, sys, torch, torch.distributed as dist
dist.init_process_group("gloo")
rank, seen = dist.get_rank(), pathlib.Path(sys.argv[1])
is_first = not (seen / "killed").exists()
one = torch.ones(1)
dist.all_reduce(one)
attempt = "first" if is_first else "second"
(seen / f"{attempt}-{os.environ['NODE']}").write_text(f"{rank} {os.environ['MASTER_ADDR']}")
dist.barrier()
if is_first and rank == 1:
    (seen / "killed").touch()
    os.kill(os.getpid(), signal.SIGKILL)
dist.all_reduce(one)
dist.destroy_process_group()
"""


@pytest.fixture(scope="module")
def two_nodes(root: Path) -> list[str]:
    """The command that runs another one on both nodes."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to make network namespaces")
    if shutil.which("ip") is None:
        pytest.skip("needs the program ip (iproute2)")
    command = [str(root / "tests/integration/two_nodes.sh")]
    tried = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"no network namespaces here: {tried.stderr.strip()[-200:]}")
    return command


def environment(python: str) -> dict[str, str]:
    ours = {"PYTHON": python, "PYTHON_EXEC": python, "OMP_NUM_THREADS": "1"}
    return {**os.environ, **ours, "PYTHONWARNINGS": "ignore"}


def run(python: str, command: list[str]) -> str:
    """Run a command that must succeed; return its output."""
    done = subprocess.run(
        command, env=environment(python), stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    return done.stdout + done.stderr


def training(root: Path, toy_run: Path, out: Path, *flags: str) -> list[str]:
    """Return the words of a short run on a CPU in fp32."""
    files = [toy_run / "training.packed", toy_run / "validation.packed", out, toy_run / "base"]
    settings = "--max_steps 3 --batch_size 2 --lr 1e-2 --precision fp32 --device cpu"
    logged = "--eval_windows 0 --eval_batches 1 --log_every_steps 1 --num_workers 0"
    return [
        str(root / "bin/distributed.sh"),
        *map(str, files),
        *f"{settings} {logged}".split(),
        *flags,
    ]


def steps(out: Path) -> tuple[list[tuple[str, int]], list[float]]:
    """Return the kind and step of each row of metrics, and their losses and gradients' norms."""
    rows = [json.loads(x) for x in (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    figures = [row[key] for row in rows for key in ("loss", "grad_norm") if row.get(key)]
    return [(row["kind"], row["step"]) for row in rows], figures


def test_two_nodes_train_as_two_processes_of_one_machine(
    root: Path, python: str, toy_run: Path, tmp_path: Path, two_nodes: list[str]
) -> None:
    run(python, training(root, toy_run, tmp_path / "one", "--nproc-per-node", "2"))
    apart = (
        "--nnodes 2 --node-rank {node} --nproc-per-node 1 --master 192.168.100.10"
        " --interface eth0 --socket"
    )
    output = run(python, [*two_nodes, *training(root, toy_run, tmp_path / "two", *apart.split())])
    assert len(re.findall("GLOO_SOCKET_IFNAME=eth0", output)) == 2
    (rows, ours), (expected_rows, theirs) = steps(tmp_path / "two"), steps(tmp_path / "one")
    assert rows == expected_rows == [("train", 1), ("train", 2), ("train", 3), ("validation", 3)]
    assert len(ours) == 7
    assert ours == pytest.approx(theirs, rel=1e-5)


def test_both_nodes_start_again_and_keep_their_numbers(
    root: Path, python: str, tmp_path: Path, two_nodes: list[str]
) -> None:
    (tmp_path / "worker.py").write_text(WORKER)
    # Machine 0 is the node whose address sorts last: numbers are the user's, not the addresses'.
    line = (
        f"exec {root / 'bin/distributed.sh'} --script {tmp_path / 'worker.py'} {tmp_path} "
        "--nproc-per-node 1 --nnodes 2 --node-rank $((1 - NODE)) "
        "--master 192.168.100.11 --interface eth0 --max-restarts 2"
    )
    run(python, [*two_nodes, "bash", "-c", line])
    for attempt in ("first", "second"):
        found = {node: (tmp_path / f"{attempt}-{node}").read_text().split() for node in (0, 1)}
        assert found == {1: ["0", "192.168.100.11"], 0: ["1", "192.168.100.11"]}


def test_the_network_is_checked_and_measured(
    root: Path, python: str, tmp_path: Path, two_nodes: list[str]
) -> None:
    line = (
        f"sleep 0.5; exec {root / 'bin/check_network.sh'} 192.168.100.1$((1 - NODE)) --socket "
        "--bandwidth 0.0001 --node-rank $NODE -- --sizes_mib 1 --rounds 2 --device cpu"
    )
    output = run(python, ["env", f"TMPDIR={tmp_path}", *two_nodes, "bash", "-c", line])
    assert output.count("eth0 has 9000") == output.count("at least 0.0001 GB/s") == 2
    if shutil.which("ping"):
        assert output.count("packets of 9000 bytes reach") == 2
    (found,) = tmp_path.glob("genet5_allreduce_*.json")
    record = json.loads(found.read_text())
    assert (record["backend"], record["ranks"]) == ("gloo", 2)
    (row,) = record["results"]
    assert row["algorithm_gb_s"] == pytest.approx(2**20 / 1e6 / row["median_ms"], rel=1e-2)
    assert row["bus_gb_s"] == row["algorithm_gb_s"]  # 2 (n - 1) / n = 1 for two


# The command itself, with less patience than 45 s.
IMPATIENT = """
import sys
from genet5.train.distributed import liveness
liveness.watch_ranks.__wrapped__.__kwdefaults__.update(limit_s=4.0, interval_s=0.5)
from genet5.cli.finet import main
sys.exit(main())
"""


def test_a_cut_cable_ends_both_nodes_with_the_reason(
    root: Path, python: str, toy_run: Path, tmp_path: Path, two_nodes: list[str]
) -> None:
    (tmp_path / "finet.py").write_text(IMPATIENT)
    apart = (
        "--max_steps 1000000 --nnodes 2 --node-rank {node} --nproc-per-node 1 "
        f"--master 192.168.100.10 --interface eth0 --script {tmp_path / 'finet.py'}"
    )
    command = [*two_nodes, *training(root, toy_run, tmp_path / "out", *apart.split())]
    metrics, deadline = tmp_path / "out/metrics.jsonl", time.monotonic() + PATIENCE_S
    with (tmp_path / "log").open("w+") as log:
        process = subprocess.Popen(
            command, env=environment(python) | {"PYTHONPATH": str(LIB)}, stdin=subprocess.DEVNULL,
            stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            while not (metrics.exists() and metrics.stat().st_size):
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.1)
            process.send_signal(signal.SIGUSR1)
            code = process.wait(PATIENCE_S)
        finally:
            process.terminate()
            process.wait()
        log.seek(0)
        output = log.read()
    assert code == 1, output[-3000:]
    for here, there in ((0, 1), (1, 0)):
        line = rf"\[rank {here}\] rank {there} on host .* has not been heard of"
        assert re.search(line, output), output[-3000:]
