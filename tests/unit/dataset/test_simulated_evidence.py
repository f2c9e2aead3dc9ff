"""Evidence for training: from the labels, by seed, epoch and window alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from genet5.config.batches import BatchLimits
from genet5.config.evidence import EvidenceConfig
from genet5.dataset.flat_batch import pack, unpack
from genet5.dataset.loader import GeneCollator, Loader
from genet5.dataset.per_base import base_targets
from genet5.dataset.simulated_evidence import EvidenceSimulator, window_hints
from genet5.dataset.windows import Window
from genet5.errors import ConfigError
from genet5.genome.evidence import KINDS, paint
from genet5.genome.sequence import encode_bases
from genet5.tokens.sequence import KmerTokenizer
from genet5.tokens.structure import encode_window
from genet5.tokens.vocabulary import StructureVocabulary
from genet5.tokens.window import Part, WindowGene, WindowStructure, WindowTranscript

LENGTH = 120
VOCABULARY = StructureVocabulary()
SPLICED = (Part("cds", 10, 24), Part("cds", 40, 51), Part("cds", 70, 95))


def gene(*parts: Part, strand: int = 1, **cuts: object) -> WindowGene:
    return WindowGene("protein_coding", strand, (WindowTranscript(parts, **cuts),))  # type: ignore[arg-type]


def window(number: int, *genes: WindowGene) -> Window:
    bases = encode_bases("ACGTTGCAGTAG" * (LENGTH // 12))
    ids, starts = KmerTokenizer(4).encode(bases)
    labels = encode_window(WindowStructure(1, None, genes), VOCABULARY)
    return Window(
        bases=bases, input_ids=ids, token_start_bp=starts, labels=labels,
        label_weights=np.ones(len(labels), np.float32), genetic_code=1, clade="fungi",
        genome="g", contig="c", start=number, strand=1,
    )  # fmt: skip


@pytest.mark.parametrize("strand", [1, -1])
@pytest.mark.parametrize(
    "made",
    [
        (SPLICED, {}),
        (SPLICED, {"cut_left": True, "frame": 1}),
        (SPLICED, {"cut_left": True, "cut_right": True, "frame": 0}),
        ((Part("cds", 0, 30), Part("cds", 60, LENGTH - 1)), {"cut_left": True, "cut_right": True,
                                                            "frame": 2}),
        ((Part("utr", 5, 9), Part("cds", 10, 24), Part("utr", 40, 60)), {}),
    ],
)  # fmt: skip
def test_hints_that_miss_nothing_are_the_targets(strand: int, made: tuple[object, ...]) -> None:
    parts, cuts = made
    one = gene(*parts, strand=strand, **cuts)  # type: ignore[misc, arg-type]
    states, boundaries = base_targets([one], LENGTH, [])
    channels = paint(window_hints(one, LENGTH), 0, LENGTH).reshape(2, 2, KINDS, LENGTH)[0] > 0
    row = 0 if strand > 0 else 1
    intron, donor, acceptor, *coding, start, stop = channels[row]
    assert not channels[1 - row].any()
    for place in range(3):
        assert np.array_equal(coding[place], states[row] == 1 + place)
    assert np.array_equal(intron, (states[row] >= 4) & (states[row] <= 6))
    for kind, shown in enumerate((start, stop, donor, acceptor)):
        assert np.array_equal(shown, boundaries[2 * kind + row]), kind


def shown(
    simulator: EvidenceSimulator, one: Window, genes: Sequence[WindowGene], epoch: int
) -> bytes:
    return simulator.channels(one, genes, epoch).tobytes()


def test_seed_epoch_and_window_alone_decide() -> None:
    config, genes = EvidenceConfig(evidence_absent=0.0, evidence_false=0.5), [gene(*SPLICED)]
    simulator, again = EvidenceSimulator(config, 1), EvidenceSimulator(config, 1)
    here, there = window(0, *genes), window(1, *genes)
    first = [shown(simulator, each, genes, 0) for each in (here, there)]
    assert [shown(again, each, genes, 0) for each in (there, here)][::-1] == first
    assert first[0] != first[1]
    assert shown(again, here, genes, 1) != first[0]
    assert shown(EvidenceSimulator(config, 2), here, genes, 0) != first[0]


@pytest.mark.slow
@pytest.mark.parametrize("absent", [0.0, 0.5, 1.0])
def test_a_share_of_the_windows_has_no_hints(absent: float) -> None:
    simulator = EvidenceSimulator(EvidenceConfig(evidence_absent=absent), 1)
    genes = [gene(*SPLICED)] * 12
    blank = [not simulator.hints(window(n), genes, 0) for n in range(150)]
    assert np.mean(blank) == pytest.approx(absent, abs=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.0, 0.05, 0.2])
def test_a_share_of_the_hints_is_false(share: float) -> None:
    config = EvidenceConfig(evidence_absent=0, evidence_false=share, evidence_shifted=0)
    simulator, genes = EvidenceSimulator(config, 1), [gene(*SPLICED)] * 40
    true = paint(window_hints(genes[0], LENGTH), 0, LENGTH).reshape(2, 2, KINDS, -1).any(axis=0)
    wrong = total = 0
    for number in range(40):
        for hint in simulator.hints(window(number), genes, 0):
            bases = paint([hint], 0, LENGTH).reshape(2, 2, KINDS, -1).any(axis=0)
            total, wrong = total + 1, wrong + bool((bases & ~true).any())
    assert wrong / total == pytest.approx(share, abs=0.04 if share else 0)


def test_rates_must_be_shares() -> None:
    for name in ("evidence_absent", "evidence_false", "evidence_shifted"):
        with pytest.raises(ConfigError, match=name):
            EvidenceConfig(**{name: 1.5})


def loader(path: Path, **parts: object) -> Loader:
    simulator = EvidenceSimulator(EvidenceConfig(evidence_absent=0.3, evidence_false=0.3), 1)
    collator = GeneCollator(VOCABULARY, simulator)
    limits = BatchLimits(token_budget=200, max_batch_size=3)
    return Loader(path, limits, seed=5, collator=collator, **parts)  # type: ignore[arg-type]


def evidence(batches: Sequence[object]) -> dict[str, bytes]:
    """Window -> its channels."""
    found = {}
    for batch in batches:
        sizes, channels = batch.inputs.num_bases.tolist(), batch.inputs.evidence.numpy()
        for row, name in enumerate(batch.window_ids):
            found[name] = channels[row, :, : sizes[row]].tobytes()
    return found


@pytest.mark.slow
def test_ranks_and_a_resumed_run_see_the_same_hints(packed_file: Path) -> None:
    whole = list(loader(packed_file))
    expected = evidence(whole)
    assert len(set(expected.values())) > 10
    ranks = [loader(packed_file, rank=rank, world_size=2) for rank in range(2)]
    assert evidence([batch for each in ranks for batch in each]) == expected
    begun, resumed = loader(packed_file), loader(packed_file)
    for _, _ in zip(range(5), begun, strict=False):
        pass
    resumed.load_state_dict(begun.state_dict())
    rest = list(resumed)
    assert [batch.window_ids for batch in rest] == [
        batch.window_ids for batch in whole[-len(rest) :]
    ]
    assert evidence(rest).items() <= expected.items()


def test_the_next_epoch_has_other_hints(packed_file: Path) -> None:
    one = loader(packed_file)
    assert evidence(list(one)) != evidence(list(one))


def test_a_flat_batch_keeps_evidence(packed_file: Path) -> None:
    batch = next(iter(loader(packed_file)))
    assert batch.inputs.evidence.shape[1] == 32
    assert torch.equal(unpack(pack(batch)).inputs.evidence, batch.inputs.evidence)
