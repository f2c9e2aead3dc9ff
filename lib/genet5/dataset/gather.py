"""Gathering: the spilled windows of all genomes to the packed file or the shards of one split.

Windows are shuffled by the seed and packed first-fit-decreasing (`dataset.plan`); the order depends
on their sizes and on the order of the genomes alone. Clades with windows of different sizes share
no row: the loader pads a micro-batch to its longest window. Memory is a record batch, and some 80
bytes for each window of the split.

Example:
    part = gather("training", out, results, config, tokenizer)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from genet5.config.bake import BakeConfig
from genet5.config.batches import BatchLimits
from genet5.dataset.genome_task import SPLITS, GenomeResult, content_settings
from genet5.dataset.header import Header, combine_digests
from genet5.dataset.packed import PackedReader, PackedWriter
from genet5.dataset.plan import pack, padding_share, plan_batches
from genet5.dataset.shard_index import index_name, shard_name, write_index
from genet5.dataset.sources import Split
from genet5.tokens.tokenizer_file import Tokenizer, tokenizer_hash

Rows = list[list[int]]
"""Of each row the numbers of its windows, counted over all genomes."""


def packed_files(out: Path, split: Split) -> list[Path]:
    """Files of a split that are in a folder: the packed file, its index, its shards."""
    single = (out / f"{split}.packed", out / index_name(split))
    return [path for path in single if path.exists()] + sorted(out.glob(f"{split}-*-of-*.packed"))


def gather(
    split: Split,
    out: Path,
    results: Sequence[GenomeResult],
    config: BakeConfig,
    tokenizer: Tokenizer,
) -> dict[str, Any]:
    """Write one split, remove other files of an earlier bake, and return its part of the report."""
    before = packed_files(out, split)
    source = _Spilled(split, results, config)
    rows = source.packed_rows(config)
    header = _header(split, results, config, tokenizer)
    header = source.described(header, rows)
    if config.shard_size is None:
        main = out / f"{split}.packed"
        written = [main]
        source.write(main, header, rows)
    else:
        main = out / index_name(split)
        written = [main, *_write_shards(out, header, source, rows, config.shard_size)]
    for stale in {*before} - {*written}:
        stale.unlink()
    return _describe(main, header, written)


class _Spilled:
    """The windows of one split in the genomes' spill files, numbered through."""

    def __init__(self, split: Split, results: Sequence[GenomeResult], config: BakeConfig) -> None:
        self.split = split
        self.readers = [PackedReader(r.spills[split]) for r in results if split in r.spills]
        self.firsts = np.cumsum([0, *map(len, self.readers)])
        self.digests = [digest for result in results for digest in result.digests[split]]
        self.lengths = {
            name: np.concatenate([np.asarray(r.lengths[split][name], np.int64) for r in results])
            for name in ("bases", "tokens", "labels")
        }
        self.window_bp = np.repeat(
            [config.window_bp(result.source.clade) for result in results],
            [len(result.digests[split]) for result in results],
        )

    def packed_rows(self, config: BakeConfig) -> Rows:
        sizes = self.lengths["tokens"]
        order = np.random.default_rng([config.seed, SPLITS.index(self.split)]).permutation(
            len(sizes)
        )
        rows: Rows = []
        for window_bp in sorted({*self.window_bp.tolist()}, reverse=True):
            own = order[self.window_bp[order] == window_bp]
            packed = pack(sizes[own].tolist(), target=config.target, hard_limit=config.hard_limit)
            rows += [own[row].tolist() for row in packed]
        return rows

    def described(self, header: Header, rows: Rows) -> Header:
        """The header with counts and checksum of some rows."""
        windows = [index for row in rows for index in row]
        counts = {"rows": len(rows), "windows": len(windows)}
        counts |= {name: int(sizes[windows].sum()) for name, sizes in self.lengths.items()}
        checksum = combine_digests(self.digests[index] for index in windows)
        return replace(header, counts=counts, checksum=checksum)

    def write(self, path: Path, header: Header, rows: Rows) -> None:
        with PackedWriter(path, header) as writer:
            for row in rows:
                files = np.searchsorted(self.firsts, row, side="right") - 1
                writer.write_row(
                    [
                        self.readers[file].row(index - int(self.firsts[file]))[0]
                        for file, index in zip(files.tolist(), row, strict=True)
                    ]
                )


def _header(
    split: Split, results: Sequence[GenomeResult], config: BakeConfig, tokenizer: Tokenizer
) -> Header:
    return Header(
        split=split,
        tokenizer_hash=tokenizer_hash(tokenizer),
        tokenizer=tokenizer.to_dict(),
        gene_types=tokenizer.structure.gene_types,
        settings=content_settings(config),
        sources=tuple(
            {"taxon": r.source.clade, "genome": r.source.genome, **r.hashes}
            for r in results
            if r.digests[split]
        ),
        validation_genes={
            r.source.genome: {
                difficulty: [name.rpartition(" ")[2] for name in named]  # without the gene's ID
                for difficulty, named in r.validation_genes.items()
            }
            for r in results
            if split == "validation" and r.validation_genes
        },
    )


def _write_shards(
    out: Path, header: Header, source: _Spilled, rows: Rows, rows_per_shard: int
) -> list[Path]:
    parts = [rows[i : i + rows_per_shard] for i in range(0, len(rows), rows_per_shard)] or [[]]
    shards = []
    for number, part in enumerate(parts):
        path = out / shard_name(source.split, number, len(parts))
        shards.append((path, source.described(header, part)))
        source.write(*shards[-1], part)
    write_index(out / index_name(source.split), header, shards)
    return [path for path, _ in shards]


def _describe(main: Path, header: Header, written: Sequence[Path]) -> dict[str, Any]:
    sizes = PackedReader(main).row_sizes()
    batches = plan_batches(sizes, BatchLimits())
    capacity = header.counts["rows"] * header.settings["target"]
    shards = {"shards": len(written) - 1} if len(written) > 1 else {}
    return {
        "file": main.name,
        **shards,
        "bytes": sum(path.stat().st_size for path in written),
        **header.counts,
        "row_fill_share": round(header.counts["tokens"] / capacity, 4) if capacity else 0.0,
        "longest_window_tokens": int(sizes.longest_tokens.max(initial=0)),
        "longest_window_labels": int(sizes.longest_labels.max(initial=0)),
        "padding_share_at_load": round(padding_share(batches, sizes), 4),
        "checksum": header.checksum,
    }
