"""Windows, packed files and genomes to test with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bakes import CODES, write_genome, write_packed
from genet5.config.bake import BakeConfig
from genet5.dataset.header import Header
from genet5.dataset.windows import Window
from genet5.genome.gene import Gene
from genet5.genome.sequence import decode_bases
from genet5.simulate.prokaryote import simulate_bacterium
from genet5.tokens.sequence import KmerTokenizer
from genet5.tokens.structure import encode_window
from genet5.tokens.tokenizer_file import Tokenizer, save_tokenizer
from genet5.tokens.vocabulary import StructureVocabulary
from genet5.tokens.window import Part, WindowGene, WindowStructure, WindowTranscript


def random_window(rng: np.random.Generator, number: int, length: int | None = None) -> Window:
    """A window of random bases with one gene; window `number` starts at 1000 * number."""
    length = int(rng.integers(12, 90)) if length is None else length
    bases = rng.choice(np.frombuffer(b"ACGTNacgt", np.uint8), length)
    ids, starts = KmerTokenizer(3).encode(bases)
    strand = int(rng.choice([-1, 1]))
    first = int(rng.integers(0, length - 9))
    gene = WindowGene(
        "protein_coding", strand, (WindowTranscript((Part("cds", first, first + 8),)),)
    )
    labels = encode_window(WindowStructure(11, None, (gene,)), StructureVocabulary())
    ignore = np.sort(rng.integers(0, length, (int(rng.integers(0, 3)), 2)), axis=1)
    return Window(
        bases=bases,
        input_ids=ids,
        token_start_bp=starts,
        labels=labels,
        label_weights=np.full(len(labels), rng.integers(0, 2), dtype=np.float32),
        ignore=ignore.astype(np.int32),
        genetic_code=11,
        clade="prokaryotes",
        genome=f"genome_{number % 3}",
        contig=f"contig_{number % 5}",
        start=1000 * number,
        strand=strand,
        recoded=bool(number % 2),
    )


@pytest.fixture
def packed_rows() -> list[list[Window]]:
    """Forty rows of one to four windows."""
    rng = np.random.default_rng(1)
    numbers = iter(range(1000))
    return [
        [random_window(rng, next(numbers)) for _ in range(int(rng.integers(1, 5)))]
        for _ in range(40)
    ]


@pytest.fixture
def packed_file(tmp_path: Path, packed_rows: list[list[Window]]) -> Path:
    """The rows as a file."""
    path = tmp_path / "training.packed"
    write_packed(path, packed_rows, Header(split="training"))
    return path


@pytest.fixture
def make_packed(tmp_path: Path) -> Callable[[list[list[Window]]], Path]:
    """Write rows to a file."""

    def make(rows: list[list[Window]]) -> Path:
        path = tmp_path / "made.packed"
        write_packed(path, rows, Header())
        return path

    return make


@pytest.fixture(scope="session")
def genomes() -> dict[str, tuple[dict[str, str], tuple[Gene, ...]]]:
    """By name: contigs with their bases, and genes."""
    made = {}
    for seed, (name, code) in enumerate(CODES.items()):
        contigs, genes = simulate_bacterium(30_000, seed, code=code, num_contigs=2)
        bases = {contig.name: decode_bases(contig.bases) for contig in contigs}
        made[name] = (bases, genes)
    return made


@pytest.fixture(scope="session")
def raw_dir(tmp_path_factory, genomes) -> Path:
    """The genomes as files; not to be written to."""
    raw = tmp_path_factory.mktemp("raw")
    for name, (contigs, genes) in genomes.items():
        write_genome(raw / "prokaryotes" / name, contigs, genes)
    return raw


@pytest.fixture
def settings(raw_dir: Path, tmp_path: Path) -> BakeConfig:
    """Tile the genomes with windows of 3000 bases."""
    save_tokenizer(Tokenizer(KmerTokenizer(6)), tmp_path / "tokenizer.json")
    return BakeConfig(
        raw_dir=raw_dir,
        output_dir=tmp_path / "out",
        tokenizer=tmp_path / "tokenizer.json",
        window_size=3000,
        target=1600,
        hard_limit=2000,
        split_by="contig",
        valid_share=0.2,
    )
