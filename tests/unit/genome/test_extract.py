from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genet5.errors import DataError
from genet5.genome.codes import genetic_code
from genet5.genome.extract import (
    cds_bases,
    cds_records,
    coding_phase,
    introns,
    protein,
    protein_records,
    span_bases,
)
from genet5.genome.gene import Cds, Exon, Gene, Transcript
from genet5.genome.sequence import decode_bases, encode_bases, reverse_complement

CODE = genetic_code(11)
#                      0         10        20
FORWARD = encode_bases("ccATGGgtaagtagTTTAAccccc")
SPLICED = Transcript(
    id="t", exons=(Exon(0, 6), Exon(14, 22)), cds=(Cds(2, 6, 0), Cds(14, 19, 2))
)  # fmt: skip
GENE = Gene(id="g", contig="c", strand=1, transcripts=(SPLICED,))


def _mirrored(transcript: Transcript, length: int) -> Transcript:
    exons = tuple(Exon(length - e.end, length - e.start) for e in transcript.exons[::-1])
    cds = tuple(Cds(length - c.end, length - c.start, c.phase) for c in transcript.cds[::-1])
    return replace(transcript, exons=exons, cds=cds)


def test_split_codon_on_both_strands() -> None:
    back = _mirrored(SPLICED, len(FORWARD))
    minus = replace(GENE, strand=-1, transcripts=(back,))
    for bases, gene in ((FORWARD, GENE), (reverse_complement(FORWARD), minus)):
        transcript = gene.transcripts[0]
        assert decode_bases(cds_bases(bases, gene, transcript)) == "ATGGTTTAA"
        assert protein(bases, gene, transcript, CODE) == "MV"
    assert introns(SPLICED) == ((6, 14),)
    assert introns(back) == ((10, 18),)


def test_partial_gene_is_read_from_its_phase_on() -> None:
    bases = encode_bases("GATGTGTTAAGG")
    # 5' end missing: one base of the codon before, then GTG TTA; the last codon is incomplete
    cut = Transcript(
        id="t", exons=(Exon(2, 11),), cds=(Cds(2, 11, 1),), partial_5=True, partial_3=True
    )
    gene = Gene(id="g", contig="c", strand=1, transcripts=(cut,))
    assert coding_phase(gene, cut) == 1
    assert decode_bases(cds_bases(bases, gene, cut)) == "TGTGTTAAG"
    assert protein(bases, gene, cut, CODE) == "VL"
    whole = replace(cut, cds=(Cds(3, 9, 0),), partial_5=False)
    assert protein(bases, gene, whole, CODE) == "ML"
    assert protein(bases, gene, whole, CODE, start_as_met=False) == "VL"


def test_phase_of_a_partial_gene_on_the_reverse_strand_is_that_of_its_right_end() -> None:
    bases = reverse_complement(encode_bases("TGTTTTAA"))
    cut = Transcript(
        id="t", exons=(Exon(0, 4), Exon(4, 8)), cds=(Cds(0, 4, 0), Cds(4, 8, 2)), partial_5=True
    )
    gene = Gene(id="g", contig="c", strand=-1, transcripts=(cut,))
    assert coding_phase(gene, cut) == 2
    assert protein(bases, gene, cut, CODE) == "F"


def test_a_codon_that_is_no_start_stays_what_it_is() -> None:
    bases = encode_bases("GCCTGAUAA")
    whole = Transcript(id="t", exons=(Exon(0, 9),), cds=(Cds(0, 9, 0),))
    gene = Gene(id="g", contig="c", strand=1, transcripts=(whole,))
    assert protein(bases, gene, whole, CODE) == "A*"
    assert protein(bases, gene, whole, genetic_code(4)) == "AW"


@given(shift=st.integers(0, 40), strand=st.sampled_from([1, -1]))
def test_rotating_a_circular_contig_changes_no_sequence(shift: int, strand: int) -> None:
    rng = np.random.default_rng(7)
    length = 40
    bases = encode_bases("".join(rng.choice(list("ACGT"), length)))
    exons = (Exon(0, 5), Exon(9, 20), Exon(30, 37))
    transcript = Transcript(id="t", exons=exons, cds=tuple(Cds(e.start, e.end, 0) for e in exons))
    gene = Gene(id="g", contig="c", strand=strand, transcripts=(transcript,))
    rotated = np.roll(bases, shift)
    moved = replace(
        transcript,
        exons=tuple(Exon(e.start + shift, e.end + shift) for e in exons),
        cds=tuple(Cds(e.start + shift, e.end + shift, 0) for e in exons),
    )
    assert (cds_bases(rotated, gene, moved) == cds_bases(bases, gene, transcript)).all()


def test_span_beyond_the_contig_is_an_error() -> None:
    with pytest.raises(DataError, match="span 3-9; expected a span within the contig's 5 bases"):
        span_bases(encode_bases("ACGTA"), 3, 9)


def test_fasta_headers_and_choice_of_genes() -> None:
    short = replace(SPLICED, id="t2", cds=(Cds(2, 5, 0),), partial_3=True)
    isoforms = replace(GENE, transcripts=(SPLICED, short))
    pseudo = replace(GENE, id="p", pseudo=True)
    assert list(cds_records(FORWARD, [isoforms, pseudo])) == [
        ("t c:2-19(+) gene=g partial=none", "ATGGTTTAA"),
        ("t2 c:2-5(+) gene=g partial=3'", "ATG"),
    ]
    proteins = list(protein_records(FORWARD, [isoforms], canonical_only=True))
    assert proteins == [("t c:2-19(+) gene=g partial=none", "MV")]


def test_own_genetic_code_wins_over_the_default() -> None:
    bases = encode_bases("ATGTGATAA")
    whole = Transcript(id="t", exons=(Exon(0, 9),), cds=(Cds(0, 9, 0),))
    gene = Gene(id="g", contig="c", strand=1, transcripts=(whole,))
    genes = [gene, replace(gene, genetic_code=4)]
    assert [text for _, text in protein_records(bases, genes, 11)] == ["M*", "MW"]
