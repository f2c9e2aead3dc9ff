"""What the benchmarks of language models share: windows of held-out genomes, nano models, peers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from machine import ROOT
from markov import BackOff, back_off, fifth_order

from genet5.dataset.packed import PackedReader
from genet5.genome.io.fasta import read_fasta
from genet5.genome.sequence import BASE_INDEX, Bases
from genet5.lm.folders import LanguageModel, load_model

TESTED = (
    "Escherichia_coli_K-12_MG1655",
    "Bacillus_subtilis_168",
    "Chlamydia_trachomatis_A2497",
    "Halobacterium_salinarum_NRC-1",
    "Methanocaldococcus_jannaschii_DSM2661",
    "Mycoplasmoides_genitalium_G37",
)
"""Of the test split: no genome of these species was trained on or chosen by."""
CHOSEN_BY = "Lactobacillus_jensenii_SNUV360"
PRIORS = (4.0, 16.0, 64.0, 256.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldOutConfig:
    """Which models, on what data."""

    work: Annotated[Path, tyro.conf.Positional]
    """Folder of pretrain_nano.py."""
    data: Path = ROOT.parent / "shared" / "data"
    """Folder with raw/ and splits.tsv."""
    models: tuple[str, ...] = ()
    """Names of arms; none = all that have ended."""
    windows: int = 16
    """Windows of each genome."""
    window_bp: int = 1536
    """Bases of a window."""
    note: str = ""
    """What the result file records about the machine, such as: shared, other jobs ran."""


def models_of(config: HeldOutConfig) -> dict[str, LanguageModel]:
    """Load the arms by name."""
    names = config.models or sorted(path.parent.name for path in config.work.glob("*/done.json"))
    return {name: load_model(str(config.work / name)) for name in names}


def genome_file(
    data: Path, name: str, file: str = "genome.fa.gz", clade: str = "prokaryotes"
) -> Path:
    """Return a genome's file."""
    return data / "raw" / clade / name / file


def windows_of(path: Path, number: int, window_bp: int, seed: int = 0) -> list[Bases]:
    """Draw windows of a genome's contigs, without ambiguous letters, either strand as it is."""
    contigs = [c.bases for c in read_fasta(path) if len(c.bases) >= window_bp]
    rooms = np.array([len(bases) - window_bp + 1 for bases in contigs], dtype=float)
    rng, found = np.random.default_rng(seed), list[Bases]()
    while len(found) < number:
        bases = contigs[int(rng.choice(len(contigs), p=rooms / rooms.sum()))]
        start = int(rng.integers(len(bases) - window_bp + 1))
        window = bases[start : start + window_bp]
        if (BASE_INDEX[window] < 4).all():
            found.append(window)
    return found


def fitted_peers(config: HeldOutConfig) -> dict[str, BackOff]:
    """Fit the peers on the networks' training file; the back-off's prior is chosen as they are."""
    file = config.work / "baked_nucleotide" / "training.packed"
    bases = [window.bases for window in PackedReader(file).windows()]
    chain, mixed = fifth_order().fit(bases), back_off(PRIORS[0]).fit(bases)
    chosen = windows_of(genome_file(config.data, CHOSEN_BY), 40, config.window_bp)
    costs = {}
    for mixed.prior in PRIORS:
        costs[mixed.prior] = -sum(mixed.log2_likelihood(window)[0] for window in chosen)
    mixed.prior = min(costs, key=costs.__getitem__)
    return {"markov_5": chain, "back_off_12": mixed}


def interval(values: Sequence[float], draws: int = 2000) -> list[float]:
    """Return the 95 % interval of a mean by the bootstrap."""
    array, rng = np.asarray(values), np.random.default_rng(0)
    means = array[rng.integers(len(array), size=(draws, len(array)))].mean(1)
    return [round(float(each), 4) for each in np.quantile(means, [0.025, 0.975])]


def batched(items: Sequence[Bases], size: int) -> Iterator[Sequence[Bases]]:
    """Cut a list into parts."""
    for begin in range(0, len(items), size):
        yield items[begin : begin + size]
