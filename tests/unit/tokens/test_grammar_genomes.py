"""The grammar against real annotations: nearly all regular genes are legal, cut or whole."""

from __future__ import annotations

import dataclasses
from collections import defaultdict

import pytest

from bakes import read_genome
from genet5.genome.io.gff3 import read_gff3
from genet5.genome.io.read_options import ReadOptions
from genet5.tokens.cut import GeneIndex
from genet5.tokens.grammar import GrammarOptions, prokaryote_options
from genet5.tokens.structure import encode_window
from genet5.tokens.vocabulary import StructureVocabulary
from genet5.tokens.window import WindowStructure
from replay import legal_weights

V = StructureVocabulary()
PROKARYOTE, EUKARYOTE = prokaryote_options(), GrammarOptions()
RICH = GrammarOptions(utr=True, isoforms=3)
# genome, genetic code, options, least share of legal genes (others: odd starts or splice sites)
CASES = [
    ("prokaryotes/Lactiplantibacillus_plantarum_WCFS1", 11, PROKARYOTE, 0.998),
    ("prokaryotes/Haloquadratum_walsbyi_C23", 11, PROKARYOTE, 0.98),
    ("prokaryotes/Mycoplasmoides_genitalium_G37", 4, PROKARYOTE, 0.998),
    ("unicellular/Saccharomyces_cerevisiae_R64-1-1", 1, EUKARYOTE, 0.998),
    ("unicellular/Schizosaccharomyces_pombe_ASM294v2", 1, EUKARYOTE, 0.99),
    ("unicellular/Plasmodium_falciparum_3D7_v3_chr1-2", 1, RICH, 0.99),
    ("invertebrates/Caenorhabditis_elegans_WS282_1pct", 1, EUKARYOTE, 0.99),
    ("invertebrates/Caenorhabditis_elegans_WS282_1pct", 1, RICH, 0.95),
    ("plants/Arabidopsis_thaliana_TAIR10_1pct", 1, EUKARYOTE, 0.998),
    ("plants/Arabidopsis_thaliana_TAIR10_1pct", 1, RICH, 0.98),
    ("vertebrates/Homo_sapiens_GRCh38_chr9_0-1Mb", 1, EUKARYOTE, 0.97),
]


@pytest.mark.data
@pytest.mark.parametrize(("name", "code", "options", "least"), CASES)
def test_nearly_all_real_genes_are_legal(shared_data, name, code, options, least):
    folder = shared_data / "raw" / name
    genes = defaultdict(list)
    for gene in read_gff3(folder / "annotation.gff3.gz", ReadOptions(skip_bad=True)).genes:
        if gene.is_regular:
            genes[gene.contig].append(gene)
    shown = legal = 0
    size_bp = 6_000 if options is PROKARYOTE else 12_000
    for contig in read_genome(folder / "genome.fa.gz").values():
        if contig.name in ("Mito", "MT"):  # another genetic code
            continue
        index = GeneIndex(genes[contig.name], utr=options.utr, isoforms=options.isoforms)
        for start in range(0, min(len(contig.bases), 600_000), size_bp):
            window = contig.bases[start : start + size_bp]
            found = index.cut(start, start + len(window))
            labels = encode_window(WindowStructure(code, None, found), V)
            weights = legal_weights(labels, window, code, options, V)
            begins = labels >= V.first_type
            shown, legal = shown + int(begins.sum()), legal + int(weights[begins].sum())
    assert shown > 25
    assert legal / shown >= least


@pytest.mark.data
def test_code_4_genes_are_illegal_under_code_11(shared_data):
    folder = shared_data / "raw" / "prokaryotes" / "Mycoplasmoides_genitalium_G37"
    (contig,) = read_genome(folder / "genome.fa.gz").values()
    genes = read_gff3(folder / "annotation.gff3.gz").genes
    index = GeneIndex(gene for gene in genes if gene.is_regular)
    structure = WindowStructure(4, None, index.cut(0, 50_000))
    labels, bases = encode_window(structure, V), contig.bases[:50_000]
    begins = labels >= V.first_type
    options = dataclasses.replace(PROKARYOTE, max_labels=2_000)
    assert legal_weights(labels, bases, 4, options, V)[begins].mean() > 0.99
    assert legal_weights(labels, bases, 11, options, V)[begins].mean() < 0.5
