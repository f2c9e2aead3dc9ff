"""The benchmark of annotate: sequences, commands, counts, ratios and the table."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import bench_annotate
import pytest
from annotate_contenders import (
    START_BP,
    Case,
    Contender,
    first_bases,
    load_case,
    ours,
    peer,
    why_not,
)
from annotate_probe import PassCounter, host_calls, missed
from annotate_report import Timing, comparisons, markdown, ratio, to_dict
from machine import ROOT, Cost

from genet5.errors import ConfigError, ExternalToolError
from genet5.genome.io.fasta import read_fasta
from genet5.tokens.vocabulary import StructureVocabulary

GFF3 = "##gff-version 3\nc\tx\tCDS\t1\t90\t.\t+\t0\tID=a\nc\tx\tCDS\t101\t190\t.\t-\t0\tID=b\n"


def test_a_slice_of_a_file_is_taken_or_a_genome_simulated(tmp_path) -> None:
    source = tmp_path / "x.fa"
    source.write_text(">one\n" + "acgt" * 100 + "\n>two\nTTTT\n")
    case = load_case("bacterium", source, tmp_path, 50, tmp_path)
    assert (case.title, case.size_bp) == ("x.fa, one", 50)
    assert case.fasta.read_text() == ">bacterium\n" + ("ACGT" * 13)[:50] + "\n"
    case = load_case("yeast", None, tmp_path / "no data", 6_000, tmp_path)
    assert (case.title, case.size_bp) == ("simulated yeast", 6_000)
    assert len(next(iter(read_fasta(case.fasta))).bases) == 6_000
    start = first_bases(case, "start-up", START_BP, tmp_path)
    assert start.size_bp == START_BP
    assert start.is_short
    assert len(next(iter(read_fasta(start.fasta))).bases) == START_BP


def test_commands_are_those_of_the_genome() -> None:
    bacterium = Case("bacterium", "b", Path("b.fa"), 50_000)
    yeast = Case("yeast", "y", Path("y.fa"), 50_000)
    mine = ours("genet5", Path("/tree"), ("--threads", "1"))
    words = mine.command(yeast, Path("o.gff3"))
    assert words[1:5] == ["/tree/bin/annotate", "y.fa", "-o", "o.gff3"]
    assert words[5:] == [
        *("--restart", "--introns", "yes", "--genetic_code", "1", "--start_codons", "ATG"),
        *("--threads", "1"),
    ]
    assert "--introns" not in mine.command(bacterium, Path("o.gff3"))
    assert mine.env == {"PYTHONPATH": "/tree/lib"}
    short = Case("bacterium", "b", Path("b.fa"), START_BP)
    modes = [peer("prodigal").command(case, Path("o"))[3] for case in (bacterium, short)]
    assert modes == ["single", "meta"]
    assert peer("augustus").command(yeast, Path("o"))[-1] == "y.fa"


def test_programs_take_part_where_they_belong_and_are_installed(monkeypatch) -> None:
    assert why_not("prodigal", "yeast") == "-"
    monkeypatch.setattr("shutil.which", lambda _: None)
    assert why_not("augustus", "yeast") == "not on PATH: apt install augustus"
    settings = bench_annotate.BenchConfig(contenders=("genet5", "prodigal"), against="abc")
    case = Case("bacterium", "b", Path("b.fa"), 50_000)
    found, notes = bench_annotate.choose_contenders(settings, case, Path("/old"))
    assert [contender.name for contender in found] == ["genet5", "genet5 at abc"]
    assert notes == ["Left out: prodigal (not on PATH: apt install prodigal)."]


def test_passes_are_counted_by_rows_whatever_the_step_is_called() -> None:
    class Network:
        def start_decoding(self, encoded, *more):
            return more

        def decode_step(self, encoded, cache, labels):
            return "state"

    class Labels(list):
        def numel(self):
            return 2 * len(self)

    counter, network = PassCounter(Network), Network()
    encoded = SimpleNamespace(latents=[0, 0, 0, 0])
    assert network.start_decoding(encoded, 9) == (9,)
    for rows in (4, 4, 2):
        assert network.decode_step(encoded, None, Labels(range(rows))) == "state"
    found = counter.to_dict()
    assert (found["batches"], found["windows"], found["passes"]) == (1, 4, 3)
    assert found["passes_a_window"] == 2.5
    assert found["passes_a_batch"] == 3
    assert found["labels_a_pass"] == 2


def test_host_calls_sum_kernels_copies_and_waits_by_batch() -> None:
    events = Counter({"aten::mm": 6, "aten::_local_scalar_dense": 2, "cudaLaunchKernel": 8,
                      "cudaStreamSynchronize": 3, "cudaEventSynchronize": 1})  # fmt: skip
    found = host_calls(events, 2)
    assert (found["operators"], found["items"]) == (8, 2)
    assert (found["kernels_a_batch"], found["waits_a_batch"]) == (4.0, 2.0)


@pytest.fixture
def timings(tmp_path) -> list[Timing]:
    """Two contenders, six rounds, the second takes twice the time."""
    output = tmp_path / "o.gff3"
    output.write_text(GFF3)
    found = []
    for name, factor in (("genet5", 1.0), ("genet5 at abc", 2.0)):
        for part, size_bp in (("", 10_000), ("start-up", START_BP)):
            timing = Timing(name, Case("bacterium", "toy", Path("t.fa"), size_bp, part))
            for noise in (1.0, 1.5, 0.8, 1.0, 1.1, 1.2):
                share = 1.0 if size_bp > START_BP else 0.1
                timing.add(Cost(share * factor * noise, 2 * share * factor * noise, 100.0), output)
            found.append(timing)
    found[0].counts = {"passes_a_window": 3.4}
    return found


def test_a_ratio_is_taken_round_by_round(timings) -> None:
    found = ratio(timings[2], timings[0], "cpu_s")
    assert (found.value, found.low, found.high) == pytest.approx((2, 2, 2))
    few = ratio(*(Timing("a", t.case, t.costs[:2]) for t in (timings[2], timings[0])), "wall_s")
    assert few.low is None
    assert str(few) == "2"


def test_the_table_has_speeds_start_up_and_ratios(timings) -> None:
    text = markdown(timings, ["Left out: x."])
    assert "### toy, 10 kbp, 6 rounds" in text
    assert "| genet5 | 9.5 | 4.8 | 5.3 | 0.11 | 0.21 | 100 | 2 | 3.4 |" in text
    assert "genet5 is 2 [2, 2] times as fast as genet5 at abc by processor time" in text
    assert "100.0% of its genes are ours, too" in text
    assert text.endswith("Left out: x.\n")
    (whole, start) = comparisons(timings)
    assert whole["share_of_its_genes_that_ours_has"] == 1.0
    assert "share_of_its_genes_that_ours_has" not in start
    stored = json.loads(json.dumps(to_dict(timings)))
    assert stored["results"][0]["kbp_per_s"] == pytest.approx(10 / 1.05)
    assert stored["comparisons"][0]["cpu_s"]["value"] == pytest.approx(2)


def test_contenders_take_turns_and_each_round_is_kept(tmp_path) -> None:
    write = "import sys; open(sys.argv[1], 'w').write(sys.argv[2])"
    program = Contender("one", lambda case, out: [sys.executable, "-c", write, str(out), GFF3])
    case = Case("bacterium", "b", Path("b.fa"), 50_000)
    (timing,) = bench_annotate.measure({"bacterium": case}, [program], 2, tmp_path)
    assert len(timing.costs) == 2
    assert len(timing.genes) == 2


@pytest.mark.slow
def test_an_earlier_commit_is_checked_out_for_a_while() -> None:
    if subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse"], capture_output=True, check=False
    ).returncode:
        pytest.skip("needs a git checkout")
    with bench_annotate.checkout("HEAD") as tree:
        assert tree is not None
        assert (tree / "bin" / "annotate").is_file()
    assert not tree.exists()
    with (
        pytest.raises(ExternalToolError, match="no-such-commit"),
        bench_annotate.checkout("no-such-commit"),
    ):
        pass


def test_slices_that_prodigal_cannot_train_on_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least 20000"):
        bench_annotate.BenchConfig(bp=5_000)


V = StructureVocabulary()
GENE = [V.first_type, V.plus, V.tx, V.cds, -101, -400]
CUT = [V.first_type, V.minus, V.tx, V.cut_left, V.frame_0, V.cds, -1, -40]


@pytest.mark.parametrize(
    ("written", "draft", "kind"),
    [
        ([*GENE[:4], -131], GENE[4:], "start"),
        ([*GENE[:4], -132], GENE[4:], "gene"),
        ([*GENE[:5], -300], GENE[5:], "3' end"),
        ([*GENE, V.eos], GENE, "gene"),
        ([V.bos, V.eos], GENE, "gene"),
        ([*CUT[:4], V.frame_0 + 1], CUT[4:], "cut gene"),
        ([*GENE[:3], V.cds], CUT[3:], "cut gene"),
    ],
)
def test_a_mended_draft_is_counted_by_what_it_missed(written, draft, kind):
    assert missed(written, draft, V) == kind
