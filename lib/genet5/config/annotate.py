"""Configuration of `annotate`: how an annotator runs, and the command's flags."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, TypedDict, get_args

import tyro

from genet5.config.checks import by_default, require

AUTO_MODEL = "auto"
"""The shipped model that fits the genome."""
DEFAULT_MODEL = "nano"
"""The shipped model that annotates where none is named and there is no genome to choose by."""

DeviceName = Literal["auto", "cpu", "cuda"]
PrecisionName = Literal["auto", "bf16", "fp32"]
GrammarLevel = Literal["strict", "splice_free", "off"]
FormatName = Literal["gff3", "gtf", "gbk", "bed", "tsv", "tbl", "sqn", "faa", "ffn"]
RnaName = Literal["auto", "off", "trnascan-se", "aragorn", "barrnap"]
Kingdom = Literal["bac", "arc", "euk"]
PartialGenes = Literal["keep", "drop"]
Introns = Literal["auto", "yes", "no"]
AdaptName = Literal["auto", "genome", "contig", "off"]
_LOCUS_TAG = re.compile("[A-Za-z][A-Za-z0-9]{2,11}")
_CHOICES = {
    "partial_genes": PartialGenes,
    "introns": Introns,
    "adapt": AdaptName,
    "device": DeviceName,
    "precision": PrecisionName,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class AnnotatorConfig:
    """How an annotator runs; what is left open is settled by the model or the machine."""

    model: str = AUTO_MODEL
    """Name of a shipped model, a model folder, or the id of a model on the Hugging Face Hub
    (user/name); auto is the shipped model of the genome's kind, prokaryote or eukaryote, by its
    open reading frames."""
    min_score: Annotated[float | None, by_default("the model's threshold")] = None
    """Drop genes with a lower probability, 0 to 1."""
    partial_genes: PartialGenes = "keep"
    """Keep or drop genes that extend beyond the end of a contig."""
    introns: Introns = "auto"
    """Whether genes may have introns; auto is as the model was trained."""
    adapt: AdaptName = "auto"
    """Learn start codons, ribosome binding site and codon usage from the genes found: of the whole
    genome, of each contig by itself (metagenomes), or not at all; auto is genome up to 20 Mbp,
    contig beyond, for models that are calibrated for it."""
    start_alternatives: int = 0
    """Name up to this many other starts of each gene with their probabilities (GFF3, GTF)."""
    isoforms: int = 1
    """Write up to this many transcripts of each spliced gene: its own and alternatives that the
    decoder holds at least 5 % likely; their scores are shares of the gene's."""
    min_coding_bp: Annotated[int | None, by_default("the model's, 60")] = None
    """Drop genes with fewer coding bases."""
    min_intron: Annotated[int | None, by_default("the model's, 20")] = None
    """Shortest intron in bases."""
    at_ac: bool = False
    """Let introns be AT-AC, too, beside GT-AG and GC-AG."""
    start_codons: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="CODON ..."), by_default("the model's")
    ] = ()
    """Start codons, such as ATG GTG TTG."""
    grammar: Annotated[GrammarLevel | None, by_default("the model's, strict")] = None
    """Rules that coding sequences must obey: strict (start and stop codon, reading frame, splice
    sites), splice_free (introns of any sequence), or off."""
    clade: Annotated[
        str | None, tyro.conf.arg(aliases=["--taxon"], metavar="CLADE"), by_default("the model's")
    ] = None
    """Clade of the genome, for models that were trained with clade tokens."""
    window_overlap: Annotated[int | None, by_default("the model's")] = None
    """Least overlap of neighbouring windows in bases; more is slower and finds more genes."""
    segment_windows: Annotated[int | None, by_default("the model's")] = None
    """Windows that are read together: 4 take two thirds of the time of 1, and lose some starts."""
    both_strands: bool = False
    """Run the model on both strands of every window: twice the time, slightly more accurate."""
    batch_size: Literal["auto"] | int = "auto"
    """Windows per batch; auto depends on device and memory."""
    device: DeviceName = "auto"
    """Where the model runs; auto is cuda if there is a GPU, else cpu."""
    precision: PrecisionName = "auto"
    """Precision of the encoder; auto is bf16 where the device multiplies it fast, else fp32."""
    threads: Annotated[int | None, by_default("all cores")] = None
    """Number of CPU threads."""
    deterministic: bool = False
    """Decode each batch whole, on one thread in each process: the same bytes for any number of
    processes and cores."""

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            value, known = getattr(self, name), get_args(choices)
            require(value in known, name, value, f"must be one of {', '.join(known)}")
        require(
            self.min_score is None or 0 <= self.min_score <= 1,
            "min_score", self.min_score, "must be between 0 and 1",
        )  # fmt: skip
        require(
            isinstance(self.batch_size, str) or self.batch_size >= 1,
            "batch_size", self.batch_size, "must be at least 1",
        )  # fmt: skip
        require(
            not (self.deterministic and self.threads not in (None, 1)),
            "threads", self.threads, "must be 1 with deterministic: rounding depends on it",
        )  # fmt: skip
        require(
            self.threads is None or self.threads >= 1, "threads", self.threads, "must be at least 1"
        )
        require(
            self.start_alternatives >= 0,
            "start_alternatives", self.start_alternatives, "must not be negative",
        )  # fmt: skip
        segment = self.segment_windows
        require(segment is None or segment >= 1, "segment_windows", segment, "must be at least 1")
        require(self.isoforms >= 1, "isoforms", self.isoforms, "must be at least 1")
        for name in ("min_coding_bp", "min_intron"):
            value = getattr(self, name)
            require(value is None or value >= 1, name, value, "must be at least 1")
        for codon in self.start_codons:
            ok = len(codon) == 3 and set(codon.upper()) <= set("ACGT")
            require(ok, "start_codons", codon, "must be codons of A, C, G, T")


class AnnotatorOptions(TypedDict, total=False):
    """What `Annotator.load` takes by name: fields of `AnnotatorConfig`, which describes them."""

    min_score: float | None
    partial_genes: PartialGenes
    introns: Introns
    adapt: AdaptName
    start_alternatives: int
    isoforms: int
    min_coding_bp: int | None
    min_intron: int | None
    at_ac: bool
    grammar: GrammarLevel | None
    clade: str | None
    window_overlap: int | None
    segment_windows: int | None
    both_strands: bool
    batch_size: Literal["auto"] | int
    device: DeviceName
    precision: PrecisionName
    threads: int | None
    deterministic: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class AnnotateConfig:
    """What `annotate` reads and writes, and how."""

    genome: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="GENOME")]
    """FASTA file, plain, gzip or bgzip; - is standard input."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FILE")]
    """Output file; its name decides the format (.gff3, .gtf, .gbk, .bed, .tsv, .tbl) and
    compression (.gz); - is standard output, as GFF3."""
    formats: Annotated[
        tuple[FormatName, ...], tyro.conf.arg(metavar="FORMAT ..."), by_default("none")
    ] = ()
    """Write the same genes in these formats, too, beside the output and under its name: gff3, gtf,
    gbk (GenBank), bed (BED12), tsv (a table of transcripts), tbl (NCBI's feature table), sqn
    (NCBI's submission file, by their program table2asn; with tbl), faa (proteins), ffn (coding
    sequences)."""
    proteins: Path | None = None
    """Write the predicted proteins to this FASTA file."""
    cds: Path | None = None
    """Write the predicted coding sequences to this FASTA file."""
    locus_tag: Annotated[str, tyro.conf.arg(metavar="PREFIX"), by_default("none")] = ""
    """Name genes PREFIX_00001 and so on, in the order of the file, as IDs and as locus_tag, and
    proteins "hypothetical protein", as NCBI wants it."""
    rna: Annotated[tuple[RnaName, ...], tyro.conf.arg(metavar="PROGRAM ...")] = ("off",)
    """Find genes of tRNA, rRNA and tmRNA, too, by these programs on PATH: trnascan-se, aragorn,
    barrnap; auto takes those that are there. Genes that share more than 30 coding bases with an RNA
    gene are dropped."""
    rna_kingdom: Annotated[
        Kingdom | None, by_default("bac for models without introns, else euk")
    ] = None
    """Whose RNA is looked for."""
    max_masked: Annotated[float | None, by_default("all are kept")] = None
    """Drop genes without introns whose share of coding bases in lower case (soft-masked repeats) is
    larger, 0 to 1."""
    genetic_code: Annotated[
        int | None, by_default("4, 11 or 25 by the open frames of a prokaryote, else the model's")
    ] = None
    """NCBI genetic code of all contigs but those of --contig_codes."""
    contig_codes: Annotated[
        tuple[str, ...],
        tyro.conf.arg(metavar="CONTIG=NUMBER ..."),
        by_default("mitochondria and plastids by their FASTA headers"),
    ] = ()
    """The same for single contigs: chrM=2 chrP=11."""
    circular: Annotated[tuple[str, ...], tyro.conf.arg(metavar="CONTIG ...")] = ("auto",)
    """Circular contigs, whose genes may span the origin: their names, all, none, or auto, which
    takes those whose FASTA header has circular=true or topology=circular."""
    region: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="REGION ..."), by_default("the whole genome")
    ] = ()
    """Regions to annotate: CONTIG:START-END (1-based, as in samtools) or CONTIG. GENOME must be a
    plain or bgzip file."""
    cut_at_gaps: Annotated[
        int | None, tyro.conf.arg(metavar="BP"), by_default("contigs are not cut")
    ] = None
    """Take runs of N of so many bases for ends of contigs: genes beside them are partial, and none
    lies over them."""
    record: Path | None = None
    """Write what was run, and what was learned from the genome, to this JSON file."""
    report: Path | None = None
    """Write a page on the genome and its genes to this HTML file: figures, plots, what was learned
    (ribosome binding site), and a table of the genes that can be searched; needs matplotlib."""
    genome_view: bool = False
    """Add a genome browser (igv.js) to the report, with the genes, the reference and, with
    `--tracks`, the probabilities; all data lie within the page."""
    reference: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Compare the genes with this annotation (GFF3, GTF or GenBank) in the report."""
    busco: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Show BUSCO's completeness in the report, by this unpacked lineage dataset (hmms/,
    scores_cutoff, lengths_cutoff) and the program busco or pyhmmer."""
    hints: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="FILE ..."), by_default("none")] = ()
    """Files of hints for genes: GFF3 or GTF of Augustus, BRAKER, miniprot, StringTie, portcullis or
    `genet5 hints`. Genes that agree with introns, coding parts, starts and stops of them get better
    odds; a model with channels of evidence (`finet --evidence`) also reads the hints itself."""
    hint_weight: float = 1.0
    """How much hints count, 0 to 10; 1 is modest."""
    tracks: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Write the per-base heads' probabilities to bigWig files in this folder: coding by strand and
    frame, starts, stops and, with introns, introns and splice sites; needs pyBigWig."""
    processes: int = 1
    """Number of processes that share the windows, on CPU cores or GPUs; each takes the memory of a
    run. Several machines: torchrun."""
    restart: bool = False
    """Start over instead of resuming an unfinished run of the same genome, model and options."""
    dry_run: bool = False
    """Print contigs, windows and model, and exit."""
    quiet: bool = False
    """Show warnings and errors only."""
    annotator: tyro.conf.OmitArgPrefixes[AnnotatorConfig] = field(default_factory=AnnotatorConfig)

    def __post_init__(self) -> None:
        require(self.processes >= 1, "processes", self.processes, "must be at least 1")
        for name in self.formats:
            known = get_args(FormatName)
            require(name in known, "formats", name, f"must be of {', '.join(known)}")
        gap = self.cut_at_gaps
        require(gap is None or gap >= 1, "cut_at_gaps", gap, "must be at least 1")
        rule = "has no effect on regions: leave it out"
        require(gap is None or not self.region, "cut_at_gaps", gap, rule)
        for program in self.rna:
            known = get_args(RnaName)
            require(program in known, "rna", program, f"must be of {', '.join(known)}")
        alone = len(self.rna) == 1 or not {"auto", "off"} & set(self.rna)
        require(bool(self.rna) and alone, "rna", self.rna, "must be auto, off or names of programs")
        rule = "must be 3 to 12 letters and digits, a letter first"
        is_prefix = not self.locus_tag or _LOCUS_TAG.fullmatch(self.locus_tag)
        require(bool(is_prefix), "locus_tag", self.locus_tag, rule)
        share = self.max_masked
        require(share is None or 0 <= share <= 1, "max_masked", share, "must be between 0 and 1")
        is_plain = "tbl" in self.formats and self.output.suffix != ".gz"
        rule = "needs tbl beside it, and an output that is not compressed"
        require("sqn" not in self.formats or is_plain, "formats", "sqn", rule)
        for flag in ("genome_view", "reference", "busco"):
            value = getattr(self, flag)
            require(self.report is not None or not value, flag, value, "needs --report FILE")
        weight, rule = self.hint_weight, "must be between 0 and 10"
        require(0 <= weight <= 10, "hint_weight", weight, rule)
        has_name = str(self.output) != "-"
        require(has_name or not self.formats, "formats", self.formats, "need an output with a name")

    @property
    def beside(self) -> dict[FormatName, Path]:
        """Where the other formats are written; a name in .gz makes them compressed, too."""
        name = self.output.name
        ending = ".gz" if name.endswith(".gz") else ""
        stem = Path(name.removesuffix(".gz")).stem
        return {kind: self.output.with_name(f"{stem}.{kind}{ending}") for kind in self.formats}

    @property
    def outputs(self) -> dict[str, Path | None]:
        """All files that are written, by the flag that names them."""
        named = {"output": self.output, "proteins": self.proteins, "cds": self.cds}
        beside = {f"formats {kind}": path for kind, path in self.beside.items()}
        return {**named, "record": self.record, "report": self.report, **beside}
