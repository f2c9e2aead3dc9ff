"""A small NCBI on loopback: answers of E-utilities and the genomes server, failures on demand."""

from __future__ import annotations

import gzip
import hashlib
import json
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from genet5.fetch.client import Client
from genet5.fetch.fetcher import Fetcher

XML = '<?xml version="1.0" encoding="UTF-8" ?>\n<!DOCTYPE {}>\n{}\n'
ESEARCH = 'eSearchResult PUBLIC "-//NLM//DTD esearch 20060628//EN" "https://eutils.ncbi.nlm.nih.gov/eutils/dtd/20060628/esearch.dtd"'
ESUMMARY = 'eSummaryResult PUBLIC "-//NLM//DTD esummary v1 20041029//EN" "https://eutils.ncbi.nlm.nih.gov/eutils/dtd/20041029/esummary-v1.dtd"'
TAXA_SET = 'TaxaSet PUBLIC "-//NLM//DTD Taxon, 14th January 2002//EN" "https://www.ncbi.nlm.nih.gov/entrez/query/DTD/taxon.dtd"'

LINEAGES = {
    "prokaryotes": [(131567, "cellular organisms"), (2, "Bacteria"), (1224, "Pseudomonadota")],
    "plants": [(131567, "cellular organisms"), (2759, "Eukaryota"), (33090, "Viridiplantae")],
    "vertebrates": [(2759, "Eukaryota"), (33208, "Metazoa"), (7742, "Vertebrata")],
    "invertebrates": [(2759, "Eukaryota"), (33208, "Metazoa"), (6656, "Arthropoda")],
    "unicellular": [(2759, "Eukaryota"), (4751, "Fungi")],
    "virus": [(10239, "Viruses")],
}


@dataclass
class Failure:
    """A failure that occurs once, for requests whose path contains `part`."""

    part: str
    status: int | None = None
    break_after: int | None = None
    body: bytes | None = None
    hold: threading.Event | None = None
    """Waited for after the break."""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Request:
    path: str
    query: dict[str, str]
    headers: dict[str, str]


class FakeNcbi:
    """What the server knows, and what it was asked."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.assemblies: dict[str, dict[str, Any]] = {}
        self.records: dict[str, dict[str, Any]] = {}
        self.taxa: dict[int, tuple[str, str, int]] = {}
        self.failures: list[Failure] = []
        self.requests: list[Request] = []
        self.ranges = True
        self.lock = threading.Lock()
        self.url = ""

    def add_taxon(self, taxid: int, name: str, group: str = "prokaryotes", code: int = 11) -> None:
        self.taxa[taxid] = (name, group, code)

    def add_assembly(
        self,
        accession: str,
        name: str,
        fasta: bytes,
        gff: bytes | None,
        *,
        taxid: int = 562,
        twin: str = "",
        checksums: bytes | None = None,
    ) -> str:
        """Put an assembly on the server; return the URL path of its folder."""
        digits = accession[4:13]
        stem = f"{accession}_{name.replace(' ', '_')}"
        path = f"/genomes/all/{accession[:3]}/{digits[:3]}/{digits[3:6]}/{digits[6:]}/{stem}"
        files = {f"{stem}_genomic.fna.gz": gzip.compress(fasta, mtime=0)}
        files[f"{stem}_cds_from_genomic.fna.gz"] = gzip.compress(b">cds\nATG\n", mtime=0)
        if gff is not None:
            files[f"{stem}_genomic.gff.gz"] = gzip.compress(gff, mtime=0)
        sums = "".join(f"{hashlib.md5(b).hexdigest()}  ./{n}\n" for n, b in files.items())
        for file, body in files.items():
            self.files[f"{path}/{file}"] = body
        self.files[f"{path}/md5checksums.txt"] = checksums or sums.encode()
        side, other = (
            ("refseq", "genbank") if accession.startswith("GCF") else ("genbank", "refseq")
        )
        uid = str(1000 + len(self.assemblies))
        self.assemblies[uid] = {
            "uid": uid,
            "assemblyaccession": accession,
            "assemblyname": name,
            "taxid": str(taxid),
            f"ftppath_{side}": f"ftp://ftp.ncbi.nlm.nih.gov{path}",
            f"ftppath_{other}": "",
            "synonym": {side: accession, other: twin},
        }
        return path

    def add_record(self, accession: str, flat: bytes, length: int, *, taxid: int = 562) -> None:
        self.records[accession] = {"flat": flat, "length": length, "taxid": taxid}

    def fail(self, part: str, times: int = 1, **how: Any) -> None:
        """Let requests whose path contains `part` fail once or more."""
        self.failures += [Failure(part, **how) for _ in range(times)]

    def paths(self) -> list[str]:
        return [request.path for request in self.requests]

    def answer(self, path: str, query: dict[str, str]) -> tuple[int, bytes]:
        """The status and the body of a request without failures."""
        tool = path.rpartition("/")[2]
        if tool == "esearch.fcgi":
            return 200, self._esearch(query["term"])
        if tool == "esummary.fcgi" and query["db"] == "assembly":
            ids = query["id"].split(",")
            found = {uid: self.assemblies[uid] for uid in ids}
            return 200, json.dumps({"header": {}, "result": {"uids": ids, **found}}).encode()
        if tool == "esummary.fcgi":
            return 200, self._summary(query["id"])
        if tool == "efetch.fcgi" and query["db"] == "taxonomy":
            return 200, self._taxon(int(query["id"]))
        if tool == "efetch.fcgi":
            known = self.records.get(query["id"])
            return (400, b"Failed to retrieve sequence") if known is None else (200, known["flat"])
        body = self.files.get(path)
        return (404, b"<html>Not Found</html>") if body is None else (200, body)

    def _esearch(self, term: str) -> bytes:
        ids = [
            uid
            for uid, a in self.assemblies.items()
            if term in a["assemblyaccession"] or term in "|".join(a["synonym"].values())
        ]
        items = "".join(f"<Id>{uid}</Id>" for uid in ids)
        return XML.format(
            ESEARCH,
            f"<eSearchResult><Count>{len(ids)}</Count><RetMax>{len(ids)}</RetMax><RetStart>0</RetStart>"
            f"<IdList>{items}</IdList><TranslationSet/><QueryTranslation>{term}</QueryTranslation></eSearchResult>",
        ).encode()

    def _summary(self, name: str) -> bytes:
        hits = [a for a in self.records if a == name or a.split(".")[0] == name]
        if not hits:
            return XML.format(
                ESUMMARY,
                f"<eSummaryResult>\n\t<ERROR>Invalid uid {name} at position= 0</ERROR>\n"
                "</eSummaryResult>",
            ).encode()
        accession = hits[-1]
        known = self.records[accession]
        items = "".join(
            f'<Item Name="{key}" Type="{kind}">{value}</Item>'
            for key, kind, value in (
                ("Caption", "String", accession.split(".")[0]),
                ("Title", "String", "Testus, complete genome"),
                ("Gi", "Integer", 1),
                ("TaxId", "Integer", known["taxid"]),
                ("Length", "Integer", known["length"]),
                ("Status", "String", "live"),
                ("Comment", "String", "<![CDATA[  ]]>"),
                ("AccessionVersion", "String", accession),
            )
        )
        return XML.format(
            ESUMMARY, f"<eSummaryResult><DocSum><Id>1</Id>{items}</DocSum></eSummaryResult>"
        ).encode()

    def _taxon(self, taxid: int) -> bytes:
        if taxid not in self.taxa:
            return XML.format(TAXA_SET, "<TaxaSet></TaxaSet>").encode()
        name, group, code = self.taxa[taxid]
        steps = "".join(
            f"<Taxon><TaxId>{i}</TaxId><ScientificName>{n}</ScientificName>"
            "<Rank>no rank</Rank></Taxon>"
            for i, n in LINEAGES[group]
        )
        return XML.format(
            TAXA_SET,
            f"<TaxaSet><Taxon><TaxId>{taxid}</TaxId><ScientificName>{name}</ScientificName><Rank>strain</Rank>"
            f"<GeneticCode><GCId>{code}</GCId><GCName>x</GCName></GeneticCode>"
            "<MitoGeneticCode><MGCId>0</MGCId><MGCName>Unspecified</MGCName></MitoGeneticCode>"
            f"<Lineage>x</Lineage><LineageEx>{steps}</LineageEx></Taxon></TaxaSet>",
        ).encode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"
    ncbi: FakeNcbi

    def log_message(self, *words: object) -> None:
        pass

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {key: words[0] for key, words in parse_qs(parts.query).items()}
        with self.ncbi.lock:
            self.ncbi.requests.append(Request(parts.path, query, dict(self.headers)))
            failure = next((f for f in self.ncbi.failures if f.part in self.path), None)
            if failure is not None:
                self.ncbi.failures.remove(failure)
        if failure is not None and failure.status is not None:
            self._send(failure.status, failure.body or b"", failure.headers)
            return
        status, body = self.ncbi.answer(parts.path, query)
        if failure is not None and failure.body is not None:
            body = failure.body
        self._file(status, body, None if failure is None else failure.break_after)
        if failure is not None and failure.hold is not None:
            self.wfile.flush()
            failure.hold.wait(60)

    def _file(self, status: int, body: bytes, break_after: int | None) -> None:
        headers: dict[str, str] = {}
        wanted = self.headers.get("Range")
        if wanted and self.ncbi.ranges and status == 200:
            first = int(wanted.removeprefix("bytes=").rstrip("-"))
            if first >= len(body):
                self._send(416, b"", {"Content-Range": f"bytes */{len(body)}"})
                return
            headers["Content-Range"] = f"bytes {first}-{len(body) - 1}/{len(body)}"
            status, body = 206, body[first:]
        self._send(status, body, headers, break_after)

    def _send(
        self, status: int, body: bytes, headers: dict[str, str], break_after: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body if break_after is None else body[:break_after])


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that hung up, as some tests make them."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@pytest.fixture
def ncbi(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeNcbi]:
    """The server, with one organism."""
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("NCBI_API_KEY", raising=False)
    fake = FakeNcbi()
    fake.add_taxon(562, "Testus probus str. K-1")
    handler = type("Handler", (_Handler,), {"ncbi": fake})
    server = _Server(("127.0.0.1", 0), handler)
    fake.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield fake
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def pauses() -> list[float]:
    """Seconds that the client would have slept."""
    return []


@pytest.fixture
def client(pauses: list[float]) -> Client:
    return Client(timeout_s=10, tries=4, sleep=pauses.append)


class Setup:
    """Makes fetchers that talk to the fake server and never sleep."""

    def __init__(self, ncbi: FakeNcbi, client: Client, out_dir: Path) -> None:
        self.ncbi, self.client, self.out_dir = ncbi, client, out_dir

    def fetcher(self, **changes: Any) -> Fetcher:
        return Fetcher(
            self.out_dir,
            self.client,
            eutils_url=f"{self.ncbi.url}/entrez/eutils",
            genomes_url=self.ncbi.url,
            **changes,
        )


@pytest.fixture
def setup(ncbi: FakeNcbi, client: Client, tmp_path: Path) -> Setup:
    return Setup(ncbi, client, tmp_path / "raw")
