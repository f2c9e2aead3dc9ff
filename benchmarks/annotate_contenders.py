"""Who annotates in `bench_annotate.py`, and what: commands of the tools, slices of genomes."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Literal, TypeAlias

from genet5.genome.io.fasta import read_fasta, write_fasta
from genet5.genome.sequence import decode_bases
from genet5.simulate.eukaryote import simulate_eukaryote
from genet5.simulate.prokaryote import simulate_bacterium

Kind: TypeAlias = Literal["bacterium", "yeast"]
Peer: TypeAlias = Literal["pyrodigal", "prodigal", "augustus"]

START_BP = 300
"""Length of the sequence that start-up is measured on: one short window."""
_REAL: dict[Kind, tuple[str, str, int]] = {
    "bacterium": ("prokaryotes/Escherichia_coli_K-12_MG1655", "NC_000913.3", 0),
    "yeast": ("unicellular/Schizosaccharomyces_pombe_ASM294v2", "II", 1_000_000),
}
"""Genome, contig, and where the slice begins: *S. pombe*'s chromosome ends are repeats."""
_FLAGS: dict[Kind, tuple[str, ...]] = {
    "bacterium": (),
    "yeast": ("--introns", "yes", "--genetic_code", "1", "--start_codons", "ATG"),
}
_PEERS: dict[Peer, Kind] = {
    "pyrodigal": "bacterium",
    "prodigal": "bacterium",
    "augustus": "yeast",
}


@dataclass(frozen=True, slots=True)
class Case:
    """One sequence to annotate."""

    kind: Kind
    title: str
    fasta: Path
    size_bp: int
    part: str = ""
    """What of it; empty: all."""

    @property
    def what(self) -> str:
        """Kind and part."""
        return f"{self.kind}, {self.part}" if self.part else self.kind

    @property
    def is_short(self) -> bool:
        """Whether Prodigal cannot train on it."""
        return self.size_bp <= START_BP


@dataclass(frozen=True, slots=True)
class Contender:
    """A way to annotate: the words before the case's own, and how they end."""

    name: str
    command: Callable[[Case, Path], list[str]]
    """The command for a case and an output file."""
    is_ours: bool = False
    env: Mapping[str, str] = field(default_factory=dict)


def ours(name: str, tree: Path, flags: tuple[str, ...]) -> Contender:
    """Our annotate of a checkout, run by this Python."""

    def command(case: Case, output: Path) -> list[str]:
        program = [sys.executable, str(tree / "bin" / "annotate"), str(case.fasta)]
        return [*program, "-o", str(output), "--restart", *_FLAGS[case.kind], *flags]

    return Contender(name, command, is_ours=True, env={"PYTHONPATH": str(tree / "lib")})


def peer(name: Peer) -> Contender:
    """Return another program as a contender."""
    return Contender(name, _augustus if name == "augustus" else _prodigal(name))


def _prodigal(name: Peer) -> Callable[[Case, Path], list[str]]:
    program = ["prodigal", "-q"] if name == "prodigal" else [sys.executable, "-m", "pyrodigal"]

    def command(case: Case, output: Path) -> list[str]:
        mode = "meta" if case.is_short else "single"
        files = ["-i", str(case.fasta), "-o", str(output)]
        return [*program, "-p", mode, "-f", "gff", *files]

    return command


def _augustus(case: Case, output: Path) -> list[str]:
    return [
        "augustus",
        "--species=schizosaccharomyces_pombe",
        "--stopCodonExcludedFromCDS=false",
        "--gff3=on",
        f"--outfile={output}",
        str(case.fasta),
    ]


def why_not(name: Peer, kind: Kind) -> str:
    """Return why a program takes no part; empty when it does, "-" where it is not meant for it."""
    if _PEERS[name] != kind:
        return "-"
    if name == "pyrodigal":
        missing = importlib.util.find_spec("pyrodigal") is None
        return "not installed: pip install pyrodigal" if missing else ""
    return "" if shutil.which(name) else f"not on PATH: apt install {name}"


def load_case(kind: Kind, path: Path | None, data: Path, bp: int, folder: Path) -> Case:
    """Write a slice of a genome into `folder`: of a file, of the shared data, or simulated.

    Args:
        kind: Which genome.
        path: A FASTA file, of which the first contig is taken; None = the shared data's.
        data: Where the shared data would be.
        bp: Bases of the slice; what a contig lacks is left out.
        folder: Gets KIND.fa.
    """
    genome, contig, first = _REAL[kind]
    shared = data / "raw" / genome / "genome.fa.gz"
    if path is not None:
        name, letters = _letters(path, None, 0, bp)
        title = f"{path.name}, {name}"
    elif shared.is_file():
        _, letters = _letters(shared, contig, first, bp)
        title = f"{genome.rpartition('/')[2].replace('_', ' ')}, {contig}:{first + 1}"
    else:
        letters, title = _simulated(kind, bp), f"simulated {kind}"
    fasta = folder / f"{kind}.fa"
    write_fasta(fasta, [(kind, letters)])
    return Case(kind, title, fasta, len(letters))


def _letters(path: Path, contig: str | None, first: int, bp: int) -> tuple[str, str]:
    """A contig's name and a slice of it; the first contig if none is named."""
    wanted = (c for c in read_fasta(path) if contig in (None, c.name))
    (found,) = islice(wanted, 1)
    return found.name, decode_bases(found.bases[first : first + bp]).upper()


def _simulated(kind: Kind, bp: int) -> str:
    simulate = simulate_bacterium if kind == "bacterium" else simulate_eukaryote
    (contig,), _ = simulate(bp, seed=1)
    return decode_bases(contig.bases)


def first_bases(case: Case, part: str, bp: int, folder: Path) -> Case:
    """Return a case of the first bases of another: its start-up, say, or what is probed."""
    (contig,) = read_fasta(case.fasta)
    letters = decode_bases(contig.bases[:bp])
    fasta = folder / f"{case.kind}_{part}.fa"
    write_fasta(fasta, [(case.kind, letters)])
    return Case(case.kind, case.title, fasta, len(letters), part)
