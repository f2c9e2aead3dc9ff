"""Download and check an assembly's files; write a record's files from its GenBank flat file."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from genet5.errors import DataError, ServerError
from genet5.fetch.answers import plain
from genet5.fetch.client import Client
from genet5.fetch.entrez import Assembly, Eutils, Record
from genet5.fetch.folder import ANNOTATION, GENOME, File, GenomeFolder, md5_of, publish
from genet5.genome.io.fasta import Contig, write_fasta
from genet5.genome.io.formats import read_annotation
from genet5.genome.io.genbank_contigs import read_genbank_contigs
from genet5.genome.io.gff3 import write_gff3
from genet5.genome.sequence import decode_bases
from genet5.outputs import atomic_writer
from genet5.progress import DownloadProgress

log = logging.getLogger(__name__)

_ENDINGS = {GENOME: "_genomic.fna.gz", ANNOTATION: "_genomic.gff.gz"}
_CHECKSUM_LINE = re.compile(r"([0-9a-fA-F]{32})\s+\*?(?:\./)?(\S+)")
_FASTA_ONLY = "--fasta_only downloads the sequence alone"
_LARGE_BP = 100_000_000


@dataclass(frozen=True)
class AssemblyFiles:
    """An assembly's files on the genomes server."""

    client: Client
    server: str
    assembly: Assembly

    def check(self, names: Sequence[str]) -> dict[str, tuple[str, str]]:
        """Find the URL and the MD5 of each file.

        Raises:
            DataError: The assembly has no annotation.
            ServerError: It has no sequence, or no list of checksums.
        """
        base = f"{self.server.rstrip('/')}{quote(self.assembly.path)}"
        known = self.client.read(f"{base}/md5checksums.txt", parse_checksums)
        found = {}
        for name in names:
            there = f"{self.assembly.stem}{_ENDINGS[name]}"
            if there not in known:
                raise self._missing(name, there)
            found[name] = (f"{base}/{quote(there)}", known[there])
        return found

    def download(self, url: str, md5: str, folder: GenomeFolder, name: str) -> File:
        """Download one file, unless it is there with the right checksum.

        Raises:
            DataError: Its checksum is twice another than the server's, or the disk is full.
        """
        target = folder.path / name
        part = folder.path / f"{name}.part"
        if folder.md5(name) == md5:
            part.unlink(missing_ok=True)
            return File(url, md5, target.stat().st_size)
        for again in (True, False):
            with DownloadProgress(f"{self.assembly.accession} {name}") as meter:
                self.client.download(url, part, meter)
            found = md5_of(part)
            if found == md5:
                publish(part, target)
                return File(url, md5, target.stat().st_size)
            part.unlink()
            if again:  # the partial file of an older run may belong to another version: start over
                log.warning("%s: wrong checksum; downloading it again", plain(url))
        raise DataError(
            f"{plain(url)}: MD5 {found}", expected=f"{md5}, as in md5checksums.txt",
            remedy="The server may be in the middle of an update: try again later",
        )  # fmt: skip

    def _missing(self, name: str, there: str) -> Exception:
        assembly = self.assembly
        if name == GENOME:
            return ServerError(f"{assembly.accession}: the server lists no {there}")
        twin = f"; {assembly.twin}, the same sequence, may have one" if assembly.twin else ""
        return DataError(
            f"{assembly.accession} has no annotation on the server",
            remedy=f"{_FASTA_ONLY}{twin}",
        )


def parse_checksums(body: bytes) -> dict[str, str]:
    """Read md5checksums.txt: file name -> MD5.

    Example:
        >>> parse_checksums(b"d41d8cd98f00b204e9800998ecf8427e  ./a.gz" + bytes([10]))
        {'a.gz': 'd41d8cd98f00b204e9800998ecf8427e'}
    """
    lines = body.decode("utf-8", "replace").splitlines()
    matches = (_CHECKSUM_LINE.fullmatch(line.strip()) for line in lines)
    return {match[2]: match[1].lower() for match in matches if match is not None}


def write_record(
    client: Client, eutils: Eutils, record: Record, folder: GenomeFolder, names: Sequence[str]
) -> dict[str, File]:
    """Download a record as GenBank; write FASTA and GFF3 from it.

    Raises:
        DataError: It is truncated, or has no sequence or no genes.
    """
    if record.length > _LARGE_BP:
        log.warning(
            "%s has %d Mbp: its assembly (GCF_...) comes faster and resumes",
            record.accession,
            record.length // 1_000_000,
        )
    url = eutils.genbank_url(record.accession)
    flat = folder.path / "record.gb.part"
    contig = _download_record(client, eutils, record, flat)
    if ANNOTATION in names:
        annotation = read_annotation(flat, skip_bad=True)
        for cause, count in annotation.skipped.items():
            log.warning("%s: skipped %d: %s", record.accession, count, cause)
        if not annotation.genes:
            raise DataError(f"{record.accession} has no genes", remedy=_FASTA_ONLY)
        with atomic_writer(folder.path / ANNOTATION) as out:
            write_gff3(
                out,
                annotation.genes,
                annotation.contig_lengths,
                source="GenBank",
                circular=annotation.circular,
            )
    header = f"{contig.name} {contig.description}"
    write_fasta(folder.path / GENOME, [(header, decode_bases(contig.bases))])
    flat.unlink()
    return {name: _file(folder.path / name, url) for name in names}


def _download_record(client: Client, eutils: Eutils, record: Record, flat: Path) -> Contig:
    """Download the flat file; again if it is truncated, which E-utilities do not report."""
    url = eutils.signed(eutils.genbank_url(record.accession))
    for again in (True, False):
        with DownloadProgress(record.accession) as meter:
            client.download(url, flat, meter, throttle=eutils.throttle, restart=True)
        try:
            return _contig(flat, record)
        except DataError as error:
            if not again:
                raise
            log.warning("%s; downloading it again", error)
    raise AssertionError


def _contig(flat: Path, record: Record) -> Contig:
    """Return the sequence of a record after checking that it is complete."""
    found = list(read_genbank_contigs(flat))
    names = ", ".join(contig.name for contig in found)
    if names != record.accession:
        raise DataError(
            f"NCBI gives {names or 'nothing'}", expected=record.accession, remedy="Try again later"
        )  # fmt: skip
    if len(found[0].bases) != record.length:
        raise DataError(
            f"{record.accession} came with {len(found[0].bases)} bases",
            expected=str(record.length),
            remedy="Run the same command again",
        )
    return found[0]


def _file(path: Path, url: str) -> File:
    return File(url, md5_of(path), path.stat().st_size)
