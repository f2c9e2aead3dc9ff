"""`checksums.json`: CRC-32 of files in a folder that belong together, a model or a checkpoint.

    {"format": 1, "files": {"config.json": {"bytes": 852, "crc32": "7f3a90c1"}}, "crc32": "..."}

The last value is of the files' entries. Tensors have checksums of their own (`model.checksums`).
Who edits a file on purpose deletes the manifest; a folder without one is read as it is.

Example:
    record_checksums(folder, "config.json", "tokenizer.json")
    check_files(folder)
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

from genet5.config.json_files import load_json, save_json
from genet5.errors import CheckpointError, FormatError

MANIFEST = "checksums.json"
_FORMAT = 1
_BLOCK_BYTES = 1 << 20


def record_checksums(folder: Path, *names: str) -> None:
    """Enter files into a folder's manifest, which is made if it is not there.

    Args:
        folder: Of the files.
        names: Those that were just written; entries of others stay.
    """
    path = folder / MANIFEST
    files = _entries(path) if path.exists() else {}
    files |= {name: _entry(folder / name) for name in names}
    save_json(path, {"format": _FORMAT, "files": files, "crc32": _crc_of(files)})


def check_files(folder: Path) -> bool:
    """Compare a folder's files with its manifest; return whether there is one.

    Raises:
        CheckpointError: A file is missing or differs.
    """
    path = folder / MANIFEST
    if not path.exists():
        return False
    try:
        files = _entries(path)
    except FormatError as error:
        raise CheckpointError(str(error)) from error
    for name, wanted in files.items():
        try:
            found = _entry(folder / name)
        except OSError as error:
            raise CheckpointError(
                f"{folder / name}: {error.strerror or error}; {MANIFEST} lists it."
                f" Copy the folder again, or delete {MANIFEST}"
            ) from error
        if found != wanted:
            raise CheckpointError(
                f"{folder / name}: not the file that was written (checksum {found['crc32']},"
                f" expected {wanted.get('crc32')}). It is damaged: copy the folder again. If you"
                f" edited it on purpose, delete {MANIFEST} beside it"
            )
    return True


def listed_files(folder: Path) -> tuple[str, ...]:
    """Return the names in a folder's manifest; none where there is no manifest or a damaged one."""
    try:
        return tuple(_entries(folder / MANIFEST))
    except FormatError:
        return ()


def _entries(path: Path) -> dict[str, dict[str, Any]]:
    values = load_json(path)
    files = values.get("files")
    if values.get("format") != _FORMAT or not isinstance(files, dict):
        raise FormatError(
            f"format {values.get('format')!r}", expected=f"format {_FORMAT} and files", path=path
        )
    is_plain = all(Path(name).name == name and isinstance(files[name], dict) for name in files)
    if values.get("crc32") != _crc_of(files) or not is_plain:
        raise FormatError(
            "the checksums are damaged themselves", path=path,
            remedy="Copy the folder again; without this file nothing is compared",
        )  # fmt: skip
    return files


def _entry(path: Path) -> dict[str, Any]:
    crc = size = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            crc, size = zlib.crc32(block, crc), size + len(block)
    return {"bytes": size, "crc32": f"{crc:08x}"}


def _crc_of(files: dict[str, Any]) -> str:
    return f"{zlib.crc32(json.dumps(files, sort_keys=True).encode()):08x}"
