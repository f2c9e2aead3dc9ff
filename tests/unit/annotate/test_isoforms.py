"""Alternative transcripts: which are tried, what they are worth, and how they are written."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from builders import make_gene
from genet5.annotate.isoforms import Isoforms, alternatives
from genet5.annotate.plan import plan_model
from genet5.config.annotate import AnnotatorConfig
from genet5.errors import ConfigError
from genet5.genome.gene import Gene
from genet5.genome.io.fasta import Contig
from genet5.genome.io.gff3_write import write_gff3
from genet5.genome.io.gtf_write import write_gtf
from genet5.genome.sequence import encode_bases, reverse_complement
from genet5.tokens.rules import GrammarOptions
from genet5.tokens.structure import decode_window
from genet5.tokens.vocabulary import StructureVocabulary

INTRON = "GT" + "C" * 26 + "AG"
DNA = "C" * 50 + "ATGAAA" + INTRON + "CCCCCC" + INTRON + "GGGTAA" + "C" * 50
PARTS = ((50, 56), (86, 92), (122, 128))
SKIPPED = ((50, 56), (122, 128))
KEPT = ((50, 92), (122, 128))
V = StructureVocabulary()


class KnowingEngine:
    """Holds the gene likely by .6, without its inner exon .3, with its first intron kept .08."""

    calling = SimpleNamespace(window_bp=150, grammar=GrammarOptions(), clade=None)
    tokenizer = SimpleNamespace(structure=V)

    def __init__(self) -> None:
        self.rows: list[Any] = []

    def encoded(self, bases: Any, code: int, evidence: Sequence[Any]) -> Any:
        assert (code, list(evidence)) == (1, [])
        logits = np.zeros((1, len(bases), 8), dtype=np.float32)
        array = SimpleNamespace(cpu=lambda: SimpleNamespace(numpy=lambda: logits[0]))
        return SimpleNamespace(boundary_logits=[SimpleNamespace(float=lambda: array)])

    def log_likelihoods(self, encoded: Any, rows: Sequence[Any]) -> Any:
        self.rows = [decode_window(row, V).genes for row in rows]
        return np.log([0.6, 0.3, 0.08, 0.02])[: len(rows)] - 1000


def found(most: int, gene: Gene, bases: Any = None) -> tuple[Gene, KnowingEngine]:
    engine = KnowingEngine()
    contig = Contig("c", encode_bases(DNA) if bases is None else bases)
    isoforms = Isoforms(engine, most)  # type: ignore[arg-type]
    (made,) = isoforms.added(0, contig, [gene])
    return made, engine


def gene() -> Gene:
    return make_gene(*PARTS, id="g", score=0.5, genetic_code=1)


def structures(one: Gene) -> list[tuple[tuple[int, int], ...]]:
    return [tuple((cds.start, cds.end) for cds in t.cds) for t in one.transcripts]


def test_legal_alternatives_share_the_genes_score() -> None:
    made, engine = found(5, gene())
    assert structures(made) == [PARTS, SKIPPED, KEPT]
    assert [transcript.score for transcript in made.transcripts] == [0.3, 0.15, 0.04]
    assert [transcript.id for transcript in made.transcripts][1:] == ["g.2", "g.3"]
    assert made.canonical is made.transcripts[0]
    assert len(engine.rows) == 4
    assert structures(found(2, gene())[0]) == [PARTS, SKIPPED]


def test_a_gene_of_the_reverse_strand_has_the_alternatives_of_its_mirror_image() -> None:
    bases = encode_bases(DNA)
    size = len(bases)
    mirror = [tuple((size - b, size - a) for a, b in parts[::-1]) for parts in (PARTS, SKIPPED)]
    own = make_gene(*mirror[0], id="g", strand=-1, score=0.5, genetic_code=1)
    made, _ = found(2, own, reverse_complement(bases))
    assert structures(made) == mirror
    assert [cds.phase for cds in made.transcripts[1].cds] == [0, 0]


@pytest.mark.parametrize("change", [{"partial_5": True}, {"partial_3": True}])
def test_partial_genes_and_those_without_introns_stay(change: dict[str, bool]) -> None:
    cut = replace(gene(), transcripts=(replace(gene().transcripts[0], **change),))  # type: ignore[arg-type]
    assert found(3, cut)[0] is cut
    single = make_gene((50, 56), id="g", genetic_code=1)
    assert found(3, single)[0] is single


def test_other_sites_are_those_that_the_heads_hold_likeliest() -> None:
    edges = np.zeros((300, 8), dtype=np.float32)
    edges[[120, 140], 4] = 5, 6  # donors of the forward strand: last bases of exons
    tried = alternatives(((50, 100), (200, 260)), 1, edges)
    assert tried[:2] == [((50, 141), (200, 260)), ((50, 121), (200, 260))]
    assert ((50, 260),) in tried


def test_transcripts_are_written_with_their_own_scores() -> None:
    made, _ = found(3, gene())
    gff3, gtf = io.StringIO(), io.StringIO()
    write_gff3(gff3, [made], {"c": len(DNA)})
    write_gtf(gtf, [made], {"c": len(DNA)})
    lines = [line.split("\t") for line in gff3.getvalue().splitlines() if line[0] != "#"]
    assert [row[5] for row in lines if row[2] in ("gene", "mRNA")] == [
        "0.5000", "0.3000", "0.1500", "0.0400",
    ]  # fmt: skip
    rows = [line.split("\t") for line in gtf.getvalue().splitlines() if line[0] != "#"]
    assert [row[5] for row in rows if row[2] == "transcript"] == ["0.3000", "0.1500", "0.0400"]


def test_a_model_without_introns_has_no_isoforms() -> None:
    with pytest.raises(ConfigError, match="genes without introns"):
        plan_model(AnnotatorConfig(model="nano", isoforms=2))
