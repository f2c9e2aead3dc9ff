"""The gene-structure language on every shared genome, at five window sizes: nothing is lost,
nothing unexplained.

The figures are those of `studies/language_table.py`, which also stand in
docs/explanation/grammar.md.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from language_study import ContigStudy, measure

from genet5.decode.fragment import GeneFragment
from genet5.genome.gene import Gene
from genet5.genome.io.fasta import read_fasta
from genet5.genome.io.gff3 import read_gff3
from genet5.genome.tiling import ContigTiling
from genet5.tokens.cut import GeneIndex
from genet5.tokens.grammar import Grammar
from genet5.tokens.structure import encode_window
from genet5.tokens.window import WindowGene, WindowStructure

ROOT = Path(__file__).resolve().parents[3]
RAW = (ROOT / "../shared/data/raw").resolve()
GENOMES = sorted(path.parent for path in RAW.glob("*/*/annotation.gff3.gz"))

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not GENOMES, reason=f"no shared genomes at {RAW}"),
]


@pytest.fixture(scope="module")
def stored() -> dict[str, dict]:
    path = ROOT / "studies" / "results" / "language.json"
    return {row["genome"]: row for row in json.loads(path.read_text())["genomes"]}


@pytest.mark.parametrize("folder", GENOMES, ids=lambda folder: folder.name)
def test_windows_give_the_genes_again_and_only_broken_genes_are_illegal(
    folder: Path, stored
) -> None:
    row = json.loads(json.dumps(measure(folder)))
    assert row["genes"]["legal"] > 0
    assert "illegal: disputed" not in row["genes"]
    for counts in row["windows"].values():
        assert counts["windows"] > 0
        wrong = (
            "windows changed",
            "not a gene",
            "refused",
            "legal: lost",
            "illegal: lost, unknown",
        )
        assert not [name for name in counts if name.startswith(wrong)]
    assert row == stored.get(folder.name), "if that is meant, run studies/language_table.py"


def begin_apart(genes: Sequence[WindowGene]) -> bool:
    """Whether no two genes of one strand have the same first position."""
    transcripts = [(gene.strand, gene.transcripts[0]) for gene in genes]
    keys = {(strand, t.frame, t.parts[0].first if t.parts else -1) for strand, t in transcripts}
    return len(keys) == len(genes)


@pytest.mark.parametrize("folder", GENOMES, ids=lambda folder: folder.name)
def test_the_decoders_automaton_takes_the_legal_genes(folder: Path) -> None:
    """32 windows of 8 kb at once, label by label; of two genes that begin alike one is written."""
    genes = [gene for gene in read_gff3(folder / "annotation.gff3.gz").genes if gene.is_coding]
    name = Counter(gene.contig for gene in genes).most_common(1)[0][0]
    (contig,) = (found for found in read_fasta(folder / "genome.fa.gz") if found.name == name)
    some = [gene for gene in genes if gene.contig == contig.name and gene.end < 2_000_000]
    study = ContigStudy(folder, contig, some, circular=False)
    starts = range(0, len(contig.bases) - 8_000, 8_000)
    shown = {start: study.legal.cut(start, start + 8_000) for start in starts}
    chosen = [start for start in starts if shown[start] and begin_apart(shown[start])][:32]
    rows = [
        encode_window(WindowStructure(study.code, None, shown[start]), study.vocabulary)
        for start in chosen
    ]
    longest = max(map(len, rows))
    labels = np.full((len(rows), longest), study.vocabulary.pad)
    for row, found in zip(labels, rows, strict=True):
        row[: len(found)] = found
    windows = [contig.bases[start : start + 8_000] for start in chosen]
    grammar = Grammar(windows, [study.code] * len(rows), study.options, study.vocabulary)
    for step in range(len(grammar.prompt[0]), longest):
        grammar.advance(labels[:, step])
    assert grammar.finished.all()


@pytest.mark.parametrize("folder", GENOMES, ids=lambda folder: folder.name)
def test_windows_of_the_other_strand_show_the_same_fragments(folder: Path) -> None:
    by_contig: dict[str, list[Gene]] = defaultdict(list)
    for gene in read_gff3(folder / "annotation.gff3.gz").genes:
        if gene.is_regular and gene.canonical.cds_length % 3 == 0:
            by_contig[gene.contig].append(gene)
    shown = 0
    for genes in by_contig.values():
        index = GeneIndex(genes)
        for window in ContigTiling.even(max(gene.end for gene in genes), 8_000, 4_000).tiles:
            there = index.cut(window.start, window.end)
            back = index.cut(window.start, window.end, reverse=True)
            size = window.end - window.start
            fragments = [repr(GeneFragment.of(gene)) for gene in there]
            mirrored = [repr(GeneFragment.of(gene).mirrored(size)) for gene in back]
            assert sorted(mirrored) == sorted(fragments)
            shown += len(fragments)
    assert shown > 0
