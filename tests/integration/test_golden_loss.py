"""Twenty steps of a toy model: a refactoring must keep these losses; CHANGELOG lists changes."""

import numpy as np
import pytest
import torch

from builders import tiny_config
from genet5.dataset.collate import collate
from genet5.dataset.windows import Window
from genet5.model.network import GeneT5
from genet5.simulate.prokaryote import simulate_bacterium
from genet5.tokens.cut import GeneIndex
from genet5.tokens.sequence import KmerTokenizer
from genet5.tokens.structure import encode_window
from genet5.tokens.vocabulary import StructureVocabulary
from genet5.tokens.window import WindowStructure
from genet5.train.loss import LossWeights, loss_sums

STEPS, WINDOW_BP = 20, 1500
TOLERANCE = 2e-3  # fp32 sums differ between processors, and twenty steps carry that on


def toy_windows(vocabulary, tokenizer):
    contigs, genes = simulate_bacterium(12_000, seed=5)
    index, bases = GeneIndex(genes), contigs[0].bases
    for start in range(0, 12_000, WINDOW_BP):
        window_bases = bases[start : start + WINDOW_BP]
        ids, token_start_bp = tokenizer.encode(window_bases)
        structure = WindowStructure(11, None, index.cut(start, start + len(window_bases)))
        labels = encode_window(structure, vocabulary)
        yield Window(
            bases=window_bases,
            input_ids=ids,
            token_start_bp=token_start_bp,
            labels=labels,
            label_weights=np.ones(len(labels), dtype=np.float32),
            genetic_code=11,
            clade="prokaryotes",
            genome="toy",
            contig="1",
            start=start,
            strand=1,
        )


def toy_model(tokenizer, vocabulary):
    model = GeneT5(
        tiny_config(
            sequence_vocab=tokenizer.vocab_size,
            structure_vocab=len(vocabulary),
            bp_per_token=tokenizer.bp_per_token,
            compressor={"bin_bp": 32},
            decoder={"cross_kv_heads": 2, "num_experts": 2},
        )
    )
    model.init_weights(0)
    return model


@pytest.mark.golden
def test_twenty_steps_have_the_stored_losses(root, request):
    vocabulary, tokenizer = StructureVocabulary(), KmerTokenizer(3)
    batch = collate(list(toy_windows(vocabulary, tokenizer)), vocabulary)
    model = toy_model(tokenizer, vocabulary)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(STEPS):
        terms = loss_sums(model(batch), batch, LossWeights())
        loss = sum(term.weight * term.sum / term.count for term in terms.values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    path = root / "tests" / "golden" / "loss_cpu.txt"
    if request.config.getoption("--update-golden"):
        path.write_text("".join(f"{loss:.5f}\n" for loss in losses), encoding="utf-8")
    stored = [float(line) for line in path.read_text(encoding="utf-8").split()]
    assert losses == pytest.approx(stored, rel=TOLERANCE)
    assert losses[-1] < 0.7 * losses[0]
