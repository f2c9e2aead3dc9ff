"""Finished genomes in OUT/.bake.partial/, from which an interrupted bake resumes.

For each genome CLADE/GENOME.SPLIT.arrow holds its windows (a packed file of one window a row) and
CLADE/GENOME.json, written last, records that it is finished, from what (settings, tokenizer,
contigs, checksums of its files) and what was counted. Both appear under their names only when
complete, so a run may be killed at any moment. On resuming, the windows are read and compared with
the record's checksum; a genome that differs in what it is made from is an error.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from genet5 import __version__
from genet5.config.json_files import load_json, save_json
from genet5.dataset.genome_task import SPLITS, GenomeResult, GenomeTask, content_settings
from genet5.dataset.header import combine_digests
from genet5.dataset.packed import PackedReader
from genet5.dataset.sources import Split
from genet5.errors import ConfigError, DataError, FormatError
from genet5.outputs import remove_leftovers
from genet5.tokens.tokenizer_file import tokenizer_hash

log = logging.getLogger(__name__)

FOLDER_NAME = ".bake.partial"
_FORMAT = 1
_REMEDY = "put it back as it was, or start over without --resume"


@contextmanager
def partial_folder(out: Path, *, resume: bool) -> Iterator[Path]:
    """Give the folder for spills, removed at the end unless finished genomes are left for --resume.

    Args:
        out: The output folder.
        resume: Keep what an earlier run finished.

    Raises:
        ConfigError: Another bake is at work in the output folder.
    """
    out.mkdir(parents=True, exist_ok=True)
    folder = out / FOLDER_NAME
    with _locked(out):
        if not resume:
            shutil.rmtree(folder, ignore_errors=True)
        for half in out.glob("*.packed.*tmp"):
            remove_leftovers(half.with_name(half.name.partition(".packed")[0] + ".packed"))
        folder.mkdir(exist_ok=True)
        try:
            yield folder
        except BaseException:
            if any(folder.glob("*/*.json")):
                log.info("finished genomes are kept; --resume reuses them")
            else:
                shutil.rmtree(folder, ignore_errors=True)
            raise
        shutil.rmtree(folder)


def spill_path(task: GenomeTask, split: Split) -> Path:
    """The file that takes a genome's windows of one split."""
    return task.spill.with_name(f"{task.spill.name}.{split}.arrow")


def save_finished(task: GenomeTask, result: GenomeResult) -> None:
    """Record that a genome's spill files are complete."""
    record = {
        "format": _FORMAT,
        "made_from": _made_from(task, result.hashes),
        "checksums": {split: combine_digests(result.digests[split]) for split in result.spills},
        "counts": result.counts,
        "seconds": result.seconds,
        "validation_genes": result.validation_genes,
    }
    path = _record_path(task)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_json(path, record)


def load_finished(task: GenomeTask, hashes: dict[str, str]) -> GenomeResult | None:
    """What an earlier run finished of this genome; None if it did not, or its files are damaged.

    Args:
        task: What is to be baked.
        hashes: SHA-256 of the genome's files as they are now.

    Raises:
        ConfigError: The earlier run had other settings or another tokenizer.
        DataError: The genome's files or what is baked of them have changed since.
    """
    path = _record_path(task)
    if not path.exists():
        return None
    result = GenomeResult(task.source, hashes=hashes)
    try:
        record = load_json(path)
        if record.get("format") != _FORMAT:
            raise FormatError(f"format {record.get('format')}", expected=f"{_FORMAT}", path=path)
        _compare(record["made_from"], _made_from(task, hashes), task)
        for split in SPLITS:
            if split in record["checksums"]:
                _read_spill(task, split, record["checksums"][split], result)
    except FormatError as error:
        log.warning("%s is baked again: %s", task.source.id, error)
        return None
    result.counts = {topic: Counter(causes) for topic, causes in record["counts"].items()}
    result.seconds.update(record["seconds"])
    result.validation_genes = record["validation_genes"]
    return result


def _read_spill(task: GenomeTask, split: Split, checksum: str, result: GenomeResult) -> None:
    path = spill_path(task, split)
    for window in PackedReader(path).windows():
        result.add(split, window)
    if combine_digests(result.digests[split]) != checksum:
        raise FormatError("other content than when it was finished", path=path)
    result.spills[split] = path


def _record_path(task: GenomeTask) -> Path:
    return task.spill.with_name(f"{task.spill.name}.json")


def _made_from(task: GenomeTask, hashes: dict[str, str]) -> dict[str, Any]:
    """All that decides a genome's windows, as JSON values."""
    contigs = json.dumps([dict(task.lengths), dict(task.splits)]).encode()
    return {
        "genet5": __version__,
        "settings": content_settings(task.config),
        "tokenizer": tokenizer_hash(task.tokenizer),
        **hashes,
        "contigs and splits": hashlib.sha256(contigs).hexdigest(),
        "genes that get windows": task.gene_quota,
    }


def _compare(then: dict[str, Any], now: dict[str, Any], task: GenomeTask) -> None:
    for name in sorted({*now["settings"], *then["settings"]}):
        wanted, before = now["settings"].get(name), then["settings"].get(name)
        if wanted != before:
            rule = f"the bake to resume had {before!r}; {_REMEDY}"
            raise ConfigError(name, wanted, rule)
    files = {
        "fasta_sha256": task.source.fasta,
        "gff_sha256": task.source.gff,
        "tokenizer": task.config.tokenizer,
    }
    for name, value in now.items():
        if name != "settings" and value != then[name]:
            raise DataError(
                f"{task.source.id} with {name} {value}",
                expected=f"{then[name]} as in the bake to resume",
                path=files.get(name),
                remedy=_REMEDY,
            )


@contextmanager
def _locked(out: Path) -> Iterator[None]:
    """Hold the output folder; the lock goes with the process, however it ends."""
    import fcntl  # not on Windows, where nothing else of this package is tested either

    handle = os.open(out, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        rule = "another bake is at work in it; wait for its end, or take another folder"
        raise ConfigError("output_dir", str(out), rule) from None
    except OSError as error:  # a file system without locks
        log.warning("%s cannot be locked (%s): let no other bake write to it", out, error)
    try:
        yield
    finally:
        os.close(handle)
