"""Checkpoints: everything a run needs to resume as if it had never stopped, without pickle.

A checkpoint is a directory `step-00001200/`, which is also a model directory:

    config.json (tokenizer.json)
    state/shard-*.safetensors                  weights, moments, moving average; one file per rank
    rank-00000.safetensors, rank-00000.json    random state and data position of each rank
    trainer.json                               step, best loss, settings
    checksums.json                             of the JSON files; tensors' are in their files

Tensors are written by `torch.distributed.checkpoint` in the background while training continues,
from a copy in the host's memory: 12 bytes per parameter over all ranks together, 16 with a moving
average, as each rank copies and writes its part only. The directory has a temporary name until it
is complete, so a killed run leaves no half checkpoint. Any number of ranks can read it, whether
they share the model or not.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
import warnings
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torch.distributed.checkpoint import state_dict_loader, state_dict_saver
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.tensor import DTensor

from genet5.config.json_files import load_json, save_json
from genet5.config.manifest import check_files, record_checksums
from genet5.errors import CheckpointError, FormatError, GeneT5Error
from genet5.model.checksums import check_tensors
from genet5.model.files import AVERAGE_PREFIX, MODEL_PREFIX, SHARDS_FOLDER, write_tensors
from genet5.model.folders import list_checkpoints
from genet5.train.distributed.processes import Ranks
from genet5.train.state.checkpoint_files import checkpoint_name
from genet5.train.state.random_state import capture_random_state, restore_random_state
from genet5.train.state.run_state import Progress, RunState, materialise, state_tensors
from genet5.train.state.tensor_files import ShardWriter

log = logging.getLogger(__name__)

# Checkpoints of one process are no accident.
warnings.filterwarnings("ignore", "torch.distributed is disabled", UserWarning)

FORMAT = 2
_FAILURES = (CheckpointException, GeneT5Error, OSError, SafetensorError, RuntimeError)
"""What a full disk, or a file system that has gone, raises."""


class CheckpointWriter:
    """Writes a run's checkpoints, one at a time, in the background.

    Every rank makes the same calls.

    Args:
        directory: Holds all checkpoints of the run; the same one for all ranks.
        ranks: This process among the run's.
        record: Further plain values for `trainer.json` (settings, hashes).
        write_companions: Puts the model's other files (config.json, tokenizer.json) into a
            directory.
        keep_last: Checkpoints to keep.
    """

    def __init__(
        self,
        directory: Path,
        ranks: Ranks,
        *,
        record: dict[str, Any] | None = None,
        write_companions: Callable[[Path], None] = lambda path: None,
        keep_last: int = 2,
    ) -> None:
        self._directory, self._ranks, self._keep_last = directory, ranks, keep_last
        self._record, self._write_companions = record or {}, write_companions
        self._finisher = ThreadPoolExecutor(1, "checkpoint")
        self._pending: Future[Any] | None = None
        self._failures = 0  # in a row

    def save(self, state: RunState) -> bool:
        """Begin to write the checkpoint of the present step; return whether it was begun.

        The state may change as soon as this returns. A checkpoint that cannot be written (a full
        disk) is reported when it happens, and the next save tries again.

        Raises:
            CheckpointError: It is the second one in a row that cannot be written, or not all ranks
                see the directory.
        """
        self.wait()
        start, step = time.perf_counter(), state.progress.step
        final = self._directory / checkpoint_name(step)
        scratch = self._directory / f".{final.name}.tmp"
        if problem := self._make(scratch) or self._write_own(scratch, state):
            self._warn(problem)
            return self._count(problem)
        written = state_dict_saver.async_save(
            _part(state_tensors(state), self._ranks),
            storage_writer=ShardWriter(scratch / SHARDS_FOLDER),
            process_group=self._ranks.background,
            no_dist=self._ranks.world_size == 1,
        )
        assert isinstance(written, Future)  # as the copy is made before it returns
        self._pending = written
        if self._ranks.is_first:
            self._pending = self._finisher.submit(
                self._finish, written, scratch, final, step, start
            )
        return True

    def wait(self) -> bool:
        """Wait until the checkpoint that was begun is complete; return whether the last one is.

        On rank 0 it then has its name. Every rank calls it.

        Raises:
            CheckpointError: It is the second one in a row that could not be written.
        """
        pending, self._pending = self._pending, None
        if pending is None:
            return self._failures == 0
        problem = None
        try:
            pending.result()
        except _FAILURES as error:
            problem = _first_line(error)
        return self._count(self._any(problem))

    def _any(self, problem: str | None) -> str | None:
        """Return what any rank has met."""
        return next(filter(None, self._ranks.gather(problem)), None)

    def _count(self, problem: str | None) -> bool:
        """Count failures in a row; return whether this is none."""
        self._failures = 0 if problem is None else self._failures + 1
        if self._failures > 1:
            raise CheckpointError(
                f"no checkpoint could be written to {self._directory}, twice in a row: {problem}"
            )
        return problem is None

    def _warn(self, problem: str) -> None:
        if self._ranks.is_first:
            where, again = self._directory, "the next save tries again"
            log.warning("no checkpoint could be written to %s: %s; %s", where, problem, again)

    def _make(self, scratch: Path) -> str | None:
        """Make the directory of a checkpoint that is being written; return why it failed."""
        error = None
        if self._ranks.is_first:
            try:
                shutil.rmtree(scratch, ignore_errors=True)
                (scratch / SHARDS_FOLDER).mkdir(parents=True)
            except OSError as caught:
                error = str(caught)
        if problem := self._any(error):
            return problem
        for rank, is_there in enumerate(self._ranks.gather(scratch.is_dir())):
            if not is_there:
                raise CheckpointError(
                    f"rank {rank} does not see {scratch}, which rank 0 made; OUT must lie on a file"
                    " system that all machines share"
                )
        return None

    def _write_own(self, scratch: Path, state: RunState) -> str | None:
        """Write what is this rank's alone; return why it failed on any rank."""
        try:
            _save_rank(scratch, state, self._ranks.rank)
        except _FAILURES as error:
            return self._any(_first_line(error))
        return self._any(None)

    def _finish(
        self, written: Future[Any], scratch: Path, final: Path, step: int, start: float
    ) -> None:
        """Name a checkpoint whose parts are all there, and delete old ones.

        Runs on rank 0 in the background.
        """
        try:
            written.result()
            self._complete(scratch, final, step)
        except _FAILURES as error:
            self._warn(_first_line(error))
            shutil.rmtree(scratch, ignore_errors=True)  # it may have filled the disk
            raise
        log.info("saved %s (%.1f s)", final, time.perf_counter() - start)

    def _complete(self, scratch: Path, final: Path, step: int) -> None:
        """Add what goes with the tensors, and give the directory its name."""
        self._write_companions(scratch)
        values = {"format": FORMAT, "world_size": self._ranks.world_size, "step": step}
        save_json(scratch / "trainer.json", {**values, **self._record})
        own = sorted(path.name for path in scratch.glob("rank-*.json"))
        record_checksums(scratch, "trainer.json", *own)
        _sync(scratch)
        if final.exists():  # of this step before its evaluation was done
            final.replace(final.with_name(f".{final.name}.old.tmp"))
        scratch.replace(final)
        _sync_one(self._directory)  # the new name is on the disk before old checkpoints go
        _delete_old(self._directory, self._keep_last)


def load_checkpoint(path: Path, state: RunState, ranks: Ranks) -> dict[str, Any]:
    """Set `state` to a checkpoint; every rank calls it.

    With another number of ranks than the checkpoint's, the data position is carried over by the
    number of micro-batches that all ranks have done, and the random state stays as it is.

    Returns:
        The record in `trainer.json`.

    Raises:
        CheckpointError: The checkpoint is incomplete or belongs to another model.
    """
    try:
        record = load_json(path / "trainer.json")
    except FormatError as error:
        raise CheckpointError(f"{path} is no checkpoint: {error}") from error
    if record.get("format") != FORMAT:
        raise CheckpointError(
            f"{path}: format {record.get('format')!r}; expected {FORMAT}. Resume with the version"
            " that wrote it, or start a run with its weights as BASE"
        )
    _check(path, ranks)
    try:
        _load_tensors(path / SHARDS_FOLDER, state, ranks)
        _load_rank(path, state, ranks, int(record["world_size"]))
    except (
        OSError,
        KeyError,
        RuntimeError,
        ValueError,
        SafetensorError,
        CheckpointException,
    ) as error:
        raise CheckpointError(f"{path} does not fit this run: {_first_line(error)}") from error
    return record


def _check(path: Path, ranks: Ranks) -> None:
    """Compare a checkpoint's files with their checksums; the ranks share the shards out."""
    shards = sorted((path / SHARDS_FOLDER).glob("*.safetensors"))
    if not check_files(path) and ranks.is_first:
        log.warning("%s was written without checksums: damage may stay unnoticed", path)
    own = [file for file in [path / f"rank-{ranks.rank:05d}.safetensors"] if file.exists()]
    for file in [*shards[ranks.rank :: ranks.world_size], *own]:
        check_tensors(file)


def _part(tensors: dict[str, Tensor], ranks: Ranks) -> dict[str, Tensor]:
    """Return what this rank saves: its shares, and its part of the tensors that all ranks hold."""
    found, loads = {}, [0] * ranks.world_size
    for name, tensor in sorted(tensors.items(), key=lambda item: -item[1].nbytes):
        is_share = isinstance(tensor, DTensor)
        rank = ranks.rank if is_share else loads.index(min(loads))
        if rank == ranks.rank:
            found[name] = tensor
        if not is_share:
            loads[rank] += tensor.nbytes
    return found


def _load_tensors(folder: Path, state: RunState, ranks: Ranks) -> None:
    reader = HuggingFaceStorageReader(str(folder))
    saved = reader.read_metadata().state_dict_metadata
    if not saved:
        raise CheckpointError(f"{folder} holds no shard")
    if state.average is None and any(name.startswith(AVERAGE_PREFIX) for name in saved):
        log.warning("the checkpoint's moving average of the weights is dropped: ema_decay is off")
        saved = {
            name: value for name, value in saved.items() if not name.startswith(AVERAGE_PREFIX)
        }
    if state.average is not None and not any(name.startswith(AVERAGE_PREFIX) for name in saved):
        raise CheckpointError(
            f"{folder} holds no moving average of the weights: leave out --ema_decay"
        )
    materialise(state, set(saved))
    tensors = state_tensors(state)
    shapes = {
        name: tuple(value.size)
        for name, value in saved.items()
        if isinstance(value, TensorStorageMetadata)
    }
    _require_fit(shapes, tensors, folder)
    state_dict_loader.load(
        tensors,
        storage_reader=reader,
        process_group=ranks.background,
        no_dist=ranks.world_size == 1,
    )


def _require_fit(saved: dict[str, tuple[int, ...]], wanted: dict[str, Tensor], where: Path) -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in wanted.items()}
    odd = sorted(n for n in saved.keys() | shapes.keys() if saved.get(n) != shapes.get(n))
    if odd:
        name = odd[0]
        raise CheckpointError(
            f"{where} and the model differ in {len(odd)} tensors, the first is"
            f" {name.removeprefix(MODEL_PREFIX)}: found {saved.get(name)}, expected"
            f" {shapes.get(name)}"
        )


def _save_rank(path: Path, state: RunState, rank: int) -> None:
    tensors, random_values = capture_random_state()
    write_tensors(path / f"rank-{rank:05d}.safetensors", tensors)
    save_json(
        path / f"rank-{rank:05d}.json",
        {
            "progress": asdict(state.progress),
            "source": state.source.state_dict(),
            "random": random_values,
            "average_steps": 0 if state.average is None else state.average.steps,
        },
    )


def _load_rank(path: Path, state: RunState, ranks: Ranks, world_size: int) -> None:
    is_same = world_size == ranks.world_size
    rank = ranks.rank if is_same else 0
    values = load_json(path / f"rank-{rank:05d}.json")
    for each in fields(Progress):
        setattr(state.progress, each.name, values["progress"][each.name])
    if state.average is not None:
        state.average.steps = int(values["average_steps"])
    if is_same:
        state.source.load_state_dict(values["source"])
        tensors = load_file(path / f"rank-{rank:05d}.safetensors")
        restore_random_state(tensors, values["random"])
        return
    log.warning(
        "the checkpoint is of %d ranks, this run has %d: it resumes from about the same place,"
        " with slightly different losses",
        world_size,
        ranks.world_size,
    )
    source, progress = values["source"], state.progress
    done = source["step"] * world_size // ranks.world_size
    state.source.load_state_dict({**source, "world_size": ranks.world_size, "step": done})
    progress.interval = {}
    before = [load_json(path / f"rank-{rank:05d}.json")["progress"] for rank in range(world_size)]
    for name in ("micro_batches", "tokens", "bases"):  # shared out anew, so that their sums stay
        each, rest = divmod(sum(one[name] for one in before), ranks.world_size)
        setattr(progress, name, each + (ranks.rank < rest))


def _first_line(error: BaseException) -> str:
    """The innermost reason: what distributed checkpoints raise wraps the errors of all ranks."""
    failures = getattr(error, "failures", None)
    if failures:
        rank, (reason, _) = next(iter(failures.items()))
        return f"rank {rank}: {_first_line(reason)}"
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _sync(directory: Path) -> None:
    """Write through to the disk, so that a power failure after the rename finds whole files."""
    for path in [*directory.rglob("*"), directory]:
        _sync_one(path)


def _sync_one(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _delete_old(directory: Path, keep_last: int) -> None:
    """Delete all but the last checkpoints; one that is in use (NFS) stays, with a warning."""
    for path in [*list_checkpoints(directory)[:-keep_last], *directory.glob(".step-*.tmp")]:
        try:
            shutil.rmtree(path)
        except OSError as error:
            log.warning("an old checkpoint could not be deleted: %s", error)
