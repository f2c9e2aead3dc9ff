"""What a run annotates: the contigs of a genome, or regions of them; their bases stay on disk.

Example:
    with open_genome(Path("genome.fa.gz")) as genome:
        for contig in genome.parts:
            print(contig.name, len(contig.bases))
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from genet5.annotate.calling_config import CallingConfig
from genet5.genome.gaps import between_gaps
from genet5.genome.io.fasta import AnyContig
from genet5.genome.io.regions import IndexedFasta, Region
from genet5.genome.io.spool import GenomeSpool
from genet5.genome.tiling import ContigTiling


class Contigs(Protocol):
    """Contigs by number, in the file's order; to be gone through as often as one likes."""

    def __len__(self) -> int:
        """Return how many there are."""

    def __iter__(self) -> Iterator[AnyContig]:
        """Go through them."""

    def __getitem__(self, index: int, /) -> AnyContig:
        """Return one of them."""


@dataclass(frozen=True, slots=True)
class Genome:
    """What is annotated, and the contigs on which it lies."""

    parts: Contigs
    """What is annotated: regions as contigs of their own, or all contigs."""
    contigs: Contigs
    """The contigs of the output."""
    regions: tuple[Region, ...] = ()
    """What of the contigs is annotated; none = all of it."""
    owners: tuple[int, ...] = ()
    """Contig of each region."""
    cut: frozenset[str] = frozenset()
    """Names of contigs that are cut at gaps: their ends no longer meet."""

    def place(self, part: int) -> tuple[int, int]:
        """Return the contig on which a part lies, and the part's first base there."""
        return (self.owners[part], self.regions[part].start) if self.regions else (part, 0)


@dataclass(frozen=True, slots=True)
class GenomeSize:
    """What is annotated, in numbers."""

    bases: int
    windows: int
    key: str
    """Hash of the names and lengths of all contigs."""


@contextmanager
def open_genome(
    path: Path, regions: Sequence[str] = (), cut_at_gaps: int | None = None
) -> Iterator[Genome]:
    """Open a genome or regions of it; what is read is checked.

    Args:
        path: FASTA file, plain, gzip or bgzip; for regions plain or bgzip.
        regions: "NAME:START-END", 1-based closed, or "NAME"; none = all contigs.
        cut_at_gaps: Runs of N of this length or more cut contigs; None = none do.

    Raises:
        ConfigError: There is no such region, or two of them overlap.
        DataError: The file cannot be read.
    """
    if not regions:
        with GenomeSpool.read(path) as spool:
            yield Genome(spool, spool) if cut_at_gaps is None else _cut(spool, cut_at_gaps)
        return
    with IndexedFasta(path) as fasta:
        found, lengths = fasta.locate(regions), fasta.lengths
        names = list(dict.fromkeys(region.contig for region in found))
        contigs = [fasta.contig(Region(name, 0, lengths[name])) for name in names]
        owners = tuple(names.index(region.contig) for region in found)
        yield Genome([fasta.contig(region) for region in found], contigs, found, owners)


def _cut(spool: GenomeSpool, least_gap_bp: int) -> Genome:
    """Cut contigs at gaps; of one that is gaps alone, or empty, one part without bases is left."""
    regions, owners = [], []
    for index, contig in enumerate(spool):
        for start, end in list(between_gaps(contig.bases, least_gap_bp)) or [(0, 0)]:
            regions.append(Region(contig.name, start, end))
            owners.append(index)
    parts = [
        spool.part(owner, region.start, region.end)
        for owner, region in zip(owners, regions, strict=True)
    ]
    sizes = list(spool.lengths())
    cut = frozenset(
        region.contig
        for owner, region in zip(owners, regions, strict=True)
        if region.end - region.start < sizes[owner]
    )
    return Genome(parts, spool, tuple(regions), tuple(owners), cut)


def measure(contigs: Iterable[AnyContig], calling: CallingConfig) -> GenomeSize:
    """Count bases and windows."""
    bases, windows, key = 0, 0, hashlib.sha256()
    for contig in contigs:
        length = len(contig.bases)
        tiling = ContigTiling.even(length, calling.window_bp, calling.overlap_bp)
        bases, windows = bases + length, windows + len(tiling.tiles)
        key.update(f"{contig.name}\t{length}\n".encode())
    return GenomeSize(bases, windows, key.hexdigest())
