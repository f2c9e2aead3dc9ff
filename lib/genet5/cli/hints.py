"""`genet5 hints`: hints for genes from aligned reads, proteins and transcripts."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro

from genet5.cli.parse import require_package, run
from genet5.config.checks import require
from genet5.errors import DataError
from genet5.genome.hints import Hint, merged
from genet5.genome.io.files import check_inputs
from genet5.genome.io.hints import read_hints, write_hints
from genet5.genome.io.junctions import is_alignment, read_junctions
from genet5.outputs import atomic_writer, check_outputs

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class HintsConfig:
    """What to read, and which hints to write."""

    files: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="FILE ...")]
    """BAM of RNA-seq (introns, from reads that are split), or GFF3 or GTF of miniprot, StringTie,
    portcullis, Augustus or BRAKER."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="OUT")]
    """Output: GFF that Augustus, BRAKER and `annotate --hints` read; - is standard output."""
    source: str = ""
    """Write this as the source (src=) of all hints, such as E or P; empty keeps the files' own."""
    least: int = 1
    """Leave out introns that fewer reads or alignments name."""
    overhang: int = 8
    """Bases that a read must align on both sides of an intron (BAM)."""

    def __post_init__(self) -> None:
        require(bool(self.files), "FILE", self.files, "must be one file at least")
        require(self.least >= 1, "least", self.least, "must be at least 1")
        require(self.overhang >= 0, "overhang", self.overhang, "must not be negative")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return run(
        _hints,
        HintsConfig,
        argv,
        name="hints",
        description="Make hints for `annotate --hints` from spliced alignments of RNA-seq (BAM),"
        " and from GFF3 and GTF of miniprot, StringTie and others.",
    )


def _hints(config: HintsConfig) -> int:
    inputs = {f"FILE {number}": path for number, path in enumerate(config.files, 1)}
    check_inputs(inputs)
    check_outputs({"out": config.out}, inputs)
    found = merged(hint for path in config.files for hint in _read(config, path))
    kept = [h for h in found if h.kind != "intron" or h.multiplicity >= config.least]
    if not kept:
        raise DataError("no hints", expected="introns, coding parts, starts or stops")
    with atomic_writer(config.out) as out:
        write_hints(out, kept)
    log.info("%d hints, %d of them introns", len(kept), sum(h.kind == "intron" for h in kept))
    return 0


def _read(config: HintsConfig, path: Path) -> Iterator[Hint]:
    if is_alignment(path):
        require_package("FILE", "pysam", "hints")
        hints = read_junctions(path, overhang=config.overhang)
    else:
        hints = read_hints(path)
    for hint in hints:
        yield replace(hint, source=config.source) if config.source else hint
