"""A picture of scores: a self-contained SVG, alone or in an HTML page with the tables.

Left: sensitivity and precision of each level. Right: genes that are wrong, by cause, on both sides.
Text uses the system's sans-serif font; each bar carries its number, so that colour is never the
only sign.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from genet5.score.causes import CAUSES
from genet5.score.levels import Scores

INK, FAINT, _GRID = "#1b2733", "#5b6770", "#d9dee3"
FIRST, _SECOND = "#2a6f97", "#e09f3e"
"""Sensitivity or reference; precision or prediction: apart for colour-blind readers too."""
_ROW, _BAR, _TOP = 46, 15, 84
_WIDTH, _HALF, _LABEL, _BARS = 980, 490, 120, 280

STYLE = (
    "body{font:15px/1.45 system-ui,sans-serif;color:#1b2733;max-width:1010px;"
    "margin:2em auto;padding:0 1em}"
    "h1{font-size:1.35em;font-weight:600;margin-bottom:.2em}svg{max-width:100%;height:auto}"
    "pre{font-size:13px;line-height:1.4;overflow-x:auto;background:#f5f7f9;"
    "padding:1em;border-radius:6px}"
    "p{color:#5b6770;margin:.2em 0 1em}"
)

Rows = Sequence[tuple[str, Sequence[tuple[float, str]]]]
"""Of each row its name and, for both bars, length (0 to 1) and number."""


def plot_svg(scores: Scores) -> str:
    """Draw the scores as an SVG that any browser shows."""
    levels: Rows = [
        (name, [(ratio, f"{100 * ratio:.1f} %") for ratio in (level.sensitivity, level.precision)])
        for name, level in scores.levels.items()
        if level.reference or level.predicted
    ]
    wrong = {name: scores.causes[name] for name in CAUSES if name != "right"}
    most = max(1, *(max(cause.reference, cause.predicted) for cause in wrong.values()))
    causes: Rows = [
        (
            CAUSES[name],
            [
                (count / most, "-" if name == foreign else f"{count:,}")
                for count, foreign in ((cause.reference, "extra"), (cause.predicted, "missed"))
            ],
        )
        for name, cause in wrong.items()
    ]
    height = _TOP + _ROW * max(len(levels), len(causes)) + 16
    gene = scores.levels["gene"]
    notes = (
        "what was found, and what is right of the predictions",
        f"{gene.reference - gene.tp:,} of {gene.reference:,} reference and"
        f" {gene.predicted - gene.tp:,} of {gene.predicted:,} predicted genes",
    )
    body = [
        _panel(0, "Levels", notes[0], ("sensitivity", "precision"), levels),
        _panel(_HALF, "Wrong genes by cause", notes[1], ("reference", "predicted"), causes),
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}" '
        'role="img" aria-label="Sensitivity and precision by level, and wrong genes by cause" '
        'font-family="system-ui, Helvetica, Arial, sans-serif" font-size="13">\n'
        f'<rect width="100%" height="100%" fill="#ffffff"/>\n{"".join(body)}</svg>\n'
    )


def plot_html(scores: Scores, predictions: str, reference: str) -> str:
    """Return a page with the picture, the tables and the protocol.

    Args:
        scores: What to show.
        predictions: File name of the predictions.
        reference: File name of the reference.
    """
    names = f"{escape(predictions)} against {escape(reference)}"
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>Gene scores: {names}</title><style>{STYLE}</style></head>\n<body>\n"
        f"<h1>Gene scores</h1>\n<p>{names}</p>\n{plot_svg(scores)}"
        f"<pre>{escape(scores.table())}</pre>\n<pre>{escape(scores.protocol)}</pre>\n"
        "</body></html>\n"
    )


def _panel(left: int, title: str, note: str, legend: Sequence[str], rows: Rows) -> str:
    bottom = _TOP + _ROW * len(rows) - 8
    zero = left + _LABEL
    parts = [
        svg_text(left + 16, 28, title, fill=INK, more='font-size="16" font-weight="600"'),
        svg_text(left + 16, 47, note, fill=FAINT),
    ]
    at = zero
    for name, colour in zip(legend, (FIRST, _SECOND), strict=True):
        parts.append(f'<rect x="{at}" y="57" width="11" height="11" fill="{colour}"/>\n')
        parts.append(svg_text(at + 16, 67, name, fill=INK))
        at += 100
    parts += (
        f'<line x1="{x}" y1="{_TOP - 6}" x2="{x}" y2="{bottom}" stroke="{_GRID}"/>\n'
        for x in (zero + _BARS * step / 4 for step in range(5))
    )
    for row, (name, bars) in enumerate(rows):
        top = _TOP + _ROW * row
        parts.append(svg_text(zero - 8, top + _BAR + 4, name, fill=INK, more='text-anchor="end"'))
        for (length, number), colour, y in zip(
            bars, (FIRST, _SECOND), (top, top + _BAR + 1), strict=True
        ):
            width = _BARS * length
            parts.append(
                f'<rect x="{zero}" y="{y}" width="{width:.1f}" height="{_BAR}" fill="{colour}"/>\n'
            )
            parts.append(
                svg_text(zero + width + 5, y + 12, number, fill=INK, more='font-size="12"')
            )
    return "".join(parts)


def svg_text(x: float, y: float, words: str, *, fill: str, more: str = "") -> str:
    """Return text of an SVG, its base line at x, y."""
    return f'<text x="{x:.1f}" y="{y}" fill="{fill}" {more}>{escape(words)}</text>\n'
