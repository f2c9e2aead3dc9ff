"""A browsable view of a genome for an HTML page: igv.js, sequence and tracks, without a network.

All data lie within the page, compressed: features first, then the sequence, then the tracks of
probabilities, each as far as the page has room. A page with the view must carry `POLICY`, under
which a browser opens no connection at all. Any element of the page with `data-contig`, `data-start`
and `data-end` (0-based half-open) moves the view to that place when it is clicked; files of one's
own (bigWig, BED, GFF3, VCF, BAM with its index) can be opened in it.

igv.js 3.8.10, `dist/igv.min.js` of the package `igv` of the npm registry, is bundled unchanged but
for the reference to its source map.

Example:
    features = Features()
    features.add_genes("chr1", 5000, genes)
    view = genome_view(contigs, [Track("genes", "bed", ((FORWARD, features.data()),))])
    page.write(f"<head>{POLICY}</head><body>{view.html}</body>")
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Literal

from genet5.genome.io.contig_names import gff3_name
from genet5.genome.io.fasta import AnyContig
from genet5.genome.sequence import decode_bases

PAGE_BYTES = 19_500_000
"""A page has no more, all told."""
POLICY = (
    '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
    "script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; "
    'connect-src data: blob:">'
)
"""Forbids the page all network; scripts and styles are its own."""
FORWARD, REVERSE = "#2a6f97", "#b5542b"
"""Genes of the two strands."""
_IGV = Path(__file__).parent / "igv" / "igv.min.js"
_LEAST_BYTES_PER_BASE = 0.2
"""DNA does not compress below this; a longer genome is not even tried."""
_STRETCH_BP = 1 << 20
_FRAME_BYTES = 20_000
"""Of the view beside data and igv.js."""
_FIRST_SHOWN_BP = 20_000
_STYLE = """
#view{border:1px solid #d9dee3;margin:1em 0 .3em;background:#fff}
.has-view [data-contig]{cursor:pointer}
.has-view [data-contig]:hover{background:#eef4f8}
.view-files{font-size:14px;color:#5b6770}
"""
_SCRIPT = """
const viewed = JSON.parse(document.getElementById("view-data").textContent);
if (viewed.sizes) {
  viewed.browser.reference.fastaURL = URL.createObjectURL(new Blob([viewed.sizes]));
}
igv.createBrowser(document.getElementById("view"), viewed.browser).then(browser => {
  window.genomeView = browser;
  const show = (chr, start, end) => browser.updateLoci([{chr, start, end}]);
  document.addEventListener("click", event => {
    const row = event.target.closest("[data-contig]");
    if (!row) return;
    const start = +row.dataset.start, end = +row.dataset.end;
    const flank = Math.max(100, Math.round((end - start) / 2));
    show(row.dataset.contig, Math.max(0, start - flank), end + flank);
    document.getElementById("view").scrollIntoView({block: "nearest"});
  });
  document.getElementById("view-files").addEventListener("change", event => {
    const files = [...event.target.files], byName = new Map(files.map(f => [f.name, f]));
    for (const file of files.filter(f => !/\\.(bai|csi|tbi)$/.test(f.name))) {
      const index = [".bai", ".csi", ".tbi"].map(end => byName.get(file.name + end)).find(f => f);
      browser.loadTrack({url: file, name: file.name, indexURL: index, indexed: Boolean(index)});
    }
  });
  show(...viewed.first);
  document.body.classList.add("has-view");
});
"""


@dataclass(frozen=True, slots=True)
class Track:
    """One track of the view."""

    name: str
    kind: Literal["bed", "bigwig"]
    """bed: as gzip."""
    parts: tuple[tuple[str, bytes], ...]
    """Color ("" = features have their own) and data of what is drawn on top of each other."""
    height: int = 60


@dataclass(frozen=True, slots=True)
class GenomeView:
    """The view as a part of a page."""

    html: str
    left_out: tuple[str, ...]
    """Names of what the page had no room for."""


def genome_view(
    contigs: Iterable[AnyContig], tracks: Sequence[Track], *, most_bytes: int = PAGE_BYTES
) -> GenomeView:
    """Make the view.

    Args:
        contigs: All of the genome, in order; gone through twice at most.
        tracks: From top to bottom; features (bed) have first call on the page's room.
        most_bytes: What the view may take in the page.
    """
    script = _IGV.read_text(encoding="utf-8")
    sizes = [(gff3_name(contig.name), len(contig.bases)) for contig in contigs]
    room = most_bytes - len(script) - _FRAME_BYTES - 2 * sum(len(name) + 14 for name, _ in sizes)
    fits: dict[str, bool] = {}
    for track in (t for t in tracks if t.kind == "bed"):
        room, fits[track.name] = _spend(room, track)
    sequence = _packed_sequence(contigs, sum(size for _, size in sizes), room)
    room -= _in_page(len(sequence))
    for track in (t for t in tracks if t.kind == "bigwig"):
        room, fits[track.name] = _spend(room, track)
    shown = [_track(track) for track in tracks if fits[track.name]]
    left_out = tuple(track.name for track in tracks if not fits[track.name])
    if not sequence:
        left_out = ("the sequence", *left_out)
    browser = {
        "reference": {**_reference(sequence), "wholeGenomeView": False},
        "tracks": shown,
        "loadDefaultGenomes": False,
        "search": False,
        "queryParametersSupported": False,
        "showSampleNames": False,
    }
    name, size = max(sizes, key=lambda one: one[1])
    lines = "" if sequence else "".join(f"{name}\t{size}\n" for name, size in sizes)
    first = [name, 0, min(size, _FIRST_SHOWN_BP)]
    data = {"browser": browser, "sizes": lines, "first": first}
    return GenomeView(_html(data, left_out, script), left_out)


def _spend(room: int, track: Track) -> tuple[int, bool]:
    """Return the room that a track leaves, and whether it has its place."""
    size = sum(_in_page(len(data)) for _, data in track.parts)
    return (room - size, True) if size <= room else (room, False)


def _in_page(size: int) -> int:
    """Characters that bytes take in base64."""
    return 4 * -(-size // 3)


def _packed_sequence(contigs: Iterable[AnyContig], bases: int, room: int) -> bytes:
    """Return the genome as FASTA and gzip; nothing if there is no room for it."""
    if _in_page(int(bases * _LEAST_BYTES_PER_BASE)) > room:
        return b""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    parts, size = [], 0
    for text in _fasta(contigs):
        parts.append(packer.compress(text.encode()))
        size += len(parts[-1])
        if _in_page(size) > room:
            return b""
    packed = b"".join([*parts, packer.flush()])
    return packed if _in_page(len(packed)) <= room else b""


def _fasta(contigs: Iterable[AnyContig]) -> Iterator[str]:
    for contig in contigs:
        yield f">{gff3_name(contig.name)}\n"
        for start in range(0, len(contig.bases), _STRETCH_BP):
            yield decode_bases(contig.bases[start : start + _STRETCH_BP])
        yield "\n"


def _reference(sequence: bytes) -> dict[str, Any]:
    """The genome: its sequence; without one it is a file of its contigs' sizes, made by the page.

    igv.js reads no such file from a data URI (its `ChromSizesFile` decodes another field).
    """
    common = {"id": "genome", "name": ""}
    if sequence:
        return {**common, "fastaURL": _uri(sequence, gz=True), "indexed": False}
    return {**common, "format": "chromsizes"}


def _track(track: Track) -> dict[str, Any]:
    members = [_member(track, color, data) for color, data in track.parts]
    if len(members) == 1:
        return members[0]
    common = {"name": track.name, "height": track.height, "min": 0, "max": 1}
    return {"type": "merged", "alpha": 0.7, **common, "tracks": members}


def _member(track: Track, color: str, data: bytes) -> dict[str, Any]:
    common = {"name": track.name, "height": track.height} | ({"color": color} if color else {})
    if track.kind == "bigwig":
        url = _uri(data, gz=False)
        return {"type": "wig", "format": "bigwig", "url": url, "min": 0, "max": 1, **common}
    return {
        "type": "annotation",
        "format": "bed",
        "url": _uri(data, gz=True),
        "indexed": False,
        "displayMode": "EXPANDED",
        "autoHeight": True,
        "maxHeight": 200,
        "searchable": True,
        **({"altColor": REVERSE} if color == FORWARD else {}),
        **common,
    }


def _uri(data: bytes, *, gz: bool) -> str:
    kind = "application/gzip" if gz else "application/octet-stream"
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _html(data: dict[str, Any], left_out: Sequence[str], script: str) -> str:
    note = ""
    if left_out:
        names = escape(", ".join(left_out))
        note = f"<p>Left out, since the page would be too large: {names}.</p>\n"
    text = json.dumps(data).replace("<", "\\u003c")  # "<" would end the script in a name
    return (
        f"<style>{_STYLE}</style>\n"
        '<div id="view"></div>\n<p class="view-files"><label>Show files of your own (bigWig, BED,'
        ' GFF3, VCF, BAM with .bai): <input type="file" id="view-files" multiple></label>'
        f" They stay on this machine.</p>\n{note}"
        f'<script type="application/json" id="view-data">{text}</script>\n'
        f"<script>{script}</script>\n<script>{_SCRIPT}</script>\n"
    )
