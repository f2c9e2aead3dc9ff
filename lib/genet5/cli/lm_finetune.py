"""`genet5 lm finetune`: train a language model to classify or to predict numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from genet5.cli.parse import run, write_table
from genet5.config.lm.finetune import RARE_FIELDS, LmFinetuneConfig
from genet5.genome.io.files import check_inputs
from genet5.outputs import check_folder

DESCRIPTION = (
    "Train the language model MODEL with a new head on the labelled sequences of DATA, and write "
    "the model that is best on validation data to OUT/best_model, which lm predict applies. Under "
    "torchrun or accelerate launch all processes train one model."
)


def main(argv: Sequence[str] | None = None) -> int:
    """Train, and print the metrics."""
    how = {"name": "lm finetune", "description": DESCRIPTION}
    return run(_finetune, LmFinetuneConfig, argv, **how, rare=RARE_FIELDS, has_file=True)


def _finetune(config: LmFinetuneConfig) -> int:
    check_folder("OUT", config.out)
    inputs = {"valid": config.valid, "test": config.test, "genome": config.examples.genome}
    check_inputs({**inputs, "labels": config.examples.labels})
    from genet5.lm.extra import require_extra

    is_file = Path(config.data).is_file()
    packages = ["accelerate", "sklearn"]
    packages += [] if is_file else ["datasets"]
    packages += ["peft"] if config.lora.lora_rank is not None else []
    require_extra(*packages)
    from genet5.lm.finetune import finetune

    found = finetune(config)
    lines = [_line(part, found[part]) for part in ("valid", "test") if found.get(part)]
    write_table("".join(lines), {})
    return 0


def _line(part: str, metrics: dict[str, Any]) -> str:
    numbers = {name: value for name, value in metrics.items() if isinstance(value, float)}
    return (
        f"{part:<6} " + "  ".join(f"{name} {value:.4f}" for name, value in numbers.items()) + "\n"
    )
