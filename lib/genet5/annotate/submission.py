"""NCBI's submission file (.sqn) by their program table2asn, from a feature table and the genome."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from genet5.annotate.external import output_of
from genet5.errors import ConfigError, ExternalToolError
from genet5.genome.io.fasta import AnyContig, write_fasta
from genet5.genome.organelles import organelle_of
from genet5.genome.sequence import decode_bases
from genet5.outputs import atomic_writer

PROGRAM = "table2asn"
_REMEDY = "Write tbl without sqn, and run it by hand"


def require_table2asn() -> None:
    """Check that the program is on PATH.

    Raises:
        ConfigError: It is not.
    """
    if shutil.which(PROGRAM) is None:
        rule = f"needs NCBI's {PROGRAM} on PATH; tbl writes the feature table that it takes"
        raise ConfigError("formats", "sqn", rule)


def write_sqn(
    out: Path,
    table: Path,
    contigs: Iterable[AnyContig],
    *,
    code_of: Callable[[AnyContig], int],
    is_circular: Callable[[AnyContig], bool],
) -> None:
    """Make a submission file.

    Args:
        out: Where to.
        table: Feature table of the contigs' genes.
        contigs: The genome; their genetic codes, organelles and topology go into FASTA headers.
        code_of: NCBI number of a contig's genetic code.
        is_circular: Whether a contig is circular.

    Raises:
        ExternalToolError: The program failed, or wrote nothing.
    """
    with tempfile.TemporaryDirectory(prefix="genet5_sqn_") as folder:
        work = Path(folder)
        shutil.copyfile(table, work / "genome.tbl")
        with (work / "genome.fsa").open("w", encoding="ascii") as fasta:
            for contig in contigs:
                header = submission_header(contig, code_of(contig), is_circular(contig))
                write_fasta(fasta, [(header, decode_bases(contig.bases[:]))])
        command = [PROGRAM, "-i", "genome.fsa", "-f", "genome.tbl", "-o", "genome.sqn"]
        output_of(command, work, remedy=_REMEDY)
        made = work / "genome.sqn"
        if not made.exists():
            raise ExternalToolError(f"{PROGRAM} wrote no file. {_REMEDY}")
        with atomic_writer(out) as target:
            target.write(made.read_text(encoding="utf-8", errors="replace"))


def submission_header(contig: AnyContig, code: int, is_circular: bool) -> str:
    """Return a FASTA header with the modifiers that NCBI reads.

    Example:
        >>> from genet5.genome.io.fasta import Contig
        >>> from genet5.genome.sequence import encode_bases
        >>> submission_header(Contig("chrM", encode_bases("ACGT")), 2, True)
        'chrM [mgcode=2] [location=mitochondrion] [topology=circular]'
    """
    organelle = organelle_of(contig.name, contig.description)
    words = [contig.name, f"[{'mgcode' if organelle == 'mitochondrion' else 'gcode'}={code}]"]
    words += [f"[location={organelle}]"] if organelle else []
    words += ["[topology=circular]"] if is_circular else []
    return " ".join(words)
