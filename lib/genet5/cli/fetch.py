"""`genet5 fetch`: bring genomes from NCBI."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from genet5.cli.parse import run
from genet5.config.checks import require
from genet5.config.clades import Clade
from genet5.errors import DataError
from genet5.fetch.urls import EUTILS_URL, GENOMES_URL, is_safe_url
from genet5.outputs import check_folder

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class FetchConfig:
    """What to bring, and where to.

    A genome gets the folder DIR/TAXON/SPECIES/ with genome.fa.gz, annotation.gff3.gz and provenance.json, as `bake` reads it.
    The environment variable NCBI_API_KEY, if set, is sent to NCBI: 10 requests a second instead of 3.
    """

    accessions: Annotated[
        tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="ACCESSION ...")
    ]
    """Assemblies (GCF_000005845.2, GCA_...) or single records (NC_000913.3, CP009273.1); without version the latest."""
    out_dir: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="DIR")] = Path("raw")
    """Folder that gets the TAXON/SPECIES/ folders."""
    clade: Annotated[Clade | None, tyro.conf.arg(aliases=["--taxon"])] = None
    """Taxon of all genomes; by default by NCBI's taxonomy. Fungi and algae that are no green plants count as unicellular."""
    fasta_only: bool = False
    """Bring the sequence alone, for genomes without annotation."""
    email: str | None = None
    """Your address, which NCBI asks for: it writes before it blocks somebody."""
    timeout_s: float = 60.0
    """Seconds without an answer after which a connection is given up and tried again."""
    tries: int = 6
    """Times to try before giving up; the pauses between them double from one second on."""
    eutils_url: str = EUTILS_URL
    """Where E-utilities are served; https, or http on this machine."""
    genomes_url: str = GENOMES_URL
    """Where NCBI's folder /genomes is served, for mirrors; https, or http on this machine."""
    dry_run: bool = False
    """Say what would be fetched, and stop."""

    def __post_init__(self) -> None:
        require(bool(self.accessions), "ACCESSION", "", "give at least one")
        require(self.timeout_s > 0, "timeout_s", self.timeout_s, "must be above 0")
        require(self.tries >= 1, "tries", self.tries, "must be at least 1")
        for name in ("eutils_url", "genomes_url"):
            value = getattr(self, name)
            require(is_safe_url(value), name, value, "must begin with https://")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return run(
        _fetch,
        FetchConfig,
        argv,
        name="fetch",
        description="Bring genomes with their annotation from NCBI; prints the folder of each.",
    )


def _fetch(config: FetchConfig) -> int:
    """Bring all; an accession that cannot be had does not stop the others, an unreachable server does."""
    from genet5.fetch.client import Client
    from genet5.fetch.fetcher import Fetcher
    from genet5.fetch.names import parse_accession

    for text in config.accessions:
        parse_accession(text)
    if not config.dry_run:
        check_folder("out_dir", config.out_dir)
    fetcher = Fetcher(
        config.out_dir,
        Client(timeout_s=config.timeout_s, tries=config.tries),
        clade=config.clade,
        fasta_only=config.fasta_only,
        email=config.email,
        eutils_url=config.eutils_url,
        genomes_url=config.genomes_url,
        dry_run=config.dry_run,
    )
    failed = []
    for text in config.accessions:
        try:
            folder = fetcher.fetch(text)
        except DataError as error:
            if len(config.accessions) == 1:
                raise
            log.error("%s: %s", text, error)
            failed.append(text)
            continue
        sys.stdout.write(f"{folder}\n")
        sys.stdout.flush()
    if failed:
        raise DataError(
            f"{len(failed)} of {len(config.accessions)} not fetched: {', '.join(failed)}"
        )
    return 0
