"""The shell scripts, with a `docker` on PATH that only records how it was called."""

from __future__ import annotations

import os
import shlex
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")

SCRIPTS = ("start-gt5.sh", "start-gt5-multi.sh", "bin/distributed.sh", ".ci/run")

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
    """A folder that is the whole PATH: the programs that the scripts use, without docker and GPU tools."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for name in ("bash", "env", "dirname", "id", "cat", "grep", "mkdir"):
        found = shutil.which(name)
        assert found is not None
        (folder / name).symlink_to(found)
    return folder


def add_program(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def call(
    script: Path, *arguments: str, path: Path | None = None, cwd: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:  # fmt: skip
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


@pytest.mark.parametrize("name", SCRIPTS[:3])
def test_help_needs_nothing_and_names_the_options(root: Path, programs: Path, name: str) -> None:
    done = call(root / name, "--help", path=programs)
    assert done.returncode == 0, done.stderr
    assert "--dry_run" in done.stdout


@pytest.mark.parametrize("name", SCRIPTS[:3])
def test_an_option_without_its_value_is_wrong_usage(root: Path, programs: Path, name: str) -> None:
    last = "--image" if name == "start-gt5.sh" else "--master"
    done = call(root / name, last, path=programs)
    assert done.returncode == 2
    assert f"{last} needs a value" in done.stderr


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
    mounts = [value for flag, value in zip(arguments, arguments[1:], strict=False) if flag == "--volume"]  # noqa: RUF007  # fmt: skip
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
    ("environment", "said"),
    [
        ({"SERVICE": "down"}, "does not answer"),
        ({"RUNTIME": ",\\\"other\\\":{}"}, "NVIDIA Container Toolkit"),
        ({"IMAGE": "missing"}, "docker build --tag genet5 ."),
    ],
)  # fmt: skip
def test_start_says_what_is_missing(
    root: Path, programs: Path, tmp_path: Path, environment: dict[str, str], said: str
) -> None:
    add_program(programs, "docker", FAKE_DOCKER)
    done = call(
        root / "start-gt5.sh", "--data", str(tmp_path / "data"),
        path=programs, RECORD=str(tmp_path / "record"), **environment,
    )  # fmt: skip
    assert done.returncode == 1
    assert said in done.stderr
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
        "--data", str(tmp_path / "data"), "--", "t.packed", "v.packed", "out", "base", "--epochs", "4",
        path=programs, RECORD=str(record),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    arguments = recorded(record)
    assert value_of(arguments, "--network") == "host"
    assert arguments[arguments.index("genet5") + 1 :] == [
        "bin/distributed.sh", "t.packed", "v.packed", "out", "base", "--epochs", "4",
        "--nnodes", "2", "--node-rank", "1", "--master", "192.0.2.1",
    ]  # fmt: skip


def test_multi_starts_a_shell_without_a_command_and_asks_for_the_node_with_one(
    root: Path, programs: Path
) -> None:
    done = call(root / "start-gt5-multi.sh", "--dry_run", path=programs)
    assert shlex.split(done.stdout)[-2:] == ["genet5", "bash"]
    done = call(root / "start-gt5-multi.sh", "--nnodes", "2", "--", "a", "b", "c", "d", path=programs)  # fmt: skip
    assert done.returncode == 2
    assert "--node-rank" in done.stderr


@pytest.mark.parametrize("rank", [["--node-rank", "1"], ["--node_rank=1"]])
def test_distributed_builds_a_torchrun_command(root: Path, programs: Path, rank: list[str]) -> None:
    done = call(
        root / "bin/distributed.sh", "t.packed", "v.packed", "out dir", "base", "--nnodes", "2", *rank,
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


def test_distributed_uses_every_gpu_of_one_machine(root: Path, programs: Path) -> None:
    add_program(programs, "nvidia-smi", '#!/usr/bin/env bash\necho "GPU 0: A"\necho "GPU 1: B"\n')
    done = call(root / "bin/distributed.sh", "t", "v", "o", "b", "--dry_run", path=programs)
    words = shlex.split(done.stdout)
    assert value_of(words, "--nproc-per-node") == "2"
    assert "--standalone" in words


def test_distributed_prints_then_runs_the_command(
    root: Path, programs: Path, tmp_path: Path
) -> None:
    add_program(programs, "fake-python", "#!/usr/bin/env bash\nprintf 'ran %s\\n' \"$#\"\n")
    done = call(
        root / "bin/distributed.sh", "t", "v", "o", "b", path=programs, PYTHON="fake-python"
    )
    printed, ran = done.stdout.splitlines()
    assert ran == f"ran {len(shlex.split(printed)) - 1}"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["t", "v", "o"], "TRAIN VAL OUT BASE"),
        (["t", "v", "o", "b", "--nnodes", "2"], "--master"),
        (["t", "v", "o", "b", "--nnodes", "2", "--node-rank", "2", "--master", "x"], "less than"),
        (["t", "v", "o", "b", "--nnodes", "two"], "no whole number"),
    ],
)
def test_distributed_refuses_wrong_usage(
    root: Path, programs: Path, arguments: list[str], said: str
) -> None:
    done = call(root / "bin/distributed.sh", *arguments, path=programs)
    assert done.returncode == 2
    assert said in done.stderr


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
    pinned = {line.split("==")[0] for line in (root / "docker/pins.txt").read_text().splitlines() if "==" in line}  # fmt: skip
    assert required == pinned
