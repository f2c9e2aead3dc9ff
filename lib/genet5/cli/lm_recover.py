"""`genet5 lm recover`: how well a language model continues real DNA."""

from __future__ import annotations

from collections.abc import Sequence

from genet5.cli.parse import run, write_table
from genet5.config.lm.generate import LmRecoverConfig
from genet5.genome.io.files import check_inputs
from genet5.outputs import check_outputs


def main(argv: Sequence[str] | None = None) -> int:
    """Write predictions, and print their accuracy."""
    return run(
        _recover,
        LmRecoverConfig,
        argv,
        name="lm recover",
        description="Predict the bases after a context, most probable first, and count how many "
        "are right, by context length and type of sequence.",
    )


def _recover(config: LmRecoverConfig) -> int:
    check_inputs({"DATA": config.data})
    outputs = {"output": config.output, "summary": config.summary, "plot": config.plot}
    check_outputs(outputs, {"DATA": config.data})
    from genet5.lm.extra import load_with_extra

    lm = load_with_extra(config.model, config.compute, *(["matplotlib"] if config.plot else []))
    from genet5.lm.recover import recover

    summary = recover(lm, config)
    lines = ["context_bp  type                        accuracy\n"]
    for context_bp, found in summary.items():
        for name, value in [*found["by_type"].items(), ("all", found["accuracy"])]:
            lines.append(f"{context_bp:>10}  {name:<24} {value:>11.4f}\n")
    write_table("".join(lines), outputs)
    return 0
