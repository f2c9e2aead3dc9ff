"""Settings of `annotate`: the command's flags."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from genet5.config.checks import require

DEFAULT_MODEL = "nano"
"""Name of the shipped model that annotates when none is named."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AnnotateConfig:
    """Everything `annotate` can be told."""

    genome: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="GENOME")]
    """FASTA file, plain, gzip or bgzip; - is standard input."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FILE")]
    """File to write: GTF or GenBank by a name in .gtf or .gbk, else GFF3; - is standard output, a name in .gz is compressed."""
    model: str = DEFAULT_MODEL
    """Name of a shipped model, or a model directory."""
    genetic_code: int | None = None
    """NCBI number of the genetic code of all contigs; by default the model's (11 for prokaryotes)."""
    proteins: Path | None = None
    """FASTA file for the proteins of the genes found."""
    cds: Path | None = None
    """FASTA file for the coding sequences of the genes found."""
    min_score: float | None = None
    """Drop genes with a lower probability (0 to 1); by default the model's own threshold."""
    circular: tuple[str, ...] = ("auto",)
    """Contigs that are circular, so that genes may lie over their origin: names, "all", "none", or "auto" = those whose FASTA header says circular=true or topology=circular."""
    partial_genes: Literal["keep", "drop"] = "keep"
    """What to do with genes that run over the end of a contig."""
    introns: Literal["auto", "yes", "no"] = "auto"
    """Whether genes may have introns; auto = as the model was trained."""
    start_codons: tuple[str, ...] = ()
    """Codons that may start a gene, such as ATG GTG TTG; by default the model's."""
    grammar: Literal["strict", "splice_free", "off"] | None = None
    """How strictly genes must follow the rules of coding sequence; by default the model's (strict)."""
    taxon: str | None = None
    """Taxon to tell the model, if it was trained with taxa; by default the model's."""
    window_overlap: int | None = None
    """Bases that neighbouring windows share at least; more is slower and finds more. By default the model's."""
    both_strands: bool = False
    """Read every window a second time as its reverse complement: twice the time, somewhat better genes."""
    batch_size: Literal["auto"] | int = "auto"
    """Windows decoded together; auto = by device and memory."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the model runs; auto = cuda if there is a GPU."""
    threads: int | None = None
    """CPU threads; by default all cores."""
    restart: bool = False
    """Start anew instead of going on with an unfinished run of the same genome, model and settings."""
    dry_run: bool = False
    """Print contigs, windows and model, and stop."""

    def __post_init__(self) -> None:
        require(
            self.min_score is None or 0 <= self.min_score <= 1,
            "min_score", self.min_score, "must be between 0 and 1",
        )  # fmt: skip
        require(
            isinstance(self.batch_size, str) or self.batch_size >= 1,
            "batch_size", self.batch_size, "must be at least 1",
        )  # fmt: skip
        require(
            self.threads is None or self.threads >= 1, "threads", self.threads, "must be at least 1"
        )
        for codon in self.start_codons:
            ok = len(codon) == 3 and set(codon.upper()) <= set("ACGT")
            require(ok, "start_codons", codon, "must be codons of A, C, G, T")
