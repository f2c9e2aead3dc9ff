"""Features over a genome: how often and how strongly each is active, where most, in which classes.

One pass over all windows; memory holds a table of features, not of tokens. A second pass writes the
tracks of some features, since which ones is known after the first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genet5.genome.sequence import Bases
from genet5.lm.activations import Place, TokenStates, layer_states
from genet5.lm.folders import LanguageModel
from genet5.lm.reference import ReferenceGenome
from genet5.lm.sae.classes import TokenClasses
from genet5.lm.sae.enrichment import EnrichmentCounts, Enrichments
from genet5.lm.sae.network import SparseAutoencoder
from genet5.outputs import atomic_writer

_CONTIG_BITS = 40
"""A place is a contig's number and a base: 2^40 bases are room enough."""


@dataclass(frozen=True, slots=True)
class Example:
    """A token at which a feature is strongly active."""

    activation: float
    contig: str
    start: int


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """What F features are like over T tokens."""

    tokens: int
    active: Tensor
    """(F,) tokens at which a feature is active."""
    total: Tensor
    """(F,) sum of activations."""
    examples: tuple[tuple[Example, ...], ...]
    """The strongest places of each feature, strongest first."""
    enrichment: Enrichments

    @property
    def dead(self) -> int:
        """Features that are never active."""
        return int((self.active == 0).sum())

    def chosen(self, number: int) -> list[int]:
        """Return the features to look at first: the most enriched that are not dead."""
        return [n for n in self.enrichment.most_enriched() if self.active[n] > 0][:number]


class FeatureReader:
    """Goes through a genome with a model and an autoencoder.

    Args:
        lm: The model.
        network: The autoencoder.
        layer: Whose states it takes.
        genome: Open reference.
        batch_tokens: Tokens that the model reads at a time.
    """

    def __init__(
        self, lm: LanguageModel, network: SparseAutoencoder, layer: int, genome: ReferenceGenome,
        batch_tokens: int,
    ) -> None:  # fmt: skip
        self._lm, self._network, self._layer = lm, network, layer
        self._genome, self._batch_tokens = genome, batch_tokens
        self._contigs = list(genome.lengths)

    @torch.no_grad()
    def windows(self, places: Sequence[Place]) -> Iterator[tuple[TokenStates, Bases, Tensor]]:
        """Yield each window's tokens, bases, and features (S, F)."""
        tokens = max(1.0, max(p.end - p.start for p in places) / self._lm.vocabulary.bp_per_token)
        size = max(1, int(self._batch_tokens / tokens))
        for begin in range(0, len(places), size):
            read = [
                (place, self._genome.bases(place.contig, place.start, place.end))
                for place in places[begin : begin + size]
            ]
            for found, (_, bases) in zip(
                layer_states(self._lm, read, self._layer), read, strict=True
            ):
                yield found, bases, self._network.encode(found.states_SD)

    def describe(self, places: Sequence[Place], classes: TokenClasses, examples: int) -> Features:
        """Return what the features are like."""
        count = self._network.features
        tokens, active, total = 0, torch.zeros(count), torch.zeros(count)
        strongest = torch.zeros(count, examples)
        codes = torch.full((count, examples), -1, dtype=torch.int64)
        tests = EnrichmentCounts(count, classes.names)
        for found, bases, features_SF in self.windows(places):
            features = features_SF.cpu()
            tokens += len(features)
            active += (features > 0).sum(0)
            total += features.sum(0)
            strongest, codes = self._merged(strongest, codes, features, found)
            tests.add(features > 0, classes.of(found, bases))
        listed = tuple(self._examples(*row) for row in zip(strongest, codes, strict=True))
        return Features(tokens, active, total, listed, tests.tested())

    def _merged(
        self, strongest: Tensor, codes: Tensor, features_SF: Tensor, found: TokenStates
    ) -> tuple[Tensor, Tensor]:
        """Keep the strongest of what was there and a window's tokens."""
        number = self._contigs.index(found.place.contig) << _CONTIG_BITS
        places = torch.from_numpy(found.starts + number).expand(features_SF.shape[1], -1)
        values = torch.cat([strongest, features_SF.T], dim=1)
        kept = values.topk(strongest.shape[1], dim=1)
        return kept.values, torch.cat([codes, places], dim=1).gather(1, kept.indices)

    def _examples(self, strongest: Tensor, codes: Tensor) -> tuple[Example, ...]:
        found = []
        for value, code in zip(strongest.tolist(), codes.tolist(), strict=True):
            if value > 0:
                contig, start = code >> _CONTIG_BITS, code & ((1 << _CONTIG_BITS) - 1)
                found.append(Example(value, self._contigs[contig], start))
        return tuple(found)

    def write_tracks(
        self, places: Sequence[Place], features: Sequence[int], folder: Path, *, bigwig: bool
    ) -> None:
        """Write folder/feature_N.bedGraph (and .bw) of some features."""
        with ExitStack() as stack:
            writers: list[Callable[[str, Any, Any, Any], None]] = []
            for number in features:
                name = folder / f"feature_{number}.bedGraph"
                writers.append(_bedgraph(stack.enter_context(atomic_writer(name))))
            big = [self._bigwig(stack, folder / f"feature_{n}.bw") for n in features if bigwig]
            for found, _, features_SF in self.windows(places):
                values_FS = features_SF[:, list(features)].T.cpu().numpy()
                for row, values in enumerate(values_FS):
                    at = np.flatnonzero(values)
                    starts, ends = found.starts[at], (found.starts + found.lengths)[at]
                    for each in (writers[row], *big[row : row + 1]):
                        each(found.place.contig, starts, ends, values[at])

    def _bigwig(self, stack: ExitStack, path: Path) -> Callable[[str, Any, Any, Any], None]:
        import pyBigWig

        path.parent.mkdir(parents=True, exist_ok=True)
        file = pyBigWig.open(str(path), "w")
        stack.callback(file.close)
        file.addHeader(list(self._genome.lengths.items()))

        def write(contig: str, starts: Any, ends: Any, values: Any) -> None:
            if len(starts):
                names = [contig] * len(starts)
                found = [float(value) for value in values]
                file.addEntries(names, starts.tolist(), ends=ends.tolist(), values=found)

        return write


def _bedgraph(out: Any) -> Callable[[str, Any, Any, Any], None]:
    def write(contig: str, starts: Any, ends: Any, values: Any) -> None:
        lines = zip(starts.tolist(), ends.tolist(), values.tolist(), strict=True)
        out.write(
            "".join(f"{contig}\t{begin}\t{end}\t{value:.4g}\n" for begin, end, value in lines)
        )

    return write
