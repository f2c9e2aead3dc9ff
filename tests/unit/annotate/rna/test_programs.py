"""Programs that look for RNA genes: small ones that say what they were asked, and real ones."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from genet5.annotate.rna.programs import PROGRAMS, choose_runs, find_rna
from genet5.errors import ConfigError, ExternalToolError
from genet5.genome.io.fasta import Contig, read_fasta
from genet5.genome.sequence import encode_bases

CONTIGS = [Contig("chr 1", encode_bases("ACGT" * 50)), Contig("empty", encode_bases("")),
           Contig("c2", encode_bases("GGCC" * 50))]  # fmt: skip
SAYS_ITS_VERSION = '#!/bin/sh\nif [ $# -eq 1 ]; then echo "{name} 2.0.1"; exit; fi\n'


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder of PATH beside that of the shell's commands."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}")
    return folder


def install(folder: Path, name: str, body: str) -> None:
    program = folder / name
    program.write_text(SAYS_ITS_VERSION.format(name=name) + body)
    program.chmod(0o755)


TRNASCAN = r"printf 's0\t1\t11\t80\tAla\tTGC\t0\t0\t75.0\t\n'"
ARAGORN = r"printf '>s0\n1   tRNA-Ala  [9,81]\t36\t(tgc)\n2   tmRNA c[101,190]\t1,2\tAN*\n'"
BARRNAP = r"""test "$3" = arc && printf 's2\tx\trRNA\t1\t90\t0\t-\t.\tproduct=5S ribosomal RNA\n'"""


def test_auto_takes_each_type_from_the_first_program_that_is_there(path: Path) -> None:
    install(path, "tRNAscan-SE", TRNASCAN)
    install(path, "aragorn", ARAGORN)
    install(path, "barrnap", BARRNAP)
    runs = choose_runs(("auto",), is_prokaryote=True)
    assert [(run.program.name, run.types) for run in runs] == [
        ("tRNAscan-SE", ("tRNA",)), ("aragorn", ("tmRNA",)), ("barrnap", ("rRNA",)),
    ]  # fmt: skip
    found = find_rna(runs, CONTIGS, kingdom="arc", code=11)
    assert found.versions == dict.fromkeys(("tRNAscan-SE", "aragorn", "barrnap"), "2.0.1")
    assert [(g.contig, g.start, g.end, g.strand, g.type, g.source) for g in found.genes[0]] == [
        ("chr 1", 10, 80, 1, "tRNA", "tRNAscan-SE"), ("chr 1", 100, 190, -1, "tmRNA", "aragorn"),
    ]  # fmt: skip
    (ribosomal,) = found.genes[2]
    assert (ribosomal.contig, ribosomal.source) == ("c2", "barrnap")
    assert ribosomal.transcripts[0].attributes == (
        ("product", "5S ribosomal RNA"), ("inference", "COORDINATES:profile:barrnap:2.0.1"),
    )  # fmt: skip


def test_of_two_programs_that_find_a_gene_the_first_is_kept(path: Path) -> None:
    install(path, "tRNAscan-SE", TRNASCAN)
    install(path, "aragorn", ARAGORN)
    runs = choose_runs(("aragorn", "trnascan-se"), is_prokaryote=True)
    found = find_rna(runs, CONTIGS, kingdom="bac", code=11)
    assert [(g.type, g.source) for g in found.genes[0]] == [
        ("tRNA", "tRNAscan-SE"), ("tmRNA", "aragorn"),
    ]  # fmt: skip


def test_a_gene_over_the_origin_of_a_circular_contig_is_whole(path: Path) -> None:
    install(
        path,
        "barrnap",
        r"""printf 's0\tx\trRNA\t1\t40\t0\t+\t.\tproduct=16S\n'
printf 's0\tx\trRNA\t60\t90\t0\t+\t.\tproduct=5S\n'
printf 's0\tx\trRNA\t171\t240\t0\t+\t.\tproduct=16S\n'
printf 's0\tx\trRNA\t260\t290\t0\t+\t.\tproduct=5S\n'""",
    )
    runs = choose_runs(("barrnap",), is_prokaryote=True)
    found = find_rna(runs, CONTIGS[:1], kingdom="bac", code=11, is_circular=lambda contig: True)
    assert [(gene.start, gene.end) for gene in found.genes[0]] == [(59, 90), (170, 240)]


def test_auto_names_what_no_program_finds(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    install(path, "barrnap", BARRNAP)
    assert len(choose_runs(("auto",), is_prokaryote=False)) == 1
    assert caplog.messages == [
        "no program on PATH finds tRNA: install tRNAscan-SE or aragorn, or leave --rna out"
    ]


def test_a_program_that_is_named_must_be_there(path: Path) -> None:
    with pytest.raises(ConfigError, match="rna = 'barrnap': needs the program barrnap on PATH"):
        choose_runs(("barrnap",), is_prokaryote=True)
    assert choose_runs(("off",), is_prokaryote=True) == []


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("echo out of memory >&2; exit 3", "failed with exit code 3: out of memory"),
        (r"printf 's0\tx\trRNA\tten\t90\t0\t-\t.\tproduct=x\n'", "cannot read what barrnap wrote"),
        (r"printf 'zz\tx\trRNA\t1\t90\t0\t-\t.\tproduct=x\n'", "barrnap names a sequence 'zz'"),
    ],
)
def test_a_program_that_fails_is_an_error_with_its_last_line(
    path: Path, body: str, text: str
) -> None:
    install(path, "barrnap", body)
    with pytest.raises(ExternalToolError, match=text):
        find_rna(choose_runs(("barrnap",), is_prokaryote=True), CONTIGS, kingdom="bac", code=11)


@pytest.mark.external
@pytest.mark.skipif(shutil.which("aragorn") is None, reason="needs aragorn")
def test_aragorn_finds_a_transfer_rna_of_yeast() -> None:
    """The alanine tRNA that was the first to be sequenced, on both strands."""
    gene = "GGGCGTGTGGCGCGTAGTCGGTAGCGCGCTCCCTTGGCATGGGAGAGGTCTCCGGTTCGATTCCGGACTCGTCCA"
    bases = encode_bases("AT" * 40 + gene + "TA" * 40)
    runs = choose_runs(("aragorn",), is_prokaryote=True)
    found = find_rna(runs, [Contig("c", bases)], kingdom="euk", code=1)
    (trna,) = found.genes[0]
    assert (trna.strand, trna.type) == (1, "tRNA")
    assert trna.transcripts[0].attributes[0] == ("product", "tRNA-Ala")
    assert abs(trna.start - 80) <= 3
    assert list(PROGRAMS) == ["trnascan-se", "aragorn", "barrnap"]


@pytest.mark.slow
@pytest.mark.external
@pytest.mark.skipif(
    None in (shutil.which("aragorn"), shutil.which("barrnap")), reason="needs aragorn and barrnap"
)
def test_aragorn_and_barrnap_find_the_rna_of_a_mycoplasma(shared_data: Path) -> None:
    """16S, and tmRNA with its tag peptide, of M. genitalium where its annotation has them."""
    folder = shared_data / "raw/prokaryotes/Mycoplasmoides_genitalium_G37"
    (genome,) = read_fasta(folder / "genome.fa.gz")
    slices = [Contig("rrna", genome.bases[169_000:173_000]),
              Contig("tmrna", genome.bases[406_000:407_500])]  # fmt: skip
    runs = choose_runs(("aragorn", "barrnap"), is_prokaryote=True)
    found = find_rna(runs, slices, kingdom="bac", code=4)
    (ribosomal,), (transfer,) = found.genes[0], found.genes[1]
    assert ribosomal.transcripts[0].attributes[0] == ("product", "16S ribosomal RNA")
    assert (ribosomal.start + 169_001, ribosomal.end + 169_000) == (170_015, 171_528)
    assert (transfer.type, transfer.start + 406_001) == ("tmRNA", 406_542)
