"""`genet5 finet`: train a model on baked files, alone or under torchrun."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from genet5.cli.parse import run
from genet5.config.train import RARE_FIELDS, TrainConfig

if TYPE_CHECKING:
    from genet5.tokens.window import WindowGene

DESCRIPTION = (
    "Train the model BASE on TRAIN, validate it on VAL, and write the trained model to OUT. Ctrl-C "
    "finishes the current step, writes a checkpoint and stops; --resume continues. Under torchrun "
    "all processes train one model."
)


def main(argv: Sequence[str] | None = None) -> int:
    """Train; return 130 when a signal ended the run early."""
    how = {"name": "finet", "description": DESCRIPTION}
    code = run(_finet, TrainConfig, argv, **how, rare=RARE_FIELDS, has_file=True)
    if code and "torch" in sys.modules:  # wrong usage is told without it
        from genet5.train.distributed.processes import abandon

        abandon(code)
    return code


def _finet(config: TrainConfig) -> int:
    from genet5.train.distributed.processes import choose_device, distributed
    from genet5.train.mxfp8 import require_mxfp8
    from genet5.train.optim import adamw_8bit
    from genet5.train.run import describe, finetune

    if config.optim.optim_8bit:
        adamw_8bit()  # fails here rather than after the data are read
    if config.compute.mxfp8:
        require_mxfp8(choose_device(config.compute.device), config.compute.precision)
    if config.dry_run:
        sys.stdout.write(describe(config))
        return 0
    with distributed(config.compute.device) as ranks:
        judge = gene_judge(config) if config.validation.eval_windows and ranks.is_first else None
        outcome = finetune(config, ranks, judge)
        if ranks.is_first:
            _write_annotate_settings(config)
    return 130 if outcome.reason == "interrupted" else 0


def _write_annotate_settings(config: TrainConfig) -> None:
    """Give the result an annotate.json: that of BASE if its genes are of the training file's kind, or a new one."""
    from genet5.annotate.calling_config import (
        FILE_NAME,
        load_calling_config,
        save_calling_config,
    )
    from genet5.annotate.trained_config import trained_config
    from genet5.model.folders import CONFIG_FILE, load_config

    if (config.out / FILE_NAME).exists() or not (config.out / CONFIG_FILE).exists():
        return
    limit = load_config(config.out).max_window_bp
    calling = trained_config(config.train, limit)
    if (config.base / FILE_NAME).exists():
        base = load_calling_config(config.base, limit)
        kinds = [(c.grammar, c.genetic_code, c.clade) for c in (base, calling)]
        calling = base if kinds[0] == kinds[1] else calling
    save_calling_config(calling, config.out)


def gene_judge(config: TrainConfig) -> Callable[[Any], dict[str, float]]:
    """Return a function that decodes some validation windows with a model and compares their genes.

    The windows are spread evenly over the file. "gene_f1" counts genes that are right in every position, "stop_f1"
    those whose 3' end is.
    """
    from genet5.dataset.packed import PackedReader
    from genet5.decode.greedy import decode_windows
    from genet5.decode.packed_grammar import packed_grammar
    from genet5.tokens.structure import decode_window
    from genet5.tokens.tokenizer_file import load_tokenizer

    reader, tokenizer = PackedReader(config.val), load_tokenizer(config.base)
    rows = range(0, len(reader), max(1, len(reader) // config.validation.eval_windows))
    windows = [reader.row(row)[0] for row in rows][: config.validation.eval_windows]
    vocabulary = reader.header.vocabulary
    references = [decode_window(window.labels, vocabulary).genes for window in windows]
    codes = [window.genetic_code for window in windows]
    options = packed_grammar(reader.header)

    def judge(model: Any) -> dict[str, float]:
        decoded = decode_windows(model, tokenizer, [w.bases for w in windows], codes, options)
        predicted = [window.genes for window in decoded]
        return {
            "gene_f1": set_f1(predicted, references, lambda gene: gene),
            "stop_f1": set_f1(predicted, references, stop_of),
        }

    return judge


def stop_of(gene: WindowGene) -> Any:
    """Return what names a gene's 3' end in its window."""
    transcript = gene.transcripts[0]
    if not transcript.parts:
        return gene
    is_forward = gene.strand > 0
    last = transcript.parts[-1].last if is_forward else transcript.parts[0].first
    return gene.strand, last, transcript.cut_right if is_forward else transcript.cut_left


def set_f1(
    predicted: Sequence[Sequence[WindowGene]],
    references: Sequence[Sequence[WindowGene]],
    key: Callable[[WindowGene], Any],
) -> float:
    """Return the F1 of genes over all windows, where genes of one key are equal; 1 if there is none at all."""
    found = true = right = 0
    for ours, theirs in zip(predicted, references, strict=True):
        our_keys, their_keys = {key(gene) for gene in ours}, {key(gene) for gene in theirs}
        found, true = found + len(our_keys), true + len(their_keys)
        right += len(our_keys & their_keys)
    return 2 * right / (found + true) if found + true else 1.0
