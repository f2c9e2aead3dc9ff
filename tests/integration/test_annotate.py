"""`genet5 annotate` from FASTA to GFF3, with a tiny random model."""

from __future__ import annotations

import gzip
import os
import threading
from pathlib import Path

import pytest

from builders import coding_parts, write_contigs
from genet5.annotate import engine as engine_module
from genet5.cli.annotate import main
from genet5.decode.greedy import DecodedWindow
from genet5.genome.codes import genetic_code
from genet5.genome.extract import protein
from genet5.genome.io.fasta import Contig, read_fasta
from genet5.genome.io.formats import read_annotation
from genet5.genome.io.gff3 import read_gff3
from genet5.tokens.cut import shift_gene
from small_models import TOGETHER

pytestmark = pytest.mark.usefixtures("talkative")


def test_random_weights_give_a_valid_annotation(annotated: Path, genome: Path) -> None:
    out, faa, fna = (annotated / f"o.{suffix}" for suffix in ("gff3", "faa", "fna"))
    assert sorted(p.name for p in annotated.iterdir()) == ["o.faa", "o.fna", "o.gff3"]
    contigs = {contig.name: contig for contig in read_fasta(genome)}
    annotation = read_gff3(out)
    assert list(annotation.contig_lengths) == list(contigs)
    assert annotation.genes
    for gene in annotation.genes:
        best = gene.canonical
        text = protein(contigs[gene.contig].bases, gene, best, genetic_code(11))
        assert "*" not in text
        if not best.partial_5:
            assert text.startswith("M")
        if not (best.partial_5 or best.partial_3):
            assert best.cds_length == 3 * len(text) + 3
        assert gene.score is not None
        assert 0 <= gene.score <= 1
    assert faa.read_text().count(">") == fna.read_text().count(">") == len(annotation.genes)


def test_all_formats_of_a_run_hold_the_same_genes(
    calling_model: Path, genome: Path, tmp_path: Path
) -> None:
    out, formats = tmp_path / "o.gff3", ("gtf", "gbk", "bed", "tsv", "faa", "ffn")
    words = [
        str(genome),
        "-o",
        str(out),
        "--model",
        str(calling_model),
        *TOGETHER,
        "--formats",
        *formats,
    ]
    assert main([*words, "--report", str(tmp_path / "o.html")]) == 0
    expected = {f"o.{kind}" for kind in ("gff3", "html", *formats)}
    assert {p.name for p in tmp_path.iterdir()} == expected

    def places(path: Path) -> list[tuple[int, int, int]]:
        return [(gene.start, gene.end, gene.strand) for gene in read_annotation(path).genes]

    genes = read_annotation(out).genes
    assert genes
    assert places(out) == places(tmp_path / "o.gtf") == places(tmp_path / "o.gbk")
    table = [line.split("\t") for line in (tmp_path / "o.tsv").read_text().splitlines()[1:]]
    assert [(int(row[1]) - 1, int(row[2])) for row in table] == [(g.start, g.end) for g in genes]
    bed = [line.split("\t") for line in (tmp_path / "o.bed").read_text().splitlines()]
    assert [(int(row[1]), int(row[2])) for row in bed] == [(g.start, g.end) for g in genes]
    names = [line[1:].split()[0] for line in (tmp_path / "o.faa").open() if line[0] == ">"]
    assert names == [row[5] for row in table] == [row[3] for row in bed]
    assert f"<td>genes</td><td>{len(genes):,}</td>" in (tmp_path / "o.html").read_text()


@pytest.mark.parametrize("flags", [["--batch_size", "1"], ["--batch_size", "5", "--threads", "1"]])
def test_the_batch_size_does_not_matter(
    calling_model: Path, genome: Path, annotated: Path, tmp_path: Path, flags: list[str]
) -> None:
    out = tmp_path / "b.gff3"
    assert main([str(genome), "-o", str(out), "--model", str(calling_model), *flags]) == 0
    structures = [
        [(g.contig, g.start, g.end, g.strand) for g in read_gff3(path).genes]
        for path in (annotated / "o.gff3", out)
    ]
    # the bf16 encoder rounds differently in other shapes: near ties of a random model may tip
    a, b = map(set, structures)
    assert len(a & b) >= 0.9 * max(len(a), len(b))


def test_windows_that_are_read_together_do_not_depend_on_the_batch_size(
    calling_model: Path, genome: Path, tmp_path: Path
) -> None:
    found = []
    for size in ("1", "7"):
        out = tmp_path / f"{size}.gff3"
        flags = ["--segment_windows", "3", "--batch_size", size, "--threads", "1"]
        assert main([str(genome), "-o", str(out), "--model", str(calling_model), *flags]) == 0
        found.append({(g.contig, g.start, g.end, g.strand) for g in read_gff3(out).genes})
    assert len(found[0] & found[1]) >= 0.9 * max(map(len, found))


def test_stdout_and_dry_run(calling_model: Path, genome: Path, tmp_path: Path, capsys) -> None:
    assert main([str(genome), "-o", "-", "--model", str(calling_model), *TOGETHER]) == 0
    assert capsys.readouterr().out.startswith("##gff-version 3\n##sequence-region long|x")
    out = tmp_path / "none.gff3"
    assert (
        main([str(genome), "-o", str(out), "--model", str(calling_model), *TOGETHER, "--dry_run"])
        == 0
    )
    captured = capsys.readouterr()
    assert "6 contigs" in captured.err
    assert "windows of 1,024 bp" in captured.err
    assert not list(tmp_path.iterdir())


def test_a_region_gives_the_genes_of_its_bases_where_they_lie(
    calling_model: Path, genome: Path, tmp_path: Path
) -> None:
    (contig, *_) = read_fasta(genome)
    start, end = 500, 3_400
    alone = write_contigs(tmp_path / "part.fa", [Contig(contig.name, contig.bases[start:end])])
    found = {}
    for name, path, flags in (
        ("part", alone, []),
        ("region", genome, ["--region", f"{contig.name}:{start + 1}-{end}"]),
    ):
        out, faa = tmp_path / f"{name}.gff3", tmp_path / f"{name}.faa"
        words = [
            str(path),
            "-o",
            str(out),
            "--proteins",
            str(faa),
            "--model",
            str(calling_model),
            *TOGETHER,
        ]
        assert main([*words, *flags]) == 0
        found[name] = read_gff3(out), [x for x in faa.read_text().split() if x.isalpha()]
    part, region = found["part"], found["region"]
    assert coding_parts(region[0].genes) == coding_parts(
        [shift_gene(g, start) for g in part[0].genes]
    )
    assert region[0].contig_lengths == {contig.name: len(contig.bases)}
    assert region[1] == part[1]
    assert part[0].genes


def test_the_name_of_the_output_decides_the_format(
    calling_model: Path, genome: Path, annotated: Path, tmp_path: Path
) -> None:
    found = [read_annotation(annotated / "o.gff3").genes]
    for name in ("a.gtf", "a.gbk.gz"):
        assert (
            main(
                [str(genome), "-o", str(tmp_path / name), "--model", str(calling_model), *TOGETHER]
            )
            == 0
        )
        found.append(read_annotation(tmp_path / name).genes)
    assert coding_parts(found[0]) == coding_parts(found[1]) == coding_parts(found[2])
    assert (tmp_path / "a.gtf").read_text().startswith("#gtf-version 2.2\n")
    assert gzip.decompress((tmp_path / "a.gbk.gz").read_bytes()).startswith(b"LOCUS ")


def test_a_genome_from_a_fifo_gives_the_same_file_through_a_link(
    calling_model: Path, genome: Path, annotated: Path, tmp_path: Path
) -> None:
    fifo, link = tmp_path / "fifo", tmp_path / "link.gff3"
    os.mkfifo(fifo)
    threading.Thread(target=fifo.write_bytes, args=(genome.read_bytes(),), daemon=True).start()
    link.symlink_to("target.gff3")
    assert main([str(fifo), "-o", str(link), "--model", str(calling_model), *TOGETHER]) == 0
    assert link.is_symlink()
    assert link.read_bytes() == (annotated / "o.gff3").read_bytes()


def test_devices_stay_and_get_no_journal(calling_model: Path, genome: Path) -> None:
    assert (
        main(
            [
                str(genome),
                "-o",
                "/dev/null",
                "--cds",
                "/dev/null",
                "--model",
                str(calling_model),
                *TOGETHER,
            ]
        )
        == 0
    )
    assert Path("/dev/null").is_char_device()
    assert not list(Path("/dev").glob("null.*"))


def test_wrong_input_is_one_line(calling_model: Path, genome: Path, tmp_path: Path, capsys) -> None:
    def failed(*arguments: str) -> str:
        assert main([*arguments, "-o", str(tmp_path / "o.gff3")]) in (1, 2)
        lines = [
            x for x in capsys.readouterr().err.splitlines() if x.startswith("genet5 annotate:")
        ]
        assert len(lines) == 1
        return lines[0]

    empty, twice = tmp_path / "empty.fa", tmp_path / "twice.fa"
    empty.write_text("")
    twice.write_text(">a\nACGT\n>a\nACGT\n")
    flags = ("--model", str(calling_model), *TOGETHER)
    assert "no sequence" in failed(str(empty), *flags)
    assert "second time" in failed(str(twice), *flags)
    assert "file not found" in failed(str(tmp_path / "missing.fa"), *flags)
    assert "no shipped model" in failed(str(genome), "--model", "missing")
    assert "circular" in failed(str(genome), *flags, "--circular", "nowhere")
    assert "window_overlap" in failed(str(genome), *flags, "--window_overlap", "1024")
    assert "genetic_code" in failed(str(genome), *flags, "--genetic_code", "99")
    assert "region" in failed(str(genome), *flags, "--region", "nowhere:1-9")
    assert "no effect on regions" in failed(
        str(genome), *flags, "--region", "one", "--circular", "all"
    )
    assert main([str(genome), "-o", "-", *flags, "--start_codons", "XYZ"]) == 2
    assert "must be codons" in capsys.readouterr().err


def test_a_killed_run_resumes(
    calling_model: Path, genome: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog
) -> None:
    flags = ["--model", str(calling_model), "--batch_size", "2"]
    whole, out = tmp_path / "whole.gff3", tmp_path / "out.gff3"
    tracks = [tmp_path / "whole", tmp_path / "resumed"]
    assert main([str(genome), "-o", str(whole), *flags, "--tracks", str(tracks[0])]) == 0
    flags += ["--tracks", str(tracks[1])]
    decode, done = engine_module.decode_windows, []

    def dying(*arguments, **options) -> list[DecodedWindow]:
        if len(done) == 4:
            raise KeyboardInterrupt
        done.append(1)
        return decode(*arguments, **options)

    monkeypatch.setattr(engine_module, "decode_windows", dying)
    assert main([str(genome), "-o", str(out), *flags]) == 130
    assert not out.exists()
    journal = tmp_path / "out.gff3.progress"
    journal.write_text(journal.read_text() + '[0,0,5,[["protein')  # a torn line
    counted = []
    monkeypatch.setattr(
        engine_module,
        "decode_windows",
        lambda *a, **k: counted.append(len(a[2])) or decode(*a, **k),
    )
    assert main([str(genome), "-o", str(out), *flags]) == 0
    assert out.read_text() == whole.read_text()
    assert not journal.exists()
    files = [{path.name: path.read_bytes() for path in folder.iterdir()} for folder in tracks]
    assert files[0] == files[1]
    whole_count = sum(counted)
    assert main([str(genome), "-o", str(out), *flags]) == 0
    assert sum(counted) - whole_count == whole_count + 8
