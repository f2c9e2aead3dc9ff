"""What the gene-structure language makes of one genome.

Which genes are legal, and which windows give again.

Causes come from the bases alone (`genet5.tokens.legality`), and are held against the grammar's own
verdict."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from restitch import restitch

from genet5.annotate.merge import Merger
from genet5.annotate.stitch import Joiner
from genet5.decode.fragment import GeneFragment
from genet5.errors import DataError
from genet5.genome.extract import cds_bases, span_bases
from genet5.genome.gene import Gene, Transcript
from genet5.genome.io.fasta import Contig, read_fasta
from genet5.genome.io.gff3 import read_gff3
from genet5.genome.sequence import Bases, decode_bases
from genet5.genome.tiling import ContigTiling, is_blank
from genet5.tokens.cut import GeneIndex, shift_gene, wrapped_genes
from genet5.tokens.grammar import Grammar, GrammarOptions, prokaryote_options
from genet5.tokens.legality import Violation, violations
from genet5.tokens.structure import begin_key, decode_window, encode_window
from genet5.tokens.vocabulary import StructureVocabulary
from genet5.tokens.window import WindowGene, WindowStructure

SIZES_BP = (2_000, 4_000, 8_000, 16_000, 32_000)
ORGANELLE_CODES = {
    ("Saccharomyces_cerevisiae_R64-1-1", "Mito"): 3,
    ("Schizosaccharomyces_pombe_ASM294v2", "MT"): 4,
    ("Caenorhabditis_elegans_WS282_1pct", "MtDNA"): 5,
    ("Arabidopsis_thaliana_TAIR10_1pct", "ChrC"): 11,
}
"""Genetic codes that the annotations do not state."""
MISFITS = frozenset({("Schizosaccharomyces_pombe_ASM294v2", "MT")})
"""Contigs whose annotation was made on another version of the sequence: it lies some bases off."""

Shape = tuple[str, int, tuple[tuple[int, int], ...]]
"""Type, strand and coding parts of a transcript."""


@dataclass(frozen=True, slots=True)
class CheckedGene:
    """A coding gene with the verdict of the grammar and of the bases."""

    gene: Gene
    shape: Shape | None
    """None: the language cannot write it."""
    cause: str
    """Why it is illegal; empty if it is legal."""

    @property
    def is_legal(self) -> bool:
        return not self.cause


def measure(folder: Path, sizes_bp: Sequence[int] = SIZES_BP) -> dict[str, Any]:
    """Return all figures of one genome."""
    annotation = read_gff3(folder / "annotation.gff3.gz")
    by_contig: dict[str, list[Gene]] = defaultdict(list)
    for gene in annotation.genes:
        if gene.is_coding:
            by_contig[gene.contig].append(gene)
    figures: dict[str, Any] = {"taxon": folder.parent.name, "genome": folder.name}
    figures |= {"bp": 0, "not_genes": annotation.skipped}
    counts: Counter[str] = Counter()
    windows: dict[str, Counter[str]] = defaultdict(Counter)
    for contig in read_fasta(folder / "genome.fa.gz"):
        figures["bp"] += len(contig.bases)
        study = ContigStudy(
            folder, contig, by_contig[contig.name], contig.name in annotation.circular
        )
        counts += study.legality()
        for size_bp in sizes_bp if study.genes else ():
            for overlap in (0, 50):
                windows[f"{size_bp} bp, {overlap} % overlap"] += study.windows(size_bp, overlap)
    figures["genes"] = dict(sorted(counts.items()))
    figures["windows"] = {name: dict(sorted(found.items())) for name, found in windows.items()}
    return figures


class ContigStudy:
    """The coding genes of one contig with their verdicts, and its windows."""

    def __init__(self, folder: Path, contig: Contig, genes: Sequence[Gene], circular: bool) -> None:
        self.contig, self.circular = contig, circular
        self.misfit = (folder.name, contig.name) in MISFITS
        stated = [gene.genetic_code for gene in genes if gene.genetic_code]
        default = 11 if folder.parent.name == "prokaryotes" else 1
        self.code = (
            stated[0] if stated else ORGANELLE_CODES.get((folder.name, contig.name), default)
        )
        types = tuple(sorted({gene.type for gene in genes})) or ("protein_coding",)
        self.vocabulary = StructureVocabulary(types)
        prokaryotic = folder.parent.name == "prokaryotes"
        plain = prokaryote_options() if prokaryotic else GrammarOptions()
        self.options = replace(plain, gene_types=types, coding_types=types)
        self.genes = [self._check(gene) for gene in genes]
        self.written = [checked for checked in self.genes if checked.shape is not None]
        length_bp = min(len(contig.bases), max(SIZES_BP)) if circular else 0
        self.index = GeneIndex(self._on_axis(self.written, length_bp))
        self.legal = GeneIndex(self._on_axis([j for j in self.genes if j.is_legal], length_bp))

    def _on_axis(self, some: Sequence[CheckedGene], past_origin_bp: int) -> Iterator[Gene]:
        """The genes as axes show them.

        On a circular contig also those that they pass a second time.
        """
        genes, contig_bp = [checked.gene for checked in some], len(self.contig.bases)
        yield from wrapped_genes(genes, contig_bp) if self.circular else genes
        yield from (shift_gene(gene, contig_bp) for gene in genes if gene.start < past_origin_bp)

    def _check(self, gene: Gene) -> CheckedGene:
        transcript, bases = gene.canonical, self.contig.bases
        start, end = transcript.cds[0].start, transcript.cds[-1].end
        cds = [("cds", piece.start, piece.end) for piece in transcript.cds]
        found = violations(cds, gene.strand, bases, self.code, self.options)
        cause = cause_of(transcript, found)
        shown = GeneIndex([gene]).cut(start, end)
        if not shown:
            return CheckedGene(gene, None, cause)
        if self._accepts(shown, span_bases(bases, start, end)) == bool(found):
            cause = "disputed"
        elif found and self.misfit:
            cause = "another sequence"
        parts = shown[0].transcripts[0].parts
        blocks = tuple((start + part.first, start + part.last + 1) for part in parts)
        return CheckedGene(gene, (gene.type, gene.strand, blocks), cause)

    def _accepts(self, genes: Sequence[WindowGene], window: Bases) -> bool:
        """Whether the grammar would write these genes of a window."""
        structure = WindowStructure(self.code, None, tuple(genes))
        labels = encode_window(structure, self.vocabulary).tolist()
        options = replace(self.options, max_labels=len(labels) + self.options.max_labels)
        grammar = Grammar([window], [self.code], options, self.vocabulary)
        try:
            for label in labels[len(grammar.prompt[0]) :]:
                grammar.advance([label])
        except DataError:
            return False
        return bool(grammar.finished[0])

    def _start(self, checked: CheckedGene) -> str:
        """First codon of a gene."""
        coding = cds_bases(self.contig.bases, checked.gene, checked.gene.canonical)
        return decode_bases(coding[:3]).upper()

    def legality(self) -> Counter[str]:
        """Count the genes, those that are legal, and the others by cause."""
        counts = Counter(f"illegal: {checked.cause}" for checked in self.genes if checked.cause)
        counts["coding"] = len(self.genes)
        counts["legal"] = sum(checked.is_legal for checked in self.genes)
        counts += Counter(
            f"starts with {self._start(j)}" for j in self.genes if j.cause == "start codon"
        )
        counts["regular"] = sum(checked.gene.is_regular for checked in self.genes)
        counts["with isoforms"] = sum(len(coding_shapes(j.gene)) > 1 for j in self.genes)
        return +counts

    def windows(self, size_bp: int, overlap: int) -> Counter[str]:
        """Cut the contig into windows; count what comes of the genes."""
        tiling = lay_windows(len(self.contig.bases), size_bp, overlap, circular=self.circular)
        shown = [self.index.cut(window.start, window.end) for window in tiling.tiles]
        counts = self._read_back(shown)
        counts["windows"] = len(shown)
        found = {shape_of(gene): gene.is_joined for gene in restitch(tiling, shown)}
        joined = annotate_joins(tiling, shown, self.contig)
        counts["not a gene"] = len(found.keys() - {checked.shape for checked in self.written})
        for checked in self.written:
            kind = "legal" if checked.is_legal else "illegal"
            assert checked.shape is not None
            counts[f"{kind}: fits"] += span_bp(checked.shape) <= size_bp
            if checked.shape not in found:
                counts[f"{kind}: lost, {why_lost(checked, self.written)}"] += 1
            else:
                counts[f"{kind}: " + ("joined" if found[checked.shape] else "whole")] += 1
            if checked.shape not in joined:
                counts[f"{kind}: annotate loses, {why_annotate_loses(checked, joined)}"] += 1
        counts += self._isoforms(tiling)
        if not overlap:
            counts += self._check_windows(tiling)
        return +counts

    def _read_back(self, shown: Sequence[tuple[WindowGene, ...]]) -> Counter[str]:
        """Write each window and read it again."""
        changed = 0
        for genes in shown:
            structure = WindowStructure(self.code, None, genes)
            labels = encode_window(structure, self.vocabulary)
            changed += decode_window(labels, self.vocabulary) != structure
        return Counter({"windows changed by reading back": changed})

    def _check_windows(self, tiling: ContigTiling) -> Counter[str]:
        """Legal genes must be legal in every window that cuts them."""
        counts: Counter[str] = Counter()
        for window in tiling.tiles:
            shown = self.legal.cut(window.start, window.end)
            if not shown:
                continue
            first_of = {begin_key(gene): gene for gene in reversed(shown)}
            distinct = [gene for gene in shown if first_of[begin_key(gene)] is gene]
            bases = tiling.bases(self.contig.bases, window)
            if not self._accepts(distinct, bases):
                counts["refused"] += sum(not self._accepts([gene], bases) for gene in distinct)
            counts["shown"] += len(shown)
            counts["begins like another gene"] += len(shown) - len(distinct)
        return counts

    def _isoforms(self, tiling: ContigTiling) -> Counter[str]:
        """Genes with several coding transcripts: does any window cut several of them at once?"""
        counts: Counter[str] = Counter()
        starts = [window.start for window in tiling.tiles]
        ends = [window.end for window in tiling.tiles]
        for gene in (j.gene for j in self.written if len(coding_shapes(j.gene)) > 1):
            index = GeneIndex([gene], isoforms=1_000)
            near = tiling.tiles[bisect_right(ends, gene.start) : bisect_left(starts, gene.end)]
            views = [shown[0].transcripts for w in near if (shown := index.cut(w.start, w.end))]
            most = max(sum(t.cut_left or t.cut_right for t in view) for view in views)
            counts[
                "isoforms: several cut at once" if most > 1 else "isoforms: one cut at most"
            ] += 1
        return counts


def cause_of(transcript: Transcript, found: Sequence[Violation]) -> str:
    """Name the cause under which an illegal gene is counted; empty if nothing was found."""
    if not found:
        return ""
    if transcript.partial_5 or transcript.partial_3:
        return "incomplete in the source"
    if "frame shift" in found or "ribosomal_slippage" in transcript.exceptions:
        return "frame shift"
    if "internal stop" in found and transcript.exceptions:
        return "internal stop, marked"
    return found[0]


def coding_shapes(gene: Gene) -> set[tuple[tuple[int, int], ...]]:
    """Distinct coding structures of a gene's transcripts."""
    return {tuple((c.start, c.end) for c in t.cds) for t in gene.transcripts if t.cds}


def span_bp(shape: Shape) -> int:
    """Bases from the first to the last coding base."""
    return shape[2][-1][1] - shape[2][0][0]


def lay_windows(contig_bp: int, size_bp: int, overlap: int, *, circular: bool) -> ContigTiling:
    """Lay windows over a contig: as `annotate` does, or side by side without any overlap."""
    if overlap:
        return ContigTiling.even(contig_bp, size_bp, size_bp * overlap // 100, circular=circular)
    length_bp = contig_bp + min(contig_bp, size_bp) if circular else contig_bp
    tiling = ContigTiling.stepped(length_bp, size_bp)
    return replace(tiling, contig_bp=contig_bp, circular=circular)


def shape_of(gene: Any) -> Shape:
    """Shape of a candidate."""
    return gene.type, gene.strand, tuple((part.start, part.end) for part in gene.parts)


def annotate_joins(
    tiling: ContigTiling, shown: Sequence[Sequence[WindowGene]], contig: Contig
) -> set[Shape]:
    """What `annotate` makes of these windows.

    Its joiner forgives decoders, and its merger lets windows vote.
    """
    joiner, merger = Joiner(tiling), Merger(tiling)
    for tile, genes in zip(tiling.tiles, shown, strict=True):
        if is_blank(tiling.bases(contig.bases, tile)):
            continue
        fragments = [GeneFragment.of(gene).placed(tile.start, tile.end) for gene in genes]
        merger.add_window(tile, fragments)
        merger.add_candidates(joiner.add(tile, fragments))
    return {shape_of(candidate) for candidate in merger.finish()}


def why_lost(checked: CheckedGene, others: Sequence[CheckedGene]) -> str:
    """Why the windows do not give a gene again."""
    transcript, shape = checked.gene.canonical, checked.shape
    assert shape is not None
    five = transcript.cds[0 if checked.gene.strand > 0 else -1]
    if five.phase or (transcript.cds_length - five.phase) % 3:
        return "no whole codon at an end"
    start, end = shape[2][0][0], shape[2][-1][1]
    for other in others:
        blocks = other.shape[2] if other.shape else ()
        near = other is not checked and other.gene.strand == checked.gene.strand
        if near and blocks and blocks[0][0] < end and blocks[-1][1] > start:
            return "alike another gene where windows meet"
    return "unknown"


def three_prime(shape: Shape) -> tuple[int, int]:
    """Strand and base of the 3' end."""
    return shape[1], shape[2][-1][1] if shape[1] > 0 else shape[2][0][0]


def why_annotate_loses(checked: CheckedGene, calls: set[Shape]) -> str:
    """Why annotate's joiner and merger do not give a gene again."""
    assert checked.shape is not None
    rival = three_prime(checked.shape) in {three_prime(call) for call in calls}
    return "another gene has its 3' end" if rival else "not joined"
