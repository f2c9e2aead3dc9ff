"""What `finet` needs, data and a model of some thousand weights, and what shell scripts need."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import toys
from builders import tiny_config, write_contigs
from genet5.annotate.calling_config import CallingConfig, save_calling_config
from genet5.cli.annotate import main
from genet5.genome.io.fasta import Contig
from genet5.model.network import GeneT5
from genet5.simulate.prokaryote import simulate_bacterium
from genet5.tokens.grammar import prokaryote_options
from genet5.tokens.sequence import KmerTokenizer
from genet5.tokens.tokenizer_file import Tokenizer, save_tokenizer
from genet5.tokens.vocabulary import StructureVocabulary
from small_models import TOGETHER


@pytest.fixture(scope="session")
def toy_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """training.packed, validation.packed and base, a model with dropout."""
    return toys.make_toy_run(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="session")
def calling_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model with random weights that calls genes in windows of 1,024 bp."""
    folder = tmp_path_factory.mktemp("calling_model")
    config = tiny_config(encoder={"norm_first": False}, compressor={"num_latents": 128})
    model = GeneT5(config)
    model.init_weights(1)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(6.0 if weight.dim() > 1 else 1.0)
    model.save_pretrained(folder)
    save_tokenizer(Tokenizer(KmerTokenizer(4)), folder)
    grammar = prokaryote_options(max_labels=64)
    save_calling_config(
        CallingConfig(window_bp=1024, overlap_bp=512, grammar=grammar, min_score=0.0), folder
    )
    return folder


@pytest.fixture(scope="module")
def talkative() -> Iterator[None]:
    """Models write genes rather than end windows or cut genes: they find few otherwise."""
    plain = GeneT5.token_logits
    bias = torch.zeros(len(StructureVocabulary()))
    bias[[StructureVocabulary.eos, StructureVocabulary.cut_left]] = -4.0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(GeneT5, "token_logits", lambda self, states: plain(self, states) + bias)
        yield


@pytest.fixture(scope="module")
def genome(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Contigs of all sorts: long, short, lower case, mostly N, all N, odd names."""
    (contig,), _ = simulate_bacterium(3_600, seed=8)
    letters = contig.bases
    gap = letters.copy()
    gap[600:2400] = ord("N")
    contigs = [
        Contig("long|x;y=1,2%", letters),
        Contig("lower", np.char.lower(letters[:1800].view("S1")).view(np.uint8)),
        Contig("tiny", letters[:7]),
        Contig("one", letters[:1]),
        Contig("gap", gap),
        Contig("blank", np.full(1500, ord("N"), dtype=np.uint8)),
    ]
    return write_contigs(tmp_path_factory.mktemp("genome") / "genome.fa", contigs)


@pytest.fixture(scope="module")
def annotated(
    talkative: None, calling_model: Path, genome: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder with o.gff3, o.faa and o.fna."""
    folder = tmp_path_factory.mktemp("annotated")
    out, faa, fna = (str(folder / f"o.{suffix}") for suffix in ("gff3", "faa", "fna"))
    words = [
        str(genome),
        "-o",
        out,
        "--model",
        str(calling_model),
        *TOGETHER,
        "--proteins",
        faa,
        "--cds",
        fna,
    ]
    assert main(words) == 0
    return folder


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """The whole PATH in one folder: programs that the scripts use, without docker and GPU tools."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for name in "bash env dirname id cat grep mkdir tail timeout cut paste".split():  # noqa: SIM905
        found = shutil.which(name)
        assert found is not None
        (folder / name).symlink_to(found)
    return folder
