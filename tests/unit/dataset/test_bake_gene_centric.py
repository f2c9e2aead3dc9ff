"""Windows around genes, and genes that are chosen for validation."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bakes import baked, spans_of, write_genome
from genet5.dataset.bake import bake
from genet5.dataset.packed import PackedReader
from genet5.tokens.cut import GeneIndex
from genet5.tokens.sequence import KmerTokenizer
from genet5.tokens.structure import decode_window
from genet5.tokens.tokenizer_file import Tokenizer


@pytest.mark.slow
def test_gene_centric_windows_hold_their_gene_and_tell_its_neighbours(settings, genomes) -> None:
    report = bake(replace(settings, windows="gene_centric", window_size=4000))
    windows = baked(settings) + baked(settings, "validation")
    number = sum(len(genes) for _, genes in genomes.values())
    assert len(windows) == number == report["counts"]["centre genes"]["got windows"]
    assert {len(w.bases) for w in windows} == {4000}
    spans = spans_of(windows)
    for name, (_, genes) in genomes.items():
        for gene in genes:
            assert any(
                contig == f"{name}/{gene.contig}" and start <= gene.start and gene.end <= end
                for contig, start, end in spans
            )
    for window in windows[:20]:
        index = GeneIndex(g for g in genomes[window.genome][1] if g.contig == window.contig)
        end = window.start + len(window.bases)
        shown = decode_window(window.labels, Tokenizer(KmerTokenizer(6)).structure).genes
        assert shown == index.cut(window.start, end, reverse=window.strand < 0)
        assert len(shown) > 1
    assert not {c for c, _, _ in spans_of(baked(settings))} & {
        c for c, _, _ in spans_of(baked(settings, "validation"))
    }


@pytest.mark.slow
def test_a_clades_limit_is_shared_by_its_genomes(settings, tmp_path) -> None:
    few = replace(settings, windows="gene_centric", clade_genes=("prokaryotes=20",), n_workers=2)
    report = bake(few)
    shares = [genome["drawn"] for genome in report["centre_genes"].values()]
    assert sorted(shares) == [6, 7, 7]
    windows = baked(few) + baked(few, "validation")
    assert len(windows) == 20
    assert {len(w.bases) for w in windows} == {3000}
    again = replace(few, output_dir=tmp_path / "again", n_workers=1)
    bake(again)
    for name in ("training.packed", "validation.packed"):
        assert (few.output_dir / name).read_bytes() == (again.output_dir / name).read_bytes()
    settings_told = PackedReader(few.output_dir / "training.packed").header.settings
    assert settings_told["taxon_genes"]["prokaryotes"] == 20
    assert settings_told["taxon_windows"]["plants"] == 3000


@pytest.mark.slow
def test_genes_longer_than_a_window_are_tiled(settings) -> None:
    report = bake(replace(settings, windows="gene_centric", window_size=600))
    assert report["counts"]["windows"]["over genes longer than a window"] > 20
    assert max(len(w.bases) for w in baked(settings)) == 600


def test_gene_centric_negatives_come_from_between_the_genes(tmp_path, settings, genomes) -> None:
    contigs, genes = genomes["one"]
    first = min(contigs)
    few = [gene for gene in genes if gene.contig == first]
    write_genome(tmp_path / "g", {first: contigs[first] + "ACGT" * 15_000}, few)
    single = replace(
        settings,
        raw_dir=None,
        fasta=tmp_path / "g" / "genome.fa",
        gff=tmp_path / "g" / "annotation.gff3",
        windows="gene_centric",
        negatives=0.4,
    )
    report = bake(single)
    without = [w for w in baked(single) if len(w.labels) == 3]
    share = len(without) / len(baked(single))
    assert share == pytest.approx(0.4, abs=0.03)
    assert report["counts"]["windows"]["gene-free, added"] == len(without)
    bake(replace(single, negatives=None, overwrite=True))
    assert all(len(w.labels) > 3 for w in baked(single))


@pytest.mark.parametrize("mode", ["whole_genome", "gene_centric"])
def test_chosen_genes_go_to_validation_and_nothing_else_sees_them(settings, mode, genomes) -> None:
    chosen = replace(settings, windows=mode, valid_genes=2, passes=2, recode_share=0.2)
    report = bake(chosen)
    assert set(report["validation_genes"]) == {f"prokaryotes/{name}" for name in genomes}
    held = spans_of(baked(chosen, "validation"))
    for name, (_, genes) in genomes.items():
        named = report["validation_genes"][f"prokaryotes/{name}"]
        assert {difficulty: len(own) for difficulty, own in named.items()} == {
            "easy": 2, "normal": 2, "hard": 2
        }  # fmt: skip
        ids = {text.split()[0] for own in named.values() for text in own}
        for gene in genes:
            if gene.id in ids:
                assert any(
                    contig == f"{name}/{gene.contig}" and start <= gene.start and gene.end <= end
                    for contig, start, end in held
                )
    for contig, start, end in spans_of(baked(chosen)):
        assert not any(c == contig and s < end and start < e for c, s, e in held)
    assert report["counts"]["windows"]["left out: overlap a validation gene's window"] > 0
    assert report["counts"]["validation genes"] == {"easy": 6, "hard": 6, "normal": 6}


def test_with_a_table_chosen_genes_join_the_contigs_for_validation(settings, tmp_path) -> None:
    splits = tmp_path / "splits.tsv"
    splits.write_text("prokaryotes\tone\t*\ttrain\nprokaryotes\ttwo\t*\tvalid\n")
    report = bake(replace(settings, splits=splits, valid_genes=1))
    assert list(report["validation_genes"]) == ["prokaryotes/one", "prokaryotes/two"]
    assert report["validation_genes"]["prokaryotes/two"] == {"easy": [], "normal": [], "hard": []}
    assert {w.genome for w in baked(settings, "validation")} == {"one", "two"}
