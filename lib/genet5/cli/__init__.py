"""The command line: `genet5 COMMAND ...`; each command is one module, imported only when it runs.

`bin/COMMAND` is the same `main`. Exit codes: 0 done, 1 wrong data or failed run, 2 wrong usage, 130
interrupted.
"""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Callable, Sequence

from genet5 import __version__

COMMANDS: dict[str, str] = {
    "init": "genet5.cli.init",
    "bake": "genet5.cli.bake",
    "finet": "genet5.cli.finet",
    "plot": "genet5.cli.plot",
    "calibrate": "genet5.cli.calibrate",
    "annotate": "genet5.cli.annotate",
    "eval": "genet5.cli.eval",
    "compare": "genet5.cli.compare",
    "hints": "genet5.cli.hints",
    "busco": "genet5.cli.busco",
    "models": "genet5.cli.models",
    "push": "genet5.cli.push",
    "simulate": "genet5.cli.simulate",
    "convert": "genet5.cli.convert",
    "fetch": "genet5.cli.fetch",
    "subset_packed": "genet5.cli.subset_packed",
    "init_tokens": "genet5.cli.init_tokens",
    "append_tokens": "genet5.cli.append_tokens",
    "resize_model": "genet5.cli.resize_model",
    "lm_init": "genet5.cli.lm_init",
    "lm_bake": "genet5.cli.lm_bake",
    "lm_pretrain": "genet5.cli.lm_pretrain",
    "lm_score": "genet5.cli.lm_score",
    "lm_vep": "genet5.cli.lm_vep",
    "lm_recover": "genet5.cli.lm_recover",
    "lm_generate": "genet5.cli.lm_generate",
    "lm_embed": "genet5.cli.lm_embed",
    "lm_finetune": "genet5.cli.lm_finetune",
    "lm_predict": "genet5.cli.lm_predict",
    "lm_sae": "genet5.cli.lm_sae",
    "lm_convert": "genet5.cli.lm_convert",
    "lm_tune": "genet5.cli.lm_tune",
    "lm_bench": "genet5.cli.lm_bench",
}
"""Command -> module with `main(argv) -> int`."""

GROUP = "lm"
"""`genet5 lm COMMAND` is the command `lm_COMMAND`."""

ALIASES = {"fit": "calibrate"}
"""Former name of a command -> its name."""

SUMMARIES: dict[str, str] = {
    "init": "make a new model directory from a preset",
    "bake": "turn genomes and annotations into training files",
    "finet": "train a model on baked files",
    "plot": "draw the curves of training runs",
    "calibrate": "calibrate the gene scores of a model on validation genomes",
    "annotate": "find the genes of a genome",
    "eval": "score predicted genes against reference genes",
    "compare": "list what differs between two annotations",
    "hints": "make hints for annotate from reads, proteins and transcripts",
    "busco": "score the proteins of predicted genes with BUSCO",
    "models": "list the shipped models, describe one, or download one",
    "push": "publish a model on the Hugging Face Hub",
    "simulate": "write an artificial genome with its annotation",
    "convert": "rewrite an annotation as GFF3, GTF or GenBank",
    "fetch": "download genomes with their annotation from NCBI",
    "subset_packed": "take a random share of a packed file",
    "init_tokens": "write a tokenizer with the gene types of annotations",
    "append_tokens": "append gene types to a tokenizer",
    "resize_model": "give a model rows for appended gene types",
    "lm_init": "make a DNA language model from a preset",
    "lm_bake": "turn genomes into training files for language models",
    "lm_pretrain": "train a DNA language model on baked files",
    "lm_score": "score sequences with a DNA language model",
    "lm_vep": "score variants with a DNA language model",
    "lm_recover": "count the bases that a DNA language model recovers",
    "lm_embed": "embed sequences with a DNA language model",
    "lm_sae": "take a DNA language model apart into sparse features",
    "lm_convert": "turn Nucleotide GPT's published checkpoints into models",
    "lm_generate": "generate sequences with a DNA language model",
    "lm_finetune": "train a DNA language model to classify or predict numbers",
    "lm_predict": "apply a fine-tuned DNA language model",
    "lm_tune": "train a DNA language model on a family of sequences",
    "lm_bench": "compare DNA language models on tasks",
}
"""Command -> one line of help, kept here so that listing the commands imports none of them."""


def help_text() -> str:
    """Return what `genet5 --help` prints."""
    lines = [f"  {name:<13}  {SUMMARIES.get(name, '')}\n" for name in COMMANDS]
    return (
        "usage: genet5 COMMAND ...\n\n"
        "Find genes in DNA with a decoder that points at bases.\n\n"
        f"commands:\n{''.join(lines)}\n"
        "genet5 COMMAND --help lists the options of a command, genet5 --version the version.\n"
        f"genet5 {GROUP} COMMAND is the same as genet5 {GROUP}_COMMAND.\n"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == [GROUP] and len(arguments) > 1 and not arguments[1].startswith("-"):
        arguments = [f"{GROUP}_{arguments[1]}", *arguments[2:]]
    name = arguments[0] if arguments else ""
    name = ALIASES.get(name, name)
    if name in ("-h", "--help", "help", GROUP):
        sys.stdout.write(help_text())
        return 0
    if name in ("-V", "--version"):
        sys.stdout.write(f"genet5 {__version__}\n")
        return 0
    if name not in COMMANDS:
        sys.stderr.write(_unknown(name) if name else help_text())
        return 2
    command: Callable[[Sequence[str]], int] = importlib.import_module(COMMANDS[name]).main
    return command(arguments[1:])


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name, COMMANDS, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]}?" if near else f" Commands: {', '.join(COMMANDS)}."
    return f"genet5: no command {name!r}.{hint} See genet5 --help.\n"
