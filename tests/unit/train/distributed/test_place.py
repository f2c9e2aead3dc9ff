"""Which environment makes a process a rank: for annotate, finet and lm pretrain alike."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from genet5.cli.annotate import main as annotate
from genet5.errors import ConfigError
from genet5.train.distributed import place
from genet5.train.distributed.place import Place, place_of_process
from genet5.train.distributed.processes import distributed

NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR")


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    place._note_loneliness.cache_clear()
    return monkeypatch


def given(environment: pytest.MonkeyPatch, **values: str) -> None:
    for name, value in values.items():
        environment.setenv(name, value)


def test_what_torchrun_sets_makes_a_rank(environment: pytest.MonkeyPatch) -> None:
    assert place_of_process() == Place()
    given(environment, RANK="5", WORLD_SIZE="8", LOCAL_RANK="1", LOCAL_WORLD_SIZE="4")
    given(environment, MASTER_ADDR="node0")
    assert place_of_process() == Place(5, 8, 1, 4)


def test_a_world_size_alone_makes_no_rank_and_is_said_once(
    environment: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    given(environment, WORLD_SIZE="4", MASTER_ADDR="node0", LOCAL_WORLD_SIZE="4")
    with caplog.at_level(logging.WARNING), distributed("cpu") as ranks:
        assert (ranks.rank, ranks.world_size) == (0, 1)
        assert place_of_process() == Place()
    (line,) = caplog.messages
    assert line.startswith("WORLD_SIZE is 4, but RANK is not set: this process runs alone")


def test_a_rank_without_an_address_is_an_error(environment: pytest.MonkeyPatch) -> None:
    given(environment, RANK="1", WORLD_SIZE="4")
    with pytest.raises(ConfigError, match=r"MASTER_ADDR.*unset RANK and WORLD_SIZE to run alone"):
        place_of_process()


@pytest.mark.parametrize("name", NAMES[:4])
def test_what_is_no_number_is_named(environment: pytest.MonkeyPatch, name: str) -> None:
    given(environment, **{name: "first"})
    with pytest.raises(ConfigError, match=name):
        place_of_process()


def test_annotate_says_that_its_environment_is_wrong_in_one_line(
    environment: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given(environment, RANK="1", WORLD_SIZE="4")
    assert annotate([str(tmp_path / "g.fa"), "-o", str(tmp_path / "a.gff3")]) != 0
    (line,) = capsys.readouterr().err.splitlines()
    assert "MASTER_ADDR" in line
