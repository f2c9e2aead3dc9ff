"""The folder of one genome: its two files, and `provenance.json`, which records their origin.

The provenance is written first, without files, and again when all is there: later runs see from it
which genome the folder holds and whether it is complete. A run locks its folder; the lock ends with
the process, however that ends.

Example:
    folder = GenomeFolder(Path("raw/plants/Arabidopsis_thaliana_TAIR10.1"))
    with folder.locked():
        folder.save({"accession": "GCF_000001735.4"}, {})
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

from genet5.config.json_files import load_json, save_json
from genet5.errors import DataError

GENOME, ANNOTATION, PROVENANCE = "genome.fa.gz", "annotation.gff3.gz", "provenance.json"
FORMAT = 1
"""Of provenance.json."""

Facts: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class File:
    """One file of a genome, as provenance.json describes it."""

    url: str
    md5: str
    bytes: int


@dataclass(frozen=True)
class GenomeFolder:
    """DIR/CLADE/SPECIES/."""

    path: Path

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Create the folder and lock it against other runs; remove temporary files of killed runs.

        Raises:
            DataError: Another run works in it, or it cannot be created.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise DataError(
                f"cannot be made or opened ({error.strerror})", path=self.path
            ) from None
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise DataError(
                    "another run is downloading this genome", path=self.path, remedy="Wait for it"
                ) from None
            except OSError:  # a file system without locks
                pass
            for file in self.path.iterdir():
                if file.is_symlink():
                    raise DataError(
                        "a symbolic link", expected="files of fetch's own", path=file,
                        remedy="Remove it, or choose another --out_dir",
                    )  # fmt: skip
                if file.suffix == ".tmp":
                    file.unlink(missing_ok=True)
            yield
        finally:
            os.close(handle)

    def facts(self) -> Facts:
        """Return the content of provenance.json; empty if it is missing or unreadable."""
        try:
            facts = load_json(self.path / PROVENANCE)
        except DataError:
            return {}
        return facts if facts.get("format") == FORMAT else {}

    def save(self, facts: Mapping[str, object], files: Mapping[str, File]) -> None:
        """Write provenance.json; without files the genome counts as incomplete."""
        plain = {name: asdict(file) for name, file in files.items()}
        save_json(
            self.path / PROVENANCE,
            {"format": FORMAT, "complete": bool(files), **facts, "files": plain},
        )

    def is_complete(self, names: tuple[str, ...]) -> bool:
        """Return whether all files are there, with the checksums of provenance.json."""
        facts = self.facts()
        files = facts.get("files")
        if not facts.get("complete") or not isinstance(files, dict):
            return False
        return all(
            isinstance(files.get(name), dict) and self.md5(name) == files[name].get("md5")
            for name in names
        )

    def md5(self, name: str) -> str | None:
        """Return the checksum of a file; None if there is no such file."""
        try:
            return md5_of(self.path / name)
        except FileNotFoundError:
            return None


def find_folder(out_dir: Path, clade: str | None, accession: str) -> GenomeFolder | None:
    """Return the complete genome of an accession (with version) from a former run."""
    for path in sorted(out_dir.glob(f"{clade or '*'}/*/{PROVENANCE}")):
        folder = GenomeFolder(path.parent)
        facts = folder.facts()
        if facts.get("accession") == accession and facts.get("complete"):
            return folder
    return None


def choose_folder(out_dir: Path, clade: str, name: str, accession: str) -> GenomeFolder:
    """Return the folder for a genome: its name, plus its accession if the name is taken."""
    folder = GenomeFolder(out_dir / clade / name)
    if not folder.path.exists():
        return folder
    owner = folder.facts().get("accession")
    if owner == accession:
        return folder
    if owner is None and not any(folder.path.iterdir()):
        return folder
    return GenomeFolder(out_dir / clade / f"{name}_{accession}")


def md5_of(path: Path) -> str:
    """Return the MD5 of a file in hexadecimal digits; NCBI's checksums are MD5."""
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def publish(part: Path, target: Path) -> None:
    """Rename a finished file, once it is on the disk."""
    with part.open("rb") as stream:
        os.fsync(stream.fileno())
    os.replace(part, target)
