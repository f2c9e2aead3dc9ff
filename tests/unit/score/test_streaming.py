"""Scores that are added up contig by contig equal those of the whole, to the last digit."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import make_gene
from genet5.cli.eval import main
from genet5.errors import DataError
from genet5.genome.gene import Cds, Exon, Gene, Transcript
from genet5.genome.io.formats import read_annotation
from genet5.genome.io.gff3 import write_gff3
from genet5.score.genes import GeneScorer, score_genes

REACH_BP = 400
"""All genes of a contig lie below."""
CONTIGS = ("c1", "c2", "c3", "c4")
KIND = st.sampled_from((None, True, False))


@st.composite
def isoforms(draw: st.DrawFn, name: str) -> Transcript:
    edges = sorted(draw(st.sets(st.integers(0, 90), min_size=2, max_size=8)))
    pairs = [(3 * a, 3 * b) for a, b in zip(edges[::2], edges[1::2], strict=False)]
    marks = draw(st.sampled_from([{}, {}, {}, {}, {"partial_3": True}, {"exceptions": ("odd",)}]))
    return Transcript(
        id=name, exons=tuple(Exon(*p) for p in pairs), cds=tuple(Cds(*p, 0) for p in pairs), **marks
    )


@st.composite
def genes(draw: st.DrawFn) -> Gene:
    count = draw(st.integers(1, 3))
    return Gene(
        id="g",
        contig=draw(st.sampled_from(CONTIGS)),
        strand=draw(st.sampled_from((1, -1))),
        transcripts=tuple(draw(isoforms(f"t{number}")) for number in range(count)),
        pseudo=draw(st.sampled_from((False, False, False, True))),
    )


@st.composite
def pairs_of_sets(draw: st.DrawFn) -> tuple[list[Gene], list[Gene]]:
    """Predictions that share genes, or parts of genes, with the reference."""
    reference = draw(st.lists(genes(), min_size=1, max_size=8))
    predicted = draw(st.lists(genes(), max_size=4))
    for gene in draw(st.lists(st.sampled_from(reference), max_size=6)):
        change = draw(st.integers(0, 2))
        only = (gene.transcripts[0],)
        predicted.append(
            [gene, replace(gene, transcripts=only), replace(gene, pseudo=False)][change]
        )
    return predicted, reference


def scored(predicted: Sequence[Gene], reference: Sequence[Gene], kind: bool | None) -> object:
    try:
        return score_genes(predicted, reference, prokaryote=kind)
    except DataError as error:
        return str(error).partition(":")[0]


@pytest.mark.slow
@given(
    sides=pairs_of_sets(), kind=KIND, order=st.permutations(CONTIGS), far=st.integers(0, 3),
    batch_genes=st.sampled_from((1, 6, 500)),
)  # fmt: skip
def test_adding_contigs_in_any_order_equals_the_whole(sides, kind, order, far, batch_genes) -> None:
    """`far` is by how much the number of genes to come is overestimated."""
    predicted, reference = sides
    scorer = GeneScorer(kind, batch_genes=batch_genes)
    for at, name in enumerate(order):
        here = [[gene for gene in side if gene.contig == name] for side in sides]
        left = sum(gene.contig in order[at + 1 :] for gene in reference)
        scorer.add(name, *here, None, genes_left=None if far == 3 else left * (far + 1))
    try:
        found: object = scorer.scores()
    except DataError as error:
        found = str(error).partition(":")[0]
    assert found == scored(predicted, reference, kind)


@pytest.mark.slow
@given(sides=pairs_of_sets(), kind=KIND)
def test_contigs_side_by_side_on_one_contig_score_the_same(sides, kind) -> None:
    known = {gene.contig for gene in sides[1]}

    def moved(gene: Gene) -> Gene:
        by = 2 * REACH_BP * CONTIGS.index(gene.contig)
        transcripts = tuple(
            replace(
                t,
                exons=tuple(Exon(e.start + by, e.end + by) for e in t.exons),
                cds=tuple(Cds(c.start + by, c.end + by, c.phase) for c in t.cds),
            )
            for t in gene.transcripts
        )
        return replace(gene, contig="one", transcripts=transcripts)

    here = [[gene for gene in side if gene.contig in known] for side in sides]
    one = [[moved(gene) for gene in side] for side in here]
    assert scored(*here, kind) == scored(*one, kind)


@pytest.mark.slow
@given(sides=pairs_of_sets(), orders=st.tuples(*[st.permutations(CONTIGS)] * 2))
def test_files_with_contigs_in_other_orders_score_as_genes_in_memory(sides, orders) -> None:
    """The command reads files contig by contig."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, name) for name in ("p.gff3", "r.gff3", "s.json")]
        for path, side, order in zip(paths, sides, orders, strict=False):
            with path.open("w", encoding="utf-8") as out:
                write_gff3(out, sorted(side, key=lambda g: order.index(g.contig)), {})
        read = [read_annotation(path, skip_bad=True) for path in paths[:2]]
        expected = scored(*(annotation.genes for annotation in read), None)
        flags = ["--skip_bad", "--predictions", str(paths[0]), "--reference", str(paths[1])]
        code = main([*flags, "--json", str(paths[2])])
        if isinstance(expected, str):
            assert code == 1
            return
        found = json.loads(paths[2].read_text())
    wanted = json.loads(json.dumps(expected.to_dict()))
    assert {key: found[key] for key in wanted} == wanted


@pytest.mark.parametrize("spliced_first", [True, False])
def test_the_last_contig_may_decide_about_prokaryotes(spliced_first: bool) -> None:
    plain = [make_gene((at, at + 300), contig="plain") for at in range(0, 200_000, 1000)]
    spliced = [make_gene((0, 30), (60, 90), contig="spliced")]
    parts = [("spliced", spliced), ("plain", plain)]
    for name_and_genes in (parts if spliced_first else parts[::-1],):
        scorer, left = GeneScorer(batch_genes=1), 201
        for name, some in name_and_genes:
            left -= len(some)
            scorer.add(name, some, some, None, genes_left=left)
        assert scorer.scores() == score_genes([*spliced, *plain], [*plain, *spliced])
        assert scorer.scores().prokaryote
