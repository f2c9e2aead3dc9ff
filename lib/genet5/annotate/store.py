"""The candidates of a whole genome, kept to be gone through again.

What is learned from all genes of a genome needs a second look at its candidates. They are kept as
JSON lines, in memory while they are few and else in a nameless temporary file (TMPDIR), some 600
bytes each; bases are not kept.

Example:
    with CandidateStore(genome.parts) as store:
        for block in engine.run(genome.parts, code=11):
            store.add(block)
        for block in store.blocks():
            print(block.contig.name, len(block.candidates))
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from genet5.annotate.block import Block
from genet5.annotate.candidate import GeneCandidate
from genet5.annotate.genome import Contigs

_MOST_IN_MEMORY = 32 << 20
"""More bytes go to the disk."""


class CandidateStore:
    """Takes the blocks of a run once; gives them as often as wanted. A context manager.

    Args:
        contigs: Those of the run, by number.
        most_in_memory: Bytes that are held before the disk is used.
    """

    def __init__(self, contigs: Contigs, most_in_memory: int = _MOST_IN_MEMORY) -> None:
        self._contigs = contigs
        self._file = tempfile.SpooledTemporaryFile(most_in_memory)  # noqa: SIM115
        self._end = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def add(self, block: Block) -> None:
        """Keep the next block."""
        candidates = [candidate.to_json() for candidate in block.candidates]
        values = [block.index, block.circular, block.is_last, candidates]
        self._file.seek(self._end)
        self._end += self._file.write(json.dumps(values, separators=(",", ":")).encode() + b"\n")

    def blocks(self) -> Iterator[Block]:
        """Yield the blocks in their order; several passes may go on at a time."""
        place = 0
        while place < self._end:
            self._file.seek(place)
            line = self._file.readline()
            place += len(line)
            index, circular, is_last, values = json.loads(line)
            candidates = [GeneCandidate.from_json(value) for value in values]
            yield Block(index, self._contigs[index], circular, candidates, is_last)
