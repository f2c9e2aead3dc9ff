"""`genet5 annotate` from FASTA to GFF3, with a tiny random model."""

from __future__ import annotations

import gzip
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
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
from genet5.genome.tiling import ContigTiling
from genet5.simulate.prokaryote import simulate_bacterium
from genet5.tokens.cut import shift_gene
from genet5.tokens.vocabulary import StructureVocabulary

TOGETHER = ("--batch_size", "16")
"""More windows in each pass of the decoder than the machine's own choice: fewer passes."""


@pytest.fixture(scope="module", autouse=True)
def _talkative() -> Iterator[None]:
    """Models write genes rather than end windows or cut genes: they find few otherwise."""
    import torch

    from genet5.model.network import GeneT5

    plain = GeneT5.token_logits
    bias = torch.zeros(len(StructureVocabulary()))
    bias[[StructureVocabulary.eos, StructureVocabulary.cut_left]] = -4.0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(GeneT5, "token_logits", lambda self, states: plain(self, states) + bias)
        yield


@pytest.fixture(scope="module")
def genome(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Contigs of all sorts: long, short, lower case, mostly N, all N, odd names."""
    (contig,), _ = simulate_bacterium(3_600, seed=8)
    letters = contig.bases
    gap = letters.copy()
    gap[600:2400] = ord("N")
    contigs = [
        Contig("long|x;y=1,2%", letters),
        Contig("lower", np.char.lower(letters[:1800].view("S1")).view(np.uint8)),
        Contig("tiny", letters[:7]),
        Contig("one", letters[:1]),
        Contig("gap", gap),
        Contig("blank", np.full(1500, ord("N"), dtype=np.uint8)),
    ]
    return write_contigs(tmp_path_factory.mktemp("genome") / "genome.fa", contigs)


@pytest.fixture(scope="module")
def annotated(calling_model: Path, genome: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with o.gff3, o.faa and o.fna."""
    folder = tmp_path_factory.mktemp("annotated")
    out, faa, fna = (str(folder / f"o.{suffix}") for suffix in ("gff3", "faa", "fna"))
    words = [
        str(genome),
        "-o",
        out,
        "--model",
        str(calling_model),
        *TOGETHER,
        "--proteins",
        faa,
        "--cds",
        fna,
    ]
    assert main(words) == 0
    return folder


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


def test_tracks_hold_the_models_own_probabilities(
    calling_model: Path, genome: Path, annotated: Path, tmp_path: Path
) -> None:
    import torch

    from genet5.dataset.collate import make_inputs
    from genet5.model.network import GeneT5
    from genet5.tokens.tokenizer_file import load_tokenizer

    pyBigWig = pytest.importorskip("pyBigWig", reason="the extra `bigwig` is not installed")
    out = tmp_path / "o.gff3"
    flags = ["--tracks", str(tmp_path / "tracks"), "--model", str(calling_model), *TOGETHER]
    assert main([str(genome), "-o", str(out), *flags]) == 0
    assert out.read_bytes() == (annotated / "o.gff3").read_bytes()
    bases = next(contig.bases for contig in read_fasta(genome) if contig.name == "lower")
    tile = ContigTiling.even(len(bases), 1024, 512).tiles[1]
    inputs = make_inputs(
        [bases[tile.start : tile.end]], [11], load_tokenizer(calling_model).sequence
    )
    with torch.inference_mode():
        encoded = GeneT5.from_pretrained(calling_model).eval().encode(inputs)
    core = np.arange(tile.core_start, tile.core_end)
    shares = encoded.state_logits[0].softmax(-1).numpy()[core - tile.start]
    expected = {
        "coding_plus_frame3": shares[np.arange(len(core)), 0, 1 + (core - 2) % 3],
        "coding_minus_frame1": shares[np.arange(len(core)), 1, 1 + (2 - core) % 3],
        "start_minus": encoded.boundary_logits[0].sigmoid().numpy()[core - tile.start, 1],
    }
    for name, wanted in expected.items():
        with pyBigWig.open(str(tmp_path / "tracks" / f"{name}.bw")) as file:
            found = file.values("lower", tile.core_start, tile.core_end)
        assert np.abs(np.array(found) - wanted).max() < 0.0051


def test_hints_lift_the_scores_of_genes_that_agree_and_of_no_others(
    calling_model: Path, genome: Path, annotated: Path, tmp_path: Path
) -> None:
    plain = (annotated / "o.gff3").read_text().splitlines()
    gene = next(
        line.split("\t") for line in plain if line.startswith("lower") and "\tCDS\t" in line
    )
    hints, out = tmp_path / "hints.gff", tmp_path / "o.gff3"
    columns = gene[0], "x", "CDSpart", *gene[3:5], ".", gene[6], ".", "src=P"
    hints.write_text("\t".join(columns))
    words = [
        str(genome),
        "-o",
        str(out),
        "--model",
        str(calling_model),
        *TOGETHER,
        "--hints",
        str(hints),
    ]
    assert main(words) == 0
    changed = [
        (old.split("\t"), new.split("\t"))
        for old, new in zip(plain, out.read_text().splitlines(), strict=True)
        if old != new
    ]
    assert changed
    assert all(old[0] == gene[0] and float(new[5]) > float(old[5]) for old, new in changed)
    assert [gene[3:5], gene[3:5]] in [[old[3:5], new[3:5]] for old, new in changed]


def with_channels(model: Path, folder: Path, *, spread: float) -> Path:
    """The model with channels of evidence, whose weights are as large as was asked for."""
    import torch

    from genet5.model.network import GeneT5

    shutil.copytree(model, folder)
    changed = GeneT5.from_pretrained(model).with_evidence().requires_grad_(False)
    changed.evidence.conv.weight.normal_(0.0, spread, generator=torch.Generator().manual_seed(1))
    changed.save_pretrained(folder)
    return folder


def coding_places(text: str) -> set[tuple[str, ...]]:
    """Contig, start, end and strand of each part."""
    lines = (line.split("\t") for line in text.splitlines() if "\tCDS\t" in line)
    return {(line[0], line[3], line[4], line[6]) for line in lines}


def test_a_network_with_channels_reads_hints_itself(
    calling_model: Path, genome: Path, annotated: Path, tmp_path: Path
) -> None:
    plain, found = (annotated / "o.gff3").read_text(), []
    hints = tmp_path / "hints.gff"
    hints.write_text("lower\tx\tCDSpart\t201\t900\t.\t+\t1\tsrc=P;mult=9\n")
    for spread in (0.0, 4.0):
        made = with_channels(calling_model, tmp_path / f"model_{spread}", spread=spread)
        out = tmp_path / f"{spread}.gff3"
        words = [str(genome), "-o", str(out), "--model", str(made), "--hints", str(hints)]
        assert main([*words, *TOGETHER, "--hint_weight", "0"]) == 0
        found.append(out.read_text())
    assert found[0] == plain
    changed = coding_places(found[1]) ^ coding_places(plain)
    assert {contig for contig, *_ in changed} == {"lower"}


def test_hints_of_another_genome_are_refused(
    calling_model: Path, genome: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hints = tmp_path / "hints.gff"
    hints.write_text("chr1\tx\tintron\t5\t90\t.\t+\t.\tmult=3\n")
    words = [str(genome), "-o", str(tmp_path / "o.gff3"), "--model", str(calling_model), *TOGETHER]
    assert main([*words, "--hints", str(hints)]) == 1
    assert "no hint lies on a contig of the genome" in capsys.readouterr().err


def test_what_tracks_need_is_named(
    calling_model: Path,
    genome: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("genet5.cli.parse.find_spec", lambda name: None)
    assert (
        main(
            [str(genome), "-o", "-", "--model", str(calling_model), *TOGETHER, "--tracks", "tracks"]
        )
        == 2
    )
    assert 'pip install "genet5[bigwig]"' in capsys.readouterr().err
