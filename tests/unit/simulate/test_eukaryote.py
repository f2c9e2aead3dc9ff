"""Artificial eukaryotes: their genes follow the rules, and have the shares that were asked for."""

from __future__ import annotations

import io
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genet5.errors import ConfigError
from genet5.genome.codes import genetic_code
from genet5.genome.extract import cds_bases, introns, protein, span_bases
from genet5.genome.gene import Gene, Transcript
from genet5.genome.io.fasta import Contig
from genet5.genome.io.gff3 import parse_gff3, write_gff3
from genet5.genome.sequence import Bases, decode_bases, reverse_complement
from genet5.simulate.eukaryote import simulate_eukaryote
from genet5.tokens.cut import GeneIndex
from genet5.tokens.grammar import GrammarOptions
from genet5.tokens.structure import encode_window
from genet5.tokens.vocabulary import StructureVocabulary
from genet5.tokens.window import WindowStructure
from replay import legal_weights

Genome = tuple[dict[str, Bases], tuple[Gene, ...]]
V = StructureVocabulary()
TYPES = ("protein_coding", "tRNA", "ncRNA")
OPTIONS = {
    "canonical CDS": GrammarOptions(),
    "UTR": GrammarOptions(utr=True),
    "all": GrammarOptions(utr=True, isoforms=3, gene_types=TYPES),
}


def intron_bases(bases: Bases, gene: Gene, transcript: Transcript) -> list[Bases]:
    """The introns' bases, each in reading direction."""
    return [span_bases(bases, *gap, gene.strand) for gap in introns(transcript)]


def genome(length_bp: int, seed: int, **settings: float) -> Genome:
    contigs, genes = simulate_eukaryote(length_bp, seed, **settings)
    return {contig.name: contig.bases for contig in contigs}, genes


@pytest.fixture(scope="module")
def large() -> Genome:
    return genome(1_500_000, 7, num_contigs=3)


def coding(genes: tuple[Gene, ...]) -> list[tuple[Gene, Transcript]]:
    return [(gene, t) for gene in genes for t in gene.transcripts if t.cds]


def illegal_share(found: Genome, code: int, options: GrammarOptions, size_bp: int) -> float:
    """Share of the genes in windows of a tiling that the grammar refuses; both strands."""
    shown = refused = 0.0
    for name, bases in found[0].items():
        index = GeneIndex(
            (gene for gene in found[1] if gene.contig == name),
            utr=options.utr, isoforms=options.isoforms, noncoding=len(options.gene_types) > 1,
        )  # fmt: skip
        for start in range(0, len(bases), size_bp):
            window = bases[start : start + size_bp]
            for reverse in (False, True):
                cut = index.cut(start, start + len(window), reverse=reverse)
                labels = encode_window(WindowStructure(code, None, cut), V)
                seen = reverse_complement(window) if reverse else window
                weights = legal_weights(labels, seen, code, options, V)
                begins = labels >= V.first_type
                shown += begins.sum()
                refused += (1 - weights[begins]).sum()
    assert shown > 0
    return refused / shown


@pytest.mark.slow
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("size_bp", [900, 6_000])
def test_every_gene_is_legal_in_every_window(options: GrammarOptions, size_bp: int) -> None:
    found = genome(150_000, 2, introns=4, isoforms=0.6)
    assert illegal_share(found, 1, options, size_bp) == 0


def test_the_check_refuses_genes_on_other_bases() -> None:
    bases, genes = genome(60_000, 2)
    moved = {name: np.roll(letters, 1) for name, letters in bases.items()}
    assert illegal_share((moved, genes), 1, GrammarOptions(), 6_000) > 0.9


@pytest.mark.slow
@settings(max_examples=15)
@given(
    seed=st.integers(0, 2**32),
    gc=st.floats(0.25, 0.75),
    code=st.sampled_from([1, 6, 10, 12, 26]),
    introns=st.sampled_from([0.0, 2.0, 9.0]),
    intron_bp=st.sampled_from([60.0, 300.0]),
    isoforms=st.sampled_from([0.0, 1.0]),
)
def test_all_genes_of_all_seeds_follow_the_rules(
    seed: int, gc: float, code: int, introns: float, intron_bp: float, isoforms: float
) -> None:
    found = genome(
        30_000, seed, gc=gc, code=code, introns=introns, intron_bp=intron_bp, isoforms=isoforms,
        num_contigs=2,
    )  # fmt: skip
    assert sum(map(len, found[0].values())) == 30_000
    for gene in found[1]:
        bases = found[0][gene.contig]
        assert 0 <= gene.start < gene.end <= len(bases)
        assert len({(t.exons, t.cds) for t in gene.transcripts}) == len(gene.transcripts)
        for transcript in gene.transcripts:
            check_transcript(bases, gene, transcript, code)
    if found[1]:
        assert illegal_share(found, code, OPTIONS["all"], 4_000) == 0


def check_transcript(bases: Bases, gene: Gene, transcript: Transcript, code: int) -> None:
    assert list(transcript.exons) == sorted(transcript.exons, key=lambda exon: exon.start)
    assert all(end - start >= 50 for start, end in introns(transcript))
    for intron in intron_bases(bases, gene, transcript):
        assert decode_bases(intron[:2]).upper() in ("GT", "GC")
        assert decode_bases(intron[-2:]).upper() == "AG"
    for exon in transcript.exons:
        assert np.isin(bases[exon.start : exon.end], np.frombuffer(b"ACGT", np.uint8)).all()
    if transcript.cds:
        assert decode_bases(cds_bases(bases, gene, transcript)[:3]) == "ATG"
        found = genetic_code(code).translate(cds_bases(bases, gene, transcript))
        assert found.index("*") == len(found) - 1
        inside = [(e.start, e.end) for e in transcript.exons]
        assert all(any(s <= c.start and c.end <= e for s, e in inside) for c in transcript.cds)
        read = transcript.cds if gene.strand > 0 else transcript.cds[::-1]
        done = np.cumsum([0, *(piece.end - piece.start for piece in read)])
        assert [piece.phase for piece in read] == (-done[:-1] % 3).tolist()


def test_the_same_arguments_give_the_same_genome_and_another_seed_another() -> None:
    first, again, other = (genome(40_000, seed) for seed in (5, 5, 6))
    assert first[1] == again[1]
    assert (first[0]["simulated_1"] == again[0]["simulated_1"]).all()
    assert (first[0]["simulated_1"] != other[0]["simulated_1"]).any()


@pytest.mark.slow
def test_genes_have_exons_introns_and_phases_in_natural_shares(large: Genome) -> None:
    bases, genes = large
    chosen = [gene for gene in genes if gene.is_coding]
    numbers = np.array([len(gene.canonical.cds) - 1 for gene in chosen])
    assert numbers.mean() == pytest.approx(3.0, abs=0.35)
    assert (numbers == 0).mean() > 0.03
    lengths = [end - start for gene in chosen for start, end in introns(gene.canonical)]
    assert np.mean(lengths) == pytest.approx(150, rel=0.12)
    assert max(lengths) > 500
    phases = Counter(
        piece.phase
        for gene in chosen
        for piece in (gene.canonical.cds[1:] if gene.strand > 0 else gene.canonical.cds[:-1])
    )
    total = phases.total()
    assert 0.4 < phases[0] / total < 0.6  # phase 2 of GFF3 is an intron after a codon's first base
    assert phases[2] > phases[1] > 0.1 * total
    donors = Counter(
        decode_bases(i[:2]).upper()
        for g in chosen
        for i in intron_bases(bases[g.contig], g, g.canonical)
    )
    assert 0 < donors["GC"] / donors.total() < 0.03
    assert 0.4 < np.mean([gene.strand > 0 for gene in genes]) < 0.6


def test_splice_sites_have_their_context(large: Genome) -> None:
    bases, genes = large
    found = [
        decode_bases(intron).upper()
        for gene in genes
        if gene.is_coding
        for intron in intron_bases(bases[gene.contig], gene, gene.canonical)
    ]
    assert np.mean([intron[4] == "G" for intron in found]) > 0.7
    tracts = "".join(intron[-12:-3] for intron in found)
    assert (tracts.count("C") + tracts.count("T")) / len(tracts) > 0.75
    assert np.mean(["AG" not in intron[-12:-2] for intron in found]) > 0.98


def test_untranslated_regions_isoforms_and_rna_genes_are_there(large: Genome) -> None:
    _, genes = large
    canonical = [gene.canonical for gene in genes if gene.is_coding]
    assert all(t.start < t.cds[0].start and t.cds[-1].end < t.end for t in canonical)
    assert 0.1 < np.mean([len(t.exons) > len(t.cds) for t in canonical]) < 0.5
    spliced = [gene for gene in genes if gene.is_coding and len(gene.canonical.exons) > 1]
    assert np.mean([len(gene.transcripts) > 1 for gene in spliced]) == pytest.approx(0.2, abs=0.07)
    skipped = shorter = 0
    for gene in spliced:
        for other in gene.transcripts[1:]:
            skipped += len(other.exons) < len(gene.transcripts[0].exons)
            shorter += len(other.exons) == len(gene.transcripts[0].exons)
            assert other.cds_length < gene.transcripts[0].cds_length
    assert min(skipped, shorter) > 10
    types = Counter(gene.type for gene in genes)
    assert 0.08 < (types["tRNA"] + types["ncRNA"]) / len(genes) < 0.22
    assert {t.type for g in genes for t in g.transcripts} == {"mRNA", "tRNA", "lnc_RNA"}
    trna = [g.end - g.start for g in genes if g.type == "tRNA"]
    assert 70 <= min(trna) <= max(trna) <= 95


def test_repeats_are_soft_masked_and_gaps_lie_between_genes(large: Genome) -> None:
    bases, genes = large
    for name, letters in bases.items():
        between = np.ones(len(letters), dtype=bool)
        for gene in genes:
            if gene.contig == name:
                between[gene.start : gene.end] = False
        lower = letters >= ord("a")
        assert lower.sum() / between.sum() == pytest.approx(0.2, abs=0.05)
        assert not (letters == ord("N"))[~between].any()
    assert any((letters == ord("N")).sum() >= 10 for letters in bases.values())


@pytest.mark.slow
def test_composition_and_gene_density_are_as_asked() -> None:
    for gc, density in ((0.33, 0.6), (0.55, 0.25)):
        bases, genes = genome(600_000, 3, gc=gc, gene_density=density, masked=0.0)
        letters = bases["simulated_1"]
        assert np.isin(letters, np.frombuffer(b"GC", np.uint8)).mean() == pytest.approx(
            gc, abs=0.02
        )
        covered = sum(gene.end - gene.start for gene in genes) / len(letters)
        assert covered == pytest.approx(density, rel=0.2)
        assert (letters < ord("a")).all()


def test_without_introns_no_gene_is_spliced() -> None:
    _, genes = genome(100_000, 4, introns=0, isoforms=1)
    assert {len(t.exons) for gene in genes for t in gene.transcripts} == {1}
    assert all(len(gene.transcripts) == 1 for gene in genes)


def test_reading_the_written_gff3_gives_the_same_genes() -> None:
    bases, genes = genome(80_000, 8, isoforms=1)
    out = io.StringIO()
    write_gff3(out, genes, {name: len(b) for name, b in bases.items()}, source="simulate")
    found = parse_gff3(io.StringIO(out.getvalue()), Path("x.gff3")).genes
    assert list(map(strip, found)) == list(map(strip, genes))


def strip(gene: Gene) -> tuple[object, ...]:
    transcripts = [(t.id, t.type, t.exons, t.cds) for t in gene.transcripts]
    return gene.id, gene.type, gene.contig, gene.strand, gene.genetic_code, transcripts


@pytest.mark.external
def test_genometools_finds_the_gff3_valid(tmp_path: Path) -> None:
    if shutil.which("gt") is None:
        pytest.skip("needs genometools (gt)")
    bases, genes = genome(80_000, 8, isoforms=1)
    with (tmp_path / "x.gff3").open("w") as out:
        write_gff3(out, genes, {name: len(b) for name, b in bases.items()}, source="simulate")
    done = subprocess.run(
        ["gt", "gff3validator", "-typecheck", "so", str(tmp_path / "x.gff3")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "wrong",
    [
        {"gc": 0.9}, {"num_contigs": 0}, {"num_contigs": 5}, {"gene_density": 1.0}, {"introns": -1},
        {"intron_bp": 55}, {"isoforms": 2}, {"masked": 0.9}, {"code": 7},
    ],
)  # fmt: skip
def test_arguments_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        simulate_eukaryote(20_000, seed=1, **wrong)


def test_a_contig_too_short_for_a_gene_is_an_answer() -> None:
    contigs, genes = simulate_eukaryote(5_000, seed=1, introns=50, intron_bp=5_000)
    assert [type(contig) for contig in contigs] == [Contig]
    assert len(contigs[0].bases) == 5_000
    assert all(protein(contigs[0].bases, g, t, genetic_code(1)) for g, t in coding(genes))
