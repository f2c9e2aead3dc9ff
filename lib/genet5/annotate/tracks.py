"""Tracks of a genome: the per-base heads' probabilities as bigWig files, for genome browsers.

One file for each head and strand, values 0 to 1 in steps of 0.01; neighbouring bases of one value
are one entry, and intervals without any known base have none. Frame n of either strand holds the
codons that occupy bases n to n + 2, n + 3 to n + 5 ... of the contig (1-based), so that a gene
without introns lies in one frame, and one with introns steps from frame to frame. Windows are
written as they come, core by core, so that memory does not grow with the contigs. At the end
pyBigWig makes the summaries that browsers draw from afar, which takes some two bytes of memory for
each base of the genome, one file after the other; genomes above `MOST_SUMMARIZED_BP` go without.

Example:
    with open_tracks(Path("tracks"), contigs, place, spliced=False) as tracks:
        annotator.annotate_blocks(contigs, on_percents=tracks.add, ...)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genet5.annotate.genome import Contigs
from genet5.annotate.windows import WindowPass
from genet5.decode.window_found import Percents

MOST_SUMMARIZED_BP = 200_000_000
SCRATCH = ".genet5.tmp"
_STRANDS = ("plus", "minus")
_FRAMES = 3
_OTHER_KINDS = ("start", "stop", "intron", "donor", "acceptor")
"""In the order of `percents.percents_of`, after the codon positions."""
_AS_SHARE = np.array([round(k / 100, 2) for k in range(101)])


def track_names(*, spliced: bool) -> list[str]:
    """Return the names of a genome's tracks, each that of a file without its ending.

    Example:
        >>> track_names(spliced=False)[:4]
        ['coding_plus_frame1', 'coding_plus_frame2', 'coding_plus_frame3', 'start_plus']
    """
    kinds = _OTHER_KINDS if spliced else _OTHER_KINDS[:2]
    return [
        name
        for strand in _STRANDS
        for name in (
            *(f"coding_{strand}_frame{n + 1}" for n in range(_FRAMES)),
            *(f"{kind}_{strand}" for kind in kinds),
        )
    ]


@contextmanager
def open_tracks(
    folder: Path,
    contigs: Contigs,
    place: Callable[[int], tuple[int, int]],
    *,
    spliced: bool,
    strand_passes: int = 1,
) -> Iterator[TrackWriter]:
    """Write tracks; the files appear when the block ends without an error.

    Args:
        folder: Where to; made if it is not there.
        contigs: All contigs of the genome.
        place: Contig and first base there of each part of the genome that is annotated.
        spliced: Write introns and splice sites, too.
        strand_passes: Passes of each window that come one after the other; their mean is written.
    """
    import pyBigWig

    folder.mkdir(parents=True, exist_ok=True)
    names = track_names(spliced=spliced)
    scratch = [folder / f"{name}.bw{SCRATCH}" for name in names]
    lengths = [(contig.name, len(contig.bases)) for contig in contigs if len(contig.bases)]
    levels = 10 if sum(size for _, size in lengths) <= MOST_SUMMARIZED_BP else 0
    files: list[Any] = []
    try:
        for path in scratch:
            files.append(pyBigWig.open(str(path), "w"))
            files[-1].addHeader(lengths, maxZooms=levels)
        yield TrackWriter(files, contigs, place, strand_passes)
        while files:  # one after the other: each takes memory for its summaries
            files.pop(0).close()
        for path, name in zip(scratch, names, strict=True):
            path.replace(folder / f"{name}.bw")
    finally:
        for file in files:
            with suppress(RuntimeError):
                file.close()
        for path in scratch:
            path.unlink(missing_ok=True)


class TrackWriter:
    """Writes what windows show of their cores.

    Args:
        files: Open bigWig files, in the order of `track_names`.
        contigs: All contigs of the genome.
        place: Contig and first base there of each part that is annotated.
        strand_passes: Passes of each window.
    """

    def __init__(
        self,
        files: Sequence[Any],
        contigs: Contigs,
        place: Callable[[int], tuple[int, int]],
        strand_passes: int,
    ) -> None:
        self._files, self._contigs, self._place = files, contigs, place
        self._strand_passes = strand_passes
        self._passes: list[Percents] = []

    def add(self, window_pass: WindowPass, percents: Percents) -> None:
        """Take the next pass of the run's windows, in coordinates of the contig."""
        self._passes.append(percents)
        if len(self._passes) < self._strand_passes:
            return
        mean = np.rint(np.mean(self._passes, axis=0)).astype(np.uint8)
        self._passes = []
        tile, part = window_pass.tile, window_pass.work
        index, offset = self._place(part.index)
        start = tile.core_start + offset
        room = part.tiling.contig_bp - tile.core_start  # past the origin it is there already
        if room > 0:
            self._write(self._contigs[index].name, start, by_track(mean[..., :room], start))

    def _write(self, contig: str, start: int, rows: NDArray[np.uint8]) -> None:
        for file, row in zip(self._files, rows, strict=True):
            begins = np.flatnonzero(np.diff(row, prepend=row[0] ^ 1))
            ends = np.append(begins[1:], len(row)) + start
            file.addEntries(
                [contig] * len(begins),
                (begins + start).tolist(),
                ends=ends.tolist(),
                values=_AS_SHARE[row[begins]].tolist(),
            )


def by_track(percents: Percents, start: int) -> NDArray[np.uint8]:
    """Order the kinds of both strands as tracks: codon positions become frames of the contig.

    Args:
        percents: (2, kinds, L).
        start: The first base's place on the contig.

    Returns:
        (2 * kinds, L), in the order of `track_names`.
    """
    bases = start + np.arange(percents.shape[2])
    frames = np.arange(_FRAMES)[:, None]
    positions = (bases - frames) % 3, (frames + 2 - bases) % 3
    rows = []
    for side, position in enumerate(positions):
        rows.append(np.take_along_axis(percents[side, :_FRAMES], position, axis=0))
        rows.append(percents[side, _FRAMES:])
    return np.concatenate(rows)
