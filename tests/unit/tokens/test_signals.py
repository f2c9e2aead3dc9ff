"""Codons and splice sites of signals, against plain string operations in reading direction."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genet5.genome.codes import genetic_code
from genet5.genome.frames import in_reading_order
from genet5.genome.sequence import decode_bases, encode_bases, on_strand
from genet5.tokens.rules import AT_AC, GT_AG, GrammarOptions, prokaryote_options
from genet5.tokens.signals import Signals, build_signals

DNA = st.text("ACGTNacgt", min_size=1, max_size=60)
STRANDS = st.sampled_from([1, -1])


def made(dna: str, options: GrammarOptions, code: int = 1) -> Signals:
    """Signals of two windows: the one asked for is the second, and shorter than the first."""
    return build_signals([encode_bases(dna + "ATGTAA"), encode_bases(dna)], [11, code], options)


def as_read(dna: str, strand: int) -> str:
    return decode_bases(on_strand(encode_bases(dna), strand)).upper()


@given(DNA, STRANDS, st.sampled_from([1, 4, 11]), st.sampled_from(["strict", "splice_free"]))
def test_codons_are_those_of_the_strand_as_read(dna, strand, code, level) -> None:
    signals = made(dna, GrammarOptions(level=level, start_codons=("ATG", "TTG")), code)
    read, side = as_read(dna, strand), (1 - strand) // 2
    starts = in_reading_order(signals.start_codons(1, side), strand)
    stops = in_reading_order(signals.stop_codons(1, side), strand)
    codons = [read[i : i + 3] for i in range(len(read))]
    assert starts.tolist() == [codon in ("ATG", "TTG") for codon in codons]
    expected = [genetic_code(code).is_stop(codon) for codon in codons]
    assert stops.tolist() == ([False, False, *expected])[: len(read)]


@given(DNA, STRANDS, st.booleans())
def test_splice_sites_are_those_of_the_strand_as_read(dna, strand, at_ac) -> None:
    signals = made(dna, GrammarOptions(at_ac=at_ac))
    read, side = as_read(dna, strand), (1 - strand) // 2
    donors = in_reading_order(signals.donors(1, side), strand).tolist()
    acceptors = in_reading_order(signals.acceptors(1, side), strand).tolist()
    for base in range(len(read) - 2):  # sites that the window shows whole
        pair = read[base + 1 : base + 3]
        assert donors[base] == GT_AG * (pair in ("GT", "GC")) + AT_AC * (at_ac and pair == "AT")
    for base in range(2, len(read)):
        pair = read[base - 2 : base]
        assert acceptors[base] == GT_AG * (pair == "AG") + AT_AC * (at_ac and pair == "AC")


@pytest.mark.parametrize("side", [0, 1])
def test_levels_free_splice_sites_or_everything(side: int) -> None:
    free = made("CCCCCC", GrammarOptions(level="splice_free"))
    assert free.donors(1, side).all()
    assert free.acceptors(1, side).all()
    assert not free.start_codons(1, side).any()
    off = made("CCCCCC", GrammarOptions(level="off"))
    assert off.start_codons(1, side).all()
    assert off.stop_codons(1, side).all()


def test_without_introns_only_the_edges_cut_genes() -> None:
    signals = made("GTAGGTAG", prokaryote_options())
    assert np.flatnonzero(signals.donors(1, 0)).tolist() == [7]
    assert np.flatnonzero(signals.acceptors(1, 0)).tolist() == [0]
