"""Candidates that are kept come back as they were."""

from __future__ import annotations

import numpy as np
import pytest

from genet5.annotate.block import Block
from genet5.annotate.candidate import GeneCandidate
from genet5.annotate.store import CandidateStore
from genet5.decode.evidence import Evidence
from genet5.decode.fragment import Interval
from genet5.genome.io.fasta import Contig

CONTIGS = [Contig(name, np.zeros(9, dtype=np.uint8)) for name in "ab"]
GENE = GeneCandidate(
    "protein_coding", -1, (Interval("cds", 3, 12), Interval("utr", 20, 30)), 1, True,
    evidence=Evidence(-0.1, splices=2, state=1 / 3, stop_boundary=2.5),
    starts=((11, 0.25), (8, 0.75)), support=0.1 + 0.2,
)  # fmt: skip


@pytest.mark.parametrize("most_in_memory", [0, 10, 10**6])
def test_blocks_come_back_as_often_as_they_are_asked_for(most_in_memory: int) -> None:
    blocks = [
        Block(0, CONTIGS[0], False, [GENE, GENE.moved(5)], False),
        Block(0, CONTIGS[0], False, [], True),
        Block(1, CONTIGS[1], True, [GENE.moved(99)], True),
    ]
    with CandidateStore(CONTIGS, most_in_memory) as store:
        for block in blocks:
            store.add(block)
        for _ in range(2):
            assert repr(list(store.blocks())) == repr(blocks)  # NaN is not equal to itself
        pairs = zip(store.blocks(), store.blocks(), strict=True)
        assert all(repr(first) == repr(second) for first, second in pairs)


def test_a_store_of_nothing_is_empty() -> None:
    with CandidateStore(CONTIGS) as store:
        assert list(store.blocks()) == []
