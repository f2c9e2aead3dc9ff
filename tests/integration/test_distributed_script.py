"""bin/distributed.sh: the torchrun command that it builds, prints and runs."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import pytest

from shell_scripts import add_program, call, value_of

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")


@pytest.mark.parametrize("wrong", ["--port=0", "--port=65536", "--nnodes=0", "--nproc-per-node=0"])
def test_distributed_checks_numbers(root: Path, programs: Path, wrong: str) -> None:
    done = call(root / "bin/distributed.sh", "t", "v", "o", "b", wrong, "--dry_run", path=programs)
    assert done.returncode == 2
    assert "must be" in done.stderr


@pytest.mark.parametrize("rank", [["--node-rank", "1"], ["--node_rank=1"]])
def test_distributed_builds_a_torchrun_command(root: Path, programs: Path, rank: list[str]) -> None:
    done = call(
        root / "bin/distributed.sh", "t.packed", "v.packed", "out dir", "base", "--nnodes", "2",
        *rank,
        "--master", "192.168.100.10", "--epochs", "4", "--compile", "--dry_run", path=programs,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    words = shlex.split(done.stdout)
    assert words[:3] == ["python3", "-m", "torch.distributed.run"]
    expected = {
        "--nnodes": "2", "--node-rank": "1", "--nproc-per-node": "1",
        "--master-addr": "192.168.100.10", "--master-port": "29500",
    }  # fmt: skip
    assert {flag: value_of(words, flag) for flag in expected} == expected
    at = words.index(str(root / "bin/finet"))
    assert words[at + 1 :] == [
        "t.packed", "v.packed", "out dir", "base", "--epochs", "4", "--compile",
    ]  # fmt: skip


def test_distributed_sets_what_was_asked_for_and_prints_it(root: Path, programs: Path) -> None:
    done = call(
        root / "bin/distributed.sh", "t", "v", "o", "b", "--nnodes=2", "--node_rank=0",
        "--master=m0", "--port=29501", "--interface", "enp1s0f0np0,enP2p1s0f0np0",
        "--hca=rocep1s0f0:1", "--grace=120", "--dry_run", path=programs,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    words = shlex.split(done.stdout)
    assert words[: words.index("python3")] == [
        "env", "NCCL_SOCKET_IFNAME==enp1s0f0np0,enP2p1s0f0np0",
        "GLOO_SOCKET_IFNAME=enp1s0f0np0,enP2p1s0f0np0",
        "NCCL_IB_HCA==rocep1s0f0:1", "TORCH_ELASTIC_SHUTDOWN_TIMEOUT=120",
    ]  # fmt: skip
    assert value_of(words, "--master-port") == "29501"
    done = call(
        root / "bin/distributed.sh", "t", "v", "o", "b", "--socket", "--dry_run", path=programs
    )
    assert shlex.split(done.stdout)[:2] == ["env", "NCCL_IB_DISABLE=1"]


@pytest.mark.parametrize(
    ("rank", "master", "endpoint", "name"),
    [
        ("0", "192.168.100.10", "192.168.100.10:29500", "192.168.100.10"),
        ("12", "fe80::1", "[fe80::1]:29500", "~00012"),
    ],
)
def test_distributed_restarts_by_a_rendezvous_that_all_machines_watch(
    root: Path, programs: Path, rank: str, master: str, endpoint: str, name: str
) -> None:
    done = call(
        root / "bin/distributed.sh", "t", "v", "o", "b", "--nnodes", "16", "--node-rank", rank,
        "--master", master,
        "--max-restarts", "3", "--dry_run", path=programs,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    words = shlex.split(done.stdout)
    assert words[:3] == ["env", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1", "python3"]
    expected = {
        "--max-restarts": "3", "--rdzv-backend": "c10d", "--rdzv-endpoint": endpoint,
        "--rdzv-id": "genet5",
        "--rdzv-conf": f"is_host={int(rank == '0')}", "--local-addr": name,
    }  # fmt: skip
    assert {flag: value_of(words, flag) for flag in expected} == expected
    assert not {"--node-rank", "--master-addr"} & set(words)
    assert name == master or name > master


def assert_loopback(words: list[str]) -> None:
    """One machine: nothing listens to others."""
    assert value_of(words, "--rdzv-conf") == "store_type=file"
    assert value_of(words, "--local-addr") == "127.0.0.1"
    assert {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1", "GLOO_SOCKET_IFNAME=lo"} <= {*words}


def test_distributed_restarts_on_one_machine(root: Path, programs: Path) -> None:
    done = call(
        root / "bin/distributed.sh",
        "t",
        "v",
        "o",
        "b",
        "--max_restarts=2",
        "--dry_run",
        path=programs,
    )
    words = shlex.split(done.stdout)
    assert value_of(words, "--max-restarts") == "2"
    assert_loopback(words)


def test_distributed_runs_another_program(root: Path, programs: Path) -> None:
    done = call(
        root / "bin/distributed.sh",
        "--script",
        "my program.py",
        "--rounds",
        "3",
        "--dry_run",
        path=programs,
    )
    assert done.returncode == 0, done.stderr
    assert shlex.split(done.stdout)[-3:] == ["my program.py", "--rounds", "3"]


def test_distributed_says_which_interfaces_there_are(root: Path, programs: Path) -> None:
    done = call(
        root / "bin/distributed.sh", "t", "v", "o", "b", "--interface", "nope0", path=programs
    )
    assert done.returncode == 1
    assert "no network interface nope0; this machine has:" in done.stderr
    assert " lo" in done.stderr


def test_distributed_uses_every_gpu_of_one_machine(
    root: Path, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    add_program(programs, "nvidia-smi", '#!/usr/bin/env bash\necho "GPU 0: A"\necho "GPU 1: B"\n')
    done = call(root / "bin/distributed.sh", "t", "v", "o", "b", "--dry_run", path=programs)
    words = shlex.split(done.stdout)
    assert value_of(words, "--nproc-per-node") == "2"
    assert_loopback(words)


@pytest.mark.parametrize(("visible", "count"), [("1", "1"), ("0,3,5", "3"), ("", "1")])
def test_distributed_uses_the_gpus_that_are_visible(
    root: Path, programs: Path, visible: str, count: str
) -> None:
    add_program(programs, "nvidia-smi", '#!/usr/bin/env bash\necho "GPU 0: A"\necho "GPU 1: B"\n')
    done = call(
        root / "bin/distributed.sh", "t", "v", "o", "b", "--dry_run", path=programs,
        CUDA_VISIBLE_DEVICES=visible
    )  # fmt: skip
    assert value_of(shlex.split(done.stdout), "--nproc-per-node") == count


def test_distributed_prints_then_runs_the_command(
    root: Path, programs: Path, tmp_path: Path
) -> None:
    add_program(programs, "fake-python", "#!/usr/bin/env bash\nprintf 'ran %s\\n' \"$#\"\n")
    done = call(
        root / "bin/distributed.sh", "t", "v", "o", "b", path=programs, PYTHON="fake-python"
    )
    printed, ran = done.stdout.splitlines()
    words = shlex.split(printed)
    assert ran == f"ran {len(words) - words.index('fake-python') - 1}"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["t", "v", "o"], "TRAIN VAL OUT BASE"),
        (["t", "v", "o", "b", "--nnodes", "2"], "--master"),
        (["t", "v", "o", "b", "--nnodes", "2", "--node-rank", "2", "--master", "x"], "less than"),
        (["t", "v", "o", "b", "--nnodes", "two"], "no whole number"),
        (["t", "v", "o", "b", "--max-restarts", "-1"], "needs a value"),
        (["t", "v", "o", "b", "--nnodes", "2", "--master", "-x"], "needs a value"),
        (["t", "v", "o", "b", "--nnodes", "2", "--master", "a b"], "no address"),
        (["t", "v", "o", "b", "--interface", "eth0;reboot"], "names with commas"),
        (["t", "v", "o", "b", "--hca", "$(reboot)"], "names with commas"),
        (["t", "v", "o", "b", "--hca", "mlx5_0", "--socket"], "leave out --hca"),
    ],
)
def test_distributed_refuses_wrong_usage(
    root: Path, programs: Path, arguments: list[str], message: str
) -> None:
    done = call(root / "bin/distributed.sh", *arguments, path=programs)
    assert done.returncode == 2
    assert message in done.stderr
