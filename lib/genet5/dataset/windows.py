"""Windows: how a contig is tiled, and the record that is baked of each window.

Windows are 0-based half-open stretches of a contig; `strand` -1 means that the window holds the reverse complement of
its stretch, and everything in it (bases, tokens, labels, ignored stretches) counts from that strand's first base.

Example:
    >>> tile(10, 4, overlap_bp=1)
    [(0, 4), (3, 7), (6, 10)]
    >>> tile(10, 4, phase_bp=2)
    [(0, 2), (2, 6), (6, 10)]
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from genet5.errors import ConfigError
from genet5.genome.frames import strand_sign
from genet5.genome.sequence import Bases

NO_STRETCHES: NDArray[np.int32] = np.zeros((0, 2), dtype=np.int32)
NO_STRETCHES.flags.writeable = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Window:
    """One window with its targets: what is baked, stored and loaded."""

    bases: Bases
    """(L,) uint8 ASCII letters, case kept."""
    input_ids: NDArray[np.int32]
    """(S,) sequence tokens."""
    token_start_bp: NDArray[np.int32]
    """(S,) first base of each token."""
    labels: NDArray[np.int32]
    """(T,) gene-structure labels from <bos> to <eos>: token ids, base p as -1 - p."""
    label_weights: NDArray[np.float32]
    """(T,) weight of each label in the loss; 0 = the grammar calls its gene illegal."""
    ignore: NDArray[np.int32] = field(default_factory=lambda: NO_STRETCHES)
    """(n, 2) half-open stretches of which the truth is not known."""
    genetic_code: int
    """NCBI number."""
    clade: str
    """One of the clades."""
    genome: str
    """Name of the genome."""
    contig: str
    """Name of the contig."""
    start: int
    """First base of the window's stretch on the contig's forward strand."""
    strand: int
    """+1, or -1: the window is the reverse complement of its stretch."""
    recoded: bool = False
    """Whether the bases were changed to another genetic code."""

    @property
    def id(self) -> str:
        """Where the window comes from: "genome/contig:start-end(strand)", 0-based half-open."""
        recoded = f"[code {self.genetic_code}]" if self.recoded else ""
        end = self.start + len(self.bases)
        return (
            f"{self.genome}/{self.contig}:{self.start}-{end}({strand_sign(self.strand)}){recoded}"
        )

    def digest(self) -> bytes:
        """16 bytes that change with any content of the window."""
        text = f"{self.genetic_code}\t{self.clade}\t{self.id}\t{self.recoded}\t"
        sizes = (
            f"{len(self.bases)}\t{len(self.input_ids)}\t{len(self.labels)}\t{len(self.ignore)}\n"
        )
        digest = hashlib.blake2b((text + sizes).encode(), digest_size=16)
        for array, kind in (
            (self.bases, "u1"),
            (self.input_ids, "<i4"),
            (self.token_start_bp, "<i4"),
            (self.labels, "<i4"),
            (self.label_weights, "<f4"),
            (self.ignore, "<i4"),
        ):
            digest.update(np.ascontiguousarray(array, dtype=kind).data)
        return digest.digest()


def tile(
    length_bp: int, window_bp: int, *, overlap_bp: int = 0, phase_bp: int = 0
) -> list[tuple[int, int]]:
    """Cover a contig with windows; the first and the last may be shorter.

    Args:
        length_bp: Bases of the contig.
        window_bp: Bases of a whole window.
        overlap_bp: Bases that neighbouring windows share.
        phase_bp: Where the first whole window starts; a shorter window covers what lies before it.

    Returns:
        Half-open stretches, ascending; none contains another.

    Raises:
        ConfigError: The overlap is not smaller than the window.
    """
    if not 0 <= overlap_bp < window_bp:
        raise ConfigError("window_overlap", overlap_bp, f"must be in 0..{window_bp - 1}")
    step = window_bp - overlap_bp
    start = phase_bp % step - step if phase_bp % step else 0
    stretches = []
    while length_bp:
        stretches.append((max(start, 0), min(start + window_bp, length_bp)))
        if start + window_bp >= length_bp:
            break
        start += step
    return stretches


def reverse_stretches(stretches: NDArray[np.int32], length_bp: int) -> NDArray[np.int32]:
    """The same stretches, counted on the reverse complement of a window of `length_bp` bases, ascending."""
    turned = (length_bp - stretches[:, ::-1]).astype(np.int32)
    return np.ascontiguousarray(turned[np.argsort(turned[:, 0], kind="stable")])
