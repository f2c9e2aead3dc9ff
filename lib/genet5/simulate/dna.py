"""Sequences of artificial genomes of any organism: DNA between genes, and coding sequences.

Bases are 0..3 for A, C, G, T here, so that 3 - x is the complement.

Example:
    >>> as_letters(turn(as_indices("AAC"), -1)).tobytes()
    b'GTT'
    >>> contig_sizes(10_000, 2, min_contig_bp=2_000)
    [5000, 5000]
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from genet5.errors import ConfigError
from genet5.genome.codes import CODONS, GeneticCode
from genet5.genome.sequence import BASE_INDEX, Bases, encode_bases
from genet5.simulate.codon_usage import GC_THIRD, CodonUsage, Floats

Indices = NDArray[np.int8]
"""(L,) bases as 0..3 for A, C, G, T; 3 - x is the complement."""

STARTS, STOPS = ("ATG", "GTG", "TTG"), ("TAA", "TGA", "TAG")
"""Start and stop codons that artificial genes may have."""

_ASCII = np.frombuffer(b"ACGT", dtype=np.uint8)

# Shares of the three stops at 30, 50 and 70 % GC (Povolotskaya et al. 2012,
# doi:10.1186/1745-6150-7-30).
_STOP_SHARES_AT = ((0.75, 0.60, 0.15), (0.10, 0.30, 0.75), (0.15, 0.10, 0.10))

_N_TERMINAL_CODONS = 8
"""AT-rich: weak mRNA structure at the start (Goodman et al. 2013, doi:10.1126/science.1241934)."""
_SEGMENT_CODONS = 9  # mean length of a hydrophobic or polar segment
_NUM_STATES = 4  # polar, mixed, hydrophobic, N-terminal

# Log odds of a base after its predecessor between genes (rows A, C, G, T), alike on both strands.
_NEIGHBOUR = np.array(
    [
        [0.18, -0.05, -0.05, 0.05],
        [0.08, 0.00, -0.08, -0.05],
        [0.00, 0.18, 0.00, -0.05],
        [-0.25, 0.00, 0.08, 0.18],
    ]
)


def contig_sizes(length_bp: int, num_contigs: int, min_contig_bp: int) -> list[int]:
    """Return the bases of each contig of a genome, about equal.

    Raises:
        ConfigError: No contig is wanted, or contigs would be too short.
    """
    if num_contigs < 1:
        raise ConfigError("contigs", num_contigs, "must be at least 1")
    if length_bp < min_contig_bp * num_contigs:
        raise ConfigError("length_bp", length_bp, f"must be at least {min_contig_bp} per contig")
    sizes: list[int] = np.diff(np.linspace(0, length_bp, num_contigs + 1).astype(int)).tolist()
    return sizes


def check_range(name: str, value: float, low: float, high: float) -> None:
    """Refuse a setting outside its range, ends included.

    Raises:
        ConfigError: It is; the text gives the range.
    """
    if not low <= value <= high:
        raise ConfigError(name, value, f"must be between {low} and {high}")


def as_letters(sequence: Indices) -> Bases:
    """Turn indices into ASCII letters."""
    letters: Bases = _ASCII[sequence]
    return letters


def as_indices(text: str) -> Indices:
    """Turn letters into indices."""
    return BASE_INDEX[encode_bases(text)].astype(np.int8)


def turn(sequence: Indices, strand: int) -> Indices:
    """Return the sequence itself for strand +1, its reverse complement for -1."""
    return sequence if strand > 0 else (3 - sequence[::-1]).astype(np.int8)


def stop_shares(code: GeneticCode, gc: float) -> Floats:
    """Return (3,) shares of STOPS in a genome of this GC content.

    Raises:
        ConfigError: None of them is a stop in this genetic code.
    """
    at = (0.3, 0.5, 0.7)
    shares = np.array([np.interp(gc, at, share) for share in _STOP_SHARES_AT])
    shares *= [code.is_stop(stop) for stop in STOPS]
    total = float(shares.sum())
    if total == 0:
        raise ConfigError("genetic_code", code.number, "must have a stop among TAA, TAG and TGA")
    normalised: Floats = shares / total
    return normalised


def background(lengths: NDArray[np.int64], gc: float, rng: np.random.Generator) -> list[Indices]:
    """Draw sequences without genes from an order-2 Markov chain, all of them in parallel.

    Args:
        lengths: (n,) bases of each sequence; the cost is that of n as long as the longest.
        gc: GC content.
        rng: The generator.
    """
    base = np.array([1 - gc, gc, gc, 1 - gc]) / 2
    odds = np.log(base) + _NEIGHBOUR[None, :, :] + rng.normal(0.0, 0.1, size=(4, 4, 4))
    chance = np.exp(odds) / np.exp(odds).sum(axis=-1, keepdims=True)
    cumulative = chance.cumsum(axis=-1)[..., :3]
    longest = int(lengths.max())
    rows = np.empty((longest, len(lengths)), dtype=np.int8)
    before, last = rng.choice(4, size=(2, len(lengths)), p=base)
    for step in range(longest):
        draw = rng.random(len(lengths))
        before, last = last, (draw[:, None] > cumulative[before, last]).sum(axis=1)
        rows[step] = last
    return [rows[:length, index] for index, length in enumerate(lengths.tolist())]


def coding_sequences(
    num_codons: NDArray[np.int64],
    start_codon: NDArray[np.int64],
    stop_codon: NDArray[np.int64],
    usage: CodonUsage,
    rng: np.random.Generator,
) -> list[Indices]:
    """Draw each gene's bases from 5' to 3': start codon, sense codons, stop codon.

    Args:
        num_codons: (n,) codons of each gene, start and stop included.
        start_codon: (n,) indices into STARTS.
        stop_codon: (n,) indices into STOPS.
        usage: The genome's codon usage.
        rng: The generator.
    """
    total = int(num_codons.sum())
    first = np.concatenate(([0], np.cumsum(num_codons)))[:-1]
    gene = np.repeat(np.arange(len(num_codons)), num_codons)
    offset = np.arange(total) - first[gene]
    row = gene * _NUM_STATES + _protein_states(offset, rng)
    cumulative = _usage_by_state(len(num_codons), usage, rng).cumsum(axis=1)
    cumulative[:, -1] = 1.0
    flat = (cumulative + np.arange(len(cumulative))[:, None]).ravel()

    def draw(rows: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.searchsorted(flat, rows + rng.random(len(rows)), side="right") % 64

    codon = draw(row)
    # T|A between codons is rarer than chance: half of them are drawn again.
    again = np.flatnonzero((codon[:-1] % 4 == 3) & (codon[1:] // 16 == 0))
    again = again[rng.random(len(again)) < 0.5]
    codon[again] = draw(row[again])
    starts, stops = ([CODONS.index(c) for c in codons] for codons in (STARTS, STOPS))
    codon[first] = np.array(starts)[start_codon]
    codon[first + num_codons - 1] = np.array(stops)[stop_codon]
    bases = np.stack((codon // 16, codon // 4 % 4, codon % 4), axis=1).astype(np.int8)
    return [codons.reshape(-1) for codons in np.split(bases, first[1:])]


def _protein_states(offset: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw runs of polar (0), mixed (1) and hydrophobic (2) codons; 3 near a gene's start."""
    new = rng.random(len(offset)) < 1 / _SEGMENT_CODONS
    run = np.cumsum(new)
    states = rng.integers(0, 3, size=int(run[-1]) + 1 if len(run) else 1)[run]
    states[offset <= _N_TERMINAL_CODONS] = 3
    return states


def _usage_by_state(num_genes: int, usage: CodonUsage, rng: np.random.Generator) -> Floats:
    """Return codon frequencies, (genes * states, 64).

    Each gene modifies the usage of the genome, each state that of the gene.
    """
    logs = np.repeat(usage.log_weights[None, :], num_genes, axis=0)
    logs += rng.normal(0.0, 0.35, size=(num_genes, 1)) * GC_THIRD
    membrane = rng.random((num_genes, 1)) < 0.22
    logs += np.where(membrane, 0.7, rng.normal(0.0, 0.15, size=(num_genes, 1))) * usage.hydropathy
    tilts = [-0.45 * usage.hydropathy, 0 * GC_THIRD, 0.45 * usage.hydropathy, -0.6 * GC_THIRD]
    by_state: Floats = np.exp(logs[:, None, :] + np.stack(tilts)[None, :, :])
    by_state /= by_state.sum(axis=-1, keepdims=True)
    return by_state.reshape(num_genes * _NUM_STATES, 64)
