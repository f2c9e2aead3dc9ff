"""Settings of `genet5 fetch`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeAlias
from urllib.parse import urlsplit

import tyro

from genet5.config.checks import require

Taxon: TypeAlias = Literal["prokaryotes", "unicellular", "invertebrates", "vertebrates", "plants"]

EUTILS_URL = "https://eutils.ncbi.nlm.nih.gov/entrez/eutils"
GENOMES_URL = "https://ftp.ncbi.nlm.nih.gov"
LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, kw_only=True, slots=True)
class FetchSettings:
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
    taxon: Taxon | None = None
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


def is_safe_url(url: str) -> bool:
    """Whether a URL is https, or http on this machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and host in LOOPBACK))
