"""Look accessions up in NCBI's E-utilities: files of assemblies, lengths of records, organisms.

Biopython's `Bio.Entrez` parses the XML answers, by the document type definitions that it bundles.
The requests are our own, since Biopython's have no time limit, one fixed address, and the key in
global state. An answer is given to Biopython only if its definition is known to be bundled, since
it would download others; for the same reason summaries of assemblies, whose definition it lacks,
are requested as JSON. Requests keep to NCBI's limit (3 a second, 10 with a key).

Example:
    eutils = Eutils(Client(), EUTILS_URL, email="me@example.org")
    print(eutils.assembly(parse_accession("GCF_000005845")).path)
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from genet5.errors import DataError, ServerError
from genet5.fetch.answers import Busy
from genet5.fetch.client import Client, Throttle
from genet5.fetch.names import Accession
from genet5.genome.io.contig_lines import whole_number

TOOL = "genet5"
_INTERVAL_S, _INTERVAL_WITH_KEY_S = 0.37, 0.11
"""Seconds between requests: somewhat above NCBI's limits, since it counts on arrival."""
_MOST_FOUND = 50
_DTDS = frozenset(
    {"esearch.dtd", "eSearch_020511.dtd", "esummary-v1.dtd", "eSummary_041029.dtd", "taxon.dtd"}
)
"""Definitions in every Biopython version that we support; none refers to others."""
_DOCTYPE = re.compile(rb'<!DOCTYPE\s+\w+\s+(?:PUBLIC\s+"[^"]*"|SYSTEM)\s+"([^"]*)"\s*>')
_ERROR = re.compile(rb"<ERROR>([^<]*)</ERROR>")
_PATH = re.compile(r"/genomes(?:/[\w.+-]+)+")
_BUSY = re.compile(
    r"backend failed|temporar|unavailable|timed? ?out|try again|can't connect|limit exceeded", re.I
)


@dataclass(frozen=True, slots=True)
class Assembly:
    """An assembly on the server."""

    accession: str
    name: str
    taxid: int
    path: str
    """Folder of its files, from /genomes on."""
    twin: str
    """Accession in the other of GenBank and RefSeq; empty if there is none."""

    @property
    def stem(self) -> str:
        """Beginning of its files' names."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Record:
    """A nucleotide record on the server."""

    accession: str
    title: str
    taxid: int
    length: int


@dataclass(frozen=True, slots=True)
class Organism:
    """A node of NCBI's taxonomy."""

    taxid: int
    name: str
    lineage: tuple[str, ...]
    """Names from the root on, its own not included."""
    lineage_ids: frozenset[int]
    """Identifiers of the lineage, its own included."""
    genetic_code: int | None
    mitochondrial_code: int | None


@dataclass
class Eutils:
    """NCBI's E-utilities."""

    client: Client
    url: str
    email: str | None = None
    key: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        interval = _INTERVAL_WITH_KEY_S if self.key else _INTERVAL_S
        self.throttle = Throttle(interval, sleep=self.client.sleep)
        self._organisms: dict[int, Organism] = {}

    def assembly(self, accession: Accession) -> Assembly:
        """Find an assembly; the latest if the accession has no version.

        Raises:
            DataError: There is none, or it has no files (suppressed, or replaced long ago).
        """
        found = self._xml("esearch", db="assembly", term=accession.text, retmax=_MOST_FOUND)
        ids = [str(word) for word in found.get("IdList", ())]
        if not ids:
            raise unknown(accession)
        answer = self._json("esummary", db="assembly", id=",".join(ids))
        documents = answer.get("result", {})
        hits = [hit for i in ids if (hit := _assembly(documents.get(i, {}), accession)) is not None]
        if not hits:
            raise unknown(accession)
        best = max(hits, key=lambda hit: _version(hit.accession))
        if not best.path:
            raise DataError(
                f"assembly {best.accession} has no files: it was suppressed or replaced",
                remedy="Give its accession without version for the latest"
                + (f", or {best.twin}" if best.twin else ""),
            )
        return best

    def record(self, accession: Accession) -> Record:
        """Find a nucleotide record.

        Raises:
            DataError: There is none.
        """
        try:
            found = self._xml("esummary", db="nuccore", id=accession.text)
        except _Refused:
            raise unknown(accession) from None
        except ServerError as error:
            if error.status == 400:  # how the server takes identifiers that it cannot parse
                raise unknown(accession) from None
            raise
        for document in found:
            full = str(document.get("AccessionVersion", ""))
            if accession.names(full):
                return Record(
                    full,
                    str(document.get("Title", "")),
                    _number(document, "TaxId"),
                    _number(document, "Length"),
                )
        raise unknown(accession)

    def organism(self, taxid: int) -> Organism:
        """Look up an organism.

        Raises:
            DataError: The taxonomy does not know it.
        """
        if taxid not in self._organisms:
            found = self._xml("efetch", db="taxonomy", id=str(taxid), retmode="xml")
            if not found:
                raise DataError(f"taxonomy identifier {taxid} is unknown to NCBI")
            self._organisms[taxid] = _organism(found[0])
        return self._organisms[taxid]

    def genbank_url(self, accession: str) -> str:
        """Return the URL of a record's GenBank flat file with its bases; contains no key."""
        return self._address(
            "efetch",
            {"db": "nuccore", "id": accession, "rettype": "gbwithparts", "retmode": "text"},
        )

    def signed(self, url: str) -> str:
        """Add tool, address and key to a URL, as NCBI asks users to."""
        who = {"tool": TOOL, "email": self.email, "api_key": self.key}
        return f"{url}&{urlencode({name: word for name, word in who.items() if word})}"

    def _address(self, tool: str, words: Mapping[str, object]) -> str:
        return f"{self.url.rstrip('/')}/{tool}.fcgi?{urlencode(words)}"

    def _xml(self, tool: str, **words: object) -> Any:
        return self._ask(tool, words, read_xml)

    def _json(self, tool: str, **words: object) -> dict[str, Any]:
        answer: dict[str, Any] = self._ask(tool, {**words, "retmode": "json"}, read_json)
        return answer

    def _ask(self, tool: str, words: Mapping[str, object], accept: Any) -> Any:
        url = self.signed(self._address(tool, words))
        try:
            return self.client.read(url, accept, self.throttle)
        except ServerError as error:
            if self.key and self.key in str(error):  # NCBI repeats a key that it refuses
                raise ServerError(str(error).replace(self.key, "KEY"), error.status) from None
            raise


class _Refused(ServerError):
    """NCBI answered in due form that it cannot serve the request."""


def read_xml(body: bytes) -> Any:
    """Parse an answer of E-utilities with Biopython, without access to network or other files.

    Raises:
        Busy: It is truncated, or NCBI reports that it is overloaded.
        ServerError: NCBI reports another error.
    """
    import Bio
    from Bio import Entrez

    # Without this Biopython creates a folder in the user's home and reads definitions from it.
    if Entrez.local_cache is None:
        Entrez.local_cache = str(Path(Bio.__file__).parents[1])  # type: ignore[assignment]
    if error := _ERROR.search(body[:4096]):  # its definition is not always one that Biopython has
        raise _refusal(error[1].decode("utf-8", "replace"))
    types = _DOCTYPE.findall(body[:4096])
    names = [urlsplit(word.decode("latin-1")).path.rpartition("/")[2] for word in types]
    if len(names) != 1 or names[0] not in _DTDS or b"<!ENTITY" in body:
        raise Busy(f"an answer that E-utilities do not give ({_start(body)})")
    from Bio.Entrez.Parser import CorruptedXMLError, NotXMLError

    try:
        return Entrez.read(io.BytesIO(body), validate=False)
    except (CorruptedXMLError, NotXMLError) as error:
        raise Busy(f"a truncated answer ({error})") from None
    except RuntimeError as error:  # how Biopython reports an ERROR element
        raise _refusal(str(error)) from None


def read_json(body: bytes) -> dict[str, Any]:
    """Parse a JSON answer; errors as those of `read_xml`.

    Example:
        >>> read_json(b'{"result": {"uids": []}}')
        {'result': {'uids': []}}
    """
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        raise Busy(f"an answer that is no JSON ({_start(body)})") from None
    if not isinstance(answer, dict):
        raise Busy(f"an answer that E-utilities do not give ({_start(body)})")
    error = answer.get("error") or answer.get("esummaryresult")
    if error:
        raise _refusal(str(error))
    return answer


def unknown(accession: Accession) -> DataError:
    """Return the error for an accession that NCBI does not know."""
    return DataError(
        f"NCBI knows no {accession.kind} {accession.text}",
        remedy="Check the accession and its version",
    )


def _refusal(text: str) -> Exception:
    words = " ".join(text.split())[:200]
    message = f"NCBI reports: {words}"
    return Busy(message) if _BUSY.search(text) else _Refused(message)


def _assembly(document: Mapping[str, Any], wanted: Accession) -> Assembly | None:
    """Return a summary as the GenBank or RefSeq assembly that is wanted; None if it is another."""
    twins = document.get("synonym")
    twins = twins if isinstance(twins, dict) else {}
    sides = {
        "GCA": (str(twins.get("genbank", "")), str(document.get("ftppath_genbank", ""))),
        "GCF": (str(twins.get("refseq", "")), str(document.get("ftppath_refseq", ""))),
    }
    own = str(document.get("assemblyaccession", ""))
    side = wanted.text[:3]
    other = "GCF" if side == "GCA" else "GCA"
    named, address = sides[side]
    full = own if own.startswith(side) else named
    if not wanted.names(full):
        return None
    path = urlsplit(address).path.rstrip("/")
    if path and (
        _PATH.fullmatch(path) is None
        or ".." in path
        or not path.rpartition("/")[2].startswith(f"{full}_")
    ):
        raise ServerError(f"NCBI gives {address!r} as the folder of {full}")
    name = str(document.get("assemblyname", ""))
    return Assembly(full, name, _number(document, "taxid"), path, sides[other][0])


def _organism(node: Mapping[str, Any]) -> Organism:
    above = node.get("LineageEx") or ()
    taxid = _number(node, "TaxId")
    return Organism(
        taxid=taxid,
        name=str(node.get("ScientificName", "")),
        lineage=tuple(str(step.get("ScientificName", "")) for step in above),
        lineage_ids=frozenset({taxid, *(_number(step, "TaxId") for step in above)}),
        genetic_code=_code(node, "GeneticCode", "GCId"),
        mitochondrial_code=_code(node, "MitoGeneticCode", "MGCId"),
    )


def _code(node: Mapping[str, Any], group: str, key: str) -> int | None:
    return whole_number(str((node.get(group) or {}).get(key, ""))) or None


def _number(document: Mapping[str, Any], key: str) -> int:
    value = document.get(key, "")
    text = str(int(value) if isinstance(value, int) else value)  # Biopython's integers print oddly
    number = whole_number(text)
    if number is None:
        raise ServerError(f"NCBI gives {key} = {text[:80]!r}, not a number")
    return number


def _version(accession: str) -> int:
    return whole_number(accession.rpartition(".")[2]) or 0


def _start(body: bytes) -> str:
    return repr(" ".join(body[:80].decode("utf-8", "replace").split()))
