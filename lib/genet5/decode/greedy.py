"""Decode a batch of windows under the grammar, greedily, with a KV cache.

All windows of the batch take a step together: rows that want a token choose the best legal one,
rows that want a base the best legal base; rows that are finished leave the batch when enough of
them have. What is chosen is legal; what is kept as evidence is the probability *without* the
grammar's mask, since a forced choice would always look certain. The encoder runs in bf16, the small
products of the steps in fp32 (casting weights at every step costs more than it saves). On CPU only
the rows that want a base are scored against their bases.

Example:
    decoded = decode_windows(model, tokenizer, windows, [11] * len(windows), prokaryote_options())
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genet5.dataset.batch import Inputs
from genet5.dataset.collate import make_inputs
from genet5.decode.best_path import best_paths
from genet5.decode.fragment import GeneFragment
from genet5.decode.head_only import find_head_only
from genet5.decode.trace import Trace, TraceReader, Tracks, read_tracks, tracks_evidence
from genet5.genome.sequence import Bases
from genet5.model.network import Encoded, GeneT5
from genet5.model.precision import has_fast_bf16
from genet5.tokens.grammar import Grammar, GrammarOptions
from genet5.tokens.signals import Signals
from genet5.tokens.structure import decode_window
from genet5.tokens.tokenizer_file import Tokenizer
from genet5.tokens.window import WindowGene

ALTERNATIVES = 8
"""Bases remembered for each position, best first."""
_COMPACT_SHARE = 0.75
"""The batch shrinks when no more than this share of its rows is still at work."""


@dataclass(frozen=True, slots=True)
class DecodedWindow:
    """What was found in one window."""

    labels: tuple[int, ...]
    """The row of labels, <bos> to <eos>."""
    fragments: tuple[GeneFragment, ...]
    """The genes that the labels stand for, in their order; then, if asked for, head-only ones:
    without introns those that the decoder left out, with introns all that lie on the best path."""


@torch.inference_mode()
def decode_windows(
    model: GeneT5,
    tokenizer: Tokenizer,
    windows: Sequence[Bases],
    genetic_codes: Sequence[int],
    options: GrammarOptions,
    *,
    clade: str | None = None,
    cores: Sequence[tuple[int, int]] | None = None,
    head_only: bool = False,
    use_bf16: bool | None = None,
) -> list[DecodedWindow]:
    """Find the genes of windows.

    Args:
        model: The network, on its device, in evaluation mode.
        tokenizer: The model's.
        windows: Bases of each, at least one base, at most `model.config.max_window_bp`.
        genetic_codes: NCBI number for each window.
        options: The grammar's.
        clade: Named in every prompt, if the model was trained so.
        cores: Part of each window that evidence for cut genes is summed over; by default all of it.
        head_only: Look for genes that only the per-base heads support, too.
        use_bf16: Encode in bfloat16; None = where the device multiplies it fast.
    """
    encoded = _encode(model, make_inputs(windows, genetic_codes, tokenizer.sequence), use_bf16)
    clades = [clade] * len(windows)
    grammar = Grammar(windows, genetic_codes, options, tokenizer.structure, clades=clades)
    tracks = read_tracks(encoded.state_logits, encoded.boundary_logits)
    signals, trace = grammar.signals, _write(model, encoded, grammar)
    cores = [(0, len(bases)) for bases in windows] if cores is None else cores
    genes, fragments = [], []
    for row, core in enumerate(cores):
        reader = TraceReader(trace, tracks, signals, row, core, tokenizer.structure)
        genes.append(decode_window(trace.row(row), tokenizer.structure).genes)
        fragments.append(reader.fragments(genes[row]))
    if head_only and options.introns:
        more = _on_paths(signals, options, encoded, tracks, cores)
    elif head_only:
        more = _in_open_frames(signals, options, tracks, genes)
    else:
        more = iter([()] * len(windows))
    return [
        DecodedWindow(tuple(trace.row(row).tolist()), (*fragments[row], *others))
        for row, others in enumerate(more)
    ]


def _encode(model: GeneT5, inputs: Inputs, use_bf16: bool | None) -> Encoded:
    """Run the encoder; what it returns is in fp32."""
    device = next(model.parameters()).device
    if use_bf16 is None:
        use_bf16 = has_fast_bf16(device)
    with torch.autocast(device.type, torch.bfloat16, enabled=use_bf16):
        return _in_fp32(model.encode(inputs.to(device)))


def _in_open_frames(
    signals: Signals,
    options: GrammarOptions,
    tracks: Tracks,
    written: Sequence[tuple[WindowGene, ...]],
) -> Iterator[tuple[GeneFragment, ...]]:
    """Open reading frames that look coding where the decoder wrote nothing."""
    for row, length in enumerate(signals.lengths.tolist()):
        codons, edges = tracks.codons[row][..., :length], tracks.boundaries[row][..., :length]
        found = find_head_only(signals, row, options, codons, edges, written[row])
        yield tuple(GeneFragment.of(gene, evidence, head_only=True) for gene, evidence in found)


def _on_paths(
    signals: Signals,
    options: GrammarOptions,
    encoded: Encoded,
    tracks: Tracks,
    cores: Sequence[tuple[int, int]],
) -> Iterator[tuple[GeneFragment, ...]]:
    """Spliced genes on the best path of the per-base heads, whether or not they were written."""
    states, edges = encoded.state_logits.cpu().numpy(), encoded.boundary_logits.cpu().numpy()
    for row, genes in enumerate(best_paths(signals, options, states, edges)):
        size, core = int(signals.lengths[row]), cores[row]
        yield tuple(
            GeneFragment.of(gene, tracks_evidence(gene, tracks, row, size, core), head_only=True)
            for gene in genes
        )


def _write(model: GeneT5, encoded: Encoded, grammar: Grammar) -> Trace:
    """Let the model write all rows to their <eos>."""
    most = grammar.options.max_labels
    trace = Trace.begin(grammar.prompt, most, ALTERNATIVES, grammar.vocabulary.pad)
    cache = model.start_decoding(encoded, most)
    pointer = BasePointer(model, encoded)
    device = encoded.latents.device
    alive = np.arange(len(grammar.prompt))
    prompt = np.array(grammar.prompt, dtype=np.int64)
    for column in prompt.T:
        states = model.decode_step(encoded, cache, torch.from_numpy(column.copy()).to(device))
    step = prompt.shape[1]
    while True:
        labels = _choose(model, pointer, grammar, states, cache.place, trace, alive, step)
        grammar.advance(labels)
        step += 1
        working = np.flatnonzero(~grammar.finished)
        trace.lengths[alive[grammar.finished & (trace.lengths[alive] == 0)]] = step
        if not len(working):
            return trace
        if len(working) <= _COMPACT_SHARE * len(alive):
            rows = torch.from_numpy(working).to(device)
            encoded, pointer = encoded.keep(rows), pointer.keep(rows)
            cache.keep(rows)
            grammar.keep(working)
            alive, labels = alive[working], labels[working]
        states = model.decode_step(encoded, cache, torch.from_numpy(labels).to(device))


def _choose(
    model: GeneT5,
    pointer: BasePointer,
    grammar: Grammar,
    states: Tensor,
    places: Tensor,
    trace: Trace,
    alive: NDArray[np.int64],
    step: int,
) -> NDArray[np.int64]:
    """Choose the next label of each row, and note it with its log-probability."""
    labels = np.full(len(alive), grammar.vocabulary.pad, dtype=np.int64)
    wants = grammar.wants_position
    at_token = np.flatnonzero(~wants & ~grammar.finished)
    if len(at_token):
        logits = model.token_logits(states).log_softmax(dim=-1).cpu().numpy()
        masked = np.where(grammar.legal_tokens(), logits, -np.inf)[at_token]
        labels[at_token] = masked.argmax(axis=1)
        trace.logp[alive[at_token], step] = logits[at_token, labels[at_token]]
    at_base = np.flatnonzero(wants)
    if len(at_base):
        legal = grammar.legal_positions()[at_base]
        bases, logp = pointer.best(states, places, at_base, legal)
        labels[at_base] = -1 - bases[:, 0]
        trace.logp[alive[at_base], step] = logp[:, 0]
        count = bases.shape[1]
        trace.other_bases[alive[at_base], step, :count] = bases
        trace.other_logp[alive[at_base], step, :count] = logp
    trace.labels[alive, step] = labels
    return labels


class BasePointer:
    """Scores bases for some rows of a batch.

    `GeneT5.position_logits`, with all that does not depend on the step done once.
    """

    def __init__(self, model: GeneT5, encoded: Encoded) -> None:
        self._head = model.pointer
        where, which = encoded.keys
        self._where = where
        self._which = torch.cat((which, encoded.boundary_logits.to(which.dtype)), dim=-1)
        self._num_bases = encoded.num_bases

    def keep(self, rows: Tensor) -> BasePointer:
        """Return the pointer of the windows `rows`."""
        kept = object.__new__(BasePointer)
        kept._head = self._head
        kept._where, kept._which = self._where[rows], self._which[rows]
        kept._num_bases = self._num_bases[rows]
        return kept

    def logits(self, states: Tensor, places: Tensor, rows: NDArray[np.int64]) -> Tensor:
        """Score all bases for the states of some rows, (n, L) fp32; -inf after a window's end.

        Args:
            states: (N, D) states of all rows.
            places: (N,) base that each row named last.
            rows: (n,) rows to score.
        """
        index = torch.from_numpy(rows).to(states.device)
        queries = self._head.queries(states[index][:, None], places[index][:, None])
        coarse, fine = (query[:, 0] for query in queries)
        if states.device.type == "cpu":  # no copy of the rows' keys
            where = torch.stack([self._where[r] @ q for r, q in zip(rows, coarse, strict=True)])
            which = torch.stack([self._which[r] @ q for r, q in zip(rows, fine, strict=True)])
        else:
            where = (self._where[index] @ coarse[:, :, None])[:, :, 0]
            which = (self._which[index] @ fine[:, :, None])[:, :, 0]
        length = which.shape[1]
        spread = where.repeat_interleave(self._head.bin_bp, dim=-1)[:, :length]
        beyond = torch.arange(length, device=states.device) >= self._num_bases[index][:, None]
        return (spread + which).masked_fill_(beyond, float("-inf"))

    def best(
        self,
        states: Tensor,
        places: Tensor,
        rows: NDArray[np.int64],
        legal: NDArray[np.bool_],
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the best legal bases of some rows, best first.

        Args:
            states: (N, D) states of all rows.
            places: (N,) base that each row named last.
            rows: (n,) rows to score.
            legal: (n, L) True = may be chosen; L may be smaller than the padded length.

        Returns:
            (n, k) bases and (n, k) their log-probabilities among all bases; -inf where there are
                fewer legal ones.
        """
        scores = self.logits(states, places, rows)
        total = scores.logsumexp(dim=-1, keepdim=True)
        mask = torch.from_numpy(legal).to(scores.device)
        scores = scores[:, : legal.shape[1]].masked_fill(~mask, float("-inf"))
        top = scores.topk(min(ALTERNATIVES, scores.shape[1]), dim=-1)
        return top.indices.cpu().numpy(), (top.values - total).cpu().numpy()


def _in_fp32(encoded: Encoded) -> Encoded:
    """The same with all float tensors in fp32."""
    changed: dict[str, Any] = {}
    for field in fields(encoded):
        value = getattr(encoded, field.name)
        if isinstance(value, tuple):
            changed[field.name] = tuple(part.float() for part in value)
        elif value.is_floating_point():
            changed[field.name] = value.float()
    return replace(encoded, **changed)
