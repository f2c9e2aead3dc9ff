"""`genet5 fetch`: download genomes from NCBI."""

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
from genet5.fetch.urls import EUTILS_URL, GENOMES_URL, host_of, is_safe_url
from genet5.outputs import check_folder

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class FetchConfig:
    """What to download, and where to.

    A genome gets the folder DIR/CLADE/SPECIES/ with genome.fa.gz, annotation.gff3.gz and
    provenance.json, as `bake` reads it. The environment variable NCBI_API_KEY, if set, is sent to
    NCBI: 10 requests a second instead of 3.
    """

    accessions: Annotated[
        tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="ACCESSION ...")
    ]
    """Assemblies (GCF_000005845.2) or records (NC_000913.3); without version the latest."""
    out_dir: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="DIR")] = Path("raw")
    """Folder that gets the CLADE/SPECIES/ folders."""
    clade: Annotated[Clade | None, tyro.conf.arg(aliases=["--taxon"], metavar="CLADE")] = None
    """Clade of all genomes; by default by NCBI's taxonomy. Fungi and algae are unicellular here."""
    fasta_only: bool = False
    """Download the sequence alone, for genomes without annotation."""
    email: str | None = None
    """Your address: NCBI asks for one, and writes to it before it blocks a user."""
    timeout_s: float = 60.0
    """Seconds without an answer after which a request is tried again."""
    deadline_s: float = 24 * 3600.0
    """Seconds after which a download is interrupted and tried again, whatever arrives."""
    tries: int = 6
    """Attempts before giving up; pauses between them double, from one second on."""
    eutils_url: str = EUTILS_URL
    """URL of E-utilities; https, or http on this machine."""
    genomes_url: str = GENOMES_URL
    """URL that serves NCBI's folder /genomes, for mirrors; https, or http on this machine."""
    dry_run: bool = False
    """Print what would be downloaded, and stop."""

    def __post_init__(self) -> None:
        require(bool(self.accessions), "ACCESSION", "", "give at least one")
        require(self.timeout_s > 0, "timeout_s", self.timeout_s, "must be above 0")
        require(self.deadline_s > 0, "deadline_s", self.deadline_s, "must be above 0")
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
        description="Download genomes with their annotation from NCBI; prints the folder of each.",
    )


def _fetch(config: FetchConfig) -> int:
    """Download all; a missing accession does not stop the others, an unreachable server does."""
    from genet5.fetch.client import Client
    from genet5.fetch.fetcher import Fetcher
    from genet5.fetch.names import parse_accession

    for text in config.accessions:
        parse_accession(text)
    if not config.dry_run:
        check_folder("out_dir", config.out_dir)
    fetcher = Fetcher(
        config.out_dir,
        Client(
            timeout_s=config.timeout_s,
            tries=config.tries,
            hosts=(host_of(config.eutils_url), host_of(config.genomes_url)),
            deadline_s=config.deadline_s,
        ),
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
            f"{len(failed)} of {len(config.accessions)} not downloaded: {', '.join(failed)}"
        )
    return 0
