"""Over real genomes what is drafted and verified equals what single steps write."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from genet5.dataset.collate import make_inputs
from genet5.decode.best_path import best_paths
from genet5.decode.draft import make_drafter
from genet5.decode.trace import read_tracks
from genet5.decode.writer import Writer
from genet5.genome.io.fasta import read_fasta
from genet5.model.network import GeneT5
from genet5.tokens.grammar import Grammar, GrammarOptions, prokaryote_options
from genet5.tokens.tokenizer_file import load_tokenizer
from stepping import write_by_steps

WINDOW_BP, STEP_BP, BATCH = 6144, 3072, 16
GENOMES = {
    "prokaryotes/Mycoplasmoides_genitalium_G37": (4, prokaryote_options(), 188),
    "unicellular/Schizosaccharomyces_pombe_ASM294v2": (1, GrammarOptions(), 32),
}
CLEAR = 1e-3
"""Choices whose log-probabilities are closer may fall either way by rounding."""


@pytest.mark.data
@pytest.mark.parametrize("name", GENOMES)
@torch.inference_mode()
def test_rows_of_a_genome_equal_those_written_by_steps(name, shared_data, root: Path) -> None:
    code, options, count = GENOMES[name]
    folder = root / "lib/genet5/models/nano"
    model, tokenizer = GeneT5.from_pretrained(folder).eval(), load_tokenizer(folder)
    bases = next(iter(read_fasta(shared_data / "raw" / name / "genome.fa.gz"))).bases
    windows = [bases[STEP_BP * i : STEP_BP * i + WINDOW_BP] for i in range(count)]
    passes: list[int] = []
    for first in range(0, count, BATCH):
        batch = [window for window in windows[first : first + BATCH] if len(window)]
        codes = [code] * len(batch)
        encoded = model.encode(make_inputs(batch, codes, tokenizer.sequence))
        grammars = [Grammar(batch, codes, options, tokenizer.structure) for _ in range(2)]
        signals, tracks = (
            grammars[0].signals,
            read_tracks(encoded.state_logits, encoded.boundary_logits),
        )
        logits = encoded.state_logits.numpy(), encoded.boundary_logits.numpy()
        paths = best_paths(signals, options, *logits) if options.introns else None
        drafter = make_drafter(signals, options, tokenizer.structure, tracks, paths)
        writer = Writer(model, encoded, grammars[0], drafter)
        found, expected = writer.run(), write_by_steps(model, encoded, grammars[1])
        passes += writer.passes.tolist()
        for row in np.flatnonzero((found.labels != expected.labels).any(axis=1)).tolist():
            at = int(np.flatnonzero(found.labels[row] != expected.labels[row])[0])
            assert abs(found.logp[row, at] - expected.logp[row, at]) < CLEAR
        same = (found.labels == expected.labels).all(axis=1)
        np.testing.assert_allclose(found.logp[same], expected.logp[same], atol=CLEAR)
    assert np.mean(passes) < 6
