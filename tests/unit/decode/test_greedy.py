"""Decoding with random weights: only legal genes, always an end, and true log-probabilities."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from genet5.dataset.collate import make_inputs
from genet5.decode.fragment import GeneFragment
from genet5.decode.greedy import decode_windows
from genet5.genome.codes import genetic_code
from genet5.genome.sequence import Bases, encode_bases, reverse_complement
from genet5.tokens.grammar import GrammarOptions, prokaryote_options
from genet5.tokens.structure import decode_window
from replay import first_illegal

EUKARYOTE = GrammarOptions(max_labels=96)
PROKARYOTE = prokaryote_options(max_labels=96)


def random_windows(seed: int, count: int = 6, longest: int = 700) -> list[Bases]:
    draw = np.random.default_rng(seed)
    letters = np.frombuffer(b"ACGT", dtype=np.uint8)
    windows = [letters[draw.integers(0, 4, n)] for n in draw.integers(3, longest, count)]
    windows[0] = encode_bases("ACGTN" * 40 + "NNNNNNNN" + "acgtt" * 10)
    return windows


@pytest.mark.slow
@pytest.mark.parametrize("options", [PROKARYOTE, EUKARYOTE])
def test_random_weights_give_only_legal_genes(tiny_model, tiny_tokenizer, options) -> None:
    windows = random_windows(1, 12)
    codes = [11, 1, 4] * 4
    decoded = decode_windows(tiny_model, tiny_tokenizer, windows, codes, options)
    assert sum(len(d.fragments) for d in decoded) > 5
    for window, code, found in zip(windows, codes, decoded, strict=True):
        labels = np.array(found.labels)
        assert labels[-1] == tiny_tokenizer.structure.eos
        assert first_illegal(labels, window, code, options, tiny_tokenizer.structure) is None
        genes = decode_window(labels, tiny_tokenizer.structure).genes
        assert [fragment.parts for fragment in found.fragments] == [
            tuple((p.kind, p.first, p.last + 1) for p in gene.transcripts[0].parts)
            for gene in genes
        ]


@pytest.mark.slow
def test_complete_genes_translate(tiny_model, tiny_tokenizer) -> None:
    windows = random_windows(2, 12)
    decoded = decode_windows(tiny_model, tiny_tokenizer, windows, [11] * 12, PROKARYOTE)
    complete = 0
    for window, found in zip(windows, decoded, strict=True):
        for fragment in found.fragments:
            if fragment.cut_left or fragment.cut_right:
                continue
            complete += 1
            starts, parts = fragment.starts, fragment.parts
            ends = [parts[0].start if fragment.strand > 0 else parts[-1].end - 1]
            ends += [base for base, _ in starts]
            assert starts[0][0] == ends[0]
            assert sum(share for _, share in starts) == pytest.approx(1, abs=0.02)
            for five in ends:
                check_reading(window, fragment, five)
    assert complete > 3


def check_reading(window: Bases, fragment: GeneFragment, five: int) -> None:
    """The one part, 5' end moved to `five`, reads from a start to its only stop."""
    (part,) = fragment.parts
    if fragment.strand > 0:
        coding = window[five : part.end]
    else:
        coding = reverse_complement(window[part.start : five + 1])
    text = genetic_code(11).translate(coding)
    assert len(coding) % 3 == 0
    assert coding[:3].tobytes().upper() in (b"ATG", b"GTG", b"TTG")
    assert text.index("*") == len(text) - 1


@pytest.mark.slow
def test_the_batch_does_not_matter(tiny_model, tiny_tokenizer) -> None:
    windows = random_windows(3, 7)
    together = decode_windows(tiny_model, tiny_tokenizer, windows, [11] * 7, PROKARYOTE)
    for window, found in zip(windows, together, strict=True):
        (alone,) = decode_windows(tiny_model, tiny_tokenizer, [window], [11], PROKARYOTE)
        # bf16 sums in another order may tip a near tie, which random weights rarely have
        assert alone.labels == found.labels
        pairs = zip(alone.fragments, found.fragments, strict=True)
        for a, b in ((one.evidence, other.evidence) for one, other in pairs):
            assert a.coding == b.coding
            assert a.type_logp == pytest.approx(b.type_logp, abs=0.05)
            assert a.state == pytest.approx(b.state, abs=0.02 * max(a.coding, 10))


@pytest.mark.slow
def test_evidence_is_of_the_unmasked_distribution(tiny_model, tiny_tokenizer) -> None:
    """Log-probabilities equal a teacher-forced evaluation of the written labels."""
    window = random_windows(5, 3)[1:]
    found = decode_windows(tiny_model, tiny_tokenizer, window, [11, 11], PROKARYOTE)
    row = max(range(2), key=lambda i: len(found[i].fragments))
    labels = torch.tensor([found[row].labels])
    with torch.inference_mode():
        encoded = tiny_model.encode(make_inputs([window[row]], [11], tiny_tokenizer.sequence))
        cache = tiny_model.start_decoding(encoded)
        logp = []
        for step in range(labels.shape[1] - 1):
            state = tiny_model.extend(encoded, cache, labels[:, step : step + 1])
            target = int(labels[0, step + 1])
            scores = (
                tiny_model.token_logits(state)
                if target >= 0
                else tiny_model.position_logits(encoded, state, cache.place()[:, None])
            )[:, 0]
            logp.append(float(scores.log_softmax(-1)[0, target if target >= 0 else -1 - target]))
    assert found[row].fragments
    first = found[row].fragments[0].evidence
    assert first.type_logp == pytest.approx(logp[1] + logp[2], abs=0.1)  # bf16 encoder
