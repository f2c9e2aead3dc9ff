"""Sequences after prompts, as FASTA, and a page on them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from genet5.config.lm.generate import LmGenerateConfig
from genet5.errors import ConfigError, DataError
from genet5.genome.io.fasta import read_fasta, write_fasta
from genet5.genome.sequence import Bases, checked_bases, decode_bases
from genet5.lm.devices import placed
from genet5.lm.folders import LanguageModel
from genet5.lm.generate_report import examine, write_report
from genet5.lm.generation import continue_tokens
from genet5.lm.text import encode_text
from genet5.lm.vocabulary import Ids
from genet5.outputs import atomic_writer


def generate_sequences(lm: LanguageModel, config: LmGenerateConfig) -> int:
    """Write `number` sequences for each prompt; return how many there are.

    Raises:
        ConfigError: The model has no such prompt token, or no token of the end.
        DataError: A prompt has letters or a length that the model cannot read.
    """
    known = lm.vocabulary.special_ids
    for name in config.prompt_tokens:
        if name not in known:
            rule = f"is no token of the model, which has {', '.join(known)}"
            raise ConfigError("prompt_tokens", name, rule)
    names, texts = zip(*_prompts(config), strict=True)
    prompts = [_ids(lm, name, text, config) for name, text in zip(names, texts, strict=True)]
    repeated = [prompt for prompt in prompts for _ in range(config.number)]
    num_tokens = -(-config.length_bp // int(max(1, lm.vocabulary.bp_per_token)))
    found = continue_tokens(
        lm, repeated, num_tokens, config.sampling,
        batch_tokens=config.compute.batch_tokens, seed=config.seed,
        end_id=_end_id(lm) if config.until_end else None,
    )  # fmt: skip
    records = list(_records(lm, config, names, texts, found))
    with atomic_writer(config.output) as out:
        write_fasta(out, records)
    if config.about.report is not None or config.about.summary is not None:
        made = {name.split()[0]: checked_bases(text) for name, text in records}
        title = f"{len(made)} sequences by {config.model}"
        found_of = examine(made, config.about, _predicted(made, config))
        write_report(found_of, config.about, title)
    return len(found)


def _end_id(lm: LanguageModel) -> int:
    if lm.vocabulary.eos_id is None:
        raise ConfigError("until_end", True, "needs a model with a token of the end")
    return lm.vocabulary.eos_id


def _predicted(made: dict[str, Bases], config: LmGenerateConfig) -> dict[str, float]:
    """Return the first value that the regressor gives for each sequence.

    Raises:
        ConfigError: The model is no regressor.
    """
    name = config.about.predictor
    if name is None:
        return {}
    from genet5.lm.classifier import load_classifier
    from genet5.lm.examples import Example
    from genet5.lm.predict import predictions

    classifier = load_classifier(name, *placed(config.compute))
    if classifier.space.problem_type != "regression":
        raise ConfigError("predictor", name, "must be a regressor: lm finetune --problem_type")
    examples = [Example(name, decode_bases(bases)) for name, bases in made.items()]
    rows = predictions(classifier, examples, config.compute.batch_tokens)
    return {example.name: float(values[0]) for example, values in rows}


def _prompts(config: LmGenerateConfig) -> list[tuple[str, str]]:
    """Return name and text of each prompt."""
    first = "".join(config.prompt_tokens)
    if config.prompts is None:
        return [("generated", first + config.prompt)]
    return [
        (contig.name, first + decode_bases(contig.bases)) for contig in read_fasta(config.prompts)
    ]


def _ids(lm: LanguageModel, name: str, text: str, config: LmGenerateConfig) -> Ids:
    try:
        has_bos = lm.vocabulary.bos_id is not None
        return encode_text(lm.vocabulary, text, bos=has_bos, length=config.length)
    except DataError as error:
        raise DataError(
            f"prompt {name}: {error.found}", expected=error.expected, remedy=error.remedy
        ) from error


def _records(
    lm: LanguageModel,
    config: LmGenerateConfig,
    names: tuple[str, ...],
    texts: tuple[str, ...],
    found: list[np.ndarray[tuple[int, ...], np.dtype[np.int64]]],
) -> Iterator[tuple[str, str]]:
    tags = lm.vocabulary.special_ids
    for index, tokens in enumerate(found):
        prompt = index // config.number
        letters = lm.vocabulary.decode(tokens.tolist())[: config.length_bp]
        before = texts[prompt] if config.with_prompt else ""
        for tag in tags:
            before = before.replace(tag, "") if len(tag) > 1 else before
        number = index % config.number + 1
        yield f"{names[prompt]}_{number} length={len(before) + len(letters)}", before + letters
