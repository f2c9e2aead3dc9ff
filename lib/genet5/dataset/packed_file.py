"""One file of the packed format: mapped into memory, its header and checksums compared.

`packed` makes rows of windows of its record batches.
"""

from __future__ import annotations

import mmap
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from genet5.config.json_files import config_from_dict, parse_json
from genet5.dataset.checksums import Checksums, DamageError
from genet5.dataset.header import FORMAT, FORMATS, Header, check_tokenizer
from genet5.dataset.record_batch import VALUES, RecordBatch, StructureError
from genet5.errors import FormatError
from genet5.outputs import is_stream

METADATA_KEY = b"genet5"
DAMAGED = "The file is damaged: copy it again, or bake it again"
"""What to do."""


class PackedFile:
    """One memory-mapped file with its header; record batches are read as they are asked for.

    Args:
        path: The file.

    Raises:
        FormatError: It is missing, no packed file, or damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._view = _mapped(path)
        try:
            self.checksums = Checksums.of(self._view)
            self.arrow = pa.ipc.open_file(pa.py_buffer(self._view))
            schema, number = self.arrow.schema, self.arrow.num_record_batches
            columns = list(zip(schema.names, schema.types, strict=True))
        except DamageError as error:
            raise FormatError(str(error), path=path, remedy=DAMAGED) from error
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise FormatError(
                f"no packed file: {error}", expected="an Arrow IPC file", path=path,
                remedy="Bake it again with genet5 bake",
            ) from error  # fmt: skip
        self.header = _read_header(schema.metadata or {}, columns, path)
        found = 0 if self.checksums is None else self.checksums.num_batches
        if found != number and self.header.format > 1:
            raise FormatError(
                f"checksums of {found} record batches", expected=f"those of {number}", path=path,
                remedy=DAMAGED,
            )  # fmt: skip

    def check(self, number: int, *, rows: tuple[int, int]) -> None:
        """Compare the bytes of a record batch with its checksum.

        Args:
            number: Which one.
            rows: Numbers of its rows, for the message.

        Raises:
            FormatError: They differ.
        """
        if self.checksums is None:
            return
        try:
            self.checksums.check(self._view, number + 1)
        except DamageError as error:
            raise FormatError(
                f"rows {rows[0]:,} to {rows[1] - 1:,}: {error}", path=self.path, remedy=DAMAGED
            ) from error

    def batch(self, number: int) -> RecordBatch:
        """Return a record batch.

        Raises:
            FormatError: It is not built as it should be.
        """
        try:
            return RecordBatch(self.arrow.get_batch(number))
        except (StructureError, pa.ArrowException, OSError) as error:
            raise FormatError(
                f"record batch {number}: {error}", path=self.path, remedy=DAMAGED
            ) from error


def _mapped(path: Path) -> memoryview:
    if is_stream(path):
        raise FormatError(
            "a pipe or device", expected="a packed file, which is read in any order", path=path,
            remedy="Give a file",
        )  # fmt: skip
    try:
        with path.open("rb") as file:
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except FileNotFoundError as error:
        raise FormatError("file not found", path=path) from error
    except (OSError, ValueError) as error:  # a folder, no permission, an empty file
        raise FormatError(
            f"no packed file: {error}", expected="an Arrow IPC file", path=path,
            remedy="Bake it again with genet5 bake",
        ) from error  # fmt: skip


def _read_header(
    metadata: Mapping[bytes, bytes], columns: Sequence[tuple[str, pa.DataType]], path: Path
) -> Header:
    text = metadata.get(METADATA_KEY)
    if text is None:
        raise FormatError(
            "an Arrow file without GeneT5's header", expected="a packed file", path=path
        )
    values = parse_json(text, path)
    if values.get("format") not in FORMATS:
        raise FormatError(
            f"packed format {values.get('format')}", expected=f"format {FORMAT}", path=path,
            remedy="Bake it again with this version",
        )  # fmt: skip
    if columns != [(name, pa.list_(kind)) for name, kind in VALUES.items()]:
        raise FormatError(
            f"columns {[name for name, _ in columns]}", expected=f"{list(VALUES)}", path=path
        )
    header = config_from_dict(Header, values, path)
    check_tokenizer(header, path)
    return header
