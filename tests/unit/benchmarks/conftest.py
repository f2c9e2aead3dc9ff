"""Genes and genomes for the benchmark's tests."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

import builders
from genet5.genome.gene import Gene

SPLITS = """\
clade	genome	contigs	split
prokaryotes	Escherichia_coli_K-12	*	test
prokaryotes	Wolbachia_sp_wRi	*	valid
prokaryotes	Salmonella_enterica_LT2	*	train
plants	Arabidopsis_thaliana_TAIR10	Chr5	test
plants	Arabidopsis_thaliana_TAIR10	ChrM,ChrC	reserve
plants	Arabidopsis_thaliana_TAIR10	*	valid
plants	Arabidopsis_thaliana_BACs	*	train
"""


@pytest.fixture
def splits(tmp_path: Path) -> Path:
    path = tmp_path / "splits.tsv"
    path.write_text(SPLITS)
    return path


@pytest.fixture
def make_gene() -> Callable[..., Gene]:
    """Make a gene of contig c1 from (start, end) intervals of its CDS, 0-based half-open."""
    return partial(builders.make_gene, contig="c1")
