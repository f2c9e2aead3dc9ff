"""The best path through the per-base heads: genes that they are sure of, and only legal ones."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genet5.dataset.per_base import base_targets
from genet5.decode.best_path import best_paths
from genet5.genome.codes import CODONS, genetic_code, known_codes
from genet5.genome.frames import mirrored_intervals
from genet5.genome.gene import Cds, Exon, Gene, Transcript
from genet5.genome.sequence import decode_bases, encode_bases, reverse_complement
from genet5.tokens.grammar import GrammarOptions
from genet5.tokens.signals import build_signals
from genet5.tokens.window import Part, WindowGene, WindowTranscript
from replay import view_violations
from views import cut_gene, reverse_gene

OPTIONS = GrammarOptions(min_intron=20)
SENSE = [codon for codon in CODONS if not genetic_code(1).is_stop(codon)]


def spliced_gene(rng: np.random.Generator, exons: int) -> tuple[str, list[tuple[int, int]]]:
    """DNA of a gene on the forward strand, and its inclusive coding parts."""
    codons = ["ATG", *rng.choice(SENSE, 60).tolist(), rng.choice(["TAA", "TAG", "TGA"])]
    coding = "".join(codons)
    cuts = sorted(rng.choice(np.arange(4, len(coding) - 4), exons - 1, replace=False).tolist())
    dna, parts = "", []
    for begin, end in zip([0, *cuts], [*cuts, len(coding)], strict=True):
        if dna:
            dna += "GT" + "".join(rng.choice(list("ACGT"), int(rng.integers(16, 90)))) + "AG"
        parts.append((len(dna), len(dna) + end - begin - 1))
        dna += coding[begin:end]
    return dna, parts


def tracks(genes: list[WindowGene], length: int) -> tuple[np.ndarray, np.ndarray]:
    """Head outputs that are right and sure."""
    states, edges = base_targets(genes, length, ())
    state_logits = np.zeros((length, 2, 8), dtype=np.float32)
    for row in (0, 1):
        state_logits[np.arange(length), row, states[row]] = 6.0
    return state_logits, np.where(edges.T, 4.0, -7.0).astype(np.float32)


def paths_of(
    genes: list[WindowGene], bases: np.ndarray, options: GrammarOptions = OPTIONS, code: int = 1
) -> list[WindowGene]:
    """The best paths where the heads are right and sure of genes."""
    logits = (track[None] for track in tracks(genes, len(bases)))
    return best_paths(build_signals([bases], [code], options), options, *logits)[0]


@pytest.mark.slow
@pytest.mark.parametrize("strand", [1, -1])
@pytest.mark.parametrize("exons", [1, 2, 5])
def test_genes_that_the_heads_are_sure_of_come_out_exactly(strand: int, exons: int) -> None:
    rng = np.random.default_rng(exons)
    windows, truth, states, edges = [], [], [], []
    for _ in range(6):
        dna, parts = spliced_gene(rng, exons)
        left = int(rng.integers(1, 200))
        text = "".join(rng.choice(list("ACGT"), left)) + dna
        text += "".join(rng.choice(list("ACGT"), int(rng.integers(1, 200))))
        bases, length = encode_bases(text), len(text)
        placed = [(left + a, left + b) for a, b in parts]
        if strand < 0:
            bases = reverse_complement(bases)
            placed = [(length - 1 - b, length - 1 - a) for a, b in placed[::-1]]
        transcript = WindowTranscript(tuple(Part("cds", a, b) for a, b in placed))
        gene = WindowGene("protein_coding", strand, (transcript,))
        windows.append(bases)
        truth.append(gene)
        for kept, track in zip((states, edges), tracks([gene], length), strict=True):
            kept.append(track)
    longest = max(map(len, windows))
    stacked = [
        np.stack([np.pad(t, [(0, longest - len(t))] + [(0, 0)] * (t.ndim - 1)) for t in kept])
        for kept in (states, edges)
    ]
    signals = build_signals(windows, [1] * len(windows), OPTIONS)
    found = best_paths(signals, OPTIONS, *stacked)
    assert found == [[gene] for gene in truth]


@pytest.mark.slow
@given(
    seed=st.integers(0, 10**6),
    length=st.integers(1, 900),
    code=st.sampled_from(known_codes()),
    options=st.sampled_from(
        [
            OPTIONS,
            replace(OPTIONS, at_ac=True),
            replace(OPTIONS, level="splice_free"),
            replace(OPTIONS, level="off", at_ac=True),
            replace(OPTIONS, min_intron=4, start_codons=("ATG", "CTG")),
        ]
    ),
)
def test_whatever_the_heads_prefer_genes_are_legal(
    seed: int, length: int, code: int, options: GrammarOptions
) -> None:
    rng = np.random.default_rng(seed)
    bases = rng.choice(encode_bases("ACGTacgtN"), length)
    state_logits = rng.normal(0, 2, (1, length, 2, 8)).astype(np.float32)
    state_logits[..., 1:7] += 1.0
    edges = rng.normal(6, 4, (1, length, 8)).astype(np.float32)
    genes = best_paths(build_signals([bases], [code], options), options, state_logits, edges)[0]
    for gene in genes:
        transcript = gene.transcripts[0]
        assert (transcript.frame is None) == (not transcript.cut_left)
        assert not view_violations(gene, bases, code, options), decode_bases(bases)


def test_a_stop_codon_is_not_spliced_together() -> None:
    """The heads want an exon that ends in T joined to one that begins with AA: a stop codon."""
    head, tail = "ATG" + "GCC" * 8 + "T", "AAC" + "GCC" * 8 + "CTAA"
    intron = "GT" + "C" * 30 + "AG"
    text = "CC" + head + intron + tail + "CC"
    bases = encode_bases(text)
    first, second = (2, 1 + len(head)), (2 + len(head) + len(intron), len(text) - 3)
    gene = WindowGene(
        "protein_coding", 1, (WindowTranscript((Part("cds", *first), Part("cds", *second))),)
    )
    assert gene not in paths_of([gene], bases)
    assert gene not in paths_of([gene], bases, code=6)  # in code 6 TAA codes: the gene has no stop


@pytest.mark.slow
@pytest.mark.parametrize(("code", "strand"), [(1, 1), (2, 1), (22, -1), (23, -1)])
def test_split_codons_code_but_for_the_stops_of_the_genetic_code(code: int, strand: int) -> None:
    """All 64 codons split after one base and after two."""
    intron = "GT" + "C" * 20 + "AG"
    for codon, size in itertools.product(CODONS, (1, 2)):
        head, tail = (
            "ATG" + "GCC" * 7 + codon[:size],
            codon[size:] + "GCC" * 13 + genetic_code(code).stops[0],
        )
        text = "CC" + head + intron + tail + "CC"
        blocks = [(2, 2 + len(head)), (len(text) - 2 - len(tail), len(text) - 2)]
        if strand < 0:
            text, blocks = reverse_text(text), list(mirrored_intervals(blocks, len(text)))
        parts = tuple(Part("cds", start, end - 1) for start, end in blocks)
        gene = WindowGene("protein_coding", strand, (WindowTranscript(parts),))
        bases = encode_bases(text)
        is_legal = not view_violations(gene, bases, code, OPTIONS)
        # AG of the intron and the base after it look like a stop codon: see `_acceptors`
        looks_like_stop = code == 2 and size == 2 and codon[2] in "AG"
        found = gene in paths_of([gene], bases, code=code)
        assert found == (is_legal and not looks_like_stop), codon


@pytest.mark.parametrize("strand", [1, -1])
@pytest.mark.parametrize(
    ("intron", "legal_with"),
    [
        ("GT" + "C" * 30 + "AG", {"plain", "at_ac", "splice_free", "off"}),
        ("AT" + "C" * 30 + "AC", {"at_ac", "splice_free", "off"}),
        ("AT" + "C" * 30 + "AG", {"splice_free", "off"}),
        ("GT" + "C" * 4 + "AG", {"off"}),
    ],
)
def test_introns_follow_the_options(intron: str, legal_with: set[str], strand: int) -> None:
    head, tail = "ATG" + "GCC" * 12 + "G", "CC" + "GCC" * 12 + "TAA"
    text = "C" * 30 + head + intron + tail + "C" * 30
    second = 30 + len(head) + len(intron)
    blocks = [(30, 30 + len(head)), (second, second + len(tail))]
    if strand < 0:
        text, blocks = reverse_text(text), list(mirrored_intervals(blocks, len(text)))
    parts = tuple(Part("cds", start, end - 1) for start, end in blocks)
    gene = WindowGene("protein_coding", strand, (WindowTranscript(parts),))
    levels = {
        "plain": OPTIONS,
        "at_ac": replace(OPTIONS, at_ac=True),
        "splice_free": replace(OPTIONS, level="splice_free"),
        "off": replace(OPTIONS, level="off"),
    }
    found = {
        name: paths_of([gene], encode_bases(text), options) for name, options in levels.items()
    }
    assert {name for name, genes in found.items() if genes == [gene]} == legal_with


def test_an_at_ac_gene_is_cut_like_any_other() -> None:
    options = replace(OPTIONS, at_ac=True)
    text = "C" * 9 + "ATG" + "GCC" * 30 + "AT" + "C" * 30 + "AC" + "GCC" * 30 + "TAA"
    for first, last, left in ((0, 120, False), (112, len(text), True)):
        part = Part("cds", 9, 101) if not left else Part("cds", 24, len(text) - 113)
        transcript = WindowTranscript((part,), left, not left, 0 if left else None)
        gene = WindowGene("protein_coding", 1, (transcript,))
        assert paths_of([gene], encode_bases(text[first:last]), options) == [gene]


def test_genes_that_the_window_cuts_keep_their_frame() -> None:
    """Cut the window of a gene anywhere: sure heads give what `cut_gene` shows of the gene."""
    rng = np.random.default_rng(3)
    dna, parts = spliced_gene(rng, 3)
    text = "C" * 30 + dna + "C" * 30
    cds = tuple(Cds(30 + a, 31 + b, 0) for a, b in parts)
    exons = tuple(Exon(30 + a, 31 + b) for a, b in parts)
    transcript = Transcript(id="t", exons=exons, cds=cds)
    forward = Gene(id="g", contig="c", strand=1, transcripts=(transcript,))
    cases = [(text, forward), (reverse_text(text), reverse_gene(forward, len(text)))]
    for bases_text, gene in cases:
        bases = encode_bases(bases_text)
        for begin, end in [(0, 200), (90, 300), (150, len(text)), (100, 180), (60, 400)]:
            shown = cut_gene(gene, begin, end)
            assert isinstance(shown, WindowGene)
            assert paths_of([shown], bases[begin:end]) == [shown]


def reverse_text(text: str) -> str:
    return decode_bases(reverse_complement(encode_bases(text)))
