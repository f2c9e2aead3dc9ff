"""Configuration of `annotate`: how an annotator runs, and the command's flags."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from genet5.config.checks import require

DEFAULT_MODEL = "nano"
"""Name of the shipped model that annotates when none is named."""

DeviceName = Literal["auto", "cpu", "cuda"]
PrecisionName = Literal["auto", "bf16", "fp32"]
GrammarLevel = Literal["strict", "splice_free", "off"]


@dataclass(frozen=True, kw_only=True, slots=True)
class AnnotatorConfig:
    """How an annotator runs; what is left open is settled by the model or the machine."""

    model: str = DEFAULT_MODEL
    """Name of a shipped model, a model folder, or the id of a model on the Hugging Face Hub (user/name)."""
    min_score: float | None = None
    """Drop genes with a lower probability (0 to 1); by default the model's own threshold."""
    partial_genes: Literal["keep", "drop"] = "keep"
    """Genes that run over the end of a contig."""
    introns: Literal["auto", "yes", "no"] = "auto"
    """Whether genes may have introns; auto = as the model was trained."""
    start_codons: tuple[str, ...] = ()
    """Codons that may start a gene, such as ATG GTG TTG; by default the model's."""
    grammar: GrammarLevel | None = None
    """How strictly genes must follow the rules of coding sequence; by default the model's (strict)."""
    clade: Annotated[str | None, tyro.conf.arg(aliases=["--taxon"])] = None
    """Clade to name to a model that was trained with clades; by default the model's."""
    window_overlap: int | None = None
    """Bases that neighbouring windows share at least; more is slower and finds more. By default the model's."""
    both_strands: bool = False
    """Pass every window through the model on both strands: twice the time, somewhat better genes."""
    batch_size: Literal["auto"] | int = "auto"
    """Windows decoded together; auto = by device and memory."""
    device: DeviceName = "auto"
    """Where the model runs; auto = cuda if there is a GPU."""
    precision: PrecisionName = "auto"
    """Numbers that the encoder computes with; auto = bf16 where the device multiplies it fast, else fp32."""
    threads: int | None = None
    """CPU threads; by default all cores."""

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


@dataclass(frozen=True, kw_only=True, slots=True)
class AnnotateConfig:
    """What `annotate` reads and writes, and how."""

    genome: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="GENOME")]
    """FASTA file, plain, gzip or bgzip; - is standard input."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FILE")]
    """File to write: GTF or GenBank by a name in .gtf or .gbk, else GFF3; - is standard output, a name in .gz is compressed."""
    proteins: Path | None = None
    """FASTA file for the proteins of the genes found."""
    cds: Path | None = None
    """FASTA file for the coding sequences of the genes found."""
    genetic_code: int | None = None
    """NCBI number of the genetic code of all contigs; by default the model's (11 for prokaryotes)."""
    circular: tuple[str, ...] = ("auto",)
    """Contigs that are circular, so that genes may lie over their origin: names, "all", "none", or "auto" = those whose FASTA header has circular=true or topology=circular."""
    region: tuple[str, ...] = ()
    """Regions to annotate instead of the whole genome: CONTIG:START-END (1-based, as in samtools) or CONTIG. Needs a plain or bgzip file."""
    restart: bool = False
    """Start anew instead of resuming an unfinished run of the same genome, model and settings."""
    dry_run: bool = False
    """Print contigs, windows and model, and stop."""
    annotator: tyro.conf.OmitArgPrefixes[AnnotatorConfig] = field(default_factory=AnnotatorConfig)
