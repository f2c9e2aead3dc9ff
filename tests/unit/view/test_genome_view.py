"""The genome view: data within the page, what is left out of it, and the page in a browser."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from builders import make_gene
from chromium import PROGRAM, Page, chromium_page
from genet5.annotate.genome_report import GenomeReport, write_report
from genet5.annotate.report_places import open_places, probability_tracks
from genet5.annotate.tracks import track_names
from genet5.cli.compare import main as compare
from genet5.genome.gene import Gene
from genet5.genome.io.fasta import Contig, write_fasta
from genet5.genome.io.gff3_write import write_gff3
from genet5.genome.sequence import decode_bases, encode_bases
from genet5.view.features import Features
from genet5.view.genome_view import FORWARD, POLICY, Track, genome_view

DNA = "ACGTTGCATGCCATGA" * 500
CONTIGS = [Contig("odd|n:1-2", encode_bases(DNA)), Contig("c2", encode_bases(DNA[:3000]))]


def unpacked(uri: str) -> bytes:
    return gzip.decompress(base64.b64decode(uri.partition("base64,")[2]))


def viewed(page: str) -> dict[str, Any]:
    found = re.search(r'id="view-data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    data: dict[str, Any] = json.loads(found[1])
    return data


def genes() -> list[Gene]:
    return [
        make_gene((1000, 1900), id="</script>a", contig="odd|n:1-2", score=0.9),
        make_gene((4000, 4300), (4400, 4900), id="b", contig="odd|n:1-2", strand=-1, score=0.7),
    ]


def test_features_are_bed_lines_by_the_genes_names_and_several_transcripts_are_numbered() -> None:
    features = Features()
    features.add_genes("c", 9000, genes())
    features.add_interval("c", 3, 9, name="split", color="1,2,3")
    lines = [line.split("\t") for line in gzip.decompress(features.data()).decode().splitlines()]
    assert [line[3] for line in lines] == ["</script>a", "b", "split"]
    assert lines[1][9:] == ["2", "300,500", "0,400"]
    assert lines[2][1:3] + lines[2][8:] == ["3", "9", "1,2,3"]


def test_features_beyond_the_limit_are_counted() -> None:
    features = Features(most_bytes=-1)
    features.add_genes("c", 9000, genes())
    assert (features.count, features.left_out) == (0, 2)


def test_sequence_and_tracks_lie_within_the_page_and_names_cannot_end_the_script() -> None:
    features = Features()
    features.add_genes("odd|n:1-2", len(DNA), genes())
    view = genome_view(CONTIGS, [Track("</script>", "bed", ((FORWARD, features.data()),))])
    browser = viewed(view.html)["browser"]
    assert not view.left_out
    fasta = unpacked(browser["reference"]["fastaURL"]).decode()
    assert fasta == f">odd|n:1-2\n{DNA}\n>c2\n{DNA[:3000]}\n"
    assert b"</script>a" in unpacked(browser["tracks"][0]["url"])


def test_what_a_page_has_no_room_for_is_left_out_and_named() -> None:
    noise = Contig("c", np.random.default_rng(1).choice(encode_bases("ACGT"), 400_000))
    features = Features()
    features.add_genes("c", 400_000, genes())
    tracks = [
        Track("big", "bigwig", ((FORWARD, bytes(90_000)),)),
        Track("genes", "bed", ((FORWARD, features.data()),)),
    ]
    empty = len(genome_view([noise], [], most_bytes=1_500_000).html)
    view = genome_view([noise], tracks, most_bytes=empty + 100_000)
    assert view.left_out == ("the sequence", "big")
    assert "the sequence, big" in view.html
    data = viewed(view.html)
    assert [track["name"] for track in data["browser"]["tracks"]] == ["genes"]
    assert data["sizes"] == "c\t400000\n"
    assert len(view.html) < empty + 100_000


# ---- in a browser


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with a genome view, probabilities and a reference."""
    pytest.importorskip("matplotlib", reason="the extra `plot` is not installed")
    folder = tmp_path_factory.mktemp("report")
    write_bigwigs(folder)
    first = genes()
    others = [make_gene((1060, 1900), id="r1", contig="odd|n:1-2"), *first[1:]]
    save_gff3(folder / "r.gff3", others)
    with open_places(folder / "r.gff3", ()) as places:
        gathered = GenomeReport(places=places)
        for contig in CONTIGS:
            gathered.add(contig, [g for g in first if g.contig == contig.name])
        places.finish()
    write_report(
        gathered, folder / "report.html", title="t", facts=[], contigs=CONTIGS,
        tracks=probability_tracks(folder, spliced=False), has_view=True,
    )  # fmt: skip
    return folder / "report.html"


def save_gff3(path: Path, some: Sequence[Gene]) -> None:
    with path.open("w") as out:
        write_gff3(out, some, {contig.name: len(contig.bases) for contig in CONTIGS})


def write_bigwigs(folder: Path) -> None:
    pyBigWig = pytest.importorskip("pyBigWig", reason="the extra `bigwig` is not installed")
    for name in track_names(spliced=False):
        with pyBigWig.open(str(folder / f"{name}.bw"), "w") as file:
            file.addHeader([(c.name, len(c.bases)) for c in CONTIGS])
            file.addEntries([CONTIGS[0].name], [900], ends=[2000], values=[0.8])


@pytest.fixture(scope="module")
def shown(report: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    if PROGRAM is None:
        pytest.skip("chromium is not installed")
    with chromium_page(report, tmp_path_factory.mktemp("profile")) as page:
        page.wait_for('document.body.classList.contains("has-view")')
        yield page


PLACE = "genomeView.referenceFrameList[0]"
DRAWN = """(() => {
  let colored = 0;
  const look = root => {
    for (const one of root.querySelectorAll("*")) {
      if (one.shadowRoot) look(one.shadowRoot);
      if (one.tagName !== "CANVAS" || !one.width || !one.height) continue;
      const data = one.getContext("2d").getImageData(0, 0, one.width, one.height).data;
      colored += data.some((value, k) => k % 4 === 3 && value);
    }
  };
  look(document);
  return colored >= COUNT;
})()"""


@pytest.mark.slow
def test_the_page_draws_its_tracks_without_errors_or_network(shown: Page) -> None:
    shown.wait_for(DRAWN.replace("COUNT", "5"))
    names = shown.value("genomeView.tracks.map(track => track.name).filter(name => name)")
    expected = ["genes", "reference", "differences", "coding +", "coding -", "start", "stop"]
    assert [name for name in names if name in expected] == expected
    assert shown.errors == []
    assert shown.requests == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("row", "start"), [("#table tbody tr:nth-child(2)", 4000), ("#differences tbody tr", 1000)]
)
def test_a_click_on_a_row_moves_the_view(shown: Page, row: str, start: int) -> None:
    shown.value(f"document.querySelector('{row}').click()")
    shown.wait_for(f"{PLACE}.start <= {start} && {PLACE}.start > {start} - 1000")
    assert shown.value(f"{PLACE}.chr") == "odd|n:1-2"
    assert shown.errors == []


@pytest.mark.slow
def test_genes_are_found_by_name_and_an_unknown_name_asks_no_server(shown: Page) -> None:
    shown.value("genomeView.search('b')")
    shown.wait_for(f"{PLACE}.start > 2500")
    assert shown.value("genomeView.search('nothing')") is False
    assert shown.requests == []


@pytest.mark.slow
def test_a_page_without_room_for_the_sequence_draws_genes_and_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if PROGRAM is None:
        pytest.skip("chromium is not installed")
    monkeypatch.setattr("genet5.view.genome_view._packed_sequence", lambda *_: b"")
    features = Features()
    features.add_genes(CONTIGS[0].name, len(DNA), genes())
    tracks = [Track("genes", "bed", ((FORWARD, features.data()),))]
    view = genome_view(CONTIGS, tracks, most_bytes=4_000_000)
    assert view.left_out == ("the sequence",)
    rows = '<p id="row" data-contig="odd|n:1-2" data-start="4000" data-end="4900">b</p>'
    page = tmp_path / "page.html"
    page.write_text(f"<html><head>{POLICY}</head><body>{view.html}{rows}</body></html>")
    with chromium_page(page, tmp_path / "profile") as shown:
        shown.wait_for('document.body.classList.contains("has-view")')
        shown.value("document.getElementById('row').click()")
        shown.wait_for(f"{PLACE}.start <= 4000 && {PLACE}.start > 3000")
        shown.wait_for(DRAWN.replace("COUNT", "2"))
        assert shown.errors == shown.requests == []


def test_compare_writes_a_page_with_both_annotations(tmp_path: Path) -> None:
    save_gff3(tmp_path / "a.gff3", genes())
    save_gff3(tmp_path / "b.gff3", genes()[:1])
    write_fasta(tmp_path / "g.fa", [(c.name, decode_bases(c.bases)) for c in CONTIGS])
    words = [str(tmp_path / name) for name in ("a.gff3", "b.gff3")]
    page = tmp_path / "d.html"
    assert compare([*words, "--plot", str(page), "--genome", str(tmp_path / "g.fa")]) == 0
    browser = viewed(page.read_text())["browser"]
    assert [track["name"] for track in browser["tracks"]] == ["a.gff3", "b.gff3", "differences"]
    assert b"only_first" in unpacked(browser["tracks"][2]["url"])
    assert 'data-start="4000" data-end="4900"' in page.read_text()


def test_a_genome_needs_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare(["a.gff3", "b.gff3", "--genome", "g.fa"]) == 2
    assert "needs --plot x.html" in capsys.readouterr().err


def test_igv_is_bundled_with_its_licence() -> None:
    found = find_spec("genet5.view")
    assert found is not None
    assert found.origin is not None
    folder = Path(found.origin).parent / "igv"
    assert "MIT License" in (folder / "LICENSE").read_text()
    assert (folder / "igv.min.js").stat().st_size < 2_000_000
