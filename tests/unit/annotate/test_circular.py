from __future__ import annotations

import pytest

from genet5.annotate.circular import is_circular
from genet5.genome.io.fasta import Contig
from genet5.genome.sequence import encode_bases


def contig(description: str) -> Contig:
    return Contig("ring", encode_bases("ACGT"), description)


@pytest.mark.parametrize(
    "description",
    [
        "length=2686 depth=1.00x circular=true",
        "circular=True",
        "[organism=Escherichia coli] [topology=circular] [completeness=complete]",
        "topology=circular;x=1",
    ],
)
def test_headers_that_say_so(description: str) -> None:
    assert is_circular(contig(description), ("auto",))
    assert not is_circular(contig(description), ("none",))
    assert not is_circular(contig(description), ("other",))


@pytest.mark.parametrize(
    "description",
    [
        "",
        "Escherichia coli plasmid pX, circular, complete sequence",
        "circular=false",
        "notcircular=true",
        "suggestCircular=yes trim=10-90",
        "topology=linear",
    ],
)
def test_headers_that_do_not(description: str) -> None:
    assert not is_circular(contig(description), ("auto",))
    assert is_circular(contig(description), ("all",))
    assert is_circular(contig(description), ("ring", "other"))
