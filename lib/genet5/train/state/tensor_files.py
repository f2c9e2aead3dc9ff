"""The files of a checkpoint's tensors: one safetensors file of each rank.

torch's own writer of such files serialises them in memory first, which takes twice their size and
holds the interpreter lock for seconds a GiB: no thread of the process runs meanwhile, neither the
training nor this rank's heartbeat. Here safetensors writes from the tensors themselves, without the
lock.

    dcp.async_save(tensors, storage_writer=ShardWriter(folder))
    dcp.load(tensors, storage_reader=dcp.HuggingFaceStorageReader(str(folder)))
"""

from __future__ import annotations

import json
from pathlib import Path

from torch import Tensor
from torch.distributed.checkpoint._hf_utils import (
    CUSTOM_METADATA_KEY,
    DCP_VERSION_KEY,
    FORMAT_KEY,
    FORMAT_VALUE,
    HF_DCP_VERSION,
    SAVED_OFFSETS_KEY,
)
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageWriter
from torch.distributed.checkpoint.planner import SavePlan, SavePlanner
from torch.distributed.checkpoint.storage import WriteResult
from torch.futures import Future

from genet5.model.files import write_tensors


class ShardWriter(HuggingFaceStorageWriter):
    """Writes what this rank is to save as `shard-NNNNN.safetensors`.

    Args:
        folder: Of all ranks' files.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(str(folder), save_distributed=True)
        self._folder = folder

    def write_data(self, plan: SavePlan, planner: SavePlanner) -> Future[list[WriteResult]]:
        """Write the items of the plan, tensors on the CPU; the results hold their sizes only."""
        tensors, where, results = {}, {}, []
        for item in plan.items:
            assert item.tensor_data is not None  # a checkpoint holds tensors only
            name, tensor = item.index.fqn, planner.resolve_data(item)
            assert isinstance(tensor, Tensor)
            tensors[name] = tensor
            where[name] = {SAVED_OFFSETS_KEY: item.tensor_data.chunk.offsets}
            results.append(WriteResult(item.index, tensor.nbytes, storage_data=None))
        if tensors:
            path = self._folder / f"shard-{plan.storage_data['shard_index']:05d}.safetensors"
            metadata = {
                CUSTOM_METADATA_KEY: json.dumps(where),
                DCP_VERSION_KEY: str(HF_DCP_VERSION),
                FORMAT_KEY: FORMAT_VALUE,
            }
            write_tensors(path, tensors, metadata)
        done: Future[list[WriteResult]] = Future()
        done.set_result(results)
        return done
