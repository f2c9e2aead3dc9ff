"""Download the genome of an accession into its folder.

An assembly's files come from NCBI's genomes server and must have the checksums of its
md5checksums.txt. A single record comes from E-utilities as a GenBank flat file: they give no GFF3,
and the assembly that a record belongs to has more sequences than were requested (and is often one
of several). Both files are written from that one answer, so that they match; with no checksum to
compare, it counts as complete if it has the length that NCBI states elsewhere.

Interrupted downloads of assemblies resume where they stopped; files with the right checksum are not
downloaded again.

Example:
    fetcher = Fetcher(Path("raw"))
    print(fetcher.fetch("GCF_000027325.1"))
"""

from __future__ import annotations

import logging
import os
from datetime import UTC, datetime
from pathlib import Path

from genet5 import __version__
from genet5.config.clades import Clade
from genet5.fetch.client import Client
from genet5.fetch.download import AssemblyFiles, write_record
from genet5.fetch.entrez import Assembly, Eutils, Organism, Record
from genet5.fetch.folder import (
    ANNOTATION,
    GENOME,
    Facts,
    File,
    GenomeFolder,
    choose_folder,
    find_folder,
)
from genet5.fetch.names import Accession, clade_of, parse_accession, safe_name
from genet5.fetch.partial_file import disk_error
from genet5.fetch.urls import EUTILS_URL, GENOMES_URL

log = logging.getLogger(__name__)

KEY_VARIABLE = "NCBI_API_KEY"


class Fetcher:
    """Downloads genomes, one after the other.

    Args:
        out_dir: Folder that gets the CLADE/SPECIES/ folders.
        client: Connection to the servers; one with its own timeouts by default.
        clade: Clade of all genomes; by default the one of their taxonomy.
        fasta_only: Download the sequence without its annotation.
        email: Address that is sent to E-utilities.
        eutils_url: Where E-utilities are served.
        genomes_url: Where the folder /genomes is served.
        dry_run: Log what would be downloaded, and download nothing.
    """

    def __init__(
        self,
        out_dir: Path,
        client: Client | None = None,
        *,
        clade: Clade | None = None,
        fasta_only: bool = False,
        email: str | None = None,
        eutils_url: str = EUTILS_URL,
        genomes_url: str = GENOMES_URL,
        dry_run: bool = False,
    ) -> None:
        self.out_dir, self.clade, self.dry_run = out_dir, clade, dry_run
        self.client = client or Client()
        key = os.environ.get(KEY_VARIABLE, "").strip() or None
        self.eutils = Eutils(self.client, eutils_url, email, key)
        self.genomes_url = genomes_url
        self.names = (GENOME,) if fasta_only else (GENOME, ANNOTATION)

    def fetch(self, text: str) -> Path:
        """Download one genome; return its folder.

        Raises:
            ConfigError: The text is no accession of a genome.
            DataError: NCBI has no such genome or no annotation of it, a file is wrong, or the disk
                is full.
            ServerError: NCBI cannot be reached, or does not answer as it should.
        """
        accession = parse_accession(text)
        if accession.has_version:
            known = find_folder(self.out_dir, self.clade, accession.text)
            if known is not None and known.is_complete(self.names):
                log.info("%s is there: %s", accession.text, known.path)
                return known.path
        found = self._resolve(accession)
        organism = self.eutils.organism(found.taxid)
        folder, facts = self._place(accession, found, organism)
        if self.dry_run:
            log.info("%s: %s, to %s", found.accession, organism.name, folder.path)
            return folder.path
        with folder.locked():
            try:
                self._download(found, folder, facts)
            except OSError as error:
                raise disk_error(error, folder.path) from error
        return folder.path

    def _resolve(self, accession: Accession) -> Assembly | Record:
        if accession.kind == "assembly":
            return self.eutils.assembly(accession)
        return self.eutils.record(accession)

    def _place(
        self, accession: Accession, found: Assembly | Record, organism: Organism
    ) -> tuple[GenomeFolder, Facts]:
        """Choose the folder, and collect what is known before the download."""
        clade = self.clade or clade_of(organism.lineage_ids, organism.name)
        version = found.name if isinstance(found, Assembly) and found.name else found.accession
        name = safe_name(organism.name, version)
        folder = choose_folder(self.out_dir, clade, name, found.accession)
        facts: Facts = {
            "accession": found.accession,
            "requested": accession.text,
            "kind": accession.kind,
            "organism": organism.name,
            "taxid": organism.taxid,
            "lineage": list(organism.lineage),
            "taxon": clade,
            "assembly": found.name if isinstance(found, Assembly) else None,
            "genetic_code": organism.genetic_code,
            "mitochondrial_genetic_code": organism.mitochondrial_code,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "tool": f"genet5 {__version__}",
        }
        return folder, facts

    def _download(self, found: Assembly | Record, folder: GenomeFolder, facts: Facts) -> None:
        if folder.facts().get("accession") == found.accession and folder.is_complete(self.names):
            log.info("%s is there: %s", found.accession, folder.path)
            return
        if not folder.facts().get("complete"):
            folder.save(facts, {})
        files: dict[str, File] = {}
        if isinstance(found, Assembly):
            source = AssemblyFiles(self.client, self.genomes_url, found)
            urls = source.check(self.names)
            for name, (url, md5) in urls.items():
                files[name] = source.download(url, md5, folder, name)
        else:
            files = write_record(self.client, self.eutils, found, folder, self.names)
        folder.save(facts, files)
        sizes = ", ".join(f"{name} {file.bytes / 1e6:.1f} MB" for name, file in files.items())
        code = facts["genetic_code"]
        log.info(
            "%s: %s, genetic code %s; %s",
            facts["accession"],
            facts["organism"],
            code or "unknown",
            sizes,
        )
