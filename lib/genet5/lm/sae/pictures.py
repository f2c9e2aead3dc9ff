"""Pictures of an autoencoder: its training, its features, and a logo of each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genet5.genome.sequence import BASE_INDEX, Bases
from genet5.lm.sae.describe import Features
from genet5.outputs import draw_letter


def information(contexts: Sequence[Bases]) -> NDArray[np.float64]:
    """Return (L, 4) bits of each base at each place of aligned sequences of L bases.

    The information of a place is 2 bits less its entropy, with half a base of each kind added; a
    base has its share of it (Schneider and Stephens 1990, without their correction).
    """
    index = BASE_INDEX[np.stack(contexts)]
    counts = np.stack([(index == base).sum(0) for base in range(4)], axis=1) + 0.5
    share = counts / counts.sum(1, keepdims=True)
    bits = 2 + (share * np.log2(share)).sum(1, keepdims=True)
    found: NDArray[np.float64] = share * bits
    return found


def draw_logo(contexts: Sequence[Bases], first: int, path: Path, title: str) -> None:
    """Draw a sequence logo.

    Args:
        contexts: Aligned sequences of one length.
        first: Number of the first place; the token begins at 0.
        path: Picture to write.
        title: Above it.
    """
    from matplotlib.figure import Figure

    bits = information(contexts)
    figure = Figure(figsize=(0.22 * len(bits) + 1, 2.2), layout="constrained")
    axes = figure.subplots()
    for place, row in enumerate(bits):
        bottom = 0.0
        for base in np.argsort(row):
            draw_letter(axes, "ACGT"[base], first + place, bottom, float(row[base]))
            bottom += float(row[base])
    axes.set(xlim=(first - 0.6, first + len(bits) - 0.4), ylim=(0, 2), ylabel="bits", title=title)
    axes.set_xticks(range(first, first + len(bits), 5))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def draw_overview(log: Sequence[dict[str, float]], features: Features, path: Path) -> None:
    """Draw variance explained against steps, and how often features are active."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.5), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    left.plot([row["step"] for row in log], [row["variance_explained"] for row in log])
    left.set(xlabel="step", ylabel="variance explained", ylim=(0, 1))
    share = features.active.numpy() / max(1, features.tokens)
    middle.hist(np.log10(share[share > 0]), bins=40)
    middle.set(xlabel="log10 of the share of tokens", ylabel="features")
    middle.set_title(f"{features.dead} of {len(share)} features are dead", fontsize="small")
    chosen = features.chosen(10)
    found = features.enrichment
    labels = [f"{n}: {found.classes[found.best_class(n)]}" for n in chosen]
    least = [max(float(found.p_adjusted[n, found.best_class(n)]), 1e-300) for n in chosen]
    right.barh(range(len(chosen)), -np.log10(least))
    right.set_yticks(range(len(chosen)), labels, fontsize="x-small")
    right.invert_yaxis()
    right.set(xlabel="-log10 of p of enrichment, corrected")
    figure.savefig(path)
