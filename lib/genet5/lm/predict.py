"""Predictions of a fine-tuned model, streamed: some thousand sequences are held at a time."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genet5.config.json_files import save_json
from genet5.config.lm.compute import StrandName
from genet5.config.lm.finetune import LmPredictConfig
from genet5.errors import DataError
from genet5.genome.sequence import checked_bases, decode_bases
from genet5.lm.classifier import Classifier
from genet5.lm.encoders import batches, padded
from genet5.lm.examples import Example, read_examples
from genet5.lm.score import strands
from genet5.lm.tables import TableWriter
from genet5.lm.targets import LabelSpace, Target
from genet5.lm.task_metrics import Scores, confusion, probabilities, task_metrics
from genet5.lm.vocabulary import Ids

_SEQUENCES_AT_ONCE = 1024


def predict(classifier: Classifier, config: LmPredictConfig) -> tuple[int, dict[str, Any]]:
    """Write a row for each sequence; return their number, and metrics if they are wanted.

    Raises:
        DataError: A sequence cannot be read, or metrics are wanted without labels.
    """
    examples = read_examples(config.data, config.examples)
    how = config.compute.batch_tokens, config.strand
    with_metrics = config.metrics is not None
    return write_predictions(
        classifier, examples, config.output, *how, metrics=config.metrics if with_metrics else None
    )


def write_predictions(
    classifier: Classifier,
    examples: Iterable[Example],
    output: Path,
    batch_tokens: int,
    strand: StrandName = "forward",
    *,
    metrics: Path | None = None,
) -> tuple[int, dict[str, Any]]:
    """Write name, label and prediction of each example; return their number and the metrics.

    Args:
        classifier: The model.
        examples: The sequences.
        output: The table.
        batch_tokens: Tokens of a batch, padding included.
        strand: Which strands are read.
        metrics: A JSON file for the metrics; None = they are not computed.
    """
    space, count = classifier.space, 0
    rows: list[Scores] = []
    targets: list[Target] = []
    with TableWriter(output, _columns(space)) as table:
        for example, found in predictions(classifier, examples, batch_tokens, strand):
            count += 1
            label = {} if example.label is None else {"label": _text(example.label)}
            table.write({"name": example.name, **label, **_row(space, found)})
            if metrics is not None:
                if example.label is None:
                    raise DataError(f"{example.name}: no label", expected="one, for the metrics")
                rows.append(found)
                targets.append(space.target(example.label))
    if metrics is None or not count:
        return count, {}
    summary = summarise(space, np.array(rows), np.array(targets))
    save_json(metrics, summary)
    return count, summary


def predictions(
    classifier: Classifier,
    examples: Iterable[Example],
    batch_tokens: int,
    strand: StrandName = "forward",
) -> Iterator[tuple[Example, Scores]]:
    """Yield examples with their probabilities or values, (L,), in their order."""
    source = iter(examples)
    while chunk := list(itertools.islice(source, _SEQUENCES_AT_ONCE)):
        ids = [
            classifier.encoder.encode(each.name, text)[0]
            for each in chunk
            for text in _strands(each, strand)
        ]
        found = probabilities(classifier.space.problem_type, logits(classifier, ids, batch_tokens))
        means = found.reshape(len(chunk), -1, found.shape[-1]).mean(axis=1)
        yield from zip(chunk, means, strict=True)


@torch.no_grad()
def logits(classifier: Classifier, rows: Sequence[Ids], batch_tokens: int) -> Scores:
    """Return the logits of rows of ids, (N, L) fp32; rows of like length are batched."""
    found = np.zeros((len(rows), len(classifier.space.names)), dtype=np.float32)
    encoder = classifier.encoder
    for batch in batches([len(row) for row in rows], batch_tokens):
        side = encoder.task.padding_side
        ids, mask = padded([rows[index] for index in batch], encoder.pad_id, side)
        out = classifier.network(
            input_ids=ids.to(classifier.device), attention_mask=mask.to(classifier.device)
        )
        found[batch] = out.logits.float().cpu().numpy()
    return found


def summarise(space: LabelSpace, predicted: Scores, targets: Any) -> dict[str, Any]:
    """Return metrics, and for classes how often each was taken for which."""
    found: dict[str, Any] = {"sequences": len(targets)}
    found |= task_metrics(space.problem_type, predicted, targets)
    if space.problem_type == "single_label_classification":
        found["classes"] = list(space.names)
        found["confusion"] = confusion(predicted, targets).tolist()
    return found


def _strands(example: Example, strand: StrandName) -> list[str]:
    if strand == "forward":
        return [example.sequence]
    return [decode_bases(each) for each in strands(checked_bases(example.sequence), strand)]


def _columns(space: LabelSpace) -> dict[str, type]:
    columns: dict[str, type] = {"name": str, "label": str}
    if space.problem_type == "regression":
        return columns | dict.fromkeys(space.names, float)
    return columns | {"prediction": str} | {f"p_{name}": float for name in space.names}


def _row(space: LabelSpace, found: Scores) -> dict[str, Any]:
    if space.problem_type == "regression":
        return dict(zip(space.names, map(float, found), strict=True))
    if space.problem_type == "single_label_classification":
        chosen = space.names[int(found.argmax())]
    else:
        pairs = zip(space.names, found, strict=True)
        chosen = ";".join(name for name, value in pairs if value >= 0.5)
    values = {f"p_{name}": float(value) for name, value in zip(space.names, found, strict=True)}
    return {"prediction": chosen, **values}


def _text(label: Any) -> str:
    return ",".join(map(str, label)) if isinstance(label, (list, tuple)) else str(label)
