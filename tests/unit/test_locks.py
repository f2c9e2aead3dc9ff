"""Folders that one process holds."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

import pytest

from genet5 import locks
from genet5.locks import LOCK_FILE, FolderInUseError, Owner, lock_file, locked_folder


def test_a_second_holder_is_told_who_the_first_one_is(tmp_path: Path) -> None:
    with (
        locked_folder(tmp_path),
        pytest.raises(FolderInUseError, match=f"in use by pid {os.getpid()} on "),
        locked_folder(tmp_path),
    ):
        pass
    assert not list(tmp_path.iterdir())


def test_folders_that_were_made_for_it_go_again_unless_they_were_used(tmp_path: Path) -> None:
    with locked_folder(tmp_path / "a" / "b"):
        pass
    assert not (tmp_path / "a").exists()
    with locked_folder(tmp_path / "a" / "b"):
        (tmp_path / "a" / "b" / "kept").touch()
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["kept"]


def dead_owner(folder: Path, started: str = "1") -> None:
    owner = {"pid": os.getpid(), "started": started, "host": Owner.this_process().host}
    (folder / LOCK_FILE).write_text(json.dumps(owner))


def test_the_lock_of_a_dead_process_is_taken_over(tmp_path: Path) -> None:
    """Its children may still have the file open, and its process id may be used again."""
    dead_owner(tmp_path)
    child = lock_file(tmp_path / LOCK_FILE)
    assert child is not None
    with locked_folder(tmp_path):
        text = json.loads((tmp_path / LOCK_FILE).read_text())
        assert text["started"] == Owner.this_process().started
    os.close(child)


def test_without_locks_the_owner_counts_while_it_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(handle: int, how: int) -> None:
        raise OSError("no locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with locked_folder(tmp_path), pytest.raises(FolderInUseError), locked_folder(tmp_path):
        pass
    dead_owner(tmp_path)
    with locked_folder(tmp_path):
        pass
    monkeypatch.setattr(locks.socket, "gethostname", lambda: "another")
    assert not Owner(1, "1", "elsewhere").is_dead
