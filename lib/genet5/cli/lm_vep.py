"""`genet5 lm vep`: variant effects by a language model."""

from __future__ import annotations

from collections.abc import Sequence

from genet5.cli.parse import run, write_table
from genet5.config.lm.vep import LmVepConfig
from genet5.genome.io.files import check_inputs
from genet5.outputs import check_outputs


def main(argv: Sequence[str] | None = None) -> int:
    """Write the score of each alternative allele."""
    return run(
        _vep,
        LmVepConfig,
        argv,
        name="lm vep",
        description="Score variants with a causal DNA language model. Alleles that cannot be "
        "scored are skipped and counted by cause.",
    )


def _vep(config: LmVepConfig) -> int:
    inputs = {"GENOME": config.genome, "VARIANTS": config.variants}
    check_inputs(inputs, once=False)
    outputs = {"output": config.output, "metrics": config.labels.metrics}
    check_outputs(outputs, inputs)
    from genet5.lm.extra import load_with_extra

    lm = load_with_extra(
        config.model, config.compute, *(["sklearn"] if config.labels.label else [])
    )
    from genet5.lm.vep import score_variants

    found = score_variants(lm, config)
    figures = {name: value for name, value in found.items() if isinstance(value, float)}
    text = "".join(f"{name:<18} {value:.4f}\n" for name, value in figures.items())
    write_table(text, outputs)
    return 0
