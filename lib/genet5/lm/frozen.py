"""The frozen protocol: mean-pooled states of a model that is not trained, and logistic regression.

That of GENEB: states of the last layer, the mean over all tokens but padding, scikit-learn's
logistic regression with at most 1000 iterations, five seeds, all training sequences or some of each
class. Counts of k-mers are features of the same kind, as a baseline.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from genet5.config.lm.compute import LmComputeConfig
from genet5.config.lm.finetune import TaskConfig
from genet5.errors import ConfigError
from genet5.genome.sequence import checked_bases
from genet5.lm.classifier import Classifier, new_classifier
from genet5.lm.devices import placed
from genet5.lm.embed import pooled
from genet5.lm.encoders import batches, padded
from genet5.lm.examples import Example
from genet5.lm.targets import LabelSpace
from genet5.lm.task_metrics import Scores
from genet5.lm.vocabulary import KmerVocabulary, SpecialTokens

log = logging.getLogger(__name__)

Features = NDArray[np.float32]
Embedder = Callable[[Sequence[Example]], Features]
"""Gives a row for each sequence."""


def embedder(
    name: str, space: LabelSpace, task: TaskConfig, compute: LmComputeConfig, *, seed: int
) -> Embedder:
    """Return what turns sequences into features.

    Args:
        name: A model, or `kmers:K`.
        space: The task's classes; the head that they get is not used.
        task: How sequences are read.
        compute: Where the model runs, and its batches.
        seed: Of the head.

    Raises:
        CheckpointError: There is no such model, or it needs code of its own.
        ConfigError: K is none of 1 to 8.
    """
    if found := re.fullmatch(r"kmers:(\d+)", name):
        return partial(kmer_shares, int(found[1]))
    classifier = new_classifier(name, space, task, seed=seed)
    device, dtype = placed(compute)
    classifier.network.to(device=device, dtype=dtype).eval()
    return partial(mean_states, classifier, batch_tokens=compute.batch_tokens)


@torch.no_grad()
def mean_states(
    classifier: Classifier, examples: Sequence[Example], *, batch_tokens: int
) -> Features:
    """Return the mean of each sequence's last states, (N, D) fp32."""
    encoder = classifier.encoder
    encoded = [encoder.encode(each.name, each.sequence) for each in examples]
    rows = [ids for ids, _ in encoded]
    if cut := sum(is_cut for _, is_cut in encoded):
        log.warning("%d of %d sequences are cut to %d tokens", cut, len(rows), encoder.max_tokens)
    found: list[Features] = [np.zeros(0, dtype=np.float32)] * len(rows)
    for batch in batches([len(row) for row in rows], batch_tokens):
        ids, mask = padded([rows[index] for index in batch], encoder.pad_id, "right")
        trunk = classifier.network.base_model
        out = trunk(input_ids=ids.to(classifier.device), attention_mask=mask.to(classifier.device))
        lengths = mask.sum(1).to(classifier.device)
        for index, vector in zip(batch, pooled(out[0], lengths, "mean").cpu().numpy(), strict=True):
            found[index] = vector
    return np.stack(found)


def kmer_shares(k: int, examples: Sequence[Example]) -> Features:
    """Return the share of each k-mer among a sequence's, (N, 4^k).

    Raises:
        ConfigError: k is none of 1 to 8.

    Example:
        >>> kmer_shares(1, [Example("x", "AACN")]).tolist()
        [[0.6666666865348816, 0.3333333432674408, 0.0, 0.0]]
    """
    try:
        specials = SpecialTokens(ids={"<unk>": 4**k, "<pad>": 4**k + 1}, unk="<unk>", pad="<pad>")
        words = KmerVocabulary(k=k, letters="ACGT", first_id=0, specials=specials, stride=1)
    except ConfigError as error:
        raise ConfigError("models", f"kmers:{k}", error.rule) from error
    rows = np.zeros((len(examples), 4**k), dtype=np.float32)
    for index, example in enumerate(examples):
        ids = words.encode(checked_bases(example.sequence))
        counts = np.bincount(ids[ids < 4**k], minlength=4**k)
        rows[index] = counts / max(1, counts.sum())
    return rows


def regression(
    train: Features, classes: NDArray[Any], test: Features, number: int, *, max_iter: int, seed: int
) -> Scores:
    """Fit a logistic regression; return the probabilities of the test rows, (N, `number`).

    Args:
        train: Features of training rows.
        classes: Their classes.
        test: Features of test rows.
        number: Classes of the task; those without training rows get 0.
        max_iter: Most iterations.
        seed: Of the solver.
    """
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(max_iter=max_iter, random_state=seed).fit(train, classes)
    found = np.zeros((len(test), number))
    found[:, fitted.classes_] = fitted.predict_proba(test)
    return found


def drawn(classes: NDArray[Any], shots: int, seed: int) -> NDArray[np.int64]:
    """Return rows of training data: all, or at most so many of each class, at random.

    Example:
        >>> drawn(np.array([0, 0, 1, 1, 1]), 1, 13).shape
        (2,)
    """
    if not shots:
        return np.arange(len(classes))
    rng = np.random.default_rng(seed)
    chosen = [
        rng.permutation(np.flatnonzero(classes == each))[:shots] for each in np.unique(classes)
    ]
    return np.sort(np.concatenate(chosen))
