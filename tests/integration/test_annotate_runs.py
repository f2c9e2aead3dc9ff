"""Runs of `genet5 annotate` that are killed, resumed and shared by several processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import orf_annotator
from genet5.annotate import engine, launch
from genet5.annotate import run as driver
from genet5.errors import RankError
from genet5.genome.io.fasta import write_fasta
from genet5.genome.sequence import decode_bases
from genet5.simulate.prokaryote import simulate_bacterium
from ranks import run_ranks

SCRIPT = Path(orf_annotator.__file__)


def write_genome(folder: Path) -> Path:
    """Contigs longer and shorter than windows."""
    contigs, _ = simulate_bacterium(60_000, seed=3, num_contigs=4)
    records = [(f"c{i}", decode_bases(contig.bases)) for i, contig in enumerate(contigs)]
    records += [(f"short{i}", decode_bases(contigs[0].bases[i : i + 900])) for i in range(16)]
    path = folder / "genome.fa"
    write_fasta(path, records)
    return path


def kill(python: str, folder: Path, kills: int, seed: int) -> None:
    write_genome(folder)
    command = [python, SCRIPT, "kill", folder, str(kills), str(seed)]
    path = os.pathsep.join(sys.path)
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.slow
def test_a_run_killed_three_times_gives_the_bytes_of_one_left_alone(
    python: str, tmp_path: Path
) -> None:
    kill(python, tmp_path, kills=3, seed=1)


@pytest.mark.robust
def test_a_run_killed_twenty_times_gives_the_bytes_of_one_left_alone(
    python: str, tmp_path: Path
) -> None:
    kill(python, tmp_path, kills=20, seed=2)


@pytest.mark.slow
def test_the_output_of_several_ranks_is_that_of_one(
    python: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    genome = write_genome(tmp_path)

    def words(name: str) -> list[str]:
        outputs = [
            "-o",
            str(tmp_path / f"{name}.gff3"),
            "--proteins",
            str(tmp_path / f"{name}.faa"),
        ]
        return [str(genome), *outputs, "--batch_size", "2"]

    run_ranks(python, 3, SCRIPT, "share", *words("ranks"))
    monkeypatch.setattr(driver, "load_annotator", driver.load_annotator)  # put back at the end
    monkeypatch.setattr(engine, "load_engine", engine.load_engine)
    orf_annotator.share(*words("alone"))
    for suffix in (".gff3", ".faa"):
        both = [(tmp_path / f"{name}{suffix}").read_bytes() for name in ("alone", "ranks")]
        assert both[0] == both[1]
        assert len(both[0]) > 10_000


def start(monkeypatch: pytest.MonkeyPatch, *codes: str) -> list[subprocess.Popen[bytes]]:
    """Let the launcher start Python code, one for each rank, instead of the command."""
    started = []

    def begin(words: object, number: int, count: int, port: int) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen([sys.executable, "-S", "-c", codes[number]]))
        return started[-1]

    monkeypatch.setattr(launch, "_start", begin)
    return started


SLEEP = "import time; time.sleep(60)"


def test_a_killed_process_ends_the_run_with_its_number_and_no_process_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kills_itself = "import os; os.kill(os.getpid(), 9)"
    started = start(monkeypatch, SLEEP, kills_itself, SLEEP)
    with pytest.raises(RankError, match=r"process 1 of 3 was killed \(SIGKILL\)") as error:
        launch.run_processes([], 3)
    assert error.value.rank == 1
    assert all(process.poll() is not None for process in started)


def test_the_exit_code_of_a_run_is_that_of_its_first_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started = start(monkeypatch, "raise SystemExit(2)", SLEEP)
    assert launch.run_processes([], 2) == 2
    assert started[1].poll() is not None


def test_another_process_that_fails_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    start(monkeypatch, SLEEP, "raise SystemExit(1)")
    with pytest.raises(RankError, match="process 1 of 2 failed"):
        launch.run_processes([], 2)


def test_a_process_whose_launcher_is_gone_ends() -> None:
    follow = "from genet5.annotate.launch import follow_launcher as f; f(); import time; "
    child = f"import os; os.environ['GENET5_LAUNCHER'] = str(os.getppid()); {follow}"
    parent = (
        "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', sys.argv[1]]);"
        " print(p.pid, flush=True); p.wait()"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", parent, child + "print('up', flush=True); time.sleep(60)"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGKILL)
        process.wait()
        deadline = time.monotonic() + 30
        while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            if state == "Z":
                break
            time.sleep(0.1)
        else:
            assert not Path(f"/proc/{pid}").exists()
