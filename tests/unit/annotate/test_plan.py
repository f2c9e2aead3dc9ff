"""Plans: what is settled before work starts, and without PyTorch."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from genet5.annotate.plan import (
    choose_machine,
    is_circular,
    model_for,
    plan_genome,
    plan_model,
    settle_code,
)
from genet5.annotate.run import warn_of_kind
from genet5.config.annotate import DEFAULT_MODEL, AnnotateConfig, AnnotatorConfig
from genet5.config.json_files import config_to_dict, save_json
from genet5.errors import CheckpointError, ConfigError
from genet5.genome.io.fasta import Contig, write_fasta
from genet5.genome.sequence import decode_bases, encode_bases
from genet5.genome.survey import FrameCounts, Survey
from genet5.model.card import load_card
from genet5.model.folders import SHIPPED
from genet5.simulate.eukaryote import simulate_eukaryote
from genet5.simulate.prokaryote import simulate_bacterium


def contig(description: str) -> Contig:
    return Contig("ring", encode_bases("ACGT"), description)


@pytest.mark.parametrize(
    "description",
    [
        "length=2686 depth=1.00x circular=true",
        "circular=True",
        "[organism=Escherichia coli] [topology=circular] [completeness=complete]",
        "topology=circular;x=1",
    ],
)
def test_headers_that_say_so(description: str) -> None:
    assert is_circular(contig(description), ("auto",))
    assert not is_circular(contig(description), ("none",))
    assert not is_circular(contig(description), ("other",))


@pytest.mark.parametrize(
    "description",
    [
        "",
        "Escherichia coli plasmid pX, circular, complete sequence",
        "circular=false",
        "notcircular=true",
        "suggestCircular=yes trim=10-90",
        "topology=linear",
    ],
)
def test_headers_that_do_not(description: str) -> None:
    assert not is_circular(contig(description), ("auto",))
    assert is_circular(contig(description), ("all",))
    assert is_circular(contig(description), ("ring", "other"))


@pytest.mark.slow
def test_a_wrong_path_is_reported_before_torch_is_imported(root: Path) -> None:
    code = (
        "import sys; from genet5.cli.annotate import main\n"
        "code = main(['/nope', '-o', 'x.gff3'])\n"
        "print(code, 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(root / "lib")},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "1 False\n"
    assert done.stderr.startswith("genet5 annotate: /nope: file not found")


@pytest.mark.slow
def test_a_dry_run_does_without_torch(root: Path, tmp_path: Path) -> None:
    (tmp_path / "genome.fa").write_text(">c\nACGTACGTACGT\n")
    code = (
        "import sys; from genet5.cli.annotate import main\n"
        "code = main(['genome.fa', '-o', 'x.gff3', '--dry_run'])\n"
        "print(code, 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(root / "lib")},
        capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    assert done.stdout == "0 False\n"
    assert "1 contigs, 12 bp; 1 windows" in done.stderr


def test_flags_are_laid_over_the_models_own_configuration() -> None:
    plain = plan_model(AnnotatorConfig(model=DEFAULT_MODEL))
    config = AnnotatorConfig(
        model=DEFAULT_MODEL, introns="yes", start_codons=("atg",), min_score=0.1, both_strands=True
    )
    plan = plan_model(config)
    assert plan.strand_passes == 2
    grammar = replace(plain.calling.grammar, introns=True, start_codons=("ATG",))
    assert plain.calling.adapt is not None
    assert plan.calling == replace(plain.calling, grammar=grammar, min_score=0.1, adapt=None)
    assert (plain.adapt, plan.adapt) == ("auto", "off")


def test_a_threshold_counts_with_and_without_what_is_learned() -> None:
    calling = plan_model(AnnotatorConfig(model=DEFAULT_MODEL, min_score=0.1)).calling
    assert calling.adapt is not None
    assert (calling.min_score, calling.adapt.min_score) == (0.1, 0.1)


def test_an_overlap_as_long_as_the_window_is_refused() -> None:
    with pytest.raises(ConfigError, match="window_overlap = 6144: must be 0 to 6143"):
        plan_model(AnnotatorConfig(model=DEFAULT_MODEL, window_overlap=6144))


def test_an_unknown_model_is_refused_with_the_shipped_ones() -> None:
    with pytest.raises(CheckpointError, match=r"no shipped model of this name \(fungi, nano"):
        plan_model(AnnotatorConfig(model="mega"))


@pytest.mark.parametrize(("precision", "use_bf16"), [("bf16", True), ("fp32", False)])
def test_precision_is_what_was_asked_for(precision: str, use_bf16: bool) -> None:
    machine = choose_machine(AnnotatorConfig(device="cpu", precision=precision, batch_size=3))
    assert machine.use_bf16 is use_bf16
    assert str(machine) == f"cpu in {precision}, 3 windows in a batch"


@pytest.mark.parametrize("name", ["device", "precision", "introns", "partial_genes"])
def test_a_word_that_is_no_choice_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} = 'gpu': must be one of "):
        AnnotatorConfig(**{name: "gpu"})


@pytest.mark.parametrize("is_fast", [True, False])
def test_auto_is_the_precision_that_the_device_multiplies_fast(
    monkeypatch: pytest.MonkeyPatch, is_fast: bool
) -> None:
    monkeypatch.setattr("genet5.model.precision.has_fast_bf16", lambda device: is_fast)
    machine = choose_machine(AnnotatorConfig(device="cpu"))
    assert (machine.use_bf16, machine.batch_size) == (is_fast, 4)


def test_cuda_without_a_gpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ConfigError, match="device = 'cuda': is not available here"):
        choose_machine(AnnotatorConfig(device="cuda"))
    assert choose_machine(AnnotatorConfig(precision="fp32")).device == "cpu"


@pytest.mark.parametrize(("free_gib", "windows"), [(1, 8), (10, 40), (100, 256)])
def test_a_gpus_free_memory_decides_the_size_of_its_batches(
    monkeypatch: pytest.MonkeyPatch, free_gib: int, windows: int
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda _: (free_gib << 30, 200 << 30))
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    machine = choose_machine(AnnotatorConfig(precision="bf16"))
    assert (machine.device, machine.batch_size) == ("cuda", windows)


def test_processes_take_gpus_in_turn_and_share_their_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda _: (16 << 30, 200 << 30))
    for name, value in (("LOCAL_WORLD_SIZE", "3"), ("WORLD_SIZE", "3"), ("MASTER_ADDR", "here")):
        monkeypatch.setenv(name, value)
    found = []
    for rank in range(3):
        monkeypatch.setenv("RANK", str(rank))
        monkeypatch.setenv("LOCAL_RANK", str(rank))
        machine = choose_machine(AnnotatorConfig(precision="bf16"))
        found.append((machine.device, machine.batch_size))
    assert found == [("cuda:0", 32), ("cuda:1", 64), ("cuda:0", 32)]


@pytest.mark.parametrize(
    ("wanted", "own", "found", "expected"),
    [(None, 11, 4, 4), (11, 11, 4, 11), (None, 1, 4, 1), (None, 11, None, 11), (5, 11, 4, 5)],
)
def test_the_genetic_code_is_the_one_wanted_the_genomes_or_the_models(
    wanted: int | None,
    own: int,
    found: int | None,
    expected: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Survey, "genetic_code", property(lambda _: found))
    monkeypatch.setattr(Survey, "is_prokaryote", property(lambda _: True))
    calling = replace(plan_model(AnnotatorConfig(model=DEFAULT_MODEL)).calling, genetic_code=own)
    assert settle_code(wanted, calling, Survey()) == expected


def test_the_code_of_a_eukaryote_is_the_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Survey, "genetic_code", property(lambda _: 4))
    monkeypatch.setattr(Survey, "is_prokaryote", property(lambda _: False))
    assert (
        settle_code(None, plan_model(AnnotatorConfig(model=DEFAULT_MODEL)).calling, Survey()) == 11
    )


def test_a_plan_has_the_code_that_the_open_frames_speak_for(tmp_path: Path) -> None:
    contigs, _ = simulate_bacterium(100_000, seed=3, gc=0.35, code=4)
    genome = tmp_path / "genome.fa"
    write_fasta(genome, ((c.name, decode_bases(c.bases)) for c in contigs))
    with plan_genome(AnnotateConfig(genome=genome, output=tmp_path / "g.gff3")) as plan:
        assert plan.code == 4
        assert "a prokaryote's genome" in str(plan)


def test_a_eukaryotes_genome_is_named_before_bacterial_genes_are_looked_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    contigs = simulate_eukaryote(250_000, seed=1)[0]
    genome = tmp_path / "genome.fa"
    write_fasta(genome, ((c.name, decode_bases(c.bases)) for c in contigs))
    annotator = AnnotatorConfig(model=DEFAULT_MODEL)
    config = AnnotateConfig(genome=genome, output=tmp_path / "g.gff3", annotator=annotator)
    with plan_genome(config) as plan:
        warn_of_kind(plan)
    assert "looks like a eukaryote's genome" in caplog.text


def _survey(operon_pairs: int, in_frames: int) -> Survey:
    frames = FrameCounts(in_frames, in_frames, pairs=100, operon_pairs=operon_pairs)
    return Survey(bases=100_000, gc_bases=60_000, standard=frames)


def test_the_model_is_that_of_the_genomes_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, clade in (("a", "unicellular"), ("b", "prokaryotes"), ("c", "prokaryotes")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").touch()
        card = replace(load_card(SHIPPED / DEFAULT_MODEL), clades=(clade,))
        save_json(tmp_path / name / "card.json", config_to_dict(card))
    monkeypatch.setattr("genet5.model.card.SHIPPED", tmp_path)
    bacterium, yeast, unknown = _survey(60, 90_000), _survey(3, 74_000), Survey()
    assert [model_for(one) for one in (bacterium, yeast, unknown)] == ["b", "a", "b"]


def test_a_genome_of_a_kind_without_a_model_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("genet5.model.card.SHIPPED", tmp_path)
    with pytest.raises(CheckpointError, match="genome unknown, and no model for such"):
        model_for(Survey())


def test_auto_without_a_genome_is_refused() -> None:
    with pytest.raises(ConfigError, match="chooses by a genome, and there is none yet"):
        plan_model(AnnotatorConfig())


def test_few_open_frames_of_a_eukaryote_are_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "genome.fa").write_text(">c\nACGTACGTACGT\n")
    annotator = AnnotatorConfig(model=DEFAULT_MODEL, introns="yes")
    config = AnnotateConfig(
        genome=tmp_path / "genome.fa", output=tmp_path / "g.gff3", annotator=annotator
    )
    with plan_genome(config) as plan:
        warn_of_kind(replace(plan, survey=_survey(3, 74_000)))
        assert "open frames" not in caplog.text
        warn_of_kind(replace(plan, survey=_survey(3, 30_000)))
    assert "open frames cover 30 % of this genome" in caplog.text


def test_organelles_and_named_contigs_have_genetic_codes_of_their_own(tmp_path: Path) -> None:
    genome = tmp_path / "genome.fa"
    write_fasta(genome, [("chr1", "ACGT" * 9), ("Pt", "ACGT" * 9), ("chrM", "ACGT" * 9)])
    config = AnnotateConfig(
        genome=genome,
        output=tmp_path / "g.gff3",
        contig_codes=("chrM=5",),
    )
    with plan_genome(config) as plan:
        assert [plan.code_of(contig) for contig in plan.genome.contigs] == [11, 11, 5]
        assert "genetic code 11, 11 on Pt, 5 on chrM;" in str(plan)
    with plan_genome(replace(config, genetic_code=4)) as plan:
        assert [plan.code_of(contig) for contig in plan.genome.contigs] == [4, 4, 5]
    wrong = replace(config, contig_codes=("chrN=5",))
    rule = "contig_codes = 'chrN': must be the name of a contig"
    with pytest.raises(ConfigError, match=rule), plan_genome(wrong):
        pass


def test_lengths_and_unusual_introns_lie_over_the_models_own() -> None:
    calling = plan_model(
        AnnotatorConfig(
            model=DEFAULT_MODEL, introns="yes", min_coding_bp=150, min_intron=40, at_ac=True
        )
    ).calling
    assert (calling.min_coding_bp, calling.grammar.min_intron, calling.grammar.at_ac) == (
        150, 40, True,
    )  # fmt: skip
    with pytest.raises(ConfigError, match="min_coding_bp = 0: must be at least 1"):
        AnnotatorConfig(min_coding_bp=0)
