"""The best path through the per-base heads: what they are sure of comes out; whatever they say, genes are legal."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genet5.dataset.per_base import base_targets
from genet5.decode.best_path import best_paths
from genet5.genome.codes import CODONS, genetic_code
from genet5.genome.gene import Cds, Exon, Gene, Transcript
from genet5.genome.sequence import decode_bases, encode_bases, reverse_complement
from genet5.tokens.cut import cut_gene
from genet5.tokens.grammar import GrammarOptions
from genet5.tokens.window import Part, WindowGene, WindowTranscript
from mirrors import reverse_gene
from replay import view_violations

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
    found = best_paths(windows, [1] * len(windows), OPTIONS, *stacked)
    assert found == [[gene] for gene in truth]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), length=st.integers(1, 900))
def test_whatever_the_heads_say_genes_are_legal(seed: int, length: int) -> None:
    rng = np.random.default_rng(seed)
    bases = rng.choice(encode_bases("ACGTacgtN"), length)
    state_logits = rng.normal(0, 2, (1, length, 2, 8)).astype(np.float32)
    state_logits[..., 1:7] += 1.0
    edges = rng.normal(6, 4, (1, length, 8)).astype(np.float32)
    genes = best_paths([bases], [1], OPTIONS, state_logits, edges)[0]
    for gene in genes:
        transcript = gene.transcripts[0]
        assert (transcript.frame is None) == (not transcript.cut_left)
        assert not view_violations(gene, bases, 1, OPTIONS), decode_bases(bases)


def test_a_stop_codon_is_not_spliced_together() -> None:
    """The heads want an exon that ends in T joined to one that begins with AA; that would end the gene there."""
    head, tail = "ATG" + "GCC" * 8 + "T", "AAC" + "GCC" * 8 + "CTAA"
    intron = "GT" + "C" * 30 + "AG"
    text = "CC" + head + intron + tail + "CC"
    bases = encode_bases(text)
    first, second = (2, 1 + len(head)), (2 + len(head) + len(intron), len(text) - 3)
    gene = WindowGene(
        "protein_coding", 1, (WindowTranscript((Part("cds", *first), Part("cds", *second))),)
    )
    found = best_paths([bases], [1], OPTIONS, *(t[None] for t in tracks([gene], len(text))))[0]
    assert gene not in found
    with_another_code = best_paths(
        [bases], [6], OPTIONS, *(t[None] for t in tracks([gene], len(text)))
    )[0]
    assert gene not in with_another_code  # in code 6 TAA codes: the gene has no stop


def test_genes_that_the_window_cuts_keep_their_frame() -> None:
    """Cut the window of a gene everywhere: what the heads are sure of is what `cut_gene` tells of the gene."""
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
            logits = (t[None] for t in tracks([shown], end - begin))
            assert best_paths([bases[begin:end]], [1], OPTIONS, *logits)[0] == [shown]


def reverse_text(text: str) -> str:
    return decode_bases(reverse_complement(encode_bases(text)))
