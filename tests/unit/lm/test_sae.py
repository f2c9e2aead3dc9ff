"""Sparse autoencoders: sparsity, exact resume, classes of tokens, enrichment, and the command."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from genet5.cli import main
from genet5.config.lm.sae import LmSaeConfig, SaeShapeConfig
from genet5.errors import CheckpointError
from genet5.genome.gene import Cds, Exon, Gene, Transcript
from genet5.genome.sequence import checked_bases
from genet5.lm.activations import Place, TokenStates, layer_states, tiles
from genet5.lm.folders import LanguageModel
from genet5.lm.reference import ReferenceGenome
from genet5.lm.sae.classes import REPEAT, Interval, TokenClasses, gene_intervals
from genet5.lm.sae.enrichment import EnrichmentCounts
from genet5.lm.sae.network import SparseAutoencoder
from genet5.lm.sae.pictures import information
from genet5.lm.sae.training import SaeTrainer
from lm_toys import random_dna, tiny_lm

SHAPE = SaeShapeConfig(features=16, active=3, steps=6, windows=2)


@pytest.fixture(scope="module")
def lm() -> LanguageModel:
    return tiny_lm()


@pytest.fixture(scope="module")
def fasta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sae") / "g.fa"
    path.write_text(f">a\n{random_dna(400, 1)}\n>b\n{random_dna(100, 2).lower()}\n")
    return path


def trainer(lm: LanguageModel, fasta: Path, out: Path, steps: int = 6) -> SaeTrainer:
    config = LmSaeConfig(
        model="-", fasta=fasta, out=out, shape=replace(SHAPE, steps=steps), save_steps=3
    )
    genome = ReferenceGenome(fasta).__enter__()
    return SaeTrainer(lm, genome, list(tiles([("a", 400), ("b", 100)], 50)), 1, config)


def tokens(starts: list[int], length: int = 2, end: int = 12) -> TokenStates:
    at = np.array(starts)
    place = Place("a", 0, end)
    return TokenStates(place, at, np.full(len(at), length), torch.zeros(len(at), 1))


def test_topk_leaves_as_many_features_as_are_wanted() -> None:
    network = SparseAutoencoder(8, replace(SHAPE, active=3), seed=0)
    found = network.encode(torch.randn(20, 8))
    assert found.shape == (20, 16)
    assert int((found > 0).sum(1).max()) == 3
    assert not (found < 0).any()


def test_l1_is_a_mean_over_tokens() -> None:
    network = SparseAutoencoder(8, SaeShapeConfig(sparsity="l1", l1_weight=0.5), seed=0)
    x = torch.randn(20, 8)
    loss, left, features = network(x)
    torch.testing.assert_close(loss - left, 0.5 * features.sum() / 20)
    twice = network(torch.cat([x, x]))[0]
    torch.testing.assert_close(twice, loss)


def test_states_of_another_scale_give_the_same_features() -> None:
    x = torch.randn(50, 8)
    one, other = (SparseAutoencoder(8, SHAPE, seed=0) for _ in range(2))
    one.fit_scale(x)
    other.fit_scale(100 * x + 7)
    torch.testing.assert_close(one.encode(x), other.encode(100 * x + 7), atol=1e-4, rtol=1e-4)


def test_states_are_those_of_the_layer_without_beginning_and_unknown_tokens(
    lm: LanguageModel,
) -> None:
    bases = checked_bases("ACGTNNGGA")
    (found,) = layer_states(lm, [(Place("a", 100, 109), bases)], 1)
    assert found.starts.tolist() == [100, 102, 106]
    ids = torch.tensor([[1, *lm.vocabulary.encode(bases).tolist()]])
    hidden = lm.network(ids, output_hidden_states=True, use_cache=False).hidden_states[1][0]
    torch.testing.assert_close(found.states_SD, hidden[[1, 2, 4]], atol=1e-5, rtol=1e-5)


@pytest.mark.slow
def test_training_explains_more_of_the_variance(
    lm: LanguageModel, fasta: Path, tmp_path: Path
) -> None:
    each = trainer(lm, fasta, tmp_path, steps=60)
    each.train()
    shares = [row["variance_explained"] for row in each.log]
    assert shares[-1] > shares[0] + 0.05
    lengths = each.network.decoder_FD.norm(dim=1)
    torch.testing.assert_close(lengths, torch.ones(16))


def test_a_resumed_autoencoder_equals_an_uninterrupted_one(
    lm: LanguageModel, fasta: Path, tmp_path: Path
) -> None:
    whole = trainer(lm, fasta, tmp_path / "a").train().state_dict()
    first = trainer(lm, fasta, tmp_path / "b")
    first.network.fit_scale(first._states(0))
    for step in range(3):
        first._update(first._states(step))
        first.step += 1
    first.save(tmp_path / "b")
    again = trainer(lm, fasta, tmp_path / "b")
    again.resume(tmp_path / "b")
    assert again.step == 3
    found = again.train().state_dict()
    assert all(torch.equal(whole[name], found[name]) for name in whole)


def test_a_run_with_other_settings_is_not_resumed(
    lm: LanguageModel, fasta: Path, tmp_path: Path
) -> None:
    trainer(lm, fasta, tmp_path).save(tmp_path)
    with pytest.raises(CheckpointError, match="trained with other settings"):
        trainer(lm, fasta, tmp_path, steps=7).resume(tmp_path)


def test_tokens_touch_classes_and_begin_at_codon_positions() -> None:
    intervals = [
        Interval("CDS +", 3, 9),
        Interval("codon position 1 +", 3, 9, step=3),
        Interval("stop codon +", 6, 9),
    ]
    classes = TokenClasses(("a", each) for each in intervals)
    assert classes.names == ("CDS +", "codon position 1 +", "stop codon +", REPEAT)
    found = classes.of(tokens([0, 2, 3, 5, 6, 9]), checked_bases("acGTACGTACGT"))
    assert found.astype(int).tolist() == [
        [0, 1, 1, 1, 1, 0],
        [0, 0, 1, 0, 1, 0],
        [0, 0, 0, 1, 1, 0],
        [1, 0, 0, 0, 0, 0],
    ]


def test_windows_see_the_intervals_that_reach_into_them() -> None:
    long = [Interval("codon position 1 +", 0, 100, step=3), Interval("CDS +", 2, 4)]
    classes = TokenClasses(("a", each) for each in long)
    at = np.arange(50, 56)
    window = TokenStates(Place("a", 50, 56), at, np.ones(6, dtype=int), torch.zeros(6, 1))
    found = classes.of(window, checked_bases("ACGTAC"))
    assert found[1].astype(int).tolist() == [0, 1, 0, 0, 1, 0]  # 51 and 54
    assert not found[0].any()


@pytest.mark.parametrize("strand", [1, -1])
def test_parts_of_a_gene_follow_its_strand(strand: int) -> None:
    exons = (Exon(10, 16), Exon(20, 26))
    phases = (0, 0)
    cds = tuple(Cds(e.start, e.end, p) for e, p in zip(exons, phases, strict=True))
    mrna = Transcript(id="t", exons=exons, cds=cds)
    gene = Gene(id="g", contig="a", strand=strand, transcripts=(mrna,))
    sign = "+" if strand > 0 else "-"
    found = {(each.name, each.start, each.end) for each in gene_intervals(gene)}
    left, right = ("start", "stop") if strand > 0 else ("stop", "start")
    assert {(f"{left} codon {sign}", 10, 13), (f"{right} codon {sign}", 23, 26)} <= found
    left, right = ("donor", "acceptor") if strand > 0 else ("acceptor", "donor")
    assert {(f"splice {left} {sign}", 16, 18), (f"splice {right} {sign}", 18, 20)} <= found
    first = [each.start for each in gene_intervals(gene) if each.name == f"codon position 1 {sign}"]
    assert first == ([10, 20] if strand > 0 else [12, 22])


def test_enrichment_finds_what_follows_a_class_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    counts = EnrichmentCounts(2, ("x", "y"))
    for _ in range(60):
        masks = rng.random((2, 40)) < 0.3
        active = torch.from_numpy(np.stack([masks[0], rng.random(40) < 0.3], axis=1))
        counts.add(active, masks)
    found = counts.tested()
    assert found.best_class(0) == 0
    assert found.p_adjusted[0, 0] < 1e-20
    assert found.fold[0, 0] > 2
    assert found.p_adjusted[[0, 1, 1], [1, 0, 1]].min() > 0.01
    assert found.most_enriched() == [0, 1]


def test_many_windows_count_more_than_a_large_t_of_two() -> None:
    rng = np.random.default_rng(1)
    counts = EnrichmentCounts(2, ("x",))
    for number in range(60):
        mask = rng.random((1, 40)) < 0.3
        rare = np.zeros(40, dtype=bool)
        rare[np.flatnonzero(mask[0])[0]] = number < 2  # the same difference in two windows
        often = mask[0] ^ (rng.random(40) < 0.2)
        counts.add(torch.from_numpy(np.stack([rare, often], axis=1)), mask)
    assert counts.tested().most_enriched() == [1, 0]


def test_a_class_of_whole_windows_says_nothing() -> None:
    counts = EnrichmentCounts(1, ("x",))
    for number in range(20):
        inside = number % 2 == 0
        active = torch.full((10, 1), inside)
        counts.add(active, np.full((1, 10), inside))
    assert counts.tested().p[0, 0] == 1.0


def test_a_base_that_is_always_there_has_nearly_two_bits() -> None:
    bits = information([checked_bases("AC"), checked_bases("AG")] * 500)
    assert bits[0, 0] > 1.9
    assert abs(bits[1].sum() - 1) < 0.05


@pytest.mark.slow
def test_the_command_writes_features_examples_tracks_and_logos(
    lm: LanguageModel, fasta: Path, tmp_path: Path, capsys
) -> None:
    pyBigWig = pytest.importorskip("pyBigWig")
    lm.save(tmp_path / "model")
    bed = tmp_path / "x.bed"
    bed.write_text("a\t10\t60\tblock\na\t100\t160\tblock\n")
    out = tmp_path / "out"
    places = [str(tmp_path / "model"), str(fasta), str(out)]
    how = ["--features", "16", "--active", "3", "--steps", "4", "--windows", "2"]
    how += ["--window_bp", "50", "--annotation", str(bed), "--bigwig", "--tracks", "2"]
    assert main(["lm", "sae", *places, *how]) == 0
    assert "features are dead" in capsys.readouterr().out
    with (out / "features.tsv").open() as lines:
        features = list(csv.DictReader(lines, delimiter="\t"))
    assert len(features) == 16
    assert sum(int(row["active_tokens"]) for row in features) == 3 * 250  # 2 bases a token
    with (out / "examples.tsv").open() as lines:
        examples = list(csv.DictReader(lines, delimiter="\t"))
    assert {len(row["sequence"]) for row in examples} <= set(range(16, 32))
    assert json.loads((out / "sae.json").read_text())["features"] == 16
    (track, _) = sorted((out / "tracks").glob("*.bedGraph"))
    values = [float(line.split()[3]) for line in track.read_text().splitlines()]
    with pyBigWig.open(str(track.with_suffix(".bw"))) as big:
        assert big.chroms() == {"a": 400, "b": 100}
        found = [value for name in "ab" for *_, value in big.intervals(name) or ()]
    np.testing.assert_allclose(found, values, rtol=1e-3)
    assert list((out / "logos").glob("*.svg"))
    assert (out / "overview.svg").exists()
    assert main(["lm", "sae", *places, *how]) == 2
    assert "--resume continues it" in capsys.readouterr().err
    assert main(["lm", "sae", *places, *how, "--resume"]) == 0
