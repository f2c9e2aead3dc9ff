"""Hints that `genet5 annotate` reads, and tracks that it writes, with a tiny random model."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from genet5.cli.annotate import main
from genet5.genome.io.fasta import read_fasta
from genet5.genome.tiling import ContigTiling
from small_models import TOGETHER

pytestmark = pytest.mark.usefixtures("talkative")


def test_tracks_hold_the_models_own_probabilities(
    calling_model: Path, genome: Path, annotated: Path, tmp_path: Path
) -> None:
    import torch

    from genet5.dataset.collate import make_inputs
    from genet5.model.network import GeneT5
    from genet5.tokens.tokenizer_file import load_tokenizer

    pyBigWig = pytest.importorskip("pyBigWig", reason="the extra `bigwig` is not installed")
    out = tmp_path / "o.gff3"
    flags = ["--tracks", str(tmp_path / "tracks"), "--model", str(calling_model), *TOGETHER]
    assert main([str(genome), "-o", str(out), *flags]) == 0
    assert out.read_bytes() == (annotated / "o.gff3").read_bytes()
    bases = next(contig.bases for contig in read_fasta(genome) if contig.name == "lower")
    tile = ContigTiling.even(len(bases), 1024, 512).tiles[1]
    inputs = make_inputs(
        [bases[tile.start : tile.end]], [11], load_tokenizer(calling_model).sequence
    )
    with torch.inference_mode():
        encoded = GeneT5.from_pretrained(calling_model).eval().encode(inputs)
    core = np.arange(tile.core_start, tile.core_end)
    shares = encoded.state_logits[0].softmax(-1).numpy()[core - tile.start]
    expected = {
        "coding_plus_frame3": shares[np.arange(len(core)), 0, 1 + (core - 2) % 3],
        "coding_minus_frame1": shares[np.arange(len(core)), 1, 1 + (2 - core) % 3],
        "start_minus": encoded.boundary_logits[0].sigmoid().numpy()[core - tile.start, 1],
    }
    for name, wanted in expected.items():
        with pyBigWig.open(str(tmp_path / "tracks" / f"{name}.bw")) as file:
            found = file.values("lower", tile.core_start, tile.core_end)
        assert np.abs(np.array(found) - wanted).max() < 0.0051


def test_hints_lift_the_scores_of_genes_that_agree_and_of_no_others(
    calling_model: Path, genome: Path, annotated: Path, tmp_path: Path
) -> None:
    plain = (annotated / "o.gff3").read_text().splitlines()
    gene = next(
        line.split("\t") for line in plain if line.startswith("lower") and "\tCDS\t" in line
    )
    hints, out = tmp_path / "hints.gff", tmp_path / "o.gff3"
    columns = gene[0], "x", "CDSpart", *gene[3:5], ".", gene[6], ".", "src=P"
    hints.write_text("\t".join(columns))
    words = [
        str(genome),
        "-o",
        str(out),
        "--model",
        str(calling_model),
        *TOGETHER,
        "--hints",
        str(hints),
    ]
    assert main(words) == 0
    changed = [
        (old.split("\t"), new.split("\t"))
        for old, new in zip(plain, out.read_text().splitlines(), strict=True)
        if old != new
    ]
    assert changed
    assert all(old[0] == gene[0] and float(new[5]) > float(old[5]) for old, new in changed)
    assert [gene[3:5], gene[3:5]] in [[old[3:5], new[3:5]] for old, new in changed]


def with_channels(model: Path, folder: Path, *, spread: float) -> Path:
    """The model with channels of evidence, whose weights are as large as was asked for."""
    import torch

    from genet5.model.network import GeneT5

    shutil.copytree(model, folder)
    changed = GeneT5.from_pretrained(model).with_evidence().requires_grad_(False)
    changed.evidence.conv.weight.normal_(0.0, spread, generator=torch.Generator().manual_seed(1))
    changed.save_pretrained(folder)
    return folder


def coding_places(text: str) -> set[tuple[str, ...]]:
    """Contig, start, end and strand of each part."""
    lines = (line.split("\t") for line in text.splitlines() if "\tCDS\t" in line)
    return {(line[0], line[3], line[4], line[6]) for line in lines}


def test_a_network_with_channels_reads_hints_itself(
    calling_model: Path, genome: Path, annotated: Path, tmp_path: Path
) -> None:
    plain, found = (annotated / "o.gff3").read_text(), []
    hints = tmp_path / "hints.gff"
    hints.write_text("lower\tx\tCDSpart\t201\t900\t.\t+\t1\tsrc=P;mult=9\n")
    for spread in (0.0, 4.0):
        made = with_channels(calling_model, tmp_path / f"model_{spread}", spread=spread)
        out = tmp_path / f"{spread}.gff3"
        words = [str(genome), "-o", str(out), "--model", str(made), "--hints", str(hints)]
        assert main([*words, *TOGETHER, "--hint_weight", "0"]) == 0
        found.append(out.read_text())
    assert found[0] == plain
    changed = coding_places(found[1]) ^ coding_places(plain)
    assert {contig for contig, *_ in changed} == {"lower"}


def test_hints_of_another_genome_are_refused(
    calling_model: Path, genome: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hints = tmp_path / "hints.gff"
    hints.write_text("chr1\tx\tintron\t5\t90\t.\t+\t.\tmult=3\n")
    words = [str(genome), "-o", str(tmp_path / "o.gff3"), "--model", str(calling_model), *TOGETHER]
    assert main([*words, "--hints", str(hints)]) == 1
    assert "no hint lies on a contig of the genome" in capsys.readouterr().err


def test_what_tracks_need_is_named(
    calling_model: Path,
    genome: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("genet5.cli.parse.find_spec", lambda name: None)
    assert (
        main(
            [str(genome), "-o", "-", "--model", str(calling_model), *TOGETHER, "--tracks", "tracks"]
        )
        == 2
    )
    assert 'pip install "genet5[bigwig]"' in capsys.readouterr().err
