"""State of the grammar's automaton: one NumPy array per variable over the rows of the batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from genet5.tokens.rules import Bool


class Phase:
    """What the row has just written, and so what it wants."""

    BETWEEN = 0
    """Nothing, or a transcript's <cut_right>: a gene, an isoform or <eos>."""
    TYPE = 1
    STRAND = 2
    TRANSCRIPT = 3
    CUT_LEFT = 4
    FRAME = 5
    KIND = 6
    """A part's kind: its first base."""
    FIRST = 7
    """A part's first base: its last base."""
    PART = 8
    """A whole part: another, the cut, or what BETWEEN allows if the transcript is complete."""
    FINISHED = 9


@dataclass
class State:
    """One array per variable, one entry per row."""

    window: NDArray[np.int64]
    """Index of the row's window in the signals."""
    phase: NDArray[np.int8]
    left: NDArray[np.int32]
    """Labels that may still be written."""
    floor: NDArray[np.int32]
    """First position of the last gene: -1 if none was written yet, or none has a part."""
    used: Bool
    """(B, 2 strands, 5 slots, types) What has begun at `floor`."""
    type: NDArray[np.int16]
    strand: NDArray[np.int8]
    isoform: NDArray[np.int16]
    slot: NDArray[np.int8]
    """Frame 0, 1, 2, NO_FRAME or UNCUT of the transcript."""
    stage: NDArray[np.int8]
    kind: NDArray[np.int8]
    first: NDArray[np.int32]
    """First base of the part; -1 before the transcript's first part."""
    last: NDArray[np.int32]
    """Last base of the last part; -1 before the transcript's first part."""
    splice: NDArray[np.uint8]
    """Splice classes with which the transcript may continue after `last`; 0: it must end there."""
    complete: Bool
    """The transcript may end here."""
    mode: NDArray[np.int8]
    count: NDArray[np.int8]
    x: NDArray[np.uint8]
    y: NDArray[np.uint8]
    """The codon in progress, see `signals.Codon`."""

    @classmethod
    def begin(cls, size: int, left: NDArray[np.int32], num_types: int) -> State:
        """State of `size` windows after their prompts."""
        arrays = {
            name: np.zeros(size, dtype=dtype) for name, dtype in zip(_NAMES, _DTYPES, strict=True)
        }
        arrays["window"] = np.arange(size)
        arrays["left"] = left
        arrays["floor"] -= 1
        arrays["used"] = np.zeros((size, 2, 5, num_types), dtype=bool)
        return cls(**arrays)

    def at(self, rows: NDArray[np.int64]) -> State:
        """Return the state of these rows, in this order."""
        return State(*[getattr(self, name)[rows] for name in _NAMES])

    @classmethod
    def joined(cls, states: Sequence[State]) -> State:
        """Return the rows of all states, one state after the other."""
        return cls(*[np.concatenate([getattr(state, name) for state in states]) for name in _NAMES])


_DTYPES = (
    *("int64", "int8", "int32", "int32", "bool", "int16", "int8", "int16", "int8", "int8", "int8"),
    *("int32", "int32", "uint8", "bool", "int8", "int8", "uint8", "uint8"),
)
_NAMES = tuple(field.name for field in fields(State))
