"""Checksums of the tensors in a safetensors file, in the file's own metadata.

Two entries: `genet5.tensors`, the CRC-32 of each tensor's bytes, and `genet5.header`, that of all
else in the file's header: names, shapes, sizes, other metadata. A file of another program has
neither and is read as it is; one with one of them is damaged. Checking reads the file once, 3 GiB a
second and core.

Example:
    save_file(tensors, path, metadata | checksums_of(tensors, metadata))
    check_tensors(path)
"""

from __future__ import annotations

import json
import mmap
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genet5.errors import CheckpointError

_TENSORS, _HEADER = "genet5.tensors", "genet5.header"
_METADATA = "__metadata__"
_LENGTH_BYTES = 8
_MOST_HEADER_BYTES = 100_000_000
"""That of safetensors itself."""


def checksums_of(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> dict[str, str]:
    """Return the metadata entries for tensors that are about to be written.

    Args:
        tensors: What is written.
        metadata: What else the file's metadata hold.
    """
    sums = {name: f"{zlib.crc32(_bytes_of(tensor)):08x}" for name, tensor in tensors.items()}
    sizes = {name: [list(tensor.shape), tensor.nbytes] for name, tensor in tensors.items()}
    text = json.dumps(sums, sort_keys=True, separators=(",", ":"))
    return {_TENSORS: text, _HEADER: _header_crc(sizes, {**metadata, _TENSORS: text})}


def check_tensors(path: Path) -> bool:
    """Compare a safetensors file with its checksums; return whether it has any.

    Raises:
        CheckpointError: Header or a tensor differs; the text names it.
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        try:
            view = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except ValueError as error:
            raise _damaged(path, "it is empty") from error
    try:
        begin, header = _read_header(view)
        metadata = header.pop(_METADATA, {})
        marks = {_TENSORS, _HEADER} & metadata.keys()
        if not marks:
            return False
        places = {name: entry["data_offsets"] for name, entry in header.items()}
        sizes = {n: [entry["shape"], places[n][1] - places[n][0]] for n, entry in header.items()}
        wanted = metadata.pop(_HEADER, None)
        if wanted != _header_crc(sizes, metadata):
            raise _damaged(path, "its header is not the one that was written")
        sums = json.loads(metadata[_TENSORS])
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError) as error:
        raise _damaged(path, f"its header cannot be read ({error})") from error
    for name, (first, end) in places.items():
        if f"{zlib.crc32(view[begin + first : begin + end]):08x}" != sums.get(name):
            raise _damaged(path, f"tensor {name} is not the one that was written")
    return True


def _read_header(view: memoryview) -> tuple[int, dict[str, Any]]:
    """Return where the tensors begin, and the header."""
    begin = _LENGTH_BYTES + int.from_bytes(view[:_LENGTH_BYTES], "little")
    if begin > min(len(view), _MOST_HEADER_BYTES):
        raise ValueError(f"{begin} bytes of {len(view)}")
    header = json.loads(bytes(view[_LENGTH_BYTES:begin]))
    if not isinstance(header, dict):
        raise ValueError("no JSON object")
    return begin, header


def _bytes_of(tensor: Tensor) -> Any:
    plain = tensor.detach().cpu().contiguous().reshape(-1)
    return plain.view(torch.uint8).numpy() if plain.numel() else b""


def _header_crc(sizes: dict[str, list[Any]], metadata: dict[str, str]) -> str:
    return f"{zlib.crc32(json.dumps([sizes, metadata], sort_keys=True).encode()):08x}"


def _damaged(path: Path, how: str) -> CheckpointError:
    return CheckpointError(f"{path}: {how}. The file is damaged: copy it again")
