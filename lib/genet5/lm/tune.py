"""Causal fine-tuning on families of sequences, with prompt tokens, on the loop of `pretrain`.

A row is the token of the beginning, a prompt token if the sequence has one, the whole sequence and
the token of the end. Prompts are conditions and no targets; the end is one, so that a model learns
how long a family's members are. OUT/prepared holds the model with its new tokens and the packed
sequences; everything else is a run of `lm.pretrain`.

Example:
    tune(LmTuneConfig(model="model/lm", data="histones.fa", out=Path("model/histones")))
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from transformers import set_seed

from genet5.config.json_files import config_to_dict, load_json, save_json
from genet5.config.lm.pretrain import LmPretrainConfig
from genet5.config.lm.tune import PREPARED, LmTuneConfig
from genet5.dataset.header import Header
from genet5.dataset.windows import Window
from genet5.errors import ConfigError, DataError, GeneT5Error
from genet5.genome.sequence import checked_bases
from genet5.lm.bpe import BpeVocabulary
from genet5.lm.examples import Example, Splits, read_splits
from genet5.lm.folders import LanguageModel, load_model
from genet5.lm.packed_windows import token_window, write_windows
from genet5.lm.pretrain import causal_parts
from genet5.lm.prompts import prompt_name, with_prompt_tokens
from genet5.lm.text import fit_length
from genet5.train.distributed.processes import Ranks
from genet5.train.run import Parts, TrainResult, run_family
from genet5.train.state.random_state import derive_seed

log = logging.getLogger(__name__)

LOW, HIGH = "<low>", "<high>"
RECORD = "prepared.json"
Prompting = Callable[[Example], str]
"""Gives the prompt token of a sequence; empty = none."""


def tune(config: LmTuneConfig) -> TrainResult:
    """Train on whole sequences; errors are those of `train.run.run_training`."""
    return run_family(config.pretraining(), partial(_parts, config))


def _parts(config: LmTuneConfig, run: LmPretrainConfig, ranks: Ranks) -> Parts:
    """Prepare model and data, on the first rank alone, and open them as `pretrain` does."""
    error = None
    if ranks.is_first:
        try:
            prepare(config)
        except (GeneT5Error, OSError) as caught:
            error = caught
    for failed in ranks.gather(error):
        if failed is not None:
            raise failed
    return causal_parts(run, ranks, whole_sequences=True)


def prepare(config: LmTuneConfig) -> None:
    """Write OUT/prepared, unless it is there already.

    Raises:
        ConfigError: It is there for a run with other data.
        DataError: A sequence cannot be read, or there are too few.
        CheckpointError: There is no such model.
    """
    folder, record = config.out / PREPARED, config.out / RECORD
    wanted = _record(config)
    if record.is_file() and load_json(record) == wanted:
        return
    if (config.out / "checkpoints").exists() and not config.checkpoints.overwrite:
        rule = "holds an earlier run on other data; --overwrite deletes it"
        raise ConfigError("OUT", str(config.out), rule)
    splits = _divided(config, read_splits(config.data, config.examples, valid=config.valid))
    prompting, names = _prompting(config, splits)
    lm = load_model(config.model)
    set_seed(derive_seed(config.seed, "prompt tokens") % 2**32)
    lm = with_prompt_tokens(lm, names)
    lm.save(folder)
    parts = {"training": splits.train, "validation": splits.valid}
    for split, examples in parts.items():
        header = Header(split=split, tokenizer=lm.vocabulary.to_dict(), settings=wanted)
        source = _Source(lm, config, prompting)
        counts = write_windows(
            folder / f"{split}.packed", header, partial(source.windows, examples)
        )
        log.info("%s: %d sequences, %d tokens", split, counts["windows"], counts["tokens"])
    save_json(record, wanted)


@dataclass(frozen=True, slots=True)
class _Source:
    """Makes windows of sequences."""

    lm: LanguageModel
    config: LmTuneConfig
    prompting: Prompting

    def windows(self, examples: Sequence[Example]) -> Iterator[Window]:
        """Yield a window for each sequence.

        Raises:
            DataError: A sequence is too long, has a wrong letter or length; it is named.
        """
        for index in range(len(examples)):
            example = examples[index]
            try:
                yield self._window(example)
            except DataError as error:
                raise DataError(
                    f"{example.name}: {error.found}", expected=error.expected, remedy=error.remedy
                ) from error

    def _window(self, example: Example) -> Window:
        vocabulary, family = self.lm.vocabulary, self.config.family
        bases = checked_bases(example.sequence.strip())
        prompt = self.prompting(example)
        around = (vocabulary.bos_id, prompt or None, vocabulary.eos_id)
        room = self.lm.max_tokens - sum(each is not None for each in around)
        if not isinstance(vocabulary, BpeVocabulary) and not vocabulary.is_overlapping:
            bases = fit_length(bases, vocabulary.k, family.length)
            if family.truncate:
                bases = bases[: room * vocabulary.k]
        window = token_window(
            bases, vocabulary, clade=prompt, genome=Path(self.config.data).name,
            contig=example.name,
        )  # fmt: skip
        if not 0 < len(window.input_ids) <= room:
            raise DataError(
                f"{len(window.input_ids)} tokens", expected=f"1 to {room}, which the model takes",
                remedy="" if family.truncate else "--truncate cuts longer ones",
            )  # fmt: skip
        return window


def _record(config: LmTuneConfig) -> dict[str, object]:
    values = config_to_dict(config)
    names = ("model", "data", "valid", "seed", "examples", "family")
    return {name: values[name] for name in names}


def _divided(config: LmTuneConfig, splits: Splits) -> Splits:
    """Hold out sequences at random, unless there are validation data."""
    if splits.valid:
        return splits
    number = len(splits.train)
    held = max(1, round(number * config.family.valid_share))
    if number < 2:
        raise DataError(f"{number} sequences", expected="two or more", path=config.data)
    seed = derive_seed(config.seed, "validation sequences")
    order = np.random.default_rng(seed).permutation(number)
    chosen = set(order[:held].tolist())
    rows = [splits.train[index] for index in range(number)]
    train = [row for index, row in enumerate(rows) if index not in chosen]
    return Splits(train, [rows[index] for index in sorted(chosen)])


def _prompting(config: LmTuneConfig, splits: Splits) -> tuple[Prompting, list[str]]:
    """Return what gives a sequence its token, and all tokens."""
    kind = config.family.prompt
    if kind == "none":
        return lambda _: "", []
    every = [part[index] for part in (splits.train, splits.valid) for index in range(len(part))]
    for example in every:
        if example.label is None:
            raise DataError(
                f"{example.name}: no label", expected="one, for its prompt token",
                remedy="See --label_column and --labels",
            )  # fmt: skip
    if kind == "label":
        return _by_label, sorted({_by_label(example) for example in every})
    values = [_value(example) for example in every[: len(splits.train)]]
    low, high = np.quantile(values, config.family.quantiles)
    return partial(_by_value, float(low), float(high)), [LOW, HIGH]


def _by_label(example: Example) -> str:
    return prompt_name(str(example.label))


def _by_value(low: float, high: float, example: Example) -> str:
    value = _value(example)
    return LOW if value <= low else HIGH if value >= high else ""


def _value(example: Example) -> float:
    try:
        return float(example.label)
    except (TypeError, ValueError):
        raise DataError(f"{example.name}: label {example.label!r}", expected="a number") from None
