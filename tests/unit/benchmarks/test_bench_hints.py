"""The parts of the benchmark of hints."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

import builders
from genet5.errors import ConfigError
from genet5.genome.gene import Gene
from genet5.genome.io.hints import read_hints
from genet5.genome.sequence import Bases, decode_bases
from genet5.score.genes import score_genes

ROOT = Path(__file__).resolve().parents[3]
LENGTH = 60_000


@pytest.fixture(scope="module")
def bench() -> Iterator[ModuleType]:
    sys.path[:0] = [str(ROOT / "benchmarks" / "accuracy"), str(ROOT / "benchmarks")]
    yield importlib.import_module("bench_hints")
    del sys.path[:2]


def genes() -> list[Gene]:
    starts = range(100, LENGTH - 400, 400)
    return [builders.make_gene((s, s + 90), (s + 150, s + 240), id=str(s)) for s in starts]


def bases() -> Bases:
    return np.random.default_rng(1).choice(np.frombuffer(b"ACGT", np.uint8), LENGTH)


@pytest.mark.parametrize(("name", "recall"), [("rna50", 0.5), ("rna90", 0.9)])
def test_introns_have_the_recall_and_the_false_ones_of_their_name(
    bench: ModuleType, name: str, recall: float
) -> None:
    found = bench.simulated(name, genes(), bases(), seed=1)
    true = {(s + 90, s + 150) for s in range(100, LENGTH - 400, 400)}
    right = {(hint.start, hint.end) for hint in found} & true
    assert {hint.kind for hint in found} == {"intron"}
    assert len(right) / len(true) == pytest.approx(recall, abs=0.09)
    assert (len(found) - len(right)) / len(found) == pytest.approx(0.08, abs=0.06)


def test_hints_depend_on_seed_and_condition_alone(bench: ModuleType) -> None:
    made = [bench.simulated("proteins", genes(), bases(), seed) for seed in (1, 1, 2)]
    assert made[0] == made[1] != made[2]
    assert {hint.kind for hint in made[0]} == {"coding", "intron", "start", "stop"}


def case_of(tmp_path: Path) -> Any:
    from testset import Case, Entry

    from genet5.genome.io.annotation import Annotation
    from genet5.genome.io.fasta import write_fasta

    fasta = tmp_path / "g.fa"
    write_fasta(fasta, [("c", decode_bases(bases()))])
    annotation = Annotation(tuple(genes()), {}, frozenset(), {})
    entry = Entry("unicellular", "Schizosaccharomyces_pombe_X", ("c",), "chromosome")
    return Case(entry, fasta, annotation, {"c": LENGTH}, genetic_code=1)


def test_what_is_written_is_what_both_tools_read(bench: ModuleType, tmp_path: Path) -> None:
    assert bench.write_condition("none", case_of(tmp_path), 1, tmp_path) == (None, {})
    path, counts = bench.write_condition("proteins", case_of(tmp_path), 1, tmp_path)
    found = list(read_hints(path))
    assert {hint.source for hint in found} == {"P"}
    assert sum(counts.values()) >= len(found) > 100


def test_each_tool_gets_the_hints_its_own_way(bench: ModuleType, tmp_path: Path) -> None:
    from peers import Job

    hints = tmp_path / "hints.gff"
    hints.write_text("x")
    for tool, expected in (
        ("augustus", (f"--hintsfile={hints}", f"--extrinsicCfgFile={bench.EXTRINSIC}")),
        ("genet5", ("--hints", str(hints))),
    ):
        job = Job(tool, tool, ("run",), tmp_path / "out", "identity", "yes")
        assert bench.with_hints(job, None) is job
        changed = bench.with_hints(job, hints)
        assert changed.command == ("run", *expected)
        assert changed.identity != job.identity


def test_the_table_has_a_line_for_each_tool_and_condition(bench: ModuleType) -> None:
    scores = score_genes(genes()[:5], genes(), {"c": LENGTH}, prokaryote=False)
    rows = [bench.Row("Tool", name, scores, 12.3) for name in bench.WORDS]
    lines = bench.markdown(rows).splitlines()
    assert len(lines) == 2 + 4
    assert lines[2].startswith("| Tool | no hints | 0.0")
    assert bench.to_dict(rows[0])["levels"]["gene"]["tp"] == 5


def test_our_tool_needs_a_model(bench: ModuleType) -> None:
    with pytest.raises(ConfigError, match="models"):
        bench.HintsBenchConfig()
    assert bench.HintsBenchConfig(tools=("augustus",)).models == ()


def test_our_models_are_tried_with_each_weight_of_hints_and_augustus_once(
    bench: ModuleType,
) -> None:
    settings = bench.HintsBenchConfig(models=("a", "b"), hint_weights=(1.0, 0.0))
    ours = [("genet5", model, weight) for model in ("a", "b") for weight in (1.0, 0.0)]
    assert bench._contenders(settings) == [*ours, ("augustus", "", 1.0)]


def test_without_hints_their_weight_does_not_matter(
    bench: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[tuple[str, ...]] = []

    def run_job(job: Any, *, reuse: bool) -> Any:
        commands.append(job.command)
        job.output.write_text("##gff-version 3\n")
        return SimpleNamespace(cpu_s=1.0)

    monkeypatch.setattr(bench, "run_job", run_job)
    (tmp_path / "hints.gff").write_text("")
    settings = bench.HintsBenchConfig(
        models=("nano",), hint_weights=(1.0, 0.0), tools=("genet5",), data=tmp_path
    )
    hints = {"none": (None, {}), "rna90": (tmp_path / "hints.gff", {})}
    rows = list(bench._rows(settings, case_of(tmp_path), hints, tmp_path))
    weights = [command[command.index("--hint_weight") + 1] for command in commands]
    assert weights == ["1", "1", "0"]
    assert [row.condition for row in rows] == ["none", "rna90", "rna90"]
    assert rows[2].label == f"{rows[0].label}, hint weight 0"
