#!/usr/bin/env python3
"""Draw the idea of GeneT5 as SVG, once for light and once for dark pages.

The gene in the picture is a legal one: ATG, no stop codon in frame, an intron of 20 bases from GT
to AG, TAA. Its signals are found in the letters, not drawn by hand.

Example:
    python docs/figures/architecture.py    # writes architecture_light.svg, architecture_dark.svg
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

HERE = Path(__file__).resolve().parent
WIDTH, HEIGHT = 1200, 560
LEFT, STEP = 120, 18.6

FLANK_5, EXON_1, INTRON, EXON_2, FLANK_3 = (
    "CCTGTCAC",
    "ATGGCATTCCGT",
    "GTAAGTTACTAACTTTGCAG",
    "GACTGGTAA",
    "CGTTACC",
)
DNA = FLANK_5 + EXON_1 + INTRON + EXON_2 + FLANK_3
EXONS = (
    (len(FLANK_5), len(FLANK_5 + EXON_1)),
    (len(FLANK_5 + EXON_1 + INTRON), len(FLANK_5 + EXON_1 + INTRON + EXON_2)),
)
"""Half-open, 0-based."""
TOKENS = ("<bos>", "code 1", "protein_coding", "+", "<tx>", "<cds>", 0, 1, "<cds>", 2, 3, "<eos>")
"""What the decoder writes; a number is the n-th pointer."""
POINTED = (EXONS[0][0], EXONS[0][1] - 1, EXONS[1][0], EXONS[1][1] - 1)
"""First and last base of each part."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Palette:
    """Colours of one appearance."""

    name: str
    ink: str
    muted: str
    line: str
    panel: str
    encoder: str
    latent: str
    decoder: str
    grammar: str
    on_colour: str


LIGHT = Palette(
    name="light",
    ink="#1f2937",
    muted="#6b7280",
    line="#cbd5e1",
    panel="#f8fafc",
    encoder="#2563eb",
    latent="#7c3aed",
    decoder="#c2410c",
    grammar="#047857",
    on_colour="#ffffff",
)
DARK = Palette(
    name="dark",
    ink="#e5e7eb",
    muted="#9ca3af",
    line="#475569",
    panel="#1e293b",
    encoder="#60a5fa",
    latent="#a78bfa",
    decoder="#fb923c",
    grammar="#34d399",
    on_colour="#0f172a",
)

SANS = "Inter, 'Helvetica Neue', Helvetica, Arial, sans-serif"
MONO = "'SFMono-Regular', Menlo, Consolas, 'DejaVu Sans Mono', monospace"


def base_x(index: float) -> float:
    """Return the middle of a base's letter."""
    return LEFT + STEP * (index + 0.5)


def text(
    x: float,
    y: float,
    words: str,
    fill: str,
    *,
    size: float = 15,
    anchor: str = "middle",
    weight: int = 400,
    font: str = SANS,
) -> str:
    """Return one line of text."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-family="{escape(font)}" font-size="{size}" '
        f'font-weight="{weight}" text-anchor="{anchor}" fill="{fill}">{escape(words)}</text>'
    )


def box(x: float, y: float, width: float, height: float, fill: str, stroke: str) -> str:
    """Return a rounded rectangle."""
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="9" '
        f'fill="{fill}" stroke="{stroke}" stroke-width="1.5"/>'
    )


def bar(x: float, y: float, width: float, height: float, fill: str, opacity: float = 1) -> str:
    """Return a filled bar with small round corners."""
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="4" '
        f'fill="{fill}" opacity="{opacity}"/>'
    )


def arrow(points: Sequence[tuple[float, float]], colour: str, head: str = "head") -> str:
    """Return a line through the points with a head (a marker of `heads`) at its end."""
    path = " L".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return (
        f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="1.8" '
        f'marker-end="url(#{head})"/>'
    )


def parts(palette: Palette) -> Iterator[str]:
    """Draw the four parts of the model, left to right."""
    top, height, width, gap = 34, 104, 226, 46
    described = (
        ("DNA of a window", "tokens: 6-mers, BPE or bases", palette.ink),
        ("Encoder", "sparse windowed attention", palette.encoder),
        ("Perceiver", "latents spaced along the window", palette.latent),
        ("Decoder", "writes genes, points at bases", palette.decoder),
    )
    left = (WIDTH - 4 * width - 3 * gap) / 2
    for number, (title, caption, colour) in enumerate(described):
        x = left + number * (width + gap)
        yield box(x, top, width, height, palette.panel, colour)
        yield text(x + width / 2, top + 27, title, colour, size=18, weight=700)
        yield text(x + width / 2, top + 49, caption, palette.muted, size=12.5)
        yield from ICONS[number](x + width / 2, top + 79, palette)
        if number:
            yield arrow([(x - gap + 6, top + height / 2), (x - 8, top + height / 2)], palette.muted)


def letters_icon(x: float, y: float, palette: Palette) -> Iterator[str]:
    """A few bases."""
    yield text(x, y + 6, "…CATGGCATTCC…", palette.ink, size=16, font=MONO)


def band_icon(x: float, y: float, palette: Palette) -> Iterator[str]:
    """A banded attention pattern, lying on its side."""
    for column in range(16):
        for row in range(3):
            shade = (0.9 if row == 1 else 0.4) if (column + row) % 4 else 0.15
            yield bar(x - 88 + 11 * column, y - 16 + 11 * row, 9, 9, palette.encoder, shade)


def latents_icon(x: float, y: float, palette: Palette) -> Iterator[str]:
    """Latents in a row, each with the bases it attends to."""
    for number in range(9):
        centre = x - 80 + 20 * number
        cone = f"M{centre - 8:.1f},{y + 13} L{centre:.1f},{y - 5} L{centre + 8:.1f},{y + 13}"
        yield f'<path d="{cone}" fill="{palette.latent}" opacity="0.22"/>'
        yield f'<circle cx="{centre:.1f}" cy="{y - 7}" r="6" fill="{palette.latent}"/>'


def experts_icon(x: float, y: float, palette: Palette) -> Iterator[str]:
    """Experts, two of them in use."""
    for number in range(8):
        shade = 1 if number in (2, 5) else 0.28
        yield bar(x - 86 + 22 * number, y - 14, 17, 26, palette.decoder, shade)


ICONS = (letters_icon, band_icon, latents_icon, experts_icon)


def token_places() -> list[tuple[float, float]]:
    """Return middle and width of each token's box."""
    widths = [34 if isinstance(token, int) else 22 + 8.2 * len(token) for token in TOKENS]
    x = LEFT + (STEP * len(DNA) - sum(widths) - 9 * (len(widths) - 1)) / 2
    places = []
    for width in widths:
        places.append((x + width / 2, width))
        x += width + 9
    return places


def tokens(palette: Palette, y: float) -> Iterator[str]:
    """Draw what the decoder writes."""
    yield text(LEFT - 14, y + 5, "labels", palette.muted, size=13, anchor="end")
    for token, (x, width) in zip(TOKENS, token_places(), strict=True):
        if isinstance(token, int):
            yield box(x - width / 2, y - 16, width, 32, palette.decoder, palette.decoder)
            yield f'<circle cx="{x:.1f}" cy="{y}" r="5.5" fill="{palette.on_colour}"/>'
        else:
            yield box(x - width / 2, y - 16, width, 32, palette.panel, palette.line)
            yield text(x, y + 5, token, palette.ink, size=13.5, font=MONO)


def pointers(palette: Palette, top: float, bottom: float) -> Iterator[str]:
    """Draw the curves from the position labels to their bases."""
    places = token_places()
    for token, (x, _) in zip(TOKENS, places, strict=True):
        if isinstance(token, int):
            end, bend = base_x(POINTED[token]), (bottom - top) * 0.55
            yield (
                f'<path d="M{x:.1f},{top} C{x:.1f},{top + bend:.1f} {end:.1f},{bottom - bend:.1f} '
                f'{end:.1f},{bottom}" fill="none" stroke="{palette.decoder}" stroke-width="2.2" '
                f'marker-end="url(#point)"/>'
            )


def sequence(palette: Palette, y: float) -> Iterator[str]:
    """Draw the bases; those pointed at are filled."""
    yield text(LEFT - 14, y + 5, "DNA", palette.muted, size=13, anchor="end")
    for index, letter in enumerate(DNA):
        coding = any(start <= index < end for start, end in EXONS)
        colour = palette.ink if coding else palette.muted
        if index in POINTED:
            yield bar(base_x(index) - 9, y - 13, 18, 26, palette.decoder)
            colour = palette.on_colour
        weight = 700 if coding else 400
        yield text(base_x(index), y + 6, letter, colour, size=17, weight=weight, font=MONO)


SIGNALS = (
    ("starts", r"(?=ATG)", 3),
    ("donors", r"(?=GT)", 2),
    ("acceptors", r"(?=AG)", 2),
    ("stops", r"(?=TAA|TAG|TGA)", 3),
)
"""Lane, pattern and length of each kind of signal on the forward strand."""
CHOSEN = {
    "starts": EXONS[0][0],
    "donors": EXONS[0][1],
    "acceptors": EXONS[1][0] - 2,
    "stops": EXONS[1][1] - 3,
}


def grammar(palette: Palette, top: float) -> Iterator[str]:
    """Draw where each kind of signal stands in these very letters, the chosen ones filled."""
    for lane, (name, pattern, length) in enumerate(SIGNALS):
        y = top + 19 * lane
        yield text(LEFT - 14, y + 4, name, palette.grammar, size=12.5, anchor="end")
        yield (
            f'<line x1="{LEFT}" y1="{y}" x2="{base_x(len(DNA) - 0.5):.1f}" y2="{y}" '
            f'stroke="{palette.line}" stroke-width="1" stroke-dasharray="2 4"/>'
        )
        for found in re.finditer(pattern, DNA):
            shade = 1 if found.start() == CHOSEN[name] else 0.28
            x = base_x(found.start() - 0.5) + 1
            yield bar(x, y - 6, STEP * length - 2, 12, palette.grammar, shade)


def gene(palette: Palette, y: float) -> Iterator[str]:
    """Draw the gene: exons, and the intron between them."""
    yield text(LEFT - 14, y + 5, "gene", palette.muted, size=13, anchor="end")
    (_, donor), (acceptor, _) = EXONS
    left, right = base_x(donor - 0.5), base_x(acceptor - 0.5)
    line = f"M{left:.1f},{y} L{(left + right) / 2:.1f},{y - 13} L{right:.1f},{y}"
    yield f'<path d="{line}" fill="none" stroke="{palette.encoder}" stroke-width="2.2"/>'
    for start, end in EXONS:
        x, far = base_x(start - 0.5), base_x(end - 0.5)
        yield bar(x, y - 12, far - x, 24, palette.encoder)
        yield text((x + far) / 2, y + 5, "CDS", palette.on_colour, size=13, weight=700)


def heads(palette: Palette) -> str:
    """Return the arrow heads."""

    def head(name: str, colour: str) -> str:
        return (
            f'<marker id="{name}" viewBox="0 0 10 10" refX="8" refY="5" markerWidth="7" '
            f'markerHeight="7" orient="auto-start-reverse"><path d="M0,0 L10,5 L0,10 z" '
            f'fill="{colour}"/></marker>'
        )

    return f"<defs>{head('head', palette.muted)}{head('point', palette.decoder)}</defs>"


DESCRIPTION = (
    "DNA of a window goes through encoder, Perceiver and decoder; the decoder points at bases, and "
    "a grammar of start codons, splice sites and stop codons leaves legal genes."
)
CAPTION = (
    "Every coordinate is a pointer to a base; the grammar, derived from the same DNA, leaves only "
    "legal continuations."
)


def drawing(palette: Palette) -> str:
    """Return the whole picture."""
    right = WIDTH - (WIDTH - 4 * 226 - 3 * 46) / 2 - 113
    label = text(34, 408, "grammar", palette.grammar, size=13, weight=700)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{DESCRIPTION}">',
        heads(palette),
        *parts(palette),
        arrow([(right, 142), (right, 181)], palette.decoder, "point"),
        *tokens(palette, 202),
        *pointers(palette, 219, 318),
        *sequence(palette, 338),
        *grammar(palette, 379),
        f'<g transform="rotate(-90 34 408)">{label}</g>',
        *gene(palette, 478),
        text(WIDTH / 2, 532, CAPTION, palette.muted, size=15),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write both files."""
    for palette in (LIGHT, DARK):
        (HERE / f"architecture_{palette.name}.svg").write_text(drawing(palette), encoding="utf-8")


if __name__ == "__main__":
    main()
