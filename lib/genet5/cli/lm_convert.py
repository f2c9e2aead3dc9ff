"""`genet5 lm convert`: a published checkpoint of Nucleotide GPT as a model's folder."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from genet5.cli.parse import run
from genet5.config.lm.convert import LmConvertConfig
from genet5.errors import ConfigError
from genet5.outputs import check_folder


def main(argv: Sequence[str] | None = None) -> int:
    """Write OUT/config.json, OUT/model.safetensors and the tokenizer's file."""
    return run(
        _convert,
        LmConvertConfig,
        argv,
        name="lm convert",
        description="Turn a checkpoint of Nucleotide GPT, as its authors publish it (written by "
        "Orbax), into a model's folder. Needs TensorStore: the extra genet5[orbax].",
    )


def _convert(config: LmConvertConfig) -> int:
    check_folder("OUT", config.out)
    if (config.out / "model.safetensors").exists() and not config.overwrite:
        raise ConfigError("OUT", str(config.out), "contains a model; --overwrite replaces it")
    from genet5.lm.extra import require_extra

    require_extra("tensorstore")
    from genet5.lm.orbax import convert

    sys.stdout.write(f"{convert(config):,} parameters\n")
    return 0
