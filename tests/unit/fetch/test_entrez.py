from __future__ import annotations

import socket
import urllib.request
from typing import Any

import pytest

from genet5.errors import DataError, ServerError
from genet5.fetch.answers import Busy
from genet5.fetch.client import Client
from genet5.fetch.entrez import Eutils, read_json, read_xml
from genet5.fetch.names import parse_accession

ESEARCH = (
    b'<!DOCTYPE eSearchResult PUBLIC "-//NLM//DTD esearch 20060628//EN"'
    b' "https://eutils.ncbi.nlm.nih.gov/eutils/dtd/20060628/esearch.dtd">'
)
FOUND = (
    b"<eSearchResult><Count>1</Count><RetMax>1</RetMax><RetStart>0</RetStart>"
    b"<IdList><Id>7</Id></IdList><TranslationSet/><QueryTranslation/></eSearchResult>"
)
XML = b'<?xml version="1.0" encoding="UTF-8" ?>\n'


@pytest.fixture
def eutils(ncbi: Any, client: Client) -> Eutils:
    return Eutils(client, f"{ncbi.url}/entrez/eutils/")


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*words: object, **more: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(urllib.request, "urlopen", refuse)


@pytest.mark.usefixtures("no_network")
def test_biopython_reads_answers_without_a_network(tmp_path: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read_xml(XML + ESEARCH + FOUND)["IdList"] == ["7"]
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize(
    "head",
    [
        b"",
        b'<!DOCTYPE eSearchResult PUBLIC "x" "https://eutils.ncbi.nlm.nih.gov/eutils/dtd/20300101/new.dtd">',
        b'<!DOCTYPE eSearchResult SYSTEM "https://example.org/evil.dtd">',
        b'<!DOCTYPE eSearchResult [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
        ESEARCH[:-1] + b' [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>',
        ESEARCH + ESEARCH,
    ],
)
def test_answers_with_other_definitions_are_refused(head: bytes) -> None:
    with pytest.raises(Busy, match="E-utilities do not give"):
        read_xml(XML + head + FOUND)


def test_a_truncated_answer_may_be_requested_again() -> None:
    with pytest.raises(Busy, match="truncated"):
        read_xml((XML + ESEARCH + FOUND)[:-20])
    with pytest.raises(Busy, match="no JSON"):
        read_json(b'{"result": ')
    with pytest.raises(Busy):
        read_json(b"[" * 100_000)
    with pytest.raises(Busy):
        read_json(b"[1]")


def test_tags_that_are_new_do_no_harm() -> None:
    body = FOUND.replace(b"<IdList>", b"<NewTag>x</NewTag><IdList>")
    assert read_xml(XML + ESEARCH + body)["IdList"] == ["7"]


def test_errors_within_answers_are_reported() -> None:
    with pytest.raises(ServerError, match="NCBI reports: Empty term"):
        read_xml(XML + ESEARCH + b"<eSearchResult><ERROR>Empty term</ERROR></eSearchResult>")
    with pytest.raises(Busy, match="Search Backend failed"):
        read_xml(
            XML
            + ESEARCH
            + b"<eSearchResult><ERROR>Search Backend failed: x</ERROR></eSearchResult>"
        )
    with pytest.raises(Busy, match="limit exceeded"):
        read_json(b'{"error": "API rate limit exceeded", "count": "11"}')
    with pytest.raises(ServerError, match="API key invalid"):
        read_json(b'{"error": "API key invalid"}')


def test_an_assembly_is_found(ncbi: Any, eutils: Eutils) -> None:
    path = ncbi.add_assembly("GCF_000005845.2", "ASM584v2", b">a\nA\n", b"", twin="GCA_000005845.2")
    found = eutils.assembly(parse_accession("GCF_000005845.2"))
    assert (found.accession, found.name, found.taxid) == ("GCF_000005845.2", "ASM584v2", 562)
    assert found.path == path
    assert found.stem == "GCF_000005845.2_ASM584v2"
    assert found.twin == "GCA_000005845.2"


def test_without_version_the_latest_is_taken(ncbi: Any, eutils: Eutils) -> None:
    for version in (9, 10, 2):
        ncbi.add_assembly(f"GCF_000005845.{version}", f"v{version}", b"", b"")
    assert eutils.assembly(parse_accession("GCF_000005845")).accession == "GCF_000005845.10"


def test_genbank_and_refseq_of_one_assembly_are_distinguished(ncbi: Any, eutils: Eutils) -> None:
    ncbi.add_assembly("GCF_000005845.2", "ASM584v2", b"", b"", twin="GCA_000005845.3")
    entry = ncbi.assemblies["1000"]
    entry["ftppath_genbank"] = (
        "ftp://ftp.ncbi.nlm.nih.gov/genomes/all/GCA/000/005/845/GCA_000005845.3_ASM584v2"
    )
    found = eutils.assembly(parse_accession("GCA_000005845"))
    assert found.accession == "GCA_000005845.3"
    assert found.stem == "GCA_000005845.3_ASM584v2"
    assert found.twin == "GCF_000005845.2"


@pytest.mark.parametrize("text", ["GCF_999999999.1", "GCA_999999999", "NC_999999.1"])
def test_an_unknown_accession_is_reported(eutils: Eutils, text: str) -> None:
    accession = parse_accession(text)
    find: Any = eutils.assembly if accession.kind == "assembly" else eutils.record
    with pytest.raises(DataError, match=f"NCBI knows no {accession.kind} {text}"):
        find(accession)


def test_another_version_is_not_taken_instead(ncbi: Any, eutils: Eutils) -> None:
    ncbi.add_assembly("GCF_000005845.2", "ASM584v2", b"", b"")
    ncbi.assemblies["1000"]["synonym"]["genbank"] = "GCF_000005845.1"
    with pytest.raises(DataError, match="knows no assembly"):
        eutils.assembly(parse_accession("GCF_000005845.1"))


def test_an_assembly_without_files_is_reported(ncbi: Any, eutils: Eutils) -> None:
    ncbi.add_assembly("GCF_000005845.1", "ASM584v1", b"", b"", twin="GCA_000005845.1")
    ncbi.assemblies["1000"]["ftppath_refseq"] = ""
    with pytest.raises(DataError, match=r"suppressed or replaced.*or GCA_000005845\.1"):
        eutils.assembly(parse_accession("GCF_000005845.1"))


@pytest.mark.parametrize(
    "path",
    [
        "ftp://ftp.ncbi.nlm.nih.gov/genomes/../../etc/GCF_000005845.2_x",
        "ftp://ftp.ncbi.nlm.nih.gov/genomes/all/GCF_000005846.1_other",
        "ftp://ftp.ncbi.nlm.nih.gov/private/GCF_000005845.2_x",
        "ftp://ftp.ncbi.nlm.nih.gov/genomes/all/GCF_000005845.2_x y",
    ],
)
def test_a_strange_folder_is_refused(ncbi: Any, eutils: Eutils, path: str) -> None:
    ncbi.add_assembly("GCF_000005845.2", "ASM584v2", b"", b"")
    ncbi.assemblies["1000"]["ftppath_refseq"] = path
    with pytest.raises(ServerError, match="as the folder of"):
        eutils.assembly(parse_accession("GCF_000005845.2"))


def test_a_record_is_found(ncbi: Any, eutils: Eutils) -> None:
    ncbi.add_record("NC_000913.3", b"", 4_641_652)
    for text in ("NC_000913.3", "NC_000913"):
        found = eutils.record(parse_accession(text))
        assert (found.accession, found.length, found.taxid) == ("NC_000913.3", 4_641_652, 562)


def test_an_organism_is_looked_up_once(ncbi: Any, eutils: Eutils) -> None:
    ncbi.add_taxon(4932, "Saccharomyces cerevisiae", "unicellular", code=1)
    for _ in range(2):
        found = eutils.organism(4932)
    assert found.name == "Saccharomyces cerevisiae"
    assert found.lineage == ("Eukaryota", "Fungi")
    assert found.lineage_ids == {2759, 4751, 4932}
    assert (found.genetic_code, found.mitochondrial_code) == (1, None)
    assert len(ncbi.requests) == 1


def test_an_unknown_organism_is_reported(eutils: Eutils) -> None:
    with pytest.raises(DataError, match="taxonomy identifier 1 "):
        eutils.organism(1)


def test_requests_say_who_asks(ncbi: Any, client: Client) -> None:
    eutils = Eutils(client, f"{ncbi.url}/entrez/eutils", email="me@example.org", key="sesame")
    eutils.organism(562)
    query = ncbi.requests[0].query
    assert (query["tool"], query["email"], query["api_key"]) == (
        "genet5",
        "me@example.org",
        "sesame",
    )
    assert ncbi.requests[0].headers["User-Agent"].startswith("genet5/")


def test_the_key_is_in_no_message(ncbi: Any, client: Client) -> None:
    eutils = Eutils(client, f"{ncbi.url}/entrez/eutils", key="sesame")
    ncbi.fail("efetch", status=400, body=b'{"error":"API key invalid","api-key":"sesame"}')
    with pytest.raises(ServerError, match="API key invalid") as caught:
        eutils.organism(562)
    assert "sesame" not in str(caught.value)
    assert "sesame" not in repr(eutils)


@pytest.mark.parametrize(("key", "least", "most"), [(None, 0.334, 0.4), ("sesame", 0.1, 0.12)])
def test_requests_keep_to_the_rate(
    ncbi: Any, client: Client, pauses: list[float], key: str | None, least: float, most: float
) -> None:
    eutils = Eutils(client, f"{ncbi.url}/entrez/eutils", key=key)
    assert least <= eutils.throttle.interval_s <= most
    eutils.throttle.clock = lambda: 100.0  # no time passes
    ncbi.fail("efetch", status=500)
    eutils.organism(562)
    assert len(ncbi.requests) == 2
    assert least <= min(pauses) <= most  # the second try waits for its turn too


class Answering:
    """A client that gives an answer as it would be parsed, or raises it."""

    def __init__(self, answer: object) -> None:
        self.answer, self.sleep = answer, lambda seconds: None

    def read(self, *words: object) -> object:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def record_of(answer: object, accession: str = "NC_000913.3") -> object:
    client: Any = Answering(answer)
    return Eutils(client, "https://example.org/").record(parse_accession(accession))


def document(accession: str, length: object = 9) -> dict[str, object]:
    return {"AccessionVersion": accession, "Title": "E. coli", "TaxId": 562, "Length": length}


def test_a_record_is_the_one_that_was_asked_for() -> None:
    found: Any = record_of([document("NC_000964.3"), document("NC_000913.3")])
    assert (found.accession, found.taxid, found.length) == ("NC_000913.3", 562, 9)


@pytest.mark.parametrize("answer", [[], [document("NC_000964.3")], ServerError("x", status=400)])
def test_a_record_that_is_not_there_is_unknown(answer: object) -> None:
    with pytest.raises(DataError, match=r"NC_000913\.3"):
        record_of(answer)


def test_other_errors_of_the_server_pass() -> None:
    with pytest.raises(ServerError, match="full"):
        record_of(ServerError("full", status=500))


def test_a_length_that_is_no_number_is_the_servers_error() -> None:
    with pytest.raises(ServerError, match="Length = 'long', not a number"):
        record_of([document("NC_000913.3", "long")])
