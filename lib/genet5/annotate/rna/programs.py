"""Run programs that look for RNA genes: barrnap (rRNA), tRNAscan-SE (tRNA), ARAGORN (tRNA, tmRNA).

Each is called once, without a shell, with a copy of the sequences under plain names. A circular one
is followed by its first bases, so that genes over its origin are whole; they end beyond its length.
Infernal is not called by itself: tRNAscan-SE runs it.

Example:
    runs = choose_runs(("auto",), is_prokaryote=True)
    found = find_rna(runs, contigs, kingdom="bac", code=11)
"""

from __future__ import annotations

import logging
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from genet5.annotate.external import output_of
from genet5.annotate.rna.hits import RnaHit, aragorn_hits, barrnap_hits, trnascan_hits
from genet5.config.annotate import Kingdom, RnaName
from genet5.cores import usable_cores
from genet5.errors import ConfigError, ExternalToolError
from genet5.genome.gene import Exon, Gene, Transcript
from genet5.genome.io.fasta import AnyContig, write_fasta
from genet5.genome.sequence import decode_bases

log = logging.getLogger(__name__)

_REPEATED_BP = 10_000
"""Bases after the end of a circular sequence; the longest genes of rRNA have 5,000."""
_TRNASCAN_DOMAINS = {"bac": "-B", "arc": "-A", "euk": "-E"}


@dataclass(frozen=True, slots=True)
class Program:
    """How a program is called and read."""

    name: str
    """As on PATH."""
    types: tuple[str, ...]
    """What it finds."""
    version_flag: str
    words: Callable[[str, Kingdom, int], list[str]]
    """Its arguments for a FASTA file, a kingdom and a genetic code; it writes to stdout."""
    hits: Callable[[Iterable[str]], Iterator[RnaHit]]
    """Reads what it writes."""


def _barrnap_words(fasta: str, kingdom: Kingdom, code: int) -> list[str]:
    return ["--quiet", "--kingdom", kingdom, "--threads", str(usable_cores()), fasta]


def _trnascan_words(fasta: str, kingdom: Kingdom, code: int) -> list[str]:
    return [_TRNASCAN_DOMAINS[kingdom], "-q", "--thread", str(usable_cores()), fasta]


def _aragorn_words(fasta: str, kingdom: Kingdom, code: int) -> list[str]:
    return ["-w", f"-gc{code}", "-l", fasta]


PROGRAMS: dict[RnaName, Program] = {
    "trnascan-se": Program(
        "tRNAscan-SE", ("tRNA",), "-h", _trnascan_words, trnascan_hits
    ),
    "aragorn": Program("aragorn", ("tRNA", "tmRNA"), "-h", _aragorn_words, aragorn_hits),
    "barrnap": Program("barrnap", ("rRNA",), "--version", _barrnap_words, barrnap_hits),
}  # fmt: skip
"""By what the user calls them; of two that find the same gene, the first is kept."""


@dataclass(frozen=True, slots=True)
class Run:
    """A program, and which of the types that it finds are kept."""

    program: Program
    types: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Copy:
    """A sequence as the programs get it."""

    number: int
    name: str
    length_bp: int
    is_circular: bool


@dataclass(frozen=True, slots=True)
class RnaFound:
    """RNA genes of sequences, and who found them."""

    genes: dict[int, list[Gene]]
    """By the number of their sequence, sorted by start."""
    versions: dict[str, str]
    """Version of each program that ran."""


NO_RNA = RnaFound({}, {})


def choose_runs(wanted: Sequence[RnaName], *, is_prokaryote: bool) -> list[Run]:
    """Return the programs to run, in the order of their precedence.

    Args:
        wanted: Names of programs, ("auto",) for those on PATH, or ("off",).
        is_prokaryote: Whether tmRNA is looked for where the programs are chosen here.

    Raises:
        ConfigError: A program that is named is not on PATH.
    """
    if "off" in wanted:
        return []
    if "auto" not in wanted:
        named = [(name, PROGRAMS[name]) for name in PROGRAMS if name in wanted]
        for name, program in named:
            if shutil.which(program.name) is None:
                raise ConfigError("rna", name, f"needs the program {program.name} on PATH")
        return [Run(program, program.types) for _, program in named]
    missing = {"tRNA", "rRNA", *(["tmRNA"] if is_prokaryote else [])}
    runs = []
    for program in PROGRAMS.values():
        types = tuple(kind for kind in program.types if kind in missing)
        if types and shutil.which(program.name) is not None:
            runs.append(Run(program, types))
            missing -= set(types)
    for kind in sorted(missing):
        names = " or ".join(p.name for p in PROGRAMS.values() if kind in p.types)
        log.warning("no program on PATH finds %s: install %s, or leave --rna out", kind, names)
    return runs


def find_rna(
    runs: Sequence[Run],
    contigs: Iterable[AnyContig],
    *,
    kingdom: Kingdom,
    code: int,
    is_circular: Callable[[AnyContig], bool] = lambda contig: False,
) -> RnaFound:
    """Run programs one after the other.

    Args:
        runs: As `choose_runs` returns them.
        contigs: The sequences; copied to TMPDIR for the programs.
        kingdom: Whose RNA is looked for.
        code: NCBI number of the genetic code, by which tRNAs are named.
        is_circular: Whether genes may lie over the origin of a contig.

    Raises:
        ExternalToolError: A program failed, or wrote something else than genes.
    """
    if not runs:
        return NO_RNA
    hits: list[tuple[Run, RnaHit, str]] = []
    versions: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="genet5_rna_") as folder:
        fasta = Path(folder) / "genome.fa"
        copies = _write_plain(fasta, contigs, is_circular)
        for run in runs:
            version = versions[run.program.name] = _version(run.program)
            found = [
                hit for hit in _hits(run.program, fasta, kingdom, code) if hit.type in run.types
            ]
            log.info("%s %s: %d genes of %s", run.program.name, version, len(found),
                     " and ".join(run.types))  # fmt: skip
            hits += [(run, hit, version) for hit in found]
    return RnaFound(_genes(hits, copies), versions)


def _write_plain(
    fasta: Path, contigs: Iterable[AnyContig], is_circular: Callable[[AnyContig], bool]
) -> dict[str, _Copy]:
    """Copy sequences as s0, s1 ...; return what each is a copy of."""
    copies: dict[str, _Copy] = {}
    with fasta.open("w", encoding="ascii") as out:
        for number, contig in enumerate(contigs):
            if len(contig.bases):
                copy = _Copy(number, contig.name, len(contig.bases), is_circular(contig))
                copies[f"s{number}"] = copy
                bases = decode_bases(contig.bases[:])
                again = bases[:_REPEATED_BP] if copy.is_circular else ""
                write_fasta(out, [(f"s{number}", bases + again)])
    return copies


def _hits(program: Program, fasta: Path, kingdom: Kingdom, code: int) -> list[RnaHit]:
    command = [program.name, *program.words(fasta.name, kingdom, code)]
    remedy = f"Run without {program.name} (--rna names others, or off)"
    text = output_of(command, fasta.parent, remedy=remedy)
    try:
        return list(program.hits(text.splitlines()))
    except ValueError as error:
        raise ExternalToolError(f"cannot read what {program.name} wrote: {error}") from error


def _version(program: Program) -> str:
    done = subprocess.run(
        [program.name, program.version_flag], stdin=subprocess.DEVNULL, capture_output=True,
        text=True, errors="replace", check=False,
    )  # fmt: skip
    found = re.search(r"\d+(?:\.\d+)+", done.stdout + done.stderr)
    return found[0] if found else "unknown"


def _genes(
    hits: Sequence[tuple[Run, RnaHit, str]], copies: dict[str, _Copy]
) -> dict[int, list[Gene]]:
    """Make genes of hits; of those that overlap on a strand, that of the first program is kept.

    What begins after the end of a circular sequence was found at its start as well. What is found
    there of a gene over the origin is a part of that gene.
    """
    kept: dict[int, list[Gene]] = {}
    for run, hit, version in sorted(hits, key=lambda found: not _is_over(found[1], copies)):
        copy = copies.get(hit.contig)
        if copy is None:
            raise ExternalToolError(f"{run.program.name} names a sequence {hit.contig!r}")
        gene = _gene(hit, copy.name, run.program.name, version)
        others = kept.setdefault(copy.number, [])
        if gene.start < copy.length_bp and not any(_is_rival(gene, o, copy) for o in others):
            others.append(gene)
    for genes in kept.values():
        genes.sort(key=lambda gene: (gene.start, gene.end))
    return {number: genes for number, genes in kept.items() if genes}


def _is_over(hit: RnaHit, copies: dict[str, _Copy]) -> bool:
    """Whether a hit lies over the origin of a circular sequence."""
    return hit.contig in copies and hit.start < copies[hit.contig].length_bp < hit.end


def _is_rival(gene: Gene, other: Gene, copy: _Copy) -> bool:
    """Whether two hits are of one gene: of different programs, or one over the origin."""
    shifts = (0, copy.length_bp) if other.end > copy.length_bp else (0,)
    overlap = max(
        min(gene.end + shift, other.end) - max(gene.start + shift, other.start) for shift in shifts
    )
    is_other = gene.source != other.source or other.end > copy.length_bp
    return is_other and gene.strand == other.strand and overlap > 0


def _gene(hit: RnaHit, contig: str, program: str, version: str) -> Gene:
    spans = [(hit.start, hit.end)]
    if hit.intron is not None and hit.start < hit.intron[0] < hit.intron[1] < hit.end:
        spans = [(hit.start, hit.intron[0]), (hit.intron[1], hit.end)]
    attributes = [
        ("product", hit.product), ("inference", f"COORDINATES:profile:{program}:{version}"),
        ("note", hit.note),
    ]  # fmt: skip
    transcript = Transcript(
        id="rna.1",
        exons=tuple(Exon(*span) for span in spans),
        type=hit.type,
        attributes=tuple((name, value) for name, value in attributes if value),
    )
    return Gene(
        id="rna",
        contig=contig,
        strand=hit.strand,
        transcripts=(transcript,),
        type=hit.type,
        source=program,
    )
