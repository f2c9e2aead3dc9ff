"""Search proteins with a lineage's HMMs.

The program `busco` does it if it is on PATH, else pyhmmer by the same rules. Proteins go to both
under plain names (p0, p1 ...): `busco` takes names like "a:1-9" for coordinates. Cost: about 2 ms
per HMM and 1,000 proteins on one core.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from genet5.cores import usable_cores
from genet5.errors import DataError, ExternalToolError, FormatError
from genet5.genome.codes import genetic_code
from genet5.genome.extract import protein
from genet5.genome.gene import Gene
from genet5.genome.io.fasta import read_fasta, write_fasta
from genet5.score.busco import (
    DOWNLOAD_REMEDY,
    BuscoReport,
    Lineage,
    Match,
    Result,
    Status,
    classify,
)

if TYPE_CHECKING:
    from pyhmmer.plan7 import HMM, TopHits

Scorer: TypeAlias = Literal["auto", "busco", "pyhmmer"]
Proteins: TypeAlias = Sequence[tuple[str, str]]
"""(name, letters) of each protein."""
Progress: TypeAlias = Callable[[int, int], None]
"""Receives (groups done, groups in all)."""

_TASKS = re.compile(r"\[hmmsearch\]\s+(\d+) of (\d+) task")
_STATUS_OF: dict[str, Status] = {
    "Complete": "single",
    "Duplicated": "duplicated",
    "Fragmented": "fragmented",
    "Missing": "missing",
}


def extract_proteins(
    genome: Path, genes: Sequence[Gene], *, all_isoforms: bool = False, default_code: int = 1
) -> list[tuple[str, str]]:
    """Translate the coding genes of a genome; pseudogenes and empty proteins are left out.

    Args:
        genome: FASTA file.
        genes: Its genes.
        all_isoforms: Every coding transcript, not only the one with the longest CDS.
        default_code: NCBI number of the genetic code of genes that do not state their own.

    Raises:
        DataError: A gene's contig is not in the genome.
    """
    by_contig: dict[str, list[Gene]] = {}
    for gene in genes:
        if gene.is_coding:
            by_contig.setdefault(gene.contig, []).append(gene)
    found: list[tuple[str, str]] = []
    for contig in read_fasta(genome):
        for gene in by_contig.pop(contig.name, []):
            code = genetic_code(gene.genetic_code or default_code)
            for transcript in gene.transcripts if all_isoforms else (gene.canonical,):
                letters = transcript.cds and protein(contig.bases, gene, transcript, code)
                if letters:
                    found.append((transcript.id, letters))
    if by_contig:
        name, lost = next(iter(by_contig.items()))
        raise DataError(
            f'{len(lost)} genes on contig "{name}"', expected="a contig of the genome", path=genome,
            remedy="Do the predictions and the genome belong together?",
        )  # fmt: skip
    return found


def run_busco(
    proteins: Proteins,
    lineage: Lineage,
    *,
    scorer: Scorer = "auto",
    threads: int | None = None,
    progress: Progress = lambda done, total: None,
) -> BuscoReport:
    """Score proteins with a lineage.

    Args:
        proteins: (name, letters); names may repeat.
        lineage: Groups to look for.
        scorer: "busco" runs that program, "pyhmmer" applies its rules here; "auto" takes the first
            that is installed.
        threads: CPU threads; None takes all cores that the process may use.
        progress: Called for each finished group.

    Raises:
        ExternalToolError: The scorer is not installed, or failed.
    """
    chosen, threads = choose_scorer(scorer), threads or usable_cores()
    if chosen == "busco":
        version, results = _by_program(proteins, lineage, threads, progress)
    else:
        version = importlib.metadata.version("pyhmmer")
        results = classify(_by_pyhmmer(proteins, lineage, threads, progress), lineage.cutoffs)
    return BuscoReport(
        lineage=lineage.name,
        scorer=f"{chosen} {version}",
        proteins=len(proteins),
        results=results,
    )


def choose_scorer(scorer: Scorer) -> Literal["busco", "pyhmmer"]:
    """Return the scorer to use.

    Raises:
        ExternalToolError: It is not installed.
    """
    has_program = shutil.which("busco") is not None
    has_library = importlib.util.find_spec("pyhmmer") is not None
    if scorer in ("auto", "busco") and has_program:
        return "busco"
    if scorer in ("auto", "pyhmmer") and has_library:
        return "pyhmmer"
    missing = {
        "busco": "the program busco is not on PATH: install it (Debian: apt-get install busco)",
        "pyhmmer": "pyhmmer is not installed: pip install pyhmmer",
        "auto": "neither the program busco nor pyhmmer is installed: pip install pyhmmer is enough",
    }
    raise ExternalToolError(missing[scorer])


def _by_pyhmmer(
    proteins: Proteins, lineage: Lineage, threads: int, progress: Progress
) -> Iterator[Match]:
    import pyhmmer
    from pyhmmer.easel import Alphabet, DigitalSequenceBlock, TextSequence

    alphabet = Alphabet.amino()
    targets: DigitalSequenceBlock[Any] = DigitalSequenceBlock(
        alphabet,
        [
            TextSequence(name=f"p{number}".encode(), sequence=letters).digitize(alphabet)
            for number, (_, letters) in enumerate(proteins)
        ],
    )
    names, total = [name for name, _ in proteins], len(lineage.cutoffs)
    if not names:
        return
    found = pyhmmer.hmmsearch(_read_hmms(lineage), targets, cpus=threads)
    for done, (group, hits) in enumerate(zip(lineage.cutoffs, found, strict=True), 1):
        yield from _matches(group, hits, names)
        progress(done, total)


def _read_hmms(lineage: Lineage) -> Iterator[HMM[Any]]:
    from pyhmmer.plan7 import HMMFile

    for group in lineage.cutoffs:
        path = lineage.path / "hmms" / f"{group}.hmm"
        try:
            with HMMFile(path) as profiles:
                hmm = profiles.read()
        except (ValueError, OSError, EOFError) as error:
            raise DataError(f"no HMM ({error})", path=path, remedy=DOWNLOAD_REMEDY) from error
        if hmm is None:
            raise DataError("no HMM", path=path, remedy=DOWNLOAD_REMEDY)
        yield hmm


def _matches(group: str, hits: TopHits[Any], names: Sequence[str]) -> Iterator[Match]:
    for hit in hits.reported:
        ends = [
            (domain.alignment.hmm_from, domain.alignment.hmm_to) for domain in hit.domains.reported
        ]
        if ends:  # as in hmmsearch's table, which busco reads: reported domains only, one decimal
            name = hit.name.decode() if isinstance(hit.name, bytes) else hit.name
            length = sum(last - first for first, last in ends)
            yield Match(group, names[int(name[1:])], round(hit.score, 1), length)


def _by_program(
    proteins: Proteins, lineage: Lineage, threads: int, progress: Progress
) -> tuple[str, tuple[Result, ...]]:
    done = subprocess.run(["busco", "--version"], capture_output=True, text=True, check=False)
    with tempfile.TemporaryDirectory(prefix="genet5_busco_") as scratch:
        folder = Path(scratch)
        write_fasta(
            folder / "proteins.faa", ((f"p{n}", text) for n, (_, text) in enumerate(proteins))
        )
        command = (
            *("busco", "-m", "proteins", "--offline", "-i", "proteins.faa", "-o", "run"),
            *("-l", str(lineage.path.resolve()), "-c", str(threads)),
        )
        _watch(command, folder, progress)
        tables = sorted(folder.glob("run/run_*/full_table.tsv"))
        if len(tables) != 1:
            raise ExternalToolError("busco wrote no full_table.tsv")
        results = read_full_table(tables[0], lineage, [name for name, _ in proteins])
    version = done.stdout.split()[-1] if done.stdout.split() else "of unknown version"
    return version, results


def _watch(command: Sequence[str], folder: Path, progress: Progress) -> None:
    """Run busco; its output is kept for the error text and read for progress."""
    tail: list[str] = []
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                tail = [*tail[-9:], line.strip()]
                if task := _TASKS.search(line):
                    progress(int(task[1]), int(task[2]))
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        message = next((line for line in tail if "ERROR" in line), " ".join(tail[-2:]))
        raise ExternalToolError(f"busco failed with exit code {process.returncode}: {message}")


def read_full_table(path: Path, lineage: Lineage, names: Sequence[str]) -> tuple[Result, ...]:
    """Read busco's table of groups; protein pN there is the N-th of `names`.

    Raises:
        FormatError: A line is not as BUSCO 5 writes it.
    """
    status: dict[str, Status] = dict.fromkeys(lineage.cutoffs, "missing")
    matches: dict[str, list[Match]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("#") or not line.strip():
            continue
        try:
            group, word, *rest = line.split("\t")
            status[group] = _STATUS_OF[word]
            if rest:
                match = Match(group, names[int(rest[0][1:])], float(rest[1]), int(rest[2]))
                matches.setdefault(group, []).append(match)
        except (ValueError, LookupError):
            raise FormatError(
                f"line {line[:80]!r}",
                expected="group, status, protein, score, length as in BUSCO 5",
                path=path,
                line=number,
                remedy="--scorer pyhmmer does without the program busco",
            ) from None
    return tuple(_result(group, status[group], matches) for group in sorted(status))


def _result(group: str, status: Status, matches: Mapping[str, list[Match]]) -> Result:
    ordered = sorted(matches.get(group, []), key=lambda match: -match.score)
    return Result(group, status, tuple(ordered))
