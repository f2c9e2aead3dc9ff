"""Candidates leave a contig as soon as they are final, and are those of the whole contig."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pytest

from genet5.annotate.block import Block
from genet5.annotate.candidate import GeneCandidate
from genet5.annotate.contig import ContigWork
from genet5.decode.evidence import Evidence
from genet5.decode.fragment import GeneFragment, Interval
from genet5.genome.io.fasta import Contig
from genet5.genome.tiling import ContigTiling, Tile

LENGTH_BP, WINDOW_BP = 1500, 100


def noisy_fragments(draw: random.Random, tile: Tile, *, spliced: bool) -> list[GeneFragment]:
    """Fragments that windows might show: whole, cut, contradictory, with several starts."""
    found = []
    for _ in range(draw.randrange(4)):
        strand = draw.choice((1, -1))
        cut_left, cut_right = draw.random() < 0.4, draw.random() < 0.4
        a = tile.start if cut_left else draw.randrange(tile.start, tile.end - 30)
        b = tile.end if cut_right else draw.randrange(a + 20, tile.end)
        parts = [Interval("cds", a, b)]
        if spliced and b - a > 40 and draw.random() < 0.5:
            parts = [Interval("cds", a, a + 12), Interval("cds", b - 15, b)]
        starts = ()
        if not (cut_left if strand > 0 else cut_right):
            five = a if strand > 0 else b - 1
            other = min(max(five + draw.randrange(-9, 10), tile.start), tile.end - 1)
            starts = ((five, 0.7), (other, 0.3)) if other != five else ((five, 1.0),)
        evidence = Evidence(-0.1, -0.2, -0.3, coding=b - a, stop_boundary=draw.random())
        on_path = draw.random() < 0.4
        found.append(
            GeneFragment(
                "protein_coding", strand, tuple(parts), cut_left, cut_right,
                draw.randrange(3) if cut_left else None, evidence, starts, on_path,
            )
        )  # fmt: skip
    return found


def blocks_of(
    seed: int, every: int, *, circular: bool = False, spliced: bool = False, passes: int = 1
) -> list[Block]:
    """The blocks of a contig that is asked for them after `every` windows."""
    draw = random.Random(seed)
    bases = np.full(LENGTH_BP, ord("A"), dtype=np.uint8)
    bases[600:800] = ord("N")
    tiling = ContigTiling.even(LENGTH_BP, WINDOW_BP, 50, circular=circular)
    work = ContigWork(0, Contig("c", bases), tiling, 11, passes, spliced=spliced)
    blocks = []
    for number, (tile, strand_pass, _) in enumerate(list(work.windows()), 1):
        work.put(tile, strand_pass, noisy_fragments(draw, tile, spliced=spliced))
        if number % every == 0 and not work.is_done:
            blocks.append(work.block())
    return [*blocks, work.block()]


def candidates_of(blocks: list[Block]) -> list[GeneCandidate]:
    return [candidate for block in blocks for candidate in block.candidates]


@pytest.mark.slow
@pytest.mark.parametrize("spliced", [False, True])
@pytest.mark.parametrize("passes", [1, 2])
@pytest.mark.parametrize("circular", [False, True])
def test_candidates_by_blocks_are_those_of_the_whole_contig(
    spliced: bool, passes: int, circular: bool
) -> None:
    options = {"spliced": spliced, "passes": passes, "circular": circular}
    for seed in range(12):
        whole = repr(candidates_of(blocks_of(seed, 10**6, **options)))
        for every in (1, 3):
            assert repr(candidates_of(blocks_of(seed, every, **options))) == whole


def test_no_candidate_overlaps_one_of_another_block() -> None:
    for seed in range(12):
        blocks = [block for block in blocks_of(seed, 1) if block.candidates]
        for first, second in pairwise(blocks):
            assert max(c.end for c in first.candidates) <= second.candidates[0].start


def test_blocks_come_before_the_contig_ends() -> None:
    sizes = [len(blocks_of(seed, 1)[-1].candidates) for seed in range(12)]
    everything = [len(candidates_of(blocks_of(seed, 1))) for seed in range(12)]
    assert sum(sizes) < 0.5 * sum(everything)


def test_only_the_last_block_is_the_last() -> None:
    blocks = blocks_of(1, 1)
    assert [block.is_last for block in blocks] == [False] * (len(blocks) - 1) + [True]


def test_a_contig_without_known_bases_is_done_at_once() -> None:
    bases = np.full(LENGTH_BP, ord("N"), dtype=np.uint8)
    work = ContigWork(0, Contig("c", bases), ContigTiling.even(LENGTH_BP, WINDOW_BP, 50), 11)
    assert not list(work.windows())
    assert work.is_done
    assert work.block().candidates == []
