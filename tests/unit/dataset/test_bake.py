"""Baking from files to packed files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bakes import CODES, baked, write_genome
from genet5.cli.bake import main
from genet5.config.bake import BakeConfig
from genet5.config.clades import CLADES
from genet5.dataset.bake import bake
from genet5.dataset.packed import PackedReader
from genet5.dataset.starts import start_labels
from genet5.errors import ConfigError, DataError
from genet5.genome.gene import Exon, Gene
from genet5.genome.io.fasta import write_fasta
from genet5.genome.sequence import encode_bases, reverse_complement
from genet5.tokens.cut import GeneIndex
from genet5.tokens.sequence import KmerTokenizer
from genet5.tokens.structure import decode_window
from genet5.tokens.tokenizer_file import Tokenizer


def test_windows_cover_the_contigs_and_tell_their_genes(settings, genomes) -> None:
    report = bake(settings)
    windows = {split: baked(settings, split) for split in ("training", "validation")}
    contigs = {split: {(w.genome, w.contig) for w in windows[split]} for split in windows}
    assert not contigs["training"] & contigs["validation"]
    everything = windows["training"] + windows["validation"]
    for name, (bases, genes) in genomes.items():
        for contig, text in bases.items():
            own = sorted(
                (w for w in everything if (w.genome, w.contig) == (name, contig)),
                key=lambda w: w.start,
            )
            assert [w.start for w in own] == list(range(0, len(text), 3000))
            index = GeneIndex(gene for gene in genes if gene.contig == contig)
            for w in own:
                window_bases = encode_bases(text[w.start : w.start + 3000])
                expected = window_bases if w.strand > 0 else reverse_complement(window_bases)
                assert np.array_equal(w.bases, expected)
                structure = decode_window(w.labels, Tokenizer(KmerTokenizer(6)).structure)
                end = w.start + len(w.bases)
                assert structure.genes == index.cut(w.start, end, reverse=w.strand < 0)
                assert structure.genetic_code == w.genetic_code == CODES[name]
                ids, starts = KmerTokenizer(6).encode(w.bases)
                assert np.array_equal(w.input_ids, ids)
                assert np.array_equal(w.token_start_bp, starts)
                assert w.label_weights.all()
    assert {w.strand for w in everything} == {1, -1}
    assert report["files"]["training"]["windows"] == len(windows["training"])
    assert report["files"]["training"]["padding_share_at_load"] < 0.03
    assert json.loads((settings.output_dir / "bake_report.json").read_text()) == report


def test_rows_hold_up_to_the_target(settings) -> None:
    bake(settings)
    sizes = PackedReader(settings.output_dir / "training.packed").row_sizes()
    assert sizes.num_tokens.max() <= 1600
    assert sizes.num_windows.max() >= 3


@pytest.mark.slow
def test_the_bytes_do_not_depend_on_the_workers(settings, tmp_path) -> None:
    rich = replace(settings, passes=2, recode_share=0.3, negatives=0.1)
    two = replace(rich, output_dir=tmp_path / "two", n_workers=2)
    bake(rich)
    bake(two)
    for name in ("training.packed", "validation.packed"):
        assert (rich.output_dir / name).read_bytes() == (two.output_dir / name).read_bytes()
    bake(replace(rich, seed=1, overwrite=True))
    assert (rich.output_dir / "training.packed").read_bytes() != (
        two.output_dir / "training.packed"
    ).read_bytes()
    assert not list(rich.output_dir.glob("*.tmp"))


def test_recoded_copies_are_legal_in_code_4(settings) -> None:
    bake(replace(settings, recode_share=0.5))
    windows = baked(settings)
    copies = [w for w in windows if w.recoded]
    assert len(copies) >= 3
    assert {w.genome for w in copies} <= {"one", "three"}
    for window in copies:
        assert window.genetic_code == 4
        assert window.label_weights.all()
        source = next(
            w for w in windows
            if not w.recoded
            and (w.genome, w.contig, w.start) == (window.genome, window.contig, window.start)
        )  # fmt: skip
        assert np.array_equal(source.labels[2:], window.labels[2:])
        assert 0 < (source.bases != window.bases).mean() < 0.02
    assert not any(w.recoded for w in baked(settings, "validation"))


def test_both_strands_and_passes(settings) -> None:
    bake(replace(settings, strands="both", passes=2))
    seen = {
        (w.genome, w.contig, w.start, w.start + len(w.bases), w.strand) for w in baked(settings)
    }
    assert all((*interval, -strand) in seen for *interval, strand in seen)
    starts = {start for _, _, start, _, _ in seen}
    assert starts - set(range(0, 30_000, 3000))
    once = [w.start for w in baked(settings, "validation")]
    assert all(start % 3000 == 0 for start in once)


def test_negatives_are_limited_to_their_share(tmp_path, settings, genomes) -> None:
    contigs, genes = genomes["one"]
    first = min(contigs)
    empty = "ACGT" * 15_000
    few = [gene for gene in genes if gene.contig == first]
    write_genome(tmp_path / "g", {first: contigs[first] + empty}, few)
    single = replace(
        settings,
        raw_dir=None,
        fasta=tmp_path / "g" / "genome.fa",
        gff=tmp_path / "g" / "annotation.gff3",
        negatives=0.25,
    )
    report = bake(single)
    windows = baked(single)
    without = [w for w in windows if len(w.labels) == 3]
    assert len(without) / len(windows) == pytest.approx(0.25, abs=0.05)
    assert report["counts"]["windows"]["without a gene"] == len(without)
    assert report["files"]["validation"]["windows"] == 0


def test_windows_over_the_hard_limit_are_halved(settings) -> None:
    report = bake(replace(settings, target=300, hard_limit=300))
    windows = baked(settings)
    assert max(len(w.input_ids) for w in windows) <= 300
    assert report["counts"]["windows"]["halved: more tokens than the hard limit"] > 0
    assert sum(len(w.bases) for w in windows + baked(settings, "validation")) == 90_000


ODD = """\
c1\t.\tgene\t1\t60\t.\t+\t.\tID=ok
c1\t.\tCDS\t1\t60\t.\t+\t0\tID=ok1;Parent=ok
c1\t.\tgene\t101\t160\t.\t+\t.\tID=dead;pseudo=true
c1\t.\tCDS\t101\t160\t.\t+\t0\tID=dead1;Parent=dead;pseudo=true
c1\t.\tgene\t201\t260\t.\t-\t.\tID=slip
c1\t.\tCDS\t201\t260\t.\t-\t0\tID=slip1;Parent=slip;exception=ribosomal slippage
c1\t.\tgene\t301\t360\t.\t+\t.\tID=odd
c1\t.\tCDS\t301\t360\t.\t+\t0\tID=odd1;Parent=odd
c1\t.\tgene\t401\t460\t.\t+\t.\tID=two
c1\t.\tCDS\t401\t421\t.\t+\t0\tID=two1;Parent=two
c1\t.\tCDS\t452\t460\t.\t+\t0\tID=two1;Parent=two
"""


def test_irregular_genes_are_ignored_and_illegal_ones_weigh_nothing(tmp_path, settings) -> None:
    legal = "ATG" + "GCC" * 18 + "TAA"
    text = legal + "C" * 240 + "CCC" + "GCC" * 19 + "C" * 140
    (tmp_path / "g.fa").write_text(f">c1\n{text}\n")
    (tmp_path / "g.gff3").write_text("##gff-version 3\n" + ODD)
    single = replace(
        settings, raw_dir=None, fasta=tmp_path / "g.fa", gff=tmp_path / "g.gff3", strands="both"
    )
    report = bake(single)
    forward, reverse = sorted(baked(single), key=lambda w: -w.strand)
    assert forward.ignore.tolist() == [[100, 160], [200, 260], [400, 460]]
    assert reverse.ignore.tolist() == [[40, 100], [240, 300], [340, 400]]
    assert forward.label_weights.tolist() == [1] * 2 + [1] * 6 + [0] * 6 + [1]
    assert reverse.label_weights.tolist() == [1] * 2 + [0] * 6 + [1] * 6 + [1]
    genes = report["counts"]["genes"]
    assert genes["targets: coding"] == 2
    assert genes["ignored: pseudogene"] == 1
    assert genes["ignored: ribosomal_slippage"] == 1
    assert genes["ignored: intron or frame shift in a prokaryote"] == 1


def test_a_gene_over_the_origin_is_shown_at_both_ends(tmp_path, settings) -> None:
    text = "GCCGCCTAA" + "C" * 4000 + "ATGGCC"
    (tmp_path / "g.fa").write_text(f">c1\n{text}\n")
    (tmp_path / "g.gff3").write_text(
        f"##gff-version 3\nc1\t.\tregion\t1\t{len(text)}\t.\t+\t.\tID=c1;Is_circular=true\n"
        f"c1\t.\tCDS\t{len(text) - 5}\t{len(text) + 9}\t.\t+\t0\tID=x\n"
    )
    single = replace(
        settings, raw_dir=None, fasta=tmp_path / "g.fa", gff=tmp_path / "g.gff3", strands="forward"
    )
    report = bake(single)
    assert sum(report["counts"]["genes over the origin"].values()) == 1
    first, last = sorted(baked(single), key=lambda w: w.start)
    vocabulary = Tokenizer(KmerTokenizer(6)).structure
    (left,) = decode_window(first.labels, vocabulary).genes[0].transcripts
    (right,) = decode_window(last.labels, vocabulary).genes[0].transcripts
    assert (left.cut_left, left.parts[0].last, left.frame) == (True, 8, 0)
    assert (right.cut_right, right.parts[0].first) == (True, len(text) - 6 - 3000)
    assert first.label_weights.all()
    assert last.label_weights.all()


def test_files_that_do_not_belong_together_are_refused(tmp_path, settings) -> None:
    (tmp_path / "g.fa").write_text(">other\nACGT\n")
    (tmp_path / "g.gff3").write_text("##gff-version 3\n" + ODD)
    with pytest.raises(DataError, match='contig "c1"'):
        bake(replace(settings, raw_dir=None, fasta=tmp_path / "g.fa", gff=tmp_path / "g.gff3"))
    assert not list(settings.output_dir.glob("*"))


def test_genes_on_contigs_that_the_fasta_lacks_may_be_skipped(tmp_path, settings, genomes) -> None:
    contigs, genes = genomes["one"]
    first, second = sorted(contigs)
    write_genome(tmp_path / "g", contigs, genes)
    write_fasta(tmp_path / "g" / "genome.fa", [(first, contigs[first])])
    single = replace(
        settings,
        raw_dir=None,
        fasta=tmp_path / "g" / "genome.fa",
        gff=tmp_path / "g" / "annotation.gff3",
    )
    with pytest.raises(DataError, match=rf'annotation.gff3:\d+: contig "{second}".*--skip_bad'):
        bake(single)
    report = bake(replace(single, skip_bad=True))
    number = sum(gene.contig == second for gene in genes)
    assert report["counts"]["skipped records"] == {"unknown contig": number}
    assert report["counts"]["genes"]["targets: coding"] == len(genes) - number
    assert {w.contig for w in baked(single)} == {first}


@pytest.mark.slow
def test_shards_hold_the_rows_of_the_single_file(settings, tmp_path, capsys) -> None:
    bake(settings)
    one = PackedReader(settings.output_dir / "training.packed")
    report = bake(replace(settings, shard_size=3, overwrite=True))
    names = {path.name for path in settings.output_dir.iterdir()}
    number = -(-len(one) // 3)
    assert names == {
        *(f"training-{i:05d}-of-{number:05d}.packed" for i in range(number)),
        *(n for n in names if n.startswith("validation-")),
        "training.index.json",
        "validation.index.json",
        "bake_report.json",
    }
    many = PackedReader(settings.output_dir / "training.index.json")
    assert many.header == one.header
    assert [w.digest() for w in many.windows()] == [w.digest() for w in one.windows()]
    assert main(["--check", str(many.path)]) == 0
    assert report["files"]["training"]["shards"] == number
    bake(replace(settings, overwrite=True))
    assert {path.name for path in settings.output_dir.iterdir()} == {
        "training.packed", "validation.packed", "bake_report.json"
    }  # fmt: skip


def test_windows_of_different_sizes_share_no_row(settings, tmp_path, genomes) -> None:
    raw = tmp_path / "two"
    for clade, name in (("prokaryotes", "one"), ("unicellular", "three")):
        write_genome(raw / clade / name, *genomes[name])
    sizes = ("prokaryotes=3000", "unicellular=1700")
    bake(replace(settings, raw_dir=raw, clade_windows=sizes, valid_share=0))
    reader = PackedReader(settings.output_dir / "training.packed")
    rows = [{window.genome for window in reader.row(index)} for index in range(len(reader))]
    assert {frozenset(row) for row in rows} == {frozenset({"one"}), frozenset({"three"})}
    assert max(len(w.bases) for w in reader.windows() if w.genome == "three") == 1700


def test_windows_by_clade() -> None:
    base = {"raw_dir": Path("x"), "output_dir": Path("y"), "tokenizer": Path("z")}
    plain = BakeConfig(**base)
    assert [plain.window_bp(clade) for clade in CLADES] == [5000] * 5
    by_gene = BakeConfig(**base, windows="gene_centric")
    assert [by_gene.window_bp(clade) for clade in CLADES] == [9000, 15_000, 25_000, 30_000, 25_000]
    assert [by_gene.gene_limit(clade) for clade in CLADES] == [10_000] + [15_000] * 4
    both = replace(by_gene, window_size=8000, clade_windows=("plants=20000",))
    assert [both.window_bp(clade) for clade in CLADES] == [8000] * 4 + [20_000]
    assert replace(by_gene, clade_genes=("plants=7",)).gene_limit("plants") == 7


@pytest.mark.slow
def test_an_error_in_a_worker_names_file_and_line(tmp_path, settings, genomes) -> None:
    for name, (contigs, genes) in genomes.items():
        write_genome(tmp_path / "raw" / "prokaryotes" / name, contigs, genes)
    bad = tmp_path / "raw" / "prokaryotes" / "two" / "annotation.gff3"
    number = len(bad.read_text().splitlines()) + 1
    with bad.open("a") as out:
        out.write("simulated_1\t.\tgene\tx\t9\t.\t+\t.\tID=bad\n")
    for workers in (1, 2):
        with pytest.raises(DataError, match=rf"annotation.gff3:{number}: "):
            bake(replace(settings, raw_dir=tmp_path / "raw", n_workers=workers))
    # What is finished is kept for --resume; nothing else is.
    assert {path.name for path in settings.output_dir.iterdir()} <= {".bake.partial"}
    assert not list(settings.output_dir.rglob("*.tmp"))


@pytest.mark.slow
def test_packed_files_are_not_replaced_unasked(settings) -> None:
    bake(settings)
    with pytest.raises(ConfigError, match="--overwrite"):
        bake(settings)
    bake(replace(settings, overwrite=True))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"window_size": 70_000}, "window_size"),
        ({"window_overlap": 3000}, "window_overlap"),
        ({"hard_limit": 10}, "hard_limit"),
        ({"negatives": 1.0}, "negatives"),
        ({"recode_share": -0.1}, "recode_share"),
        ({"passes": 0}, "passes"),
        ({"fasta": Path("x")}, "raw_dir"),
        ({"tokenizer": None}, "tokenizer"),
        ({"clade_windows": ("plants=9",)}, "clade_windows plants"),
        ({"clade_windows": ("mosses=9000",)}, "clade_windows"),
        ({"clade_windows": ("plants=2000", "plants=3000")}, "clade_windows"),
        ({"clade_genes": ("plants=20",)}, "clade_genes"),
        ({"clade_genes": ("plants",), "windows": "gene_centric"}, "clade_genes"),
        ({"shard_size": 0}, "shard_size"),
        ({"valid_genes": -1}, "valid_genes"),
    ],
)
def test_wrong_settings_are_refused(settings, changes, field: str) -> None:
    with pytest.raises(ConfigError, match=field):
        replace(settings, **changes)


def run(settings: BakeConfig, *more: str) -> int:
    flags = ["--raw_dir", settings.raw_dir, "--output_dir", settings.output_dir]
    return main([str(f) for f in (*flags, "--tokenizer", settings.tokenizer, *more)])


def test_the_command_bakes_checks_and_reports(settings, tmp_path, capsys) -> None:
    splits = tmp_path / "splits.tsv"
    splits.write_text("prokaryotes\tone\t*\ttrain\nprokaryotes\ttwo\t*\tvalid\n")
    assert run(settings, "--splits", str(splits), "--window-size", "2000") == 0
    captured = capsys.readouterr()
    assert "training: 16 windows" in captured.out
    assert "Mbp per core second" in captured.out
    assert "baking |" in captured.err
    path = settings.output_dir / "training.packed"
    assert main(["--check", str(path)]) == 0
    text = capsys.readouterr().out
    assert "valid" in text
    assert "prokaryotes/one" in text
    path.write_bytes(path.read_bytes()[:-50])
    assert main(["--check", str(path)]) == 1
    assert "no packed file" in capsys.readouterr().err
    assert run(settings) == 2
    assert "--overwrite" in capsys.readouterr().err


def test_a_dry_run_writes_nothing(settings, capsys) -> None:
    assert run(settings, "--dry_run") == 0
    assert "nothing written" in capsys.readouterr().out
    assert (
        run(settings, "--dry_run", "--windows", "gene_centric", "--taxon_genes", "prokaryotes=9")
        == 0
    )
    assert "prokaryotes: about 9 windows of 9,000 bp, around 9 of" in capsys.readouterr().out
    assert not settings.output_dir.exists()


def without_stop(gene: Gene) -> Gene:
    """A gene of one exon whose CDS leaves the stop codon out."""
    (transcript,) = gene.transcripts
    (cds,) = transcript.cds
    start, end = (cds.start, cds.end - 3) if gene.strand > 0 else (cds.start + 3, cds.end)
    shorter = replace(
        transcript, exons=(Exon(start, end),), cds=(replace(cds, start=start, end=end),)
    )
    return replace(gene, transcripts=(shorter,))


@pytest.mark.slow
def test_annotations_without_stop_codons_are_reported_and_read(
    settings, genomes, tmp_path, caplog
) -> None:
    bake(settings)
    for name, (bases, genes) in genomes.items():
        folder = tmp_path / "raw" / "prokaryotes" / name
        write_genome(folder, bases, [without_stop(gene) for gene in genes])
    short = replace(settings, raw_dir=tmp_path / "raw", output_dir=tmp_path / "short")
    report = bake(short)
    assert "stop codon outside CDS? use --stop_codon_outside" in caplog.text
    translation = report["counts"]["translation"]
    assert translation["CDS that end before their stop codon"] > 0.9 * translation["complete CDS"]
    caplog.clear()
    bake(replace(short, stop_codon_outside=True, overwrite=True))
    assert "stop codon outside" not in caplog.text
    for before, after in zip(baked(settings), baked(short), strict=True):
        assert np.array_equal(before.labels, after.labels)


def test_starts_of_unsure_genomes_have_no_weight_and_short_genes_have_more(settings) -> None:
    report = bake(
        replace(settings, unsure_starts=("two",), short_gene_weight=2.0, short_gene_bp=400)
    )
    vocabulary = Tokenizer(KmerTokenizer(6)).structure
    seen = set()
    for window in baked(settings):
        genes = decode_window(window.labels, vocabulary).genes
        of_type = window.label_weights[window.labels >= vocabulary.first_type]
        starts = [found.label for found in start_labels(window.labels, genes, vocabulary)]
        assert (window.label_weights[starts] == 0).all() == (window.genome == "two" or not starts)
        seen |= {(window.genome, weight) for weight in of_type.tolist()}
    assert seen == {(name, weight) for name in CODES for weight in (1.0, 2.0)}
    assert report["counts"]["labels"]["weight 0: the start is unsure"] > 10
    header = PackedReader(settings.output_dir / "training.packed").header
    assert header.settings["unsure_starts"] == ["two"]
    assert header.settings["short_gene_bp"] == 400


def test_an_unsure_genome_must_be_there(settings) -> None:
    with pytest.raises(ConfigError, match="must be among those found"):
        bake(replace(settings, unsure_starts=("four",)))
