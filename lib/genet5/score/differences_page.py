"""What differs between two annotations as a picture, a section of a page, and a page of its own.

Pages need no network. Rows of the table name their places (`data-contig`, `data-start`, `data-end`;
0-based half-open), by which a genome view on the page moves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from genet5.score.differences import KINDS, Difference
from genet5.score.plot import FAINT, FIRST, INK, STYLE, svg_text

MOST_ROWS = 20_000
"""A page lists so many differences; `--table` has them all."""
_ROW, _BAR, _TOP, _WIDTH, _LABEL, _BARS = 30, 17, 56, 760, 200, 430
TABLE_STYLE = (
    "table{border-collapse:collapse;font-size:14px}"
    "td,th{padding:.2em .8em;white-space:nowrap;border-bottom:1px solid #d9dee3;text-align:left}"
    "#differences td:nth-child(4),#differences td:nth-child(5)"
    "{text-align:right;font-variant-numeric:tabular-nums}"
    "input,select{font:inherit;padding:.3em;margin:1em .5em 1em 0}"
)
_SCRIPT = """
{
  const byId = id => document.getElementById("difference-" + id);
  const words = byId("words"), kind = byId("kind");
  const filter = () => {
    const text = words.value.toLowerCase();
    let shown = 0;
    for (const row of document.querySelectorAll("#differences tbody tr")) {
      const fits = row.textContent.toLowerCase().includes(text)
        && (!kind.value || row.dataset.kind === kind.value);
      row.hidden = !fits;
      shown += fits;
    }
    byId("shown").textContent = shown + " shown";
  };
  words.addEventListener("input", filter);
  kind.addEventListener("change", filter);
  filter();
}
"""


def differences_svg(counts: Mapping[str, int]) -> str:
    """Draw how many genes or groups of genes there are of each kind."""
    total, most = sum(counts.values()), max(1, *counts.values())
    height = _TOP + _ROW * len(KINDS) + 12
    title = 'font-size="16" font-weight="600"'
    body = [svg_text(16, 28, f"{total:,} genes or groups of genes", fill=INK, more=title)]
    for row, (kind, label) in enumerate(KINDS.items()):
        count, y = counts.get(kind, 0), _TOP + _ROW * row
        width = _BARS * count / most
        number = f"{count:,} ({count / max(1, total):.1%})"
        body += [
            svg_text(_LABEL - 8, y + 13, label, fill=INK, more='text-anchor="end"'),
            f'<rect x="{_LABEL}" y="{y}" width="{width:.1f}" height="{_BAR}" fill="{FIRST}"/>\n',
            svg_text(_LABEL + width + 6, y + 13, number, fill=FAINT, more='font-size="12"'),
        ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}" role="img" aria-label="Genes by kind of difference" '
        'font-family="system-ui, Helvetica, Arial, sans-serif" font-size="13">\n'
        f'<rect width="100%" height="100%" fill="#ffffff"/>\n{"".join(body)}</svg>\n'
    )


def differences_section(counts: Mapping[str, int], listed: Sequence[Difference]) -> str:
    """Return a part of a page: the picture and a table that can be searched.

    The page's style must include `TABLE_STYLE`.

    Args:
        counts: Genes or groups of each kind.
        listed: What the table shows.
    """
    choices = "".join(f'<option value="{kind}">{label}</option>' for kind, label in KINDS.items())
    head = ("difference", "contig", "strand", "start", "end", "first", "second", "detail")
    rows = "".join(map(_row, listed[:MOST_ROWS]))
    left_out = len(listed) - MOST_ROWS
    note = f"<p>{left_out:,} more are left out here; --table lists all.</p>" if left_out > 0 else ""
    return (
        f"{differences_svg(counts)}"
        '<div><input id="difference-words" placeholder="gene, contig, place"'
        ' aria-label="words to search for"><select id="difference-kind" aria-label="kind">'
        f'<option value="">all kinds</option>{choices}</select><span id="difference-shown"></span>'
        f'</div>{note}\n<table id="differences"><thead><tr>'
        f"{''.join(f'<th>{name}</th>' for name in head)}</tr></thead>\n<tbody>\n{rows}</tbody>"
        f"</table>\n<script>{_SCRIPT}</script>\n"
    )


def differences_html(
    section: str, first: str, second: str, *, view: str = "", head: str = ""
) -> str:
    """Return a page.

    Args:
        section: What `differences_section` returned.
        first: File name of the first annotation.
        second: File name of the second.
        view: A genome view, as HTML.
        head: What it wants in the page's head.
    """
    names = f"{escape(first)} (first) and {escape(second)} (second)"
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">{head}'
        f"<title>Annotations compared: {names}</title><style>{STYLE}{TABLE_STYLE}</style></head>\n"
        f"<body>\n<h1>Annotations compared</h1>\n<p>{names}</p>\n{view}{section}</body></html>\n"
    )


def _row(one: Difference) -> str:
    place = [one.contig, one.strand, f"{one.start + 1:,}", f"{one.end:,}"]
    cells = [KINDS[one.kind], *place, ", ".join(one.first), ", ".join(one.second), one.detail]
    text = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
    where = f'data-contig="{escape(one.contig)}" data-start="{one.start}" data-end="{one.end}"'
    return f'<tr data-kind="{one.kind}" {where}>{text}</tr>\n'
