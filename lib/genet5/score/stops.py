"""Predicted stops against those of the reference: shows files that leave stop codons out.

Example:
    >>> stop_offsets([("c", 1, (0, 297))], [("c", 1, (0, 300))], {})
    StopOffsets(exact=0, early=1, late=0)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from genet5.score.chains import Chain, Stop, stop_of


@dataclass(frozen=True, slots=True)
class StopOffsets:
    """Number of predicted genes by the position of their stop."""

    exact: int = 0
    """At the stop of a reference gene."""
    early: int = 0
    """3 bases upstream of a reference gene's stop: the predictions may leave the codon out."""
    late: int = 0
    """3 bases downstream: the reference may leave it out."""

    def __add__(self, other: StopOffsets) -> StopOffsets:
        return StopOffsets(
            self.exact + other.exact, self.early + other.early, self.late + other.late
        )


def stop_offsets(
    predicted: Iterable[Chain], reference: Iterable[Chain], lengths_bp: Mapping[str, int]
) -> StopOffsets:
    """Count the predicted stops that lie on a reference stop, or one codon before or after one.

    Args:
        predicted: One chain of each predicted gene.
        reference: All chains of the reference.
        lengths_bp: Lengths of contigs, where known: coordinates wrap around.
    """
    stops = {stop_of(chain, lengths_bp) for chain in reference}
    counts = [0, 0, 0]
    for chain in predicted:
        stop = stop_of(chain, lengths_bp)
        for index, offset_bp in enumerate((0, 3, -3)):
            if _shifted(stop, offset_bp, lengths_bp) in stops:
                counts[index] += 1
                break
    return StopOffsets(*counts)


def _shifted(stop: Stop, offset_bp: int, lengths_bp: Mapping[str, int]) -> Stop:
    """Move a stop downstream."""
    contig, strand, position = stop
    length = lengths_bp.get(contig, 0)
    moved = position + strand * offset_bp
    return contig, strand, moved % length if length else moved
