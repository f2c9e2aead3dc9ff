from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genet5.errors import ConfigError
from genet5.genome.gene import Cds, Exon, Gene, Transcript
from genet5.genome.io.gff3 import read_gff3
from genet5.genome.io.read_options import ReadOptions
from genet5.tokens.cut import GeneIndex, shift_gene, wrapped_genes
from genet5.tokens.structure import decode_window, encode_window
from genet5.tokens.vocabulary import StructureVocabulary
from genet5.tokens.window import Part, WindowGene, WindowStructure, WindowTranscript
from views import cut_gene, cut_genes, reverse_gene, reverse_window

VOCABULARY = StructureVocabulary()


def make_transcript(
    start: int,
    lengths: list[int],
    strand: int,
    *,
    utr: tuple[int, int] = (0, 0),
    phase: int = 0,
    name: str = "t",
) -> Transcript:
    """Exon, intron, exon ... of `lengths` from `start` on.

    `utr` exonic bases at the left and right do not code.
    """
    exons, position = [], start
    for number, length in enumerate(lengths):
        if number % 2 == 0:
            exons.append(Exon(position, position + length))
        position += length
    bases = [base for exon in exons for base in range(exon.start, exon.end)]
    coding = set(bases[utr[0] : len(bases) - utr[1]])
    pieces = []
    for exon in exons:
        inside = [base for base in range(exon.start, exon.end) if base in coding]
        if inside:
            pieces.append((inside[0], inside[-1] + 1))
    cds, before = [], -phase
    for first, end in pieces[::strand]:
        cds.append(Cds(first, end, -before % 3))
        before += end - first
    return Transcript(id=name, exons=tuple(exons), cds=tuple(cds[::strand]))


def make_gene(start: int, lengths: list[int], strand: int, name: str = "g", **options) -> Gene:
    transcript = make_transcript(start, lengths, strand, **options)
    return Gene(id=name, contig="c", strand=strand, transcripts=(transcript,))


@st.composite
def exon_lengths(draw, max_exons: int = 4, multiple_of_3: bool = False) -> list[int]:
    lengths = [draw(st.integers(1, 9))]
    for _ in range(draw(st.integers(0, max_exons - 1))):
        lengths += [draw(st.integers(1, 12)), draw(st.integers(1, 9))]
    if multiple_of_3:
        lengths[-1] += -sum(lengths[::2]) % 3
    return lengths


@st.composite
def genes(draw, utr: bool = True) -> Gene:
    lengths = draw(exon_lengths())
    spare = sum(lengths[::2]) - 1
    left = draw(st.integers(0, spare)) if utr else 0
    right = draw(st.integers(0, spare - left)) if utr else 0
    return make_gene(
        draw(st.integers(0, 40)),
        lengths,
        draw(st.sampled_from((1, -1))),
        utr=(left, right),
        phase=draw(st.integers(0, 2)),
    )


@st.composite
def gene_sets(draw, utr: bool = False) -> list[Gene]:
    """Complete genes, CDS of whole codons; those of one strand do not overlap."""
    found = []
    for strand in (1, -1):
        position = draw(st.integers(0, 8))
        for _ in range(draw(st.integers(0, 4))):
            lengths = draw(exon_lengths(multiple_of_3=not utr))
            found.append(make_gene(position, lengths, strand, name=f"g{len(found)}"))
            position += sum(lengths) + draw(st.integers(0, 10))
    return sorted(found, key=lambda gene: gene.start)


def view_by_hand(gene: Gene, start: int, end: int, utr: bool) -> WindowTranscript | None:
    """The window base by base."""
    transcript = gene.transcripts[0]
    coding = [base for piece in transcript.cds for base in range(piece.start, piece.end)]
    kinds = (
        {base: "utr" for exon in transcript.exons for base in range(exon.start, exon.end)}
        if utr
        else {}
    )
    kinds |= dict.fromkeys(coding, "cds")
    if min(kinds) >= end or max(kinds) < start:
        return None
    parts: list[list] = []
    for base in range(start, end):
        kind = kinds.get(base)
        if kind and parts and parts[-1] == [kind, parts[-1][1], base - start - 1]:
            parts[-1][2] += 1
        elif kind:
            parts.append([kind, base - start, base - start])
    cut_left, cut_right = min(kinds) < start, max(kinds) >= end
    at_right = [base for base in coding if base >= start]
    frame = None
    if cut_left and at_right:
        in_order = coding[:: gene.strand]
        phase = transcript.cds[0 if gene.strand > 0 else -1].phase
        frame = (in_order.index(at_right[0]) - phase) % 3
    return WindowTranscript(tuple(Part(*part) for part in parts), cut_left, cut_right, frame)


@pytest.mark.slow
@given(genes(), st.integers(0, 90), st.integers(1, 60), st.booleans())
def test_a_window_shows_what_its_bases_say(gene: Gene, start: int, length: int, utr: bool):
    expected = view_by_hand(gene, start, start + length, utr)
    found = cut_gene(gene, start, start + length, utr=utr)
    assert found == (expected and WindowGene("protein_coding", gene.strand, (expected,)))


@pytest.mark.slow
@given(gene_sets(utr=True), st.integers(0, 90), st.integers(1, 60), st.booleans())
def test_cut_genes_survive_the_language(found: list[Gene], start: int, length: int, reverse: bool):
    structure = WindowStructure(
        11, None, GeneIndex(found, utr=True).cut(start, start + length, reverse=reverse)
    )
    assert decode_window(encode_window(structure, VOCABULARY), VOCABULARY) == structure


@pytest.mark.slow
@given(gene_sets(), st.integers(0, 90), st.integers(1, 60))
def test_the_index_finds_what_a_scan_finds(found: list[Gene], start: int, length: int):
    views = [cut_gene(gene, start, start + length) for gene in found]
    shown = GeneIndex(found).cut(start, start + length)
    assert sorted(map(repr, shown)) == sorted(repr(view) for view in views if view)
    assert shown == cut_genes(found, start, start + length)
    firsts = [
        gene.transcripts[0].parts[0].first if gene.transcripts[0].parts else -1 for gene in shown
    ]
    assert firsts == sorted(firsts)


@pytest.mark.slow
@given(st.lists(genes(), max_size=4), st.integers(0, 90), st.integers(1, 60), st.booleans())
def test_the_reverse_complement_is_cut_from_the_mirrored_gene(
    found: list[Gene], start: int, length: int, utr: bool
):
    contig_length, end = 200, start + length
    mirrored = [reverse_gene(gene, contig_length) for gene in found]
    expected = cut_genes(mirrored, contig_length - end, contig_length - start, utr=utr)
    assert GeneIndex(found, utr=utr).cut(start, end, reverse=True) == expected
    assert [reverse_gene(gene, contig_length) for gene in mirrored] == found


@pytest.mark.slow
@given(gene_sets(), st.integers(0, 90), st.integers(1, 60))
def test_a_window_is_reversed_from_itself(found: list[Gene], start: int, length: int):
    index = GeneIndex(found)
    forward = index.cut(start, start + length)
    assert reverse_window(forward, length) == index.cut(start, start + length, reverse=True)
    assert reverse_window(reverse_window(forward, length), length) == forward


@pytest.mark.parametrize("strand", [1, -1])
@pytest.mark.parametrize(
    ("start", "end"), [(0, 6), (6, 12), (2, 34), (32, 40), (8, 30), (0, 40), (5, 6)]
)
def test_a_window_with_untranslated_ends_is_reversed_from_itself(strand: int, start: int, end: int):
    index = GeneIndex([make_gene(2, [10, 5, 6, 5, 10], strand, utr=(5, 6))], utr=True)
    assert reverse_window(index.cut(start, end), end - start) == index.cut(start, end, reverse=True)


# ---- windows that tile a contig rejoin ----


@dataclass
class Piece:
    """A gene as far as the windows up to now show it, in the contig's coordinates (half-open)."""

    strand: int
    parts: list[tuple[int, int]]
    open: bool
    used: bool = field(default=False)

    def shown(self, start: int, end: int) -> list[tuple[int, int]]:
        return [(max(a, start), min(b, end)) for a, b in self.parts if a < end and b > start]

    def frame_at(self, start: int) -> int:
        before = sum(max(0, min(b, start) - a) for a, b in self.parts)
        return before % 3 if self.strand > 0 else (2 - before) % 3

    def extend(self, parts: list[tuple[int, int]]) -> None:
        for start, end in parts:
            if self.parts and self.parts[-1][1] == start:
                self.parts[-1] = (self.parts[-1][0], end)
            else:
                self.parts.append((start, end))


def rejoin(index: GeneIndex, starts: list[int], length: int) -> list[Piece]:
    """Walk the windows left to right; each gene extends the one chain that it continues exactly."""
    complete: list[Piece] = []
    pool: list[Piece] = []
    reach = starts[0]
    for start in starts:
        now: list[Piece] = []
        for gene in index.cut(start, start + length):
            (view,) = gene.transcripts
            parts = [(part.first + start, part.last + 1 + start) for part in view.parts]
            seen = [(max(a, start), min(b, reach)) for a, b in parts if a < reach]
            rest = [(max(a, reach), b) for a, b in parts if b > reach]
            matches = [
                piece
                for piece in pool
                if piece.strand == gene.strand
                and not piece.used
                and piece.shown(start, reach) == seen
                and (seen or piece.open)
                and (not view.cut_left or view.frame == piece.frame_at(start))
                and (view.cut_left or (seen and not piece.shown(0, start)))
            ]
            assert len(matches) == (view.cut_left or bool(seen))
            piece = matches[0] if matches else Piece(gene.strand, [], open=True)
            piece.used = bool(matches)
            piece.extend(rest)
            piece.open = view.cut_right
            now.append(piece)
        complete += [piece for piece in pool if not piece.used]
        for piece in now:
            piece.used = False
        pool, reach = now, start + length
    return complete + pool


@pytest.mark.slow
@given(gene_sets(), st.integers(1, 40), st.data())
def test_tilings_rejoin_to_the_genes(found: list[Gene], length: int, data):
    end = max((gene.end for gene in found), default=0)
    overlap = data.draw(st.one_of(st.just(0), st.integers(0, length - 1)))
    starts = list(range(0, end + 1, length - overlap))
    joined = rejoin(GeneIndex(found), starts, length)
    assert not any(piece.open for piece in joined)
    parts = sorted((piece.strand, tuple(piece.parts)) for piece in joined)
    truth = sorted((g.strand, tuple((c.start, c.end) for c in g.canonical.cds)) for g in found)
    assert parts == truth


@pytest.mark.data
@pytest.mark.parametrize("overlap", [0, 500])
@pytest.mark.parametrize(
    "genome",
    [
        "prokaryotes/Escherichia_coli_K-12_MG1655",
        "unicellular/Schizosaccharomyces_pombe_ASM294v2",
        "plants/Arabidopsis_thaliana_TAIR10_1pct",
        "vertebrates/Homo_sapiens_GRCh38_chr9_0-1Mb",
    ],
)
def test_tilings_rejoin_real_genes(shared_data: Path, genome: str, overlap: int):
    annotation = read_gff3(
        next((shared_data / "raw" / genome).glob("annotation.gff3*")), ReadOptions(skip_bad=True)
    )
    by_contig: dict[str, list[Gene]] = {}
    last_end: dict[tuple[str, int], int] = {}
    for gene in (
        annotation.genes
    ):  # where genes of one strand overlap, a joiner of windows without overlap has to guess
        strand = (gene.contig, gene.strand)
        if gene.is_regular and gene.start >= last_end.get(strand, 0):
            last_end[strand] = gene.end
            by_contig.setdefault(gene.contig, []).append(gene)
    assert sum(map(len, by_contig.values())) > 5
    for found in by_contig.values():
        starts = list(range(0, max(gene.end for gene in found) + 1, 2_000 - overlap))
        joined = rejoin(GeneIndex(found), starts, 2_000)
        parts = sorted((piece.strand, tuple(piece.parts)) for piece in joined)
        assert parts == sorted(
            (g.strand, tuple((c.start, c.end) for c in g.canonical.cds)) for g in found
        )


# ---- single cases ----


def _only(gene: WindowGene | None) -> WindowTranscript:
    assert gene is not None
    (transcript,) = gene.transcripts
    return transcript


def test_a_window_inside_an_intron_shows_cuts_and_the_frame_beyond_it():
    plus, minus = make_gene(10, [4, 30, 5], 1), make_gene(10, [4, 30, 5], -1)
    assert _only(cut_gene(plus, 20, 30)) == WindowTranscript((), True, True, 1)
    assert _only(cut_gene(minus, 20, 30)) == WindowTranscript((), True, True, 1)
    assert _only(cut_gene(make_gene(10, [4, 30, 6], -1), 20, 30)).frame == 2


def test_an_exon_that_ends_at_the_edge_leaves_the_gene_cut():
    gene = make_gene(10, [6, 10, 6], 1)
    assert _only(cut_gene(gene, 0, 16)) == WindowTranscript((Part("cds", 10, 15),), cut_right=True)
    assert _only(cut_gene(gene, 16, 40)) == WindowTranscript((Part("cds", 10, 15),), True, False, 0)
    assert cut_gene(gene, 0, 10) is None
    assert cut_gene(gene, 32, 40) is None
    assert _only(cut_gene(gene, 10, 32)) == WindowTranscript(
        (Part("cds", 0, 5), Part("cds", 16, 21))
    )


def test_no_frame_when_no_coding_base_follows():
    gene = make_gene(0, [30], 1, utr=(6, 12))
    assert _only(cut_gene(gene, 20, 40, utr=True)) == WindowTranscript((Part("utr", 0, 9),), True)
    assert _only(cut_gene(gene, 3, 40, utr=True)).frame == 0
    assert cut_gene(gene, 20, 40) is None


def test_touching_pieces_of_one_kind_are_one_part():
    transcript = Transcript(id="t", exons=(Exon(0, 12),), cds=(Cds(0, 5, 0), Cds(5, 12, 1)))
    gene = Gene(id="g", contig="c", strand=1, transcripts=(transcript,))
    assert _only(cut_gene(gene, 0, 20)) == WindowTranscript((Part("cds", 0, 11),))


def _isoforms() -> Gene:
    short = make_transcript(0, [6], 1, name="short")
    long = make_transcript(0, [6, 10, 12], 1, name="long")
    middle = make_transcript(0, [6, 10, 9], 1, name="middle")
    twin = make_transcript(0, [6, 10, 12, 5, 4], 1, utr=(0, 4), name="twin")
    silent = Transcript(id="silent", exons=(Exon(0, 50),))
    return Gene(id="g", contig="c", strand=1, transcripts=(short, silent, long, middle, twin))


def test_isoforms_stand_by_cds_length_and_once():
    def lasts(**options) -> list[int]:
        gene = cut_gene(_isoforms(), 0, 60, **options)
        assert gene is not None
        return [transcript.parts[-1].last for transcript in gene.transcripts]

    assert lasts() == [27]
    assert lasts(isoforms=9) == [27, 24, 5]
    assert lasts(isoforms=2) == [27, 24]
    assert lasts(isoforms=9, noncoding=True) == [27, 24, 5, 49]
    assert lasts(utr=True) == [36]


def test_isoforms_that_look_alike_in_a_window_are_written_once():
    gene = cut_gene(_isoforms(), 0, 12, isoforms=9)
    assert gene is not None
    assert gene.transcripts == (
        WindowTranscript((Part("cds", 0, 5),), cut_right=True),
        WindowTranscript((Part("cds", 0, 5),)),
    )


def test_isoforms_below_one_are_refused():
    with pytest.raises(ConfigError, match="isoforms"):
        cut_gene(_isoforms(), 0, 20, isoforms=0)


def test_genes_without_cds_and_pseudogenes_are_exons_by_option():
    transcript = Transcript(id="t", exons=(Exon(5, 40), Exon(50, 60)))
    trna = Gene(id="g", contig="c", strand=-1, transcripts=(transcript,), type="tRNA")
    broken = make_gene(70, [20], 1)
    broken = Gene(id="p", contig="c", strand=1, transcripts=broken.transcripts, pseudo=True)
    index = GeneIndex([trna, broken])
    assert (len(index), index.cut(0, 100)) == (0, ())
    assert [cause for _, cause in index.left_out] == ["non_coding", "non_coding"]
    assert cut_gene(trna, 0, 100) is None
    shown = cut_genes([trna, broken], 10, 100, noncoding=True)
    assert shown == (
        WindowGene(
            "tRNA", -1, (WindowTranscript((Part("exon", 0, 29), Part("exon", 40, 49)), True),)
        ),
        WindowGene("pseudogene", 1, (WindowTranscript((Part("exon", 60, 79),)),)),
    )
    assert reverse_window(reverse_window(shown, 90), 90) == shown


def test_overlapping_parts_are_left_out_with_their_cause():
    slipped = Transcript(id="t", exons=(Exon(0, 30),), cds=(Cds(0, 15, 0), Cds(14, 30, 0)))
    gene = Gene(id="prfB", contig="c", strand=1, transcripts=(slipped,))
    index = GeneIndex([gene, make_gene(40, [9], 1)])
    assert len(index) == 1
    assert index.left_out == ((gene, "overlapping_parts"),)


def test_a_gene_over_the_origin_is_cut_at_both_ends_of_the_contig():
    length = 100
    gene = make_gene(92, [12, 5, 9], 1)
    inner = make_gene(30, [9], -1)
    found = wrapped_genes([inner, gene], length)
    assert [(g.id, g.start, g.end) for g in found] == [("g", -8, 18), ("g", 30, 39), ("g", 92, 118)]
    index = GeneIndex(found)
    assert index.cut(80, 100) == (
        WindowGene(
            "protein_coding", 1, (WindowTranscript((Part("cds", 12, 19),), cut_right=True),)
        ),
    )
    assert index.cut(0, 20) == (
        WindowGene(
            "protein_coding",
            1,
            (WindowTranscript((Part("cds", 0, 3), Part("cds", 9, 17)), True, False, 2),),
        ),
    )
    mirrored = reverse_gene(gene, length)
    assert (mirrored.start, mirrored.end, mirrored.strand) == (82, 108, -1)
    assert reverse_gene(mirrored, length) == gene
    assert GeneIndex(wrapped_genes([reverse_gene(g, length) for g in (inner, gene)], length)).cut(
        80, 100
    ) == index.cut(0, 20, reverse=True)


def test_shifting_moves_all_coordinates():
    gene = make_gene(5, [10, 5, 8], -1, utr=(2, 1))
    moved = shift_gene(gene, -7)
    assert (moved.start, moved.end) == (gene.start - 7, gene.end - 7)
    assert shift_gene(moved, 7) == gene
