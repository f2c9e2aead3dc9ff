"""Other programs read our files as we mean them: strands, phases, introns, missing ends.

gffread translates by the CDS lines and their phases, `gt gff3validator` checks the format.
"""

from __future__ import annotations

import io
import itertools
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from genet5.genome.codes import CODONS, genetic_code
from genet5.genome.extract import cds_records, protein_records
from genet5.genome.frames import in_reading_order, mirrored_intervals, phases
from genet5.genome.gene import Cds, Exon, Gene, Transcript
from genet5.genome.io.fasta import read_fasta, write_fasta
from genet5.genome.io.formats import read_annotation
from genet5.genome.io.genbank_write import write_genbank
from genet5.genome.io.gff3_write import write_gff3
from genet5.genome.io.gtf_write import write_gtf
from genet5.genome.io.tbl_write import TblWriter
from genet5.genome.sequence import decode_bases, encode_bases, reverse_complement

SENSE = [codon for codon in CODONS if not genetic_code(1).is_stop(codon)]
LENGTH = 200


def made(strand: int, spliced: bool, phase: int, left_over: int) -> tuple[str, Gene]:
    """A contig of one gene.

    `phase` > 0: it lacks its 5' end, and so many bases complete a codon before it. `left_over` > 0:
    it lacks its 3' end, after so many bases of a codon; 3 = after a whole one.
    """
    rng = np.random.default_rng(1000 * phase + left_over)
    middle = "".join(rng.choice(SENSE, 20))
    start = "ATG" if phase == 0 else "ACGT"[:phase]
    coding = start + middle + ("TAA" if left_over == 0 else "CAGGCT"[:left_over])
    cut = 31
    first, second = (coding[:cut], coding[cut:]) if spliced else (coding, "")
    inner = "GT" + "C" * 26 + "AG" if spliced else ""
    dna = ("" if phase else "CCTT") + first + inner + second + ("" if left_over else "TTCC")
    at = 0 if phase else 4
    spans = [(at, at + len(first))]
    if spliced:
        spans.append((at + len(first) + len(inner), at + len(first) + len(inner) + len(second)))
    name = f"c{'+' if strand > 0 else '-'}{int(spliced)}{phase}{left_over}"
    if strand < 0:
        dna = decode_bases(reverse_complement(encode_bases(dna)))
        spans = list(mirrored_intervals(spans, len(dna)))
    lengths = [end - begin for begin, end in in_reading_order(spans, strand)]
    found = in_reading_order(phases(lengths, phase), strand)
    transcript = Transcript(
        id=f"{name}.1",
        exons=tuple(Exon(*span) for span in spans),
        cds=tuple(Cds(*span, p) for span, p in zip(spans, found, strict=True)),
        partial_5=phase > 0,
        partial_3=left_over > 0,
    )
    return dna, Gene(id=name, contig=name, strand=strand, transcripts=(transcript,))


@pytest.fixture(scope="module")
def genes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Gene]]:
    """A folder with genome, GFF3 and GTF of 48 genes, each on a contig of its own."""
    folder = tmp_path_factory.mktemp("oracles")
    kinds = itertools.product((1, -1), (False, True), (0, 1, 2), (0, 1, 2, 3))
    contigs, found = zip(*(made(*kind) for kind in kinds), strict=True)
    records = [(gene.id, dna) for gene, dna in zip(found, contigs, strict=True)]
    write_fasta(folder / "g.fa", records)
    lengths = {name: len(dna) for name, dna in records}
    with (folder / "a.gff3").open("w") as out:
        write_gff3(out, found, lengths)
    with (folder / "a.gtf").open("w") as out:
        write_gtf(out, found, lengths)
    with (folder / "a.gbk").open("w") as out:
        write_genbank(out, found, read_fasta(folder / "g.fa"))
    return folder, list(found)


@pytest.mark.parametrize("kind", ["gff3", "gtf", "gbk"])
def test_they_are_read_back_as_they_were(genes: tuple[Path, list[Gene]], kind: str) -> None:
    """Missing ends too: GFF3 and GenBank mark them, GTF leaves start and stop codons out."""
    folder, found = genes
    back = read_annotation(folder / f"a.{kind}").genes
    assert [(gene.id, gene.strand) for gene in back] == [(gene.id, gene.strand) for gene in found]
    for gene, known in zip(back, found, strict=True):
        (mine,), (theirs,) = gene.transcripts, known.transcripts
        assert (mine.cds, mine.partial_5, mine.partial_3) == (
            theirs.cds, theirs.partial_5, theirs.partial_3,
        ), gene.id  # fmt: skip


@pytest.mark.parametrize("prokaryote", [False, True])
def test_names_of_proteins_are_ids_of_the_gff3(
    genes: tuple[Path, list[Gene]], prokaryote: bool
) -> None:
    """By which eggNOG-mapper adds its terms to our GFF3."""
    out = io.StringIO()
    write_gff3(out, genes[1], {}, prokaryote=prokaryote)
    ids = {word.removeprefix("ID=") for word in re.split(r"[\t;\n]", out.getvalue())}
    bases = {contig.name: contig.bases for contig in read_fasta(genes[0] / "g.fa")}
    for gene in genes[1]:
        ((header, _),) = protein_records(bases[gene.contig], [gene])
        assert header.split()[0] in ids


@pytest.mark.external
@pytest.mark.skipif(shutil.which("gffread") is None, reason="needs gffread")
@pytest.mark.parametrize("kind", ["gff3", "gtf"])
def test_gffreads_proteins_and_cds_are_ours(genes: tuple[Path, list[Gene]], kind: str) -> None:
    folder, found = genes
    command = ["gffread", "-S", "-g", "g.fa", "-y", "p.faa", "-x", "c.ffn", f"a.{kind}"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    bases = {contig.name: contig.bases for contig in read_fasta(folder / "g.fa")}
    assert records(folder / "c.ffn") == {
        header.split()[0]: cds
        for gene in found
        for header, cds in cds_records(bases[gene.contig], [gene])
    }
    assert records(folder / "p.faa") == {
        header.split()[0]: residues
        for gene in found
        for header, residues in protein_records(bases[gene.contig], [gene])
    }


def records(path: Path) -> dict[str, str]:
    found = (record.partition("\n") for record in path.read_text().split(">")[1:])
    return {head.split()[0]: body.replace("\n", "").removesuffix(".") for head, _, body in found}


@pytest.mark.external
@pytest.mark.skipif(shutil.which("gt") is None, reason="needs genometools (gt)")
def test_genometools_finds_the_genes_valid(genes: tuple[Path, list[Gene]]) -> None:
    command = ["gt", "gff3validator", "-typecheck", "so", "a.gff3"]
    done = subprocess.run(command, cwd=genes[0], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.external
@pytest.mark.skipif(
    None in (shutil.which("tbl2asn"), shutil.which("faketime")),
    reason="needs tbl2asn and, since it expires, faketime",
)
def test_ncbis_validator_finds_no_error_in_the_feature_table(
    genes: tuple[Path, list[Gene]], tmp_path: Path
) -> None:
    """Missing ends, phases and introns are what it checks by translating."""
    folder, found = genes
    lengths = {contig.name: len(contig.bases) for contig in read_fasta(folder / "g.fa")}
    with (tmp_path / "g.tbl").open("w") as out:
        for gene in found:
            is_spliced = len(gene.transcripts[0].cds) > 1
            writer = TblWriter(out, prokaryote=not is_spliced)
            writer.contig(gene.contig, lengths[gene.contig], [gene])
    header = " [organism=Saccharomyces cerevisiae] [gcode=1]\n"
    records = (folder / "g.fa").read_text().split(">")[1:]
    (tmp_path / "g.fsa").write_text("".join(">" + r.replace("\n", header, 1) for r in records))
    command = ["faketime", "2017-06-01", "tbl2asn", "-p", ".", "-V", "v", "-a", "s"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=60)
    assert (tmp_path / "g.sqn").stat().st_size > 10_000
    assert "ERROR" not in (tmp_path / "errorsummary.val").read_text()
