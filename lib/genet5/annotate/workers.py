"""Several processes decode the windows of one run: rank 0 reads and writes, all ranks decode.

Rank 0 lists the batches, deals them out in turn, itself included, and takes the answers in the
order of the batches, so that the output is that of one process. It keeps two batches per rank under
way: while it stitches and writes, the others decode. Bases go out and fragments come back as bytes
over gloo (a few kB a window; no pickle), whatever device the ranks decode on. Other ranks need
neither the genome nor the journal, only the model.

Example:
    with distributed("cpu") as ranks:
        if ranks.is_first:
            engine = replace(engine, workers=Workers(ranks.world_size))
            blocks = engine.run(contigs, code_of=lambda contig: 11)
        else:
            serve(engine)
"""

from __future__ import annotations

import json
import zlib
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from genet5.annotate.windows import Batch, evidence_of
from genet5.config.model import EVIDENCE_CHANNELS
from genet5.decode.window_found import WindowFound
from genet5.genome.evidence import Channels
from genet5.genome.sequence import Bases

if TYPE_CHECKING:
    from genet5.annotate.engine import Engine, Found
    from genet5.annotate.journal import Journal

_AHEAD = 2
"""Batches under way for each rank."""


class Workers:
    """The other ranks, as rank 0 sees them.

    Args:
        world_size: Number of ranks, rank 0 included.
    """

    def __init__(self, world_size: int) -> None:
        self._world_size = world_size
        self._sent: dict[int, list[tuple[dist.Work, Tensor]]] = {}

    def decoded(
        self, engine: Engine, batches: Iterator[Batch], journal: Journal | None
    ) -> Iterator[tuple[Batch, dict[int, WindowFound]]]:
        """Yield the batches in their order with what was found in their windows.

        Args:
            engine: Decodes rank 0's share.
            batches: Listed as they are needed.
            journal: Gets the decoded windows, and has those of an interrupted run.
        """
        queue: deque[tuple[Batch, int]] = deque()
        turn = 0
        for batch in batches:
            owner = 0
            if journal is None or not journal.knows_all(batch.numbers):
                owner, turn = turn % self._world_size, turn + 1
            if owner:
                self._send(owner, pack_windows(batch))
            queue.append((batch, owner))
            if len(queue) >= _AHEAD * self._world_size:
                yield self._taken(engine, *queue.popleft(), journal)
        while queue:
            yield self._taken(engine, *queue.popleft(), journal)
        for rank in range(1, self._world_size):
            self._send(rank, b"")
            self._settle(rank)

    def _taken(
        self, engine: Engine, batch: Batch, owner: int, journal: Journal | None
    ) -> tuple[Batch, dict[int, WindowFound]]:
        def decode() -> Found:
            return self._answer(owner, batch) if owner else engine.decode(batch)

        return batch, engine.found(batch, journal, decode)

    def _answer(self, rank: int, batch: Batch) -> Found:
        found = unpack_found(_receive(rank))
        self._settle(rank, keep=_AHEAD * 2)
        return [p.placed(some) for p, some in zip(batch.passes, found, strict=True)]

    def _send(self, rank: int, data: bytes) -> None:
        for tensor in _tensors(data):
            work = dist.isend(tensor, rank)
            if work is not None:
                self._sent.setdefault(rank, []).append((work, tensor))

    def _settle(self, rank: int, keep: int = 0) -> None:
        """Wait for what was sent, but for the last messages."""
        sent = self._sent.get(rank, [])
        while len(sent) > keep:
            sent.pop(0)[0].wait()


def serve(engine: Engine) -> None:
    """Decode what rank 0 sends, until it says that there is no more."""
    while data := _receive(0):
        for tensor in _tensors(pack_found(engine.decode_bases(*unpack_windows(data)))):
            dist.send(tensor, 0)


def pack_windows(batch: Batch) -> bytes:
    """Write a batch's windows: a line of JSON, all bases, and all evidence, compressed."""
    passes = batch.passes
    bases = [window_pass.bases.tobytes() for window_pass in passes]
    sizes, cores, codes = (
        [len(some) for some in bases],
        [p.core for p in passes],
        [p.code for p in passes],
    )
    header = [sizes, cores, codes, batch.places]
    evidence = b"".join(channels.tobytes() for channels in evidence_of(passes))
    packed = zlib.compress(evidence, 1) if evidence else b""  # nearly all of it is zero
    return json.dumps(header).encode() + b"\n" + b"".join(bases) + packed


def unpack_windows(
    data: bytes,
) -> tuple[list[Bases], list[tuple[int, int]], list[int], list[int], list[Channels]]:
    """Read what `pack_windows` wrote: bases, core, code, place and evidence of each window."""
    header, _, body = data.partition(b"\n")
    lengths, cores, codes, places = json.loads(header)
    ends, split = np.cumsum(lengths), sum(lengths)
    bases = np.split(np.frombuffer(body[:split], dtype=np.uint8), ends[:-1])
    evidence: list[Channels] = []
    if packed := body[split:]:
        values = np.frombuffer(zlib.decompress(packed), dtype=np.uint8)
        arrays = np.split(values, EVIDENCE_CHANNELS * ends[:-1])
        evidence = [array.reshape(EVIDENCE_CHANNELS, -1) for array in arrays]
    return bases, [(a, b) for a, b in cores], codes, places, evidence


def pack_found(found: Found) -> bytes:
    """Write what was found in a batch's windows."""
    return json.dumps([window.to_json() for window in found]).encode()


def unpack_found(data: bytes) -> list[WindowFound]:
    """Read what `pack_found` wrote."""
    return [WindowFound.from_json(values) for values in json.loads(data)]


def _tensors(data: bytes) -> list[Tensor]:
    """A message as it is sent: its length, then, if there is any, its bytes."""
    length = torch.tensor([len(data)])
    return [length, torch.frombuffer(bytearray(data), dtype=torch.uint8)] if data else [length]


def _receive(rank: int) -> bytes:
    length = torch.zeros(1, dtype=torch.int64)
    dist.recv(length, rank)
    if not length:
        return b""
    data = torch.empty(int(length), dtype=torch.uint8)
    dist.recv(data, rank)
    return data.numpy().tobytes()
