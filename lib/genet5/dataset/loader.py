"""The loader: packed files to micro-batches, in an order that depends on (seed, epoch) alone.

An epoch is planned at its start (`dataset.plan`); worker processes only make the micro-batches of
the plan, in its order, so their number changes nothing but speed. The state is (epoch,
micro-batches already given): a loader that is given another's state continues with exactly the
micro-batches that the other would have given. Rows are exploded into windows, so a micro-batch is
(windows, padded to the longest).

Example:
    loader = Loader("training.packed", BatchLimits(token_budget=36_400), seed=1)
    for epoch in range(3):
        for batch in loader:      # the rest of the current epoch; then the loader stands at the
        next one
            ...
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Protocol

import torch
from torch.utils.data import DataLoader, Dataset

from genet5.config.batches import BatchLimits
from genet5.dataset.batch import Batch
from genet5.dataset.collate import collate, silence
from genet5.dataset.flat_batch import FlatBatch, pack, unpack
from genet5.dataset.header import Header
from genet5.dataset.mixture import Mixture
from genet5.dataset.plan import MicroBatch, over_budget, padding_share, plan_batches
from genet5.dataset.simulated_evidence import EvidenceSimulator
from genet5.dataset.windows import Window
from genet5.errors import CheckpointError, DataError, GeneT5Error
from genet5.tokens.vocabulary import StructureVocabulary

log = logging.getLogger(__name__)


class Collator(Protocol):
    """Makes micro-batches of one family of models."""

    def collate(
        self, windows: Sequence[Window], *, epoch: int, first_row: int, silent: bool
    ) -> Any:
        """Make the micro-batch of some windows; the same one for the same arguments.

        Args:
            windows: At least one.
            epoch: Number of the pass over the data, for random choices.
            first_row: The first of the windows' rows, for random choices.
            silent: Leave all targets out: the batch only keeps the ranks in step.
        """

    def pack(self, batch: Any) -> Any:
        """Return a form that is cheap to send from a worker process."""

    def unpack(self, packed: Any) -> Any:
        """Return the micro-batch."""


class GeneCollator:
    """Makes micro-batches with the targets of gene models.

    Args:
        vocabulary: Of the labels.
        evidence: Simulates hints; None = without evidence.
    """

    def __init__(
        self, vocabulary: StructureVocabulary, evidence: EvidenceSimulator | None = None
    ) -> None:
        self._vocabulary, self._evidence = vocabulary, evidence

    def collate(
        self, windows: Sequence[Window], *, epoch: int, first_row: int, silent: bool
    ) -> Batch:
        """Make the micro-batch; nothing in it is random but the evidence."""
        evidence = partial(self._evidence.channels, epoch=epoch) if self._evidence else None
        batch = collate(windows, self._vocabulary, evidence)
        return silence(batch) if silent else batch

    def pack(self, batch: Batch) -> FlatBatch:
        """Put all tensors into one buffer."""
        return pack(batch)

    def unpack(self, packed: FlatBatch) -> Batch:
        """Return views of the buffer."""
        return unpack(packed)


STATE_FORMAT = 2
"""Changes with the order that a plan gives: a state names a place in it."""
_WORDS = {"checksum": "the data's checksum", "seed": "--seed", "format": "the state's format"}


class Loader:
    """Yields the micro-batches of a packed file, or of several.

    Args:
        path: A packed file.
        limits: Size of a micro-batch.
        seed: With the epoch, decides the order.
        shuffle: False keeps the file's order (validation).
        rank: This process among `world_size`; the ranks share an epoch and have equally many steps.
        world_size: Processes.
        num_workers: Processes that make micro-batches ahead; 0 = none, in this process.
        pin_memory: Give the workers' micro-batches in page-locked memory, for a GPU.
        collator: Makes the micro-batches; None = those of gene models.
        weights: Passes over each file in an epoch (`dataset.mixture`), instead of one over `path`.
        clade_weights: Factors of that for the rows of some clades.
        skip: Ids of windows that are left out; the plan stays as it is.
    """

    def __init__(
        self,
        path: Path | str,
        limits: BatchLimits | None = None,
        *,
        seed: int = 0,
        shuffle: bool = True,
        rank: int = 0,
        world_size: int = 1,
        num_workers: int = 0,
        pin_memory: bool = False,
        collator: Collator | None = None,
        weights: Mapping[Path, float] | None = None,
        clade_weights: Mapping[str, float] | None = None,
        skip: Collection[str] = (),
    ) -> None:
        self._reader = Mixture(weights or {Path(path): 1.0}, clade_weights)
        self._collator = collator or GeneCollator(self._reader.header.vocabulary)
        self._sizes = self._reader.row_sizes()
        self._limits = limits or BatchLimits()
        self._skip = frozenset(skip)
        over = over_budget(self._sizes, self._limits)
        if over:
            log.warning(
                "%d of %d rows exceed the token or label budget alone", over, len(self._reader)
            )
        self._seed, self._shuffle = seed, shuffle
        self._rank, self._world_size = rank, world_size
        self._num_workers, self._pin_memory = num_workers, pin_memory
        self._epoch: int = 0
        self._step: int = 0
        self._plan: list[MicroBatch] = []
        self._workers: list[BaseProcess] = []
        self.start_epoch(0)

    @property
    def header(self) -> Header:
        """Return the header of the file, or of all together: tokenizer, bake settings, counts."""
        return self._reader.header

    @property
    def headers(self) -> list[tuple[Path, Header]]:
        """The files with their own headers."""
        return self._reader.headers

    @property
    def epoch(self) -> int:
        """Number of the current pass over the data, from 0."""
        return self._epoch

    @property
    def step(self) -> int:
        """Micro-batches of the current epoch that have been given."""
        return self._step

    def __len__(self) -> int:
        """Micro-batches of the current epoch on this rank (all ranks: the same)."""
        return len(self._plan)

    def padding_share(self) -> float:
        """Share of this epoch's encoder tokens (this rank) that are padding."""
        return padding_share(self._plan, self._sizes)

    def __iter__(self) -> Iterator[Any]:
        """Give the rest of the current epoch, then stand at the start of the next."""
        epoch, first = self.epoch, self.step
        for number, batch in enumerate(self._made(self._plan[first:]), first + 1):
            self._step = number
            yield batch
            if (self.epoch, self.step) != (epoch, number):
                raise DataError(
                    "the loader's state changed while it was iterated",
                    expected="load_state_dict or start_epoch between two iterations",
                )
        self.start_epoch(epoch + 1)

    def state_dict(self) -> dict[str, Any]:
        """Plain values that `load_state_dict` takes."""
        return {
            "format": STATE_FORMAT,
            "epoch": self._epoch,
            "step": self._step,
            **self._identity(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where another loader of the same data, seed and world size stood.

        With other limits the epoch is cut in another way: the place in it is about the same.

        Raises:
            CheckpointError: The state belongs to other data or another seed.
        """
        mine, limits = {"format": STATE_FORMAT, **self._identity()}, _plain(self._limits)
        for name, value in mine.items():
            if name not in limits and state.get(name) != value:
                raise CheckpointError(
                    f"{_WORDS.get(name, name)} was {state.get(name)!r}, and is {value!r}: the rest"
                    " of the epoch would be another. Resume with the same data and seed, and the"
                    " version that saved it"
                )
        self.start_epoch(int(state["epoch"]))
        self._step = int(state["step"])
        if changed := [name for name in limits if state.get(name) != limits[name]]:
            saved: dict[str, Any] = {name: state.get(name) for name in limits}
            before = BatchLimits(**saved)
            self._step = self._step * len(self._plan) // max(1, len(self._planned(before)))
            log.info("%s changed: the epoch resumes at about the same place", ", ".join(changed))

    def _identity(self) -> dict[str, Any]:
        """All that decides the order."""
        return {
            "checksum": self.header.checksum,
            **_plain(self._limits),
            "seed": self._seed,
            "shuffle": self._shuffle,
            "world_size": self._world_size,
        }

    def start_epoch(self, epoch: int) -> None:
        """Plan an epoch and stand at its start."""
        self._epoch, self._step = epoch, 0
        self._plan = self._planned(self._limits)

    def _planned(self, limits: BatchLimits) -> list[MicroBatch]:
        """Plan the present epoch with some limits."""
        rows = self._reader.rows_of(self._epoch, self._seed)
        plan = plan_batches(
            self._sizes.taken(rows),
            limits,
            seed=self._seed,
            epoch=self._epoch,
            rank=self._rank,
            world_size=self._world_size,
            shuffle=self._shuffle,
        )
        return [batch.renumbered(rows) for batch in plan]

    def _made(self, plan: list[MicroBatch]) -> Iterator[Any]:
        batches = _Batches(self._reader, plan, self._collator, self._epoch, self._skip)
        if not self._num_workers:
            return (batches.make(index) for index in range(len(plan)))
        generator = (
            torch.Generator()
        )  # DataLoader would draw from the global one and change the run
        flat_batches = DataLoader(
            batches,
            batch_size=None,
            num_workers=self._num_workers,
            collate_fn=partial(_packed, self._collator),  # of one item: no batch_size
            pin_memory=self._pin_memory,
            generator=generator,
            worker_init_fn=partial(_heed_the_trainer_alone, os.getpid()),
        )
        # Workers inherit the mask, and threads that they have before `worker_init_fn` theirs.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        others = multiprocessing.active_children()
        try:
            made = iter(flat_batches)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        self._workers = [each for each in multiprocessing.active_children() if each not in others]
        return map(partial(_unpacked, self._collator), made)

    def close(self) -> None:
        """End workers that an unfinished epoch has left, also one that hangs.

        Python would wait for it at its own end, for ever.
        """
        workers, self._workers = self._workers, []
        for worker in workers:
            with suppress(RuntimeError):  # DataLoader takes the end of its worker for an accident
                worker.kill()
                worker.join()


class _Batches(Dataset[Any]):
    """The micro-batches of a plan, without some windows."""

    def __init__(
        self,
        reader: Mixture,
        plan: list[MicroBatch],
        collator: Collator,
        epoch: int,
        skip: frozenset[str],
    ) -> None:
        self._reader, self._plan = reader, plan
        self._collator, self._epoch, self._skip = collator, epoch, skip

    def __len__(self) -> int:
        return len(self._plan)

    def __getitem__(self, index: int) -> Any:
        """Make a micro-batch, or return the error: what a worker raises arrives as a traceback."""
        try:
            return self.make(index)
        except GeneT5Error as error:
            return error

    def make(self, index: int) -> Any:
        """Make a micro-batch.

        Raises:
            DataError: The file is damaged.
        """
        micro = self._plan[index]
        windows = [window for row in micro.rows for window in self._reader.row(row)]
        kept = [window for window in windows if window.id not in self._skip]
        try:
            return self._collator.collate(
                kept or windows,
                epoch=self._epoch,
                first_row=micro.rows[0],
                silent=micro.silent or not kept,
            )
        except (IndexError, KeyError, ValueError) as error:
            if isinstance(error, GeneT5Error):
                raise
            places = [self._reader.place(row) for row in micro.rows]
            raise DataError(
                f"rows {', '.join(str(row) for _, row in places)} cannot be read ({error}); the"
                f" first window is {windows[0].id}", path=places[0][0],
                remedy="Is the file damaged? genet5 bake --check FILE; bake it again",
            ) from error  # fmt: skip


def _plain(limits: BatchLimits) -> dict[str, int | None]:
    """Return the limits by name, without what a subclass adds."""
    return {each.name: getattr(limits, each.name) for each in fields(BatchLimits)}


def _packed(collator: Collator, made: Any) -> Any:
    return made if isinstance(made, GeneT5Error) else collator.pack(made)


def _unpacked(collator: Collator, packed: Any) -> Any:
    if isinstance(packed, GeneT5Error):
        raise packed
    return collator.unpack(packed)


def _heed_the_trainer_alone(trainer: int, _: int) -> None:
    """Ignore signals to the whole process group: the trainer needs its workers to save.

    A SIGTERM of the trainer itself ends a worker: Python sends it at exit to workers that are still
    there, and waits.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    threading.Thread(target=_end_when_told, args=(trainer,), daemon=True).start()


def _end_when_told(trainer: int) -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != trainer:
        continue
    os._exit(0)
