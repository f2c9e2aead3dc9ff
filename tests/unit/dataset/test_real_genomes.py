"""Baking real genomes; needs ../shared/data, run by `make test-data`."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from genet5.config.bake import BakeConfig
from genet5.config.batches import BatchLimits
from genet5.dataset.bake import bake
from genet5.dataset.collate import collate
from genet5.dataset.loader import Loader
from genet5.dataset.packed import PackedReader
from genet5.genome.codes import CODONS, genetic_code
from genet5.genome.sequence import codon_index, reverse_complement
from genet5.tokens.sequence import KmerTokenizer
from genet5.tokens.tokenizer_file import Tokenizer, save_tokenizer

pytestmark = pytest.mark.data


def bake_some(
    shared_data: Path, tmp_path: Path, *species: str, **changes
) -> tuple[BakeConfig, dict]:
    save_tokenizer(Tokenizer(KmerTokenizer(6)), tmp_path / "tokenizer.json")
    settings = BakeConfig(
        raw_dir=shared_data / "raw",
        output_dir=tmp_path / "out",
        tokenizer=tmp_path / "tokenizer.json",
        splits=shared_data / "splits.tsv",
        species=species,
        n_workers=2,
        **changes,
    )
    return settings, bake(settings)


def test_prokaryotes_are_packed_tightly_and_their_boundaries_are_codons(
    shared_data, tmp_path
) -> None:
    settings, report = bake_some(
        shared_data,
        tmp_path,
        "Portiera_aleyrodidarum_BT-B-HRs",
        "Nanoarchaeum_equitans_Kin4-M",
        "Thermoplasma_volcanium_GSS1",
        "Wolbachia_sp_wRi",
        recode_share=0.3,
    )
    for part in report["files"].values():
        assert part["padding_share_at_load"] < 0.03
        assert part["row_fill_share"] > 0.85
    starts = set()
    for path in settings.output_dir.glob("*.packed"):
        PackedReader(path).verify()
        for window in PackedReader(path).windows():
            if not window.label_weights.all():
                continue
            edges = collate([window]).targets.boundaries[0].numpy()
            stops = set(genetic_code(window.genetic_code).stops)
            for strand, bases in enumerate((window.bases, reverse_complement(window.bases))):
                codons = codon_index(bases)
                starts |= codons_at(codons, np.flatnonzero(edges[strand]), strand, len(bases))
                found = np.flatnonzero(edges[2 + strand]) + (2 if strand else -2)
                assert codons_at(codons, found, strand, len(bases)) <= stops
    assert starts == {"ATG", "GTG", "TTG"}


def codons_at(codons: np.ndarray, bases: np.ndarray, strand: int, length: int) -> set[str]:
    """Codons that begin at bases of the forward strand, read on `strand` (1 = reverse)."""
    at = length - 1 - bases if strand else bases
    return {CODONS[codons[position]] for position in at.tolist() if 0 <= position < length - 2}


def test_spliced_genes_are_legal_and_limited_to_their_share(shared_data, tmp_path) -> None:
    settings, report = bake_some(
        shared_data,
        tmp_path,
        "Schizosaccharomyces_pombe_ASM294v2",
        "Arabidopsis_thaliana_TAIR10_1pct",
        window_size=12_000,
        target=5000,
        negatives=0.05,
    )
    counts = report["counts"]
    assert counts["windows"]["with an illegal gene"] < 0.04 * counts["windows"]["written"]
    assert counts["windows"]["without a gene"] <= 0.06 * counts["windows"]["written"]
    loader = Loader(settings.output_dir / "training.packed", BatchLimits(token_budget=12_000))
    assert loader.padding_share() < 0.03
    seen: set[int] = set()
    for batch in islice(loader, 20):  # only some batches have ignored intervals
        seen |= set(np.unique(batch.targets.states).tolist())
    assert seen >= {-100, 0, 1, 2, 3, 4, 5, 6}
