#!/usr/bin/env python3
"""Time decoding, the inner loop of annotation.

With and without the grammar, without the cache, beside T5 and BART.

Windows of an artificial bacterium are encoded once; then all contenders write as many labels for
each of them, greedily, in fp32 as annotation does. Ours score tokens and bases at each step as
annotation does, and are then fed the window's true labels, so that every step asks for what real
genes ask for (about two bases in seven labels), whatever the weights.

- genet5 with grammar: each choice is masked by what is legal; its set-up per window is reported
  apart
- genet5: the same without masks
- genet5 in one pass: the labels are a draft, read at once with the grammar's masks for all of them,
  as annotation does
- genet5 without cache: all labels so far go through the decoder at every step
- t5, bart: `generate` of transformers with its cache, greedy, from sources of as many tokens; as
  many layers and weights

With nano, the shipped model also runs `decode_windows`, all that annotation does to a window:
windows per second, and how often the decoder reads a window's draft.

Example:
    python benchmarks/bench_decode.py --presets nano --batch_sizes 1 8
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import measure
import numpy as np
import torch
from gene_batches import CODE, gene_windows
from machine import ROOT, work_ms
from numpy.typing import NDArray
from peer_seq2seq import PeerName, make_peer, peer_shape
from torch import Tensor

from genet5.cli.parse import run
from genet5.config.json_files import save_json
from genet5.config.model import PresetName, preset
from genet5.dataset.collate import make_inputs
from genet5.dataset.windows import Window
from genet5.decode.greedy import decode_windows
from genet5.decode.pointer import BasePointer
from genet5.errors import ConfigError
from genet5.model.network import GeneT5, count_parameters
from genet5.model.results import Encoded
from genet5.tokens.grammar import Grammar, prokaryote_options
from genet5.tokens.look_ahead import look_ahead, padded_bases
from genet5.tokens.sequence import KmerTokenizer
from genet5.tokens.tokenizer_file import load_tokenizer
from genet5.tokens.vocabulary import StructureVocabulary

SHIPPED = ROOT / "lib" / "genet5" / "models" / "nano"
PEERS: tuple[PeerName, ...] = ("t5", "bart")


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchConfig(measure.RunConfig):
    """Models and sizes."""

    presets: tuple[PresetName, ...] | None = None
    """Models; None = nano and small on a CPU, base too on CUDA."""
    batch_sizes: tuple[int, ...] = (1, 8, 32)
    """Windows that are decoded together."""
    window_bp: int = 6144
    """Bases of a window; a source token has six."""
    labels: int = 32
    """Labels written for each window, which is about what four genes take."""
    uncached_windows: int = 8
    """Most windows that are decoded together without the cache; more take minutes on a CPU."""
    rounds: int = 3
    """Measured rounds."""
    peers: bool = True
    """Measure T5 and BART, too."""
    out: Path | None = None
    """JSON file; by default benchmarks/results/DATE_DEVICE_decode.json."""


def choose_windows(settings: BenchConfig) -> list[Window]:
    """Return windows with enough labels, as many as the largest batch holds."""
    wanted = max(settings.batch_sizes)
    found = [
        window
        for window in gene_windows(settings.window_bp, 3 * wanted + 5)
        if len(window.labels) >= settings.labels
    ]
    if len(found) < wanted:
        rule = f"must be smaller: {len(found)} of {3 * wanted + 5} windows have as many labels"
        raise ConfigError("labels", settings.labels, rule)
    return found[:wanted]


# ---- our decoder --------------------------------------------------------------------------------


class Writer:
    """Writes the labels of some windows.

    Args:
        model: In evaluation mode.
        windows: With at least `count` labels each.
        count: Labels to write.
    """

    def __init__(self, model: GeneT5, windows: Sequence[Window], count: int) -> None:
        self.model, self.count = model, count
        self.bases = [window.bases for window in windows]
        self.labels = np.stack([window.labels[:count] for window in windows]).astype(np.int64)
        self.device = next(model.parameters()).device
        self.inputs = make_inputs(self.bases, [CODE] * len(windows), KmerTokenizer(6)).to(
            self.device
        )
        self.on_device = torch.from_numpy(self.labels).to(self.device)
        self.places = torch.from_numpy(places_of(self.labels)).to(self.device)
        self.everything = np.ones((len(windows), self.inputs.bases.shape[1]), dtype=np.bool_)
        self.encoded = self.encode()
        self.pointer = BasePointer(model, self.encoded)

    def encode(self) -> Encoded:
        """Read the windows."""
        return self.model.encode(self.inputs)

    def grammar(self) -> Grammar:
        """Return the grammar at the windows' prompts."""
        options = prokaryote_options()
        return Grammar(self.bases, [CODE] * len(self.bases), options, StructureVocabulary())

    def cached(self, grammar: Grammar | None = None) -> list[Tensor]:
        """Write with the cache; return the states of all steps."""
        cache = self.model.start_decoding(self.encoded)
        states = []
        for step in range(self.count - 1):
            column = self.on_device[:, step : step + 1]
            states.append(self.model.extend(self.encoded, cache, column)[:, 0])
            self.choose(states[-1], cache.place(), step + 1, grammar)
        return states

    def at_once(self, grammar: Grammar) -> Tensor:
        """Read all labels in one pass, and choose at each; return the states."""
        states = self.model.extend(
            self.encoded, self.model.start_decoding(self.encoded), self.on_device[:, :-1]
        )
        begin = len(grammar.prompt[0])
        drafts = self.labels[:, begin:-1]
        ahead = look_ahead(grammar, drafts, np.full(len(drafts), drafts.shape[1]))
        rows, steps = ahead.walk.rows, begin - 1 + ahead.walk.steps
        at_token = rows[ahead.at_token], steps[ahead.at_token]
        logits = self.model.token_logits(states[at_token]).log_softmax(dim=-1)
        legal = torch.from_numpy(ahead.tokens).to(self.device)
        logits.masked_fill(~legal, float("-inf")).argmax(dim=1).cpu()
        at_base = rows[ahead.at_base], steps[ahead.at_base]
        bases = torch.from_numpy(ahead.bases).to(self.device)
        chosen = self.pointer.best(states[at_base], self.places[at_base], at_base[0], bases, 8)
        chosen[0].cpu()
        return states

    def uncached(self) -> list[Tensor]:
        """Write by putting all labels so far through the decoder at every step."""
        states = []
        for step in range(self.count - 1):
            labels, places = self.on_device[:, : step + 1], self.places[:, : step + 1]
            x = self.model._embed(self.encoded, labels)
            seen = self.encoded.latents, self.encoded.num_latents
            states.append(
                self.model.decoder(x, *seen, places, torch.ones_like(labels).bool())[0][:, -1]
            )
            self.choose(states[-1], places[:, -1], step + 1, None)
        return states

    def choose(self, states: Tensor, places: Tensor, step: int, grammar: Grammar | None) -> None:
        """Choose each row's label as annotation does, then advance the grammar by the true one."""
        true = self.labels[:, step]
        if grammar is not None and step < len(grammar.prompt[0]):
            return
        at_token, at_base = np.flatnonzero(true >= 0), np.flatnonzero(true < 0)
        if len(at_token):
            logits = self.model.token_logits(states).log_softmax(dim=-1).cpu().numpy()
            if grammar is not None:
                logits = np.where(grammar.legal_tokens(), logits, -np.inf)
            logits[at_token].argmax(axis=1)
        if len(at_base):
            masks = self.everything if grammar is None else grammar.legal_positions()
            bases = torch.from_numpy(padded_bases(masks[at_base])).to(self.device)
            self.pointer.best(states[at_base], places[at_base], at_base, bases, 8)
        if grammar is not None:
            grammar.advance(true)


def places_of(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the base that each label or one before it names last, 0 before the first.

    Example:
        >>> places_of(np.array([[5, -4, 7, -1, 2]])).tolist()
        [[0, 3, 3, 0, 0]]
    """
    index = np.where(labels < 0, np.arange(labels.shape[1]), -1)
    last = np.maximum.accumulate(index, axis=1)
    named = np.take_along_axis(-1 - labels, np.maximum(last, 0), axis=1)
    return np.where(last >= 0, named, 0)


def require_equal(writer: Writer) -> float:
    """Return the largest difference of cached and uncached states.

    They must be the same up to rounding.
    """
    pairs = zip(writer.cached(), writer.uncached(), strict=True)
    apart = max(float((one - other).abs().max()) for one, other in pairs)
    if apart > 0.05:
        raise ConfigError("cache", apart, "must give the states of the whole decoder")
    return apart


# ---- contenders ---------------------------------------------------------------------------------


def peer_contender(model: torch.nn.Module, writer: Writer) -> Callable[[], Any]:
    """Return greedy `generate` of a peer from encoded sources of the same length."""
    ids = writer.inputs.input_ids.clamp_min(2)
    source = model.get_encoder()(input_ids=ids)
    mask, count = torch.ones_like(ids), writer.count - 1

    def generate() -> Any:
        return model.generate(
            encoder_outputs=source,
            attention_mask=mask,
            max_new_tokens=count,
            min_new_tokens=count,
            do_sample=False,
            num_beams=1,
            use_cache=True,
        )

    return generate


def peer_encoding(model: torch.nn.Module, writer: Writer) -> Callable[[], Any]:
    """Return a peer's encoding of the source."""
    ids = writer.inputs.input_ids.clamp_min(2)
    return lambda: model.get_encoder()(input_ids=ids)


@torch.inference_mode()
def measure_batch(
    settings: BenchConfig,
    model: GeneT5,
    peers: dict[PeerName, torch.nn.Module],
    windows: Sequence[Window],
    device: torch.device,
) -> list[dict[str, Any]]:
    """Return a row for each contender at one batch size."""
    writer = Writer(model, windows, settings.labels)
    is_small = len(windows) <= settings.uncached_windows
    grammars, drafted = (
        iter([writer.grammar() for _ in range(settings.rounds + 1)]) for _ in range(2)
    )
    contenders: dict[str, Callable[[], Any]] = {
        "genet5": writer.cached,
        "genet5 with grammar": lambda: writer.cached(next(grammars)),
        "genet5 in one pass": lambda: writer.at_once(next(drafted)),
        **({"genet5 without cache": writer.uncached} if is_small else {}),
        "genet5 grammar's set-up": writer.grammar,
        "genet5 encoding": writer.encode,
    }
    for name, peer in peers.items():
        contenders[name] = peer_contender(peer, writer)
        contenders[f"{name} encoding"] = peer_encoding(peer, writer)
    times = measure.time_in_turn(contenders, device, rounds=settings.rounds, warmup=1)
    steps = settings.labels - 1
    rows: dict[str, dict[str, Any]] = {}
    for name, row in times.items():
        rows[name] = {"windows": len(windows), "contender": name, **row}
        rows[name]["ratio"] = round(work_ms(row) / work_ms(times["genet5"]), 3)
        if not name.endswith(("encoding", "set-up")):
            rows[name]["ms_a_step"] = round(work_ms(row) / steps, 3)
            rows[name]["labels_per_s"] = round(1000 * steps * len(windows) / work_ms(row), 1)
    if is_small:
        rows["genet5"]["largest_difference_without_cache"] = require_equal(writer)
    masks = work_ms(rows["genet5 with grammar"]) - work_ms(rows["genet5"])
    rows["genet5 with grammar"]["grammar_ms_a_step"] = round(masks / steps, 3)
    return list(rows.values())


def annotate_windows(
    settings: BenchConfig, windows: Sequence[Window], device: torch.device
) -> list[dict[str, Any]]:
    """Measure all that annotation does to windows, with the shipped model."""
    model = GeneT5.from_pretrained(SHIPPED, device=device).eval()
    tokenizer, options = load_tokenizer(SHIPPED), prokaryote_options()
    rows = []
    for size in settings.batch_sizes:
        bases = [window.bases for window in windows[:size]]
        codes = [CODE] * size

        def work() -> Any:
            return decode_windows(model, tokenizer, bases, codes, options, head_only=True)  # noqa: B023

        decoded = work()
        labels = sum(len(found.labels) for found in decoded)
        passes = float(np.mean([found.passes for found in decoded]))
        row = measure.time_in_turn({"": work}, device, rounds=settings.rounds, warmup=0)[""]
        rates = {
            "windows_per_s": 1000 * size / work_ms(row),
            "labels_per_s": 1000 * labels / work_ms(row),
        }
        rates["kbp_per_s"] = rates["windows_per_s"] * settings.window_bp / 1000
        rates["passes_a_window"] = passes
        rows.append({"windows": size, **row, **{k: round(v, 2) for k, v in rates.items()}})
    return rows


# ---- the whole ----------------------------------------------------------------------------------


def make_models(
    settings: BenchConfig, name: PresetName, device: torch.device
) -> tuple[GeneT5, dict[PeerName, torch.nn.Module]]:
    """Return a preset with random weights, and its peers."""
    tokenizer = KmerTokenizer(6)
    shape = replace(
        preset(name), sequence_vocab=tokenizer.vocab_size, bp_per_token=tokenizer.bp_per_token
    )
    with device:
        model = GeneT5(shape).eval()
    model.init_weights()
    peers: dict[PeerName, torch.nn.Module] = {}
    longest = max(settings.window_bp // 6 + 1, settings.labels) + 2
    for peer in PEERS if settings.peers else ():
        size = peer_shape(peer, shape, count_parameters(model)["total"], longest)
        with device:
            peers[peer] = make_peer(peer, size).eval()
    return model, peers


def bench(settings: BenchConfig) -> int:
    """Measure, print a table and write JSON."""
    device = measure.start(settings)
    torch.set_float32_matmul_precision("high")
    names = settings.presets or (
        ("nano", "small") if device.type == "cpu" else ("nano", "small", "base")
    )
    windows = choose_windows(settings)
    out = settings.out or measure.result_path(device, "decode")
    record: dict[str, Any] = {
        "what": "decoding, greedy, fp32",
        **measure.environment(device, "transformers"),
        "note": settings.note,
        "window_bp": settings.window_bp,
        "labels": settings.labels,
        "rounds": settings.rounds,
        "results": [],
    }
    print(
        "| model | windows | contender | ms a step | labels per s | time of genet5's "
        "|\n|---|---|---|---|---|---|"
    )
    for name in names:
        model, peers = make_models(settings, name, device)
        for size in settings.batch_sizes:
            for row in measure_batch(settings, model, peers, windows[:size], device):
                record["results"].append({"preset": name, **row})
                show(name, row)
            save_json(out, record)
        del model, peers
        gc.collect()
    if "nano" in names:
        record["annotation"] = annotate_windows(settings, windows, device)
        for row in record["annotation"]:
            print(
                f"shipped model, {row['windows']} windows together: {row['windows_per_s']} "
                f"windows/s, {row['kbp_per_s']} kbp/s"
            )
    save_json(out, record)
    print(f"\nwritten: {out}")
    return 0


def show(name: str, row: dict[str, Any]) -> None:
    """Print a line of the table."""
    step, rate = row.get("ms_a_step", ""), row.get("labels_per_s", "")
    print(
        f"| {name} | {row['windows']} | {row['contender']} | {step} | {rate} | "
        f"{row['ratio']:.2f} |",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(run(bench, BenchConfig, None, name="bench_decode", description=__doc__ or ""))
