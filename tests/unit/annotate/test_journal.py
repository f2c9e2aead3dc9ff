"""The journal of a run: windows that were decoded once are not decoded again."""

from __future__ import annotations

from pathlib import Path

from genet5.annotate.journal import Journal, file_stamp, run_key
from genet5.decode.fragment import GeneFragment, Interval

GENE = GeneFragment("protein_coding", -1, (Interval("cds", 3, 12),), cut_left=True, frame=1)


def interrupted(path: Path, key: str = "run") -> None:
    """Leave the journal of a run that was killed after two windows."""
    journal = Journal(path, key)
    journal.add((0, 0, 0), [GENE])
    journal.add((0, 1, 0), [])
    journal.flush()
    journal.close(remove=False)


def test_a_resumed_run_knows_its_windows_and_appends(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    interrupted(path)
    journal = Journal(path, "run")
    assert journal.fragments((0, 0, 0)) == [GENE]
    assert journal.fragments((0, 1, 0)) == []
    assert journal.fragments((0, 0, 1)) is None
    journal.add((0, 0, 1), [])
    journal.close(remove=False)
    assert len(Journal(path, "run").known) == 3


def test_a_torn_last_line_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    interrupted(path)
    whole = path.read_text(encoding="utf-8")
    path.write_text(whole + "[0,0,", encoding="utf-8")
    journal = Journal(path, "run")
    journal.close(remove=False)
    assert len(journal.known) == 2
    assert path.read_text(encoding="utf-8") == whole


def test_the_journal_of_another_run_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    interrupted(path, "another run")
    journal = Journal(path, "run")
    journal.close(remove=False)
    assert journal.known == {}
    assert path.read_text(encoding="utf-8") == '{"run":"run"}\n'


def test_a_restart_forgets_all_windows(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    interrupted(path)
    journal = Journal(path, "run", restart=True)
    journal.close(remove=False)
    assert journal.known == {}


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
