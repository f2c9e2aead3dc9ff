"""Windows: the record that is baked of each interval of a contig.

Windows are 0-based half-open intervals of a contig; `strand` -1 means that the window holds the
reverse complement of its interval, and everything in it (bases, tokens, labels, ignored intervals)
counts from that strand's first base.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from genet5.genome.frames import strand_sign
from genet5.genome.sequence import Bases

NO_INTERVALS: NDArray[np.int32] = np.zeros((0, 2), dtype=np.int32)
NO_INTERVALS.flags.writeable = False


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
    ignore: NDArray[np.int32] = field(default_factory=lambda: NO_INTERVALS)
    """(n, 2) half-open intervals of which the truth is unknown."""
    genetic_code: int
    """NCBI number."""
    clade: str
    """One of the clades."""
    genome: str
    """Name of the genome."""
    contig: str
    """Name of the contig."""
    start: int
    """First base of the window's interval on the contig's forward strand."""
    strand: int
    """+1, or -1: the window is the reverse complement of its interval."""
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


def reverse_intervals(intervals: NDArray[np.int32], length_bp: int) -> NDArray[np.int32]:
    """Mirror intervals to the reverse complement of a window of `length_bp` bases, ascending."""
    turned = (length_bp - intervals[:, ::-1]).astype(np.int32)
    return np.ascontiguousarray(turned[np.argsort(turned[:, 0], kind="stable")])
