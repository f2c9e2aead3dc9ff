"""Bring the genome of an accession into its folder.

An assembly's files come from NCBI's genomes server and must have the checksums of its md5checksums.txt. A single record
comes from E-utilities as a GenBank flat file: they give no GFF3, and the assembly that a record belongs to has more
sequences than were asked for (and is often one of several). From that one answer both files are written, so that they fit
each other; it is whole if it ends as it should and has the length that NCBI states elsewhere, for there is no checksum.

Interrupted downloads of assemblies go on where they stopped; files that are there and right are not fetched again.

Example:
    fetcher = Fetcher(FetchSettings(accessions=("GCF_000027325.1",)))
    print(fetcher.fetch("GCF_000027325.1"))
"""

from __future__ import annotations

import logging
import os
from datetime import UTC, datetime
from pathlib import Path

from genet5 import __version__
from genet5.config.fetch import FetchSettings
from genet5.fetch.client import Client, disk_error
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
from genet5.fetch.names import Accession, parse_accession, safe_name, taxon_of

log = logging.getLogger(__name__)

KEY_VARIABLE = "NCBI_API_KEY"


class Fetcher:
    """Brings genomes, one after the other."""

    def __init__(self, settings: FetchSettings, client: Client | None = None) -> None:
        self.settings = settings
        self.client = client or Client(timeout_s=settings.timeout_s, tries=settings.tries)
        key = os.environ.get(KEY_VARIABLE, "").strip() or None
        self.eutils = Eutils(self.client, settings.eutils_url, settings.email, key)
        self.names = (GENOME,) if settings.fasta_only else (GENOME, ANNOTATION)

    def fetch(self, text: str) -> Path:
        """Bring one genome; return its folder.

        Raises:
            ConfigError: That is no accession of a genome.
            DataError: NCBI has no such genome or no annotation of it, or what came is wrong, or the disk is full.
            ServerError: NCBI cannot be reached, or does not answer as it should.
        """
        accession = parse_accession(text)
        if accession.has_version:
            known = find_folder(self.settings.out_dir, self.settings.taxon, accession.text)
            if known is not None and known.is_whole(self.names):
                log.info("%s is there: %s", accession.text, known.path)
                return known.path
        found = self._resolve(accession)
        organism = self.eutils.organism(found.taxid)
        folder, facts = self._place(accession, found, organism)
        if self.settings.dry_run:
            log.info("%s: %s, to %s", found.accession, organism.name, folder.path)
            return folder.path
        with folder.locked():
            try:
                self._bring(found, folder, facts)
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
        """Choose the folder, and say what is known before anything is fetched."""
        taxon = self.settings.taxon or taxon_of(organism.lineage_ids, organism.name)
        version = found.name if isinstance(found, Assembly) and found.name else found.accession
        name = safe_name(organism.name, version)
        folder = choose_folder(self.settings.out_dir, taxon, name, found.accession)
        facts: Facts = {
            "accession": found.accession,
            "requested": accession.text,
            "kind": accession.kind,
            "organism": organism.name,
            "taxid": organism.taxid,
            "lineage": list(organism.lineage),
            "taxon": taxon,
            "assembly": found.name if isinstance(found, Assembly) else None,
            "genetic_code": organism.genetic_code,
            "mitochondrial_genetic_code": organism.mitochondrial_code,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "tool": f"genet5 {__version__}",
        }
        return folder, facts

    def _bring(self, found: Assembly | Record, folder: GenomeFolder, facts: Facts) -> None:
        if folder.facts().get("accession") == found.accession and folder.is_whole(self.names):
            log.info("%s is there: %s", found.accession, folder.path)
            return
        if not folder.facts().get("complete"):
            folder.save(facts, {})
        files: dict[str, File] = {}
        if isinstance(found, Assembly):
            source = AssemblyFiles(self.client, self.settings.genomes_url, found)
            urls = source.check(self.names)
            for name, (url, md5) in urls.items():
                files[name] = source.bring(url, md5, folder, name)
        else:
            files = write_record(self.client, self.eutils, found, folder, self.names)
        folder.save(facts, files)
        sizes = ", ".join(f"{name} {file.bytes / 1e6:.1f} MB" for name, file in files.items())
        code = facts["genetic_code"]
        log.info(
            "%s: %s, genetic code %s; %s", facts["accession"], facts["organism"], code or "unknown", sizes
        )  # fmt: skip
