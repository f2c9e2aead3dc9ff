"""`genet5 annotate` with an oracle in place of the model: the true genes come out whole."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from builders import coding_parts, write_contigs
from genet5.annotate import run as driver
from genet5.cli.annotate import main
from genet5.genome.gene import Cds, Exon, Gene, Transcript
from genet5.genome.io.fasta import Contig
from genet5.genome.io.gff3 import read_gff3
from genet5.genome.sequence import decode_bases, encode_bases, reverse_complement
from genet5.simulate.prokaryote import simulate_bacterium
from genet5.tokens.cut import shift_gene, wrapped_genes
from oracle_annotator import oracle


@pytest.mark.parametrize("flags", [[], ["--window_overlap", "100"], ["--both_strands"]])
def test_true_pieces_give_the_true_genes(
    calling_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: list[str]
) -> None:
    """Most genes are longer than the windows' overlap, many longer than a window."""
    contigs, genes = simulate_bacterium(120_000, seed=5, num_contigs=3)
    path = write_contigs(tmp_path / "genome.fa", contigs)
    truth = {c.name: [g for g in genes if g.contig == c.name] for c in contigs}
    monkeypatch.setattr(driver, "load_annotator", oracle(truth))
    out = tmp_path / "o.gff3"
    assert main([str(path), "-o", str(out), "--model", str(calling_model), *flags]) == 0
    assert max(g.end - g.start for g in genes) > 2 * 1024
    assert coding_parts(read_gff3(out).genes) == coding_parts(genes)


def test_spliced_genes_longer_than_windows(
    calling_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contig, genes = spliced_genome()
    path = write_contigs(tmp_path / "genome.fa.gz", [contig])
    assert gzip.decompress(path.read_bytes()).startswith(b">")
    monkeypatch.setattr(driver, "load_annotator", oracle({contig.name: genes}))
    out = tmp_path / "o.gff3"
    assert main([str(path), "-o", str(out), "--model", str(calling_model), "--introns", "yes"]) == 0
    found = read_gff3(out).genes
    assert coding_parts(found) == coding_parts(genes)
    assert all(len(g.canonical.exons) == len(g.canonical.cds) for g in found)
    assert main([str(path), "-o", str(out), "--model", str(calling_model), "--introns", "no"]) == 0
    assert all(len(g.canonical.cds) == 1 for g in read_gff3(out).genes)


def spliced_genome() -> tuple[Contig, list[Gene]]:
    """Genes with GT-AG introns of up to 5,000 bp, one inside an intron of another."""
    draw = np.random.default_rng(7)
    (bases, genes), at = ([], []), 0

    def filler(size: int) -> str:
        return "".join(draw.choice(list("ACGT"), size))

    def gene(number: int, strand: int, introns: list[int], offset: int) -> tuple[str, Gene]:
        codons = [c for c in ("GCA", "GAC", "CTG", "AAA", "TTC", "GGT") for _ in range(20)]
        coding = "ATG" + "".join(draw.choice(codons, 40 * (len(introns) + 1))) + "TAA"
        cuts = sorted(
            draw.choice(np.arange(5, len(coding) - 5), len(introns), replace=False).tolist()
        )
        ends, text, blocks, length = [*cuts, len(coding)], "", [], 0
        for i, (a, b) in enumerate(zip([0, *cuts], ends, strict=True)):
            blocks.append((length, length + b - a))
            intron = "GT" + filler(introns[i] - 4) + "AG" if i < len(introns) else ""
            text += coding[a:b] + intron
            length += b - a + len(intron)
        phases = np.cumsum([0, *(b - a for a, b in blocks)])[:-1]
        pieces = [(a, b, int(-p % 3)) for (a, b), p in zip(blocks, phases, strict=True)]
        if strand < 0:
            text = decode_bases(reverse_complement(encode_bases(text)))
            pieces = [(length - b, length - a, phase) for a, b, phase in reversed(pieces)]
        cds = tuple(Cds(offset + a, offset + b, phase) for a, b, phase in pieces)
        exons = tuple(Exon(c.start, c.end) for c in cds)
        transcript = Transcript(id=f"t{number}", exons=exons, cds=cds)
        return text, Gene(id=f"g{number}", contig="c", strand=strand, transcripts=(transcript,))

    for number, introns in enumerate(
        [[50], [3000, 80], [], [700] * 6, [5000], [60, 61, 62, 400]] * 2
    ):
        pad = filler(int(draw.integers(100, 600)))
        text, made = gene(number, 1 if number % 3 else -1, introns, at + len(pad))
        bases += [pad, text]
        genes.append(made)
        at += len(pad) + len(text)
    whole = "".join(bases) + filler(300)
    host = genes[4]
    inner_at = host.canonical.cds[0].end + 1500
    text, inner = gene(99, -host.strand, [40], inner_at)
    whole = whole[:inner_at] + text + whole[inner_at + len(text) :]
    genes.append(inner)
    return Contig("c", encode_bases(whole)), sorted(genes, key=lambda g: (g.start, g.end))


def test_a_circular_contig(
    calling_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contigs, genes = simulate_bacterium(20_000, seed=9)
    turn = (genes[3].start + genes[3].end) // 2
    bases = np.concatenate((contigs[0].bases[turn:], contigs[0].bases[:turn]))
    contig = Contig("ring", bases)
    turned = [turned_gene(gene, turn, len(bases)) for gene in genes]
    turned.sort(key=lambda gene: (gene.start, gene.end))
    path = write_contigs(tmp_path / "genome.fa", [contig])
    monkeypatch.setattr(
        driver, "load_annotator", oracle({"ring": wrapped_genes(turned, len(bases))})
    )
    out = tmp_path / "o.gff3"
    flags = ["--model", str(calling_model), "--circular", "ring"]
    assert main([str(path), "-o", str(out), *flags]) == 0
    annotation = read_gff3(out)
    assert coding_parts(annotation.genes) == coding_parts(turned)
    assert "ring" in annotation.circular
    assert turned[-1].end > len(bases)
    path.write_text(path.read_text().replace(">ring", ">ring circular=true"))
    assert main([str(path), "-o", str(out), "--model", str(calling_model)]) == 0
    assert coding_parts(read_gff3(out).genes) == coding_parts(turned)
    assert (
        main([str(path), "-o", str(out), "--model", str(calling_model), "--circular", "none"]) == 0
    )
    ends = [g for g in read_gff3(out).genes if g.canonical.partial_5 or g.canonical.partial_3]
    assert [(g.start == 0, g.end == len(bases)) for g in ends] == [(True, False), (False, True)]
    flags = ["--model", str(calling_model), "--circular", "none", "--partial_genes", "drop"]
    assert main([str(path), "-o", str(out), *flags]) == 0
    assert len(read_gff3(out).genes) == len(turned) - 1


def turned_gene(gene: Gene, turn: int, length: int) -> Gene:
    moved = shift_gene(gene, -turn if gene.start >= turn else length - turn)
    return replace(moved, contig="ring")
