"""Rank 0 and another rank, as two threads that exchange tensors in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from queue import Queue
from types import SimpleNamespace
from typing import Any

import pytest
from torch import Tensor

from genet5.annotate import workers
from genet5.annotate.workers import Workers, serve
from genet5.decode.fragment import GeneFragment, Interval
from genet5.decode.window_found import WindowFound
from genet5.genome.evidence import Channels
from genet5.genome.sequence import Bases, encode_bases


@dataclass
class FakeBatch:
    """One window that starts at base 100 of its contig."""

    number: int
    text: str

    @property
    def numbers(self) -> list[int]:
        return [self.number]

    @property
    def places(self) -> list[int]:
        return [0]

    @property
    def passes(self) -> list[Any]:
        def placed(found: WindowFound) -> WindowFound:
            return found.placed(100, 100 + len(self.text))

        bases, core = encode_bases(self.text), (0, len(self.text))
        return [SimpleNamespace(bases=bases, core=core, code=11, evidence=None, placed=placed)]


@dataclass
class FakeEngine:
    """Finds one gene in each window, of as many bases as the window has."""

    decoded: list[str] = field(default_factory=list)

    def decode_bases(
        self,
        windows: Sequence[Bases],
        cores: Sequence[tuple[int, int]],
        codes: Sequence[int],
        places: Sequence[int],
        evidence: Sequence[Channels] = (),
    ) -> list[WindowFound]:
        assert not evidence
        assert places == [0] * len(windows)
        assert codes == [11] * len(windows)
        assert cores == [(0, len(bases)) for bases in windows]
        self.decoded += [bases.tobytes().decode() for bases in windows]
        return [
            WindowFound((GeneFragment("protein_coding", 1, (Interval("cds", 0, len(bases)),)),))
            for bases in windows
        ]

    def decode(self, batch: FakeBatch) -> list[WindowFound]:
        passes = batch.passes
        cores, codes = [p.core for p in passes], [p.code for p in passes]
        found = self.decode_bases([p.bases for p in passes], cores, codes, batch.places)
        return [p.placed(some) for p, some in zip(passes, found, strict=True)]

    def found(self, batch: FakeBatch, journal: Any, decode: Callable[[], Any]) -> dict[int, Any]:
        if journal is not None and journal.knows_all(batch.numbers):
            return {batch.number: "kept"}
        return dict(zip(batch.numbers, decode(), strict=True))


@pytest.fixture
def other(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeEngine]:
    """The engine of rank 1, which serves until rank 0 says that there is no more."""
    to_first: Queue[Tensor] = Queue()
    to_other: Queue[Tensor] = Queue()

    def put(tensor: Tensor, rank: int) -> Any:
        (to_other if rank else to_first).put(tensor.clone())
        return SimpleNamespace(wait=lambda: None)

    def take(tensor: Tensor, rank: int) -> None:
        tensor.copy_((to_first if rank else to_other).get(timeout=20))

    fake = SimpleNamespace(isend=put, send=put, recv=take)
    monkeypatch.setattr(workers, "dist", fake)
    engine = FakeEngine()
    thread = threading.Thread(target=serve, args=(engine,), daemon=True)
    thread.start()
    yield engine
    thread.join(timeout=20)
    assert not thread.is_alive()


TEXTS = ["ACG", "TTTTT", "CA", "GGGG", "ACGTACGT", "T", "NN"]


def run(engine: FakeEngine, journal: Any = None) -> list[tuple[int, Any]]:
    batches = [FakeBatch(number, text) for number, text in enumerate(TEXTS)]
    found = Workers(2).decoded(engine, iter(batches), journal)  # type: ignore[arg-type]
    return [(batch.numbers[0], some[batch.numbers[0]]) for batch, some in found]


def test_answers_come_in_the_order_of_the_batches_whoever_decoded_them(other: FakeEngine) -> None:
    engine = FakeEngine()
    found = run(engine)
    assert [number for number, _ in found] == list(range(len(TEXTS)))
    parts = [some.fragments[0].parts[0] for _, some in found]
    spans = [(part.start, part.end) for part in parts]
    assert spans == [(100, 100 + len(text)) for text in TEXTS]
    assert (engine.decoded, other.decoded) == (TEXTS[::2], TEXTS[1::2])


def test_what_the_journal_knows_is_sent_to_nobody(other: FakeEngine) -> None:
    engine = FakeEngine()
    journal = SimpleNamespace(knows_all=lambda numbers: numbers[0] < 5)
    found = run(engine, journal)
    assert [some for _, some in found[:5]] == ["kept"] * 5
    assert (engine.decoded, other.decoded) == (["T"], ["NN"])
