"""`genet5 lm bake`: turn genomes into training files for language models."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from genet5.cli.parse import run
from genet5.config.lm.bake import LmBakeConfig
from genet5.genome.io.files import check_inputs
from genet5.outputs import check_folder


def main(argv: Sequence[str] | None = None) -> int:
    """Write OUT/training.packed and OUT/validation.packed."""
    return run(
        _bake,
        LmBakeConfig,
        argv,
        name="lm bake",
        description="Cut genomes, or their genes, into windows to train a language model on: "
        "OUT/training.packed and OUT/validation.packed. --windows reads windows that are cut.",
    )


def _bake(config: LmBakeConfig) -> int:
    check_folder("OUT", config.out)
    inputs = {"fasta": config.fasta, "gff": config.gff, "splits": config.splits}
    inputs |= {f"windows, {path.name}": path for path in config.windows}
    check_inputs(inputs, once=False)
    from genet5.lm.extra import require_extra

    require_extra(*(["google_crc32c"] if config.windows else []))
    from genet5.lm.bake import bake
    from genet5.lm.folders import model_folder
    from genet5.lm.tokenizer_files import load_vocabulary

    found = bake(config, load_vocabulary(model_folder(config.base)))
    for split, counts in found.items():
        sys.stdout.write(
            f"{split:<10} {counts['windows']:>12,} windows {counts['bases']:>16,} bases"
            f" {counts['tokens']:>14,} tokens\n"
        )
    return 0
