"""Sequence recovery: how many bases of a true continuation a model predicts, greedily.

The accuracy of a row is the number of equal bases at equal places of the first `length_bp` over
`length_bp`: a short prediction counts as wrong where it is missing. Contexts are the rightmost
bases, rounded down to whole tokens; special tokens are never predicted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from genet5.config.json_files import save_json
from genet5.config.lm.generate import LmRecoverConfig, SamplingConfig
from genet5.errors import DataError
from genet5.genome.io.fasta import read_fasta
from genet5.genome.sequence import Bases, checked_bases, decode_bases
from genet5.lm.folders import LanguageModel
from genet5.lm.generation import continue_tokens
from genet5.lm.tables import TableWriter, is_table, read_rows
from genet5.lm.text import count_ambiguous, encode_bases, with_ends
from genet5.lm.vocabulary import Ids

COLUMNS = {
    "context_bp": int,
    "type": str,
    "pred": str,
    "label": str,
    "accuracy": float,
}
_ROWS_AT_ONCE = 512


@dataclass(frozen=True, slots=True)
class Task:
    """A continuation to recover."""

    before: Bases
    label: str
    type: str


def recover(lm: LanguageModel, config: LmRecoverConfig) -> dict[str, Any]:
    """Write predictions; return mean accuracies by context length, overall and by type.

    Raises:
        DataError: The table lacks a column, or the genome is too short.
    """
    longest = max(config.context_bp)
    tasks = _from_table(config.data) if is_table(config.data) else _drawn(config, longest)
    sums: dict[int, dict[str, list[float]]] = {bp: defaultdict(list) for bp in config.context_bp}
    with TableWriter(config.output, COLUMNS) as table:
        for chunk in _chunks(tasks):
            for context_bp in config.context_bp:
                for task, pred in zip(chunk, _predict(lm, chunk, context_bp, config), strict=True):
                    found = accuracy(pred, task.label, config.length_bp)
                    sums[context_bp][task.type].append(found)
                    row = {"type": task.type, "pred": pred, "label": task.label}
                    table.write({"context_bp": context_bp, "accuracy": found, **row})
    summary = {str(bp): _means(by_type) for bp, by_type in sums.items()}
    if config.summary is not None:
        save_json(config.summary, summary)
    if config.plot is not None:
        draw(summary, config.plot)
    return summary


def accuracy(predicted: str, label: str, length: int) -> float:
    """Return the share of the first `length` bases that are right.

    Example:
        >>> accuracy("ACGTAC", "ACGA", 4), accuracy("AC", "ACGA", 4)
        (0.75, 0.5)
    """
    pairs = zip(predicted[:length].upper(), label[:length].upper(), strict=False)
    return sum(one == other for one, other in pairs) / length


def _predict(
    lm: LanguageModel, tasks: Sequence[Task], context_bp: int, config: LmRecoverConfig
) -> list[str]:
    prompts = [_prompt(lm, task.before, context_bp) for task in tasks]
    num_tokens = -(-config.length_bp // int(max(1, lm.vocabulary.bp_per_token)))
    tokens = continue_tokens(
        lm, prompts, num_tokens, SamplingConfig(temperature=0.0, decode=config.decode),
        batch_tokens=config.compute.batch_tokens,
    )  # fmt: skip
    return [lm.vocabulary.decode(each.tolist())[: config.length_bp] for each in tokens]


def _prompt(lm: LanguageModel, before: Bases, context_bp: int) -> Ids:
    k = getattr(lm.vocabulary, "k", 1)
    whole = before[-(min(len(before), context_bp) // k * k) or len(before) :]
    ids = encode_bases(lm.vocabulary, whole, length="trim_left", ambiguous="unknown")
    return with_ends(lm.vocabulary, ids, bos=lm.vocabulary.bos_id is not None)


def _from_table(path: Path) -> Iterator[Task]:
    for line, row in read_rows(path):
        if not {"sequence", "label"} <= set(row):
            raise DataError(
                f"columns {', '.join(row)}", expected="the columns sequence and label", path=path,
                line=line,
            )  # fmt: skip
        yield Task(checked_bases(row["sequence"]), row["label"], str(row.get("type") or "all"))


def _drawn(config: LmRecoverConfig, longest: int) -> Iterator[Task]:
    """Yield places of a genome at random: contigs by length, without ambiguous letters."""
    contigs = {contig.name: contig.bases for contig in read_fasta(config.data)}
    span = longest + config.length_bp
    rooms = {name: len(bases) - span + 1 for name, bases in contigs.items() if len(bases) >= span}
    if not rooms:
        raise DataError(
            f"no contig of {span} bases", expected="one for context and continuation",
            path=config.data, remedy="Lower --context_bp",
        )  # fmt: skip
    names, weights = list(rooms), np.array(list(rooms.values()), dtype=float)
    rng, given, tried = np.random.default_rng(config.seed), 0, 0
    while given < config.number and tried < 20 * config.number:
        tried += 1
        name = names[int(rng.choice(len(names), p=weights / weights.sum()))]
        begin = int(rng.integers(rooms[name]))
        bases = contigs[name][begin : begin + span]
        if not count_ambiguous(bases):
            given += 1
            yield Task(bases[:longest], decode_bases(bases[longest:]).upper(), name)


def _chunks(tasks: Iterator[Task]) -> Iterator[list[Task]]:
    chunk: list[Task] = []
    for task in tasks:
        chunk.append(task)
        if len(chunk) == _ROWS_AT_ONCE:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _means(by_type: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    every = [value for values in by_type.values() for value in values]
    return {
        "rows": len(every),
        "accuracy": float(np.mean(every)) if every else None,
        "by_type": {name: float(np.mean(values)) for name, values in sorted(by_type.items())},
    }


def draw(summary: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Draw accuracy against context length, a line for each type."""
    from matplotlib.figure import Figure

    lengths = sorted(summary, key=int)
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    types = sorted({name for each in summary.values() for name in each["by_type"]})
    for name in types[:20]:
        values = [summary[bp]["by_type"].get(name) for bp in lengths]
        axes.plot([int(bp) for bp in lengths], values, marker="o", linewidth=1, label=name)
    values = [summary[bp]["accuracy"] for bp in lengths]
    axes.plot([int(bp) for bp in lengths], values, marker="s", color="black", label="all")
    axes.axhline(0.25, color="grey", linestyle=":", label="by chance")
    axes.set(xlabel="context (bp)", ylabel="bases recovered", ylim=(0, 1))
    axes.legend(fontsize="small")
    figure.savefig(path)
