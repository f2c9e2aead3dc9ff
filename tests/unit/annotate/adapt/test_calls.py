"""The starts of a call, and what surrounds them, against a plain loop over letters."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from artificial_genome import STARTS, STOPS, artificial, candidate
from genet5.annotate.adapt import calls as calls_module
from genet5.annotate.adapt import strand as strand_module
from genet5.annotate.adapt.calls import ContigCalls, contig_calls
from genet5.annotate.adapt.strand import FLANK, LEAST_GENE_BP, UPSTREAM_BP, ContigReader
from genet5.annotate.candidate import GeneCandidate
from genet5.decode.fragment import Interval
from genet5.genome.codes import CODONS
from genet5.genome.sequence import (
    Bases,
    decode_bases,
    encode_bases,
    on_strand,
    reverse_complement,
)


def calls_of(bases: Bases, *candidates: GeneCandidate, circular: bool = False) -> ContigCalls:
    return contig_calls("c", candidates, ContigReader(bases, 11, STARTS, circular=circular))


def plain_starts(text: str, start: int, end: int) -> list[int]:
    """Starts of the gene [start, end) of a strand's letters, found codon by codon."""
    first = end - 3
    while first >= 3 and text[first - 3 : first] not in STOPS:
        first -= 3
    places = range(first, end - LEAST_GENE_BP + 1, 3)
    starts = [place for place in places if text[place : place + 3] in STARTS]
    mine = starts.index(start)
    return starts[max(0, mine - FLANK) : mine + FLANK + 1]


def random_gene(seed: int) -> tuple[str, int, int]:
    """Letters with a gene that has many starts before and after its own."""
    rng = np.random.default_rng(seed)
    sense = [codon for codon in CODONS if codon not in STOPS]
    codons = [*rng.choice(sense, 40), "ATG", *rng.choice(sense, 60), "TAG"]
    text = "".join(rng.choice(list("ACGT"), 25)) + "".join(codons) + "ACGTACGT"
    return text, 25 + 120, 25 + 120 + 3 + 180 + 3


@pytest.mark.parametrize("seed", range(8))
def test_starts_are_those_of_a_plain_loop_on_either_strand(seed: int) -> None:
    text, start, end = random_gene(seed)
    bases, size = encode_bases(text), len(text)
    expected = plain_starts(text, start, end)
    forward = calls_of(bases, candidate(start, end, 1))
    assert forward.base.tolist() == expected
    turned = calls_of(reverse_complement(bases), candidate(size - end, size - start, -1))
    assert turned.base.tolist() == [size - 1 - place for place in expected]
    for name in ("codon", "upstream", "skipped", "hexamers"):
        assert np.array_equal(getattr(forward, name), getattr(turned, name)), name


def test_what_surrounds_a_start_is_read_off_its_strand() -> None:
    text, start, end = random_gene(3)
    calls = calls_of(encode_bases(text), candidate(start, end, 1))
    for place, codon, upstream in zip(calls.base, calls.codon, calls.upstream, strict=True):
        assert CODONS[codon] == text[place : place + 3]
        before = text[max(0, place - UPSTREAM_BP) : place].rjust(UPSTREAM_BP, "N")
        assert "".join("ACGTN"[i] for i in upstream) == before
    first = calls.base[0]
    places = range(first, end - 6, 3)
    hexamers = [text[place : place + 6] for place in places]
    letters = [CODONS[h // 64] + CODONS[h % 64] for h in calls.hexamers.tolist()]
    assert letters == hexamers[: len(letters)]
    assert len(letters) == (end - 3 - first) // 3 - 1


def test_both_strands_of_a_contig_keep_their_order() -> None:
    genome = artificial(12, seed=1)
    calls = genome.calls
    for i, one in enumerate(genome.candidates):
        alone = calls_of(genome.bases, one)
        low, high = calls.firsts[i], calls.firsts[i + 1]
        assert calls.base[low:high].tolist() == alone.base.tolist()
        assert np.allclose(calls.share[low:high], alone.share)
        low, high = calls.hexamer_firsts[i], calls.hexamer_firsts[i + 1]
        assert np.array_equal(calls.hexamers[low:high], alone.hexamers)
        assert calls.base[calls.chosen[i]] == one.start_base


def named(background: np.ndarray) -> dict[str, int]:
    """Counts by the hexamers' letters."""
    return {CODONS[i // 64] + CODONS[i % 64]: int(n) for i, n in enumerate(background) if n}


def test_background_counts_hexamers_of_both_strands() -> None:
    found = ContigReader(encode_bases("AAAAAAC"), 11, STARTS).background()
    assert named(found) == {"AAAAAA": 1, "AAAAAC": 1, "TTTTTT": 1, "GTTTTT": 1}


def test_background_of_a_circle_counts_hexamers_over_the_origin() -> None:
    found = ContigReader(encode_bases("AACCCCCG"), 11, STARTS, circular=True).background()
    assert found.sum() == 16
    assert named(found)["GAACCC"] == 1


def test_background_leaves_ambiguous_hexamers_out() -> None:
    found = ContigReader(encode_bases("AAAAAAANCCCCCC"), 11, STARTS).background()
    assert named(found) == {"AAAAAA": 2, "TTTTTT": 2, "CCCCCC": 1, "GGGGGG": 1}


@pytest.mark.parametrize("circular", [False, True])
def test_intervals_change_nothing(monkeypatch: pytest.MonkeyPatch, circular: bool) -> None:
    genome = artificial(40, seed=2)
    whole = calls_of(genome.bases, *genome.candidates, circular=circular)
    background = ContigReader(genome.bases, 11, STARTS, circular=circular).background()
    monkeypatch.setattr(strand_module, "INTERVAL_BP", 700)
    monkeypatch.setattr(calls_module, "INTERVAL_BP", 700)
    cut = calls_of(genome.bases, *genome.candidates, circular=circular)
    for name in ("firsts", "base", "share", "codon", "upstream", "hexamer_firsts", "hexamers"):
        assert np.array_equal(getattr(whole, name), getattr(cut, name)), name
    in_intervals = ContigReader(genome.bases, 11, STARTS, circular=circular).background()
    assert np.array_equal(background, in_intervals)


def test_starts_beyond_reach_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    text, start, end = random_gene(3)
    monkeypatch.setattr(strand_module, "REACH_BP", 30)
    found = calls_of(encode_bases(text), candidate(start, end, 1))
    expected = [place for place in plain_starts(text, start, end) if place >= start - 30]
    assert found.base.tolist() == expected


def test_a_gene_without_its_5_end_has_no_starts() -> None:
    text, start, end = random_gene(0)
    calls = calls_of(encode_bases(text), candidate(start, end, 1, partial_left=True))
    assert calls.firsts.tolist() == [0, 0]
    assert calls.chosen.tolist() == [-1]


def test_a_gene_that_the_contig_cuts_has_starts_in_its_frame() -> None:
    text, start, end = random_gene(0)
    cut = end - 10
    calls = calls_of(encode_bases(text[:cut]), candidate(start, cut, 1, partial_right=True))
    assert start in calls.base.tolist()
    assert all((base - start) % 3 == 0 for base in calls.base.tolist())


def test_a_gene_over_the_origin_has_the_starts_it_has_elsewhere() -> None:
    text, start, end = random_gene(5)
    turned = text[start + 30 :] + text[: start + 30]
    size = len(text)
    shift = size - (start + 30)
    for strand in (1, -1):
        bases = on_strand(encode_bases(turned), strand)
        span = (start + shift, end + shift)
        if strand < 0:
            span = (2 * size - span[1], 2 * size - span[0])
        found = calls_of(bases, candidate(*span, strand), circular=True)
        place = found.base if strand > 0 else 2 * size - 1 - found.base
        expected = [p + shift for p in plain_starts(text, start, end)]
        assert place.tolist() == expected
        index = place.tolist().index(start + shift)
        letters = "".join("ACGTN"[i] for i in found.upstream[index])
        assert letters == text[start - UPSTREAM_BP : start]


def test_votes_become_shares_of_the_calls_starts() -> None:
    text, start, end = random_gene(3)
    starts = plain_starts(text, start, end)
    votes = ((starts[0], 0.2), (start, 0.6), (start + 1, 0.2))
    calls = calls_of(encode_bases(text), candidate(start, end, 1, starts=votes))
    known = dict(zip(calls.base.tolist(), calls.share.tolist(), strict=True))
    assert known[starts[0]] == pytest.approx(0.25)
    assert known[start] == pytest.approx(0.75)
    assert sum(known.values()) == pytest.approx(1)


def test_ambiguous_bases_give_unknown_hexamers_and_no_starts() -> None:
    text, start, end = random_gene(3)
    masked = text[: start + 30] + "N" + text[start + 31 :]
    calls = calls_of(encode_bases(masked), candidate(start, end, 1))
    assert (calls.hexamers == 4096).sum() == 2
    assert decode_bases(encode_bases(masked))[start + 30] == "N"


def test_a_contig_without_calls_has_no_starts() -> None:
    calls = calls_of(encode_bases("ACGTACGTAC"))
    assert calls.firsts.tolist() == [0]
    assert calls.chosen.tolist() == []


def spliced(text: str, start: int, end: int, cut: int) -> tuple[str, GeneCandidate]:
    """The gene [start, end) with an intron after its first `cut` bases."""
    intron = "GTAAGT" + "C" * 31 + "AG"
    place = start + cut
    parts = (
        Interval("cds", start, place),
        Interval("cds", place + len(intron), end + len(intron)),
    )
    long = text[:place] + intron + text[place:]
    return long, replace(candidate(start, end + len(intron), 1), parts=parts)


def mirror_image(gene: GeneCandidate, size: int) -> GeneCandidate:
    parts = [Interval(p.kind, size - p.end, size - p.start) for p in reversed(gene.parts)]
    return replace(gene, strand=-1, frame=2, parts=tuple(parts))


@pytest.mark.parametrize("cut", [60, 61, 62, 182])
def test_an_intron_changes_no_hexamer_and_hides_the_starts_behind_it(cut: int) -> None:
    text, start, end = random_gene(3)
    plain = calls_of(encode_bases(text), candidate(start, end, 1))
    long, gene = spliced(text, start, end, cut)
    forward = calls_of(encode_bases(long), gene)
    turned = calls_of(reverse_complement(encode_bases(long)), mirror_image(gene, len(long)))
    visible = [base for base in plain.base.tolist() if base + 3 <= start + cut]
    assert forward.base.tolist() == visible
    assert turned.base.tolist() == [len(long) - 1 - base for base in visible]
    for found in (forward, turned):
        assert np.array_equal(found.hexamers, plain.hexamers)
        assert found.skipped.tolist() == plain.skipped[: len(visible)].tolist()


def test_a_start_codon_that_an_intron_cuts_stays() -> None:
    text, start, end = random_gene(3)
    long, gene = spliced(text, start, end, 2)
    assert calls_of(encode_bases(long), gene).base.tolist() == []
