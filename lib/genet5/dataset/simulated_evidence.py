"""Channels of evidence for training, simulated from a window's labels.

What a window gets depends on the seed, the epoch and the window's name alone: not on its
neighbours in a micro-batch, on worker processes or ranks, nor on what was made before; so a resumed
run sees what an uninterrupted one sees, and every epoch shows the window with other hints. Half of
the windows (by default) get none; the others hints as of RNA-seq, of proteins, or of both, each
with a recall of its own for the window.

Example:
    simulator = EvidenceSimulator(EvidenceConfig(evidence=True), seed=1)
    channels = simulator.channels(window, decode_window(window.labels, vocabulary).genes, epoch=0)
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from genet5.config.evidence import EvidenceConfig
from genet5.dataset.windows import Window
from genet5.genome.evidence import Channels, paint
from genet5.genome.frames import five_three, frame_to_right, leftmost_frame, phase_from_left
from genet5.genome.hints import Hint
from genet5.simulate.hints import Corruption, protein_like, rna_like
from genet5.tokens.window import WindowGene, WindowTranscript

_RECALL = (0.2, 0.98)
_WHAT = ((True, True), (True, False), (False, True))
"""Which of RNA-seq and proteins a window has, each as often."""
_HINT_BP = 2000
"""Bases of a window for each hint that is expected there, when false ones are counted."""
_FAR = 1 << 20
"""An intron that a window cuts extends so far beyond it."""


class EvidenceSimulator:
    """Simulates evidence.

    Args:
        config: Rates.
        seed: Of all choices.
    """

    def __init__(self, config: EvidenceConfig, seed: int) -> None:
        self._config, self._seed = config, seed

    def channels(self, window: Window, genes: Sequence[WindowGene], epoch: int) -> Channels:
        """Return the channels of a window's hints in one pass over the data."""
        return paint(self.hints(window, genes, epoch), 0, len(window.bases))

    def hints(self, window: Window, genes: Sequence[WindowGene], epoch: int) -> list[Hint]:
        """Return a window's hints, in its coordinates."""
        name = f"{self._seed}/{epoch}/{window.id}".encode()
        key = hashlib.blake2b(name, digest_size=16).digest()
        rng = np.random.default_rng(int.from_bytes(key, "little"))
        if rng.random() < self._config.evidence_absent:
            return []
        true = [window_hints(gene, len(window.bases)) for gene in genes]
        has_rna, has_proteins = _WHAT[int(rng.integers(len(_WHAT)))]
        found = rna_like(true, window.bases, self._drawn(true, window, rng), rng) if has_rna else []
        if has_proteins:
            found += protein_like(true, window.bases, self._drawn(true, window, rng), rng)
        return found

    def _drawn(
        self, true: Sequence[Sequence[Hint]], window: Window, rng: np.random.Generator
    ) -> Corruption:
        """Draw how good a window's hints of one origin are."""
        recall, false = float(rng.uniform(*_RECALL)), self._config.evidence_false
        expected = recall * sum(map(len, true)) / 2 + len(window.bases) / _HINT_BP
        return Corruption(recall, expected * false / (1 - false), self._config.evidence_shifted)


def window_hints(gene: WindowGene, length_bp: int) -> list[Hint]:
    """Return all that hints could say of a gene as far as a window of `length_bp` shows it."""
    transcript, strand = gene.transcripts[0], gene.strand
    coding = _coding_parts(transcript, strand)
    hints = coding + [
        Hint("", "intron", start, end, strand) for start, end in _introns(transcript, length_bp)
    ]
    if coding:
        has_left = not transcript.cut_left or transcript.parts[0].kind != "cds"
        has_right = not transcript.cut_right or transcript.parts[-1].kind != "cds"
        first, last = coding[0].start, coding[-1].end
        left, right = (has_left, first, first + 3), (has_right, last - 3, last)
        for kind, (is_shown, start, end) in zip(
            ("start", "stop"), five_three(left, right, strand), strict=True
        ):
            hints += [Hint("", kind, start, end, strand)] if is_shown else []  # type: ignore[arg-type]
    return hints


def _coding_parts(transcript: WindowTranscript, strand: int) -> list[Hint]:
    frame = transcript.frame if transcript.cut_left else leftmost_frame(strand)
    found = []
    for part in transcript.parts:
        if part.kind != "cds":
            continue
        length = part.last - part.first + 1
        phase = None
        if frame is not None:
            phase = phase_from_left(frame, length, strand)
            frame = frame_to_right(frame, length, strand)
        found.append(Hint("", "coding", part.first, part.last + 1, strand, phase))
    return found


def _introns(transcript: WindowTranscript, length_bp: int) -> list[tuple[int, int]]:
    parts = transcript.parts
    found = [(a.last + 1, b.first) for a, b in pairwise(parts) if a.last + 1 < b.first]
    if parts and transcript.cut_left and parts[0].first > 0:
        found.insert(0, (-_FAR, parts[0].first))
    if parts and transcript.cut_right and parts[-1].last + 1 < length_bp:
        found.append((parts[-1].last + 1, length_bp + _FAR))
    return found
