"""The journal of a run: windows that were decoded once are not decoded again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from genet5.annotate.journal import Journal, file_stamp, run_key
from genet5.decode.fragment import GeneFragment, Interval
from genet5.decode.window_found import WindowFound

GENE = GeneFragment("protein_coding", -1, (Interval("cds", 3, 12),), cut_left=True, frame=1)
PERCENTS = np.arange(20, dtype=np.uint8).reshape(2, 5, 2)
WINDOWS = [WindowFound((GENE,)), WindowFound(()), WindowFound((GENE, GENE), PERCENTS)]
FOUND = [window.to_json() for window in WINDOWS]
ONE, NOTHING = WINDOWS[:2]


def interrupted(path: Path, key: str = "run") -> bytes:
    """Leave the journal of a run that was killed after three windows."""
    journal = Journal(path, key)
    for number, found in enumerate(WINDOWS):
        journal.add(number, found)
    journal.close(remove=False)
    return path.read_bytes()


def known(journal: Journal) -> dict[int, list[object]]:
    return {n: journal.found(n).to_json() for n in range(10) if journal.knows(n)}


def test_a_resumed_run_knows_its_windows_and_appends(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    interrupted(path)
    journal = Journal(path, "run")
    assert known(journal) == dict(enumerate(FOUND))
    journal.add(7, ONE)
    assert journal.found(0).to_json() == FOUND[0]
    journal.add(3, NOTHING)
    journal.close(remove=False)
    assert known(Journal(path, "run")) == {**dict(enumerate(FOUND)), 3: FOUND[1], 7: FOUND[0]}


def test_cut_at_any_byte_it_knows_the_whole_records_before_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    whole = interrupted(path)
    ends = [n + 1 for n, byte in enumerate(whole) if byte == ord("\n")]
    for size in {*range(0, len(whole), 5), *ends, *(end - 1 for end in ends)}:
        path.write_bytes(whole[:size])
        journal = Journal(path, "run")
        count = max(sum(end <= size for end in ends) - 1, 0)
        assert known(journal) == dict(enumerate(FOUND[:count]))
        for number in range(count, len(FOUND)):
            journal.add(number, WINDOWS[number])
        journal.close(remove=False)
        assert path.read_bytes() == whole


@pytest.mark.parametrize("bit", [0, 7])
def test_a_flipped_bit_costs_the_records_it_lies_in_and_is_reported(
    tmp_path: Path, bit: int, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "journal"
    whole = interrupted(path)
    for place in range(0, len(whole) - 1, 5):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << bit
        path.write_bytes(bytes(damaged))
        caplog.clear()
        journal = Journal(path, "run")
        found = known(journal)
        journal.close(remove=False)
        assert all(found[number] == FOUND[number] for number in found)
        assert len(found) >= len(FOUND) - 2
        assert "damaged: their windows are decoded again" in caplog.text


def test_the_journal_of_another_run_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    interrupted(path, "another run")
    journal = Journal(path, "run")
    journal.close(remove=False)
    assert not known(Journal(path, "run"))
    assert path.read_bytes().endswith(b' {"run":"run"}\n')


def test_a_restart_forgets_all_windows(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    interrupted(path)
    assert not known(Journal(path, "run", restart=True))


def test_a_finished_run_leaves_no_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    Journal(path, "run").close(remove=True)
    assert not path.exists()


def test_the_key_of_a_run_depends_on_each_fact_and_not_on_their_order() -> None:
    assert run_key(genome="a", model="b") == run_key(model="b", genome="a")
    assert run_key(genome="a", model="b") != run_key(genome="a", model="c")


def test_a_files_stamp_changes_with_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "genome.fa"
    path.write_text(">1\nACGT\n")
    before = file_stamp(path)
    assert file_stamp(path) == before
    path.write_text(">1\nACGA\n")
    assert file_stamp(path) != before
