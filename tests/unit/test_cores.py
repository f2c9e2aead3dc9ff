"""Quotas of cgroups as files, and OpenMP's variables as a dict."""

import os

import pytest

from genet5 import cores
from genet5.cores import cpu_quota, settle_threads, threads_of_each, usable_cores


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def quota_of(folder, membership):
    write(folder / "membership", membership)
    return cpu_quota(folder / "membership", folder / "mount")


def test_quota_of_version_2_is_the_smallest_of_the_group_and_those_above(tmp_path):
    write(tmp_path / "mount/pod/cpu.max", "150000 100000\n")
    write(tmp_path / "mount/pod/job/cpu.max", "max 100000\n")
    assert quota_of(tmp_path, "0::/pod/job\n") == 1.5


def test_quota_of_version_2_in_a_container_lies_at_the_root(tmp_path):
    write(tmp_path / "mount/cpu.max", "200000 100000\n")
    assert quota_of(tmp_path, "0::/\n") == 2.0


def test_quota_of_version_1_is_that_of_the_cpu_controller(tmp_path):
    folder = tmp_path / "mount/cpu,cpuacct/docker/4f"
    write(folder / "cpu.cfs_quota_us", "400000\n")
    write(folder / "cpu.cfs_period_us", "100000\n")
    assert quota_of(tmp_path, "7:memory:/docker/4f\n4:cpu,cpuacct:/docker/4f\n") == 4.0


def test_no_limit_is_no_quota(tmp_path):
    write(tmp_path / "mount/cpu/a/cpu.cfs_quota_us", "-1\n")
    write(tmp_path / "mount/cpu/a/cpu.cfs_period_us", "100000\n")
    write(tmp_path / "mount/cpu.max", "max 100000\n")
    assert quota_of(tmp_path, "3:cpu:/a\n0::/\n") is None


def test_machine_without_cgroups_has_no_quota(tmp_path):
    assert cpu_quota(tmp_path / "membership", tmp_path) is None


@pytest.mark.parametrize(("quota", "expected"), [(None, 8), (2.5, 3), (0.2, 1), (64.0, 8)])
def test_usable_cores_are_those_of_the_affinity_up_to_the_quota(monkeypatch, quota, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(cores, "cpu_quota", lambda: quota)
    assert usable_cores() == expected


def test_threads_wait_passively_and_a_quota_limits_their_number(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(cores, "cpu_quota", lambda: 2.0)
    environment = {}
    settle_threads(environment)
    assert environment == {"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": "2"}


def test_without_a_quota_the_number_of_threads_is_left_to_torch(monkeypatch):
    monkeypatch.setattr(cores, "cpu_quota", lambda: None)
    environment = {}
    settle_threads(environment)
    assert environment == {"OMP_WAIT_POLICY": "PASSIVE"}


@pytest.mark.parametrize("name", ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"])
def test_how_the_user_lets_threads_wait_stays(monkeypatch, name):
    monkeypatch.setattr(cores, "cpu_quota", lambda: 0.5)
    environment = {name: "7", "OMP_NUM_THREADS": "5"}
    settle_threads(environment)
    assert environment == {name: "7", "OMP_NUM_THREADS": "5"}


@pytest.mark.parametrize(
    ("quota", "user", "expected"), [(4.0, "", "2"), (None, "", "4"), (4.0, "3", "3")]
)
def test_processes_share_the_cores_unless_the_user_says_otherwise(
    monkeypatch, quota, user, expected
):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(cores, "cpu_quota", lambda: quota)
    environment = {"OMP_NUM_THREADS": user} if user else {}
    settle_threads(environment)
    assert threads_of_each(2, environment) == expected
