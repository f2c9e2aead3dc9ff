#!/usr/bin/env python3
"""Held-out bits per base and recovery of 30 bases, beside Markov chains fitted on the same file.

Windows are of test genomes whose species no model has seen. Bits per base are those of `lm score`:
all bases after a window's first one for the chains and the base-by-base model, all bases for models
with a token of the beginning. Recovery is greedy, after the window's first half.

Example:
    python benchmarks/lm/bench_likelihood.py WORK --windows 4        # a quick look
"""

from __future__ import annotations

import pathlib
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import numpy as np
from held_out import (
    TESTED,
    HeldOutConfig,
    fitted_peers,
    genome_file,
    interval,
    models_of,
    windows_of,
)
from machine import environment, result_path
from markov import BackOff

from genet5.cli.parse import run
from genet5.config.json_files import load_json, save_json
from genet5.config.lm.generate import SamplingConfig
from genet5.config.lm.score import LikelihoodConfig
from genet5.genome.sequence import Bases, decode_bases
from genet5.lm.folders import LanguageModel
from genet5.lm.generation import continue_tokens
from genet5.lm.likelihood import likelihood_rows
from genet5.lm.recover import accuracy
from genet5.lm.score import sequence_likelihoods
from genet5.lm.text import encode_bases, with_ends

LENGTH_BP = 30
Bits = Callable[[Sequence[Bases]], list[float]]
Recovery = Callable[[Sequence[Bases]], list[float]]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print a table, and write benchmarks/results/DATE_cpu_lm_likelihood.json."""
    return run(_bench, HeldOutConfig, argv, name="bench_likelihood", description=__doc__ or "")


def _bench(config: HeldOutConfig) -> int:
    windows = {
        name: windows_of(genome_file(config.data, name), config.windows, config.window_bp, seed=1)
        for name in TESTED
    }
    rows = {}
    for name, lm in models_of(config).items():
        rows[name] = _measured(windows, partial(lm_bits, lm), partial(_lm_recovery, lm))
        rows[name] |= {"trained": load_json(config.work / name / "done.json")}
    for name, peer in fitted_peers(config).items():
        rows[name] = _measured(windows, partial(peer_bits, peer), partial(_peer_recovery, peer))
    for name, row in rows.items():
        sys.stdout.write(f"{name:<20} {row['bits_per_base']:.4f} {row['recovery']:.4f}\n")
    about = {"note": config.note, "windows_per_genome": config.windows, "bp": config.window_bp}
    result = environment("torch", "transformers") | about | {"models": rows}
    save_json(result_path("lm_likelihood"), result)
    return 0


def _measured(windows: dict[str, list[Bases]], bits: Bits, recovery: Recovery) -> dict[str, Any]:
    begin, by_genome, every, recovered = time.process_time(), {}, [], []
    for name, each in windows.items():
        found = bits(each)
        by_genome[name] = round(float(np.mean(found)), 4)
        every += found
        recovered += recovery(each)
    return {
        "bits_per_base": round(float(np.mean(every)), 4),
        "bits_interval": interval(every),
        "recovery": round(float(np.mean(recovered)), 4),
        "recovery_interval": interval(recovered),
        "bits_by_genome": by_genome,
        "bits_by_window": [round(value, 4) for value in every],
        "cpu_s": round(time.process_time() - begin, 1),
    }


def lm_bits(lm: LanguageModel, windows: Sequence[Bases]) -> list[float]:
    """Return bits per base of windows under a model."""
    rows = [
        [likelihood_rows(lm.vocabulary, bases, "oov", LikelihoodConfig(), lm.max_tokens)]
        for bases in windows
    ]
    found = sequence_likelihoods(lm, rows, 8192)
    return [-nats / np.log(2) / bases for nats, bases in found]


def _lm_recovery(lm: LanguageModel, windows: Sequence[Bases]) -> list[float]:
    half = len(windows[0]) // 2
    prompts = [
        with_ends(
            lm.vocabulary,
            encode_bases(lm.vocabulary, bases[:half], length="trim_left"),
            bos=lm.vocabulary.bos_id is not None,
        )
        for bases in windows
    ]
    step = max(1, int(lm.vocabulary.bp_per_token))
    tokens = continue_tokens(
        lm, prompts, -(-LENGTH_BP // step), SamplingConfig(temperature=0.0), batch_tokens=8192
    )
    return [
        accuracy(lm.vocabulary.decode(ids.tolist()), _truth(bases), LENGTH_BP)
        for ids, bases in zip(tokens, windows, strict=True)
    ]


def peer_bits(peer: BackOff, windows: Sequence[Bases]) -> list[float]:
    """Return bits per base of windows under a chain."""
    found = [peer.log2_likelihood(bases) for bases in windows]
    return [-total / number for total, number in found]


def _peer_recovery(peer: BackOff, windows: Sequence[Bases]) -> list[float]:
    half = len(windows[0]) // 2
    return [
        accuracy(peer.continue_greedily(bases[:half], LENGTH_BP), _truth(bases), LENGTH_BP)
        for bases in windows
    ]


def _truth(bases: Bases) -> str:
    half = len(bases) // 2
    return decode_bases(bases[half : half + LENGTH_BP]).upper()


if __name__ == "__main__":
    sys.exit(main())
