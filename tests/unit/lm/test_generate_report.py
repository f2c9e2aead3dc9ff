"""What generated sequences are like: frames, codons, k-mers, the nearest training sequence."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from genet5.cli import main
from genet5.config.lm.finetune import TaskConfig
from genet5.genome.codes import CODONS, genetic_code
from genet5.genome.io.fasta import Contig
from genet5.genome.sequence import checked_bases, decode_bases, reverse_complement
from genet5.lm.classifier import new_classifier
from genet5.lm.designs import codon_usage, describe, divergence, kmer_spectrum
from genet5.lm.nearest import nearest_sequences
from genet5.lm.targets import LabelSpace
from lm_toys import random_dna, tiny_lm

CODE = genetic_code(1)


@pytest.mark.parametrize(
    ("text", "stops", "kept", "share"),
    [
        ("ATGGCCTAA", 1, True, 2 / 3),
        ("ATGTAAGCC", 1, False, 1 / 3),
        ("ATGGCCGC", 0, True, 1.0),
        ("TAATAATAG", 3, False, 0.0),
    ],
)
def test_a_frame_is_kept_without_an_early_stop(
    text: str, stops: int, kept: bool, share: float
) -> None:
    found = describe("x", checked_bases(text), CODE)
    assert (found.stops, found.frame_kept, found.open_share) == (stops, kept, share)


def test_gc_is_of_known_bases_and_case_does_not_matter() -> None:
    assert describe("x", checked_bases("gCNNat"), CODE).gc == 0.5
    assert describe("x", checked_bases("NN"), CODE).gc is None


def test_codon_usage_ends_at_the_first_stop() -> None:
    usage = codon_usage([checked_bases("ATGGCCTAAGGG"), checked_bases("ATGNNN")], CODE)
    shares = {CODONS[at]: usage[at] for at in np.flatnonzero(usage)}
    assert shares == {"ATG": 2 / 3, "GCC": 1 / 3}


def test_kmers_are_counted_at_every_place() -> None:
    found = kmer_spectrum([checked_bases("ACAC"), checked_bases("AN")], 2)
    assert found[1] == 2 / 3  # AC
    assert found[4] == 1 / 3  # CA


def test_equal_distributions_do_not_diverge() -> None:
    assert divergence(np.array([0.5, 0.5]), np.array([0.5, 0.5])) == 0


@pytest.mark.parametrize("strand", [1, -1])
def test_a_copied_sequence_is_found_where_it_was(strand: int) -> None:
    training = checked_bases(random_dna(3000, 1))
    part = training[1000:1300]
    made = part if strand > 0 else reverse_complement(part)
    found = nearest_sequences({"made": made}, [Contig("t", training)])["made"]
    assert found is not None
    assert (found.contig, found.strand, found.identity) == ("t", strand, 1.0)
    assert found.longest_match_bp == 300
    assert found.start <= 1000 < found.start + 200


def test_changes_lower_the_identity_and_other_dna_has_nearly_none() -> None:
    training = checked_bases(random_dna(3000, 1))
    text = decode_bases(training[500:800])
    changed = checked_bases(text[:100] + ("A" if text[100] != "A" else "C") + text[101:])
    other = checked_bases(random_dna(300, 9))
    found = nearest_sequences({"x": changed, "y": other}, [Contig("t", training)])
    assert found["x"] is not None
    assert found["x"].identity == pytest.approx(299 / 300)
    assert found["y"] is None or found["y"].identity < 0.6


@pytest.mark.slow
def test_the_page_holds_figures_plots_and_escaped_names(tmp_path: Path) -> None:
    tiny_lm().save(tmp_path / "model")
    (tmp_path / "t.fa").write_text(f">t\n{random_dna(500)}\n")
    (tmp_path / "p.fa").write_text(">a<b\nATGGCC\n")
    page, figures = tmp_path / "r.html", tmp_path / "r.json"
    words = [str(tmp_path / "model"), "-o", str(tmp_path / "o.fa"), "--number", "3"]
    words += ["--length_bp", "60", "--prompts", str(tmp_path / "p.fa"), "--with_prompt"]
    words += ["--report", str(page), "--summary", str(figures)]
    words += ["--natural", str(tmp_path / "t.fa"), "--training", str(tmp_path / "t.fa")]
    assert main(["lm", "generate", *words]) == 0
    text = page.read_text()
    assert text.count("<svg") == 1
    assert "a&lt;b_3" in text
    assert "http" not in text.split("<svg")[0]
    assert "<script" not in text
    found = json.loads(figures.read_text())
    assert found["sequences"] == 3
    assert found["begins_with_ATG"] == 1.0
    assert {"codon_divergence_bits", "identity_nearest", "identity_by_chance"} <= set(found)
    assert found["by_sequence"]["a<b_1"]["length_bp"] == 66


@pytest.mark.slow
def test_a_regressor_predicts_an_activity_and_a_classifier_is_refused(
    tmp_path: Path, capsys
) -> None:
    tiny_lm().save(tmp_path / "model")
    for kind in ("regression", "single_label_classification"):
        names = ("activity",) if kind == "regression" else ("low", "high")
        space = LabelSpace(problem_type=kind, names=names)
        task = TaskConfig(problem_type=kind)
        new_classifier(str(tmp_path / "model"), space, task, seed=1).save(tmp_path / kind)
    words = [str(tmp_path / "model"), "-o", str(tmp_path / "o.fa"), "--number", "2"]
    words += ["--length_bp", "20", "--summary", str(tmp_path / "s.json"), "--predictor"]
    assert main(["lm", "generate", *words, str(tmp_path / "regression")]) == 0
    found = json.loads((tmp_path / "s.json").read_text())
    each = [row["predicted_activity"] for row in found["by_sequence"].values()]
    assert found["predicted_activity"] == pytest.approx(sum(each) / 2)
    assert main(["lm", "generate", *words, str(tmp_path / "single_label_classification")]) == 2
    assert "must be a regressor" in capsys.readouterr().err


def test_files_to_compare_with_need_a_report(tmp_path: Path, capsys) -> None:
    words = [str(tmp_path), "-o", str(tmp_path / "o.fa"), "--natural", str(tmp_path / "n.fa")]
    assert main(["lm", "generate", *words]) == 2
    assert "needs --report or --summary" in capsys.readouterr().err
