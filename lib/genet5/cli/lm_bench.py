"""`genet5 lm bench`: compare language models on tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from genet5.cli.parse import run, write_table
from genet5.config.lm.bench import RARE_FIELDS, LmBenchConfig
from genet5.genome.io.files import check_inputs
from genet5.outputs import check_folder

DESCRIPTION = (
    "Compare language models on tasks of classification or regression by one protocol, with 95 % "
    "intervals: OUT/bench.tsv. Models that need code of their own are refused, with the reason."
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the comparison, and print the main metric."""
    how = {"name": "lm bench", "description": DESCRIPTION}
    return run(_bench, LmBenchConfig, argv, **how, rare=RARE_FIELDS, has_file=True)


def _bench(config: LmBenchConfig) -> int:
    check_folder("OUT", config.out)
    check_inputs({"genome": config.examples.genome, "labels": config.examples.labels})
    from genet5.lm.extra import require_extra

    are_files = all(Path(data).is_file() for data in config.data)
    require_extra("accelerate", "sklearn", *([] if are_files else ["datasets"]))
    from genet5.lm.bench import bench

    rows = bench(config)
    lines = [_line(row) for row in rows if row.get("metric", "") in ("", config.task.metric)]
    write_table("".join(lines), {})
    return 0


def _line(row: Mapping[str, Any]) -> str:
    about = f"{row['model']}  {row['task']}  "
    if "refused" in row:
        return f"{about}refused: {row['refused']}\n"
    shots = f"{row['shots']} shots  " if row.get("shots") else ""
    numbers = f"{row['value']:.4f} ({row['low']:.4f} to {row['high']:.4f})"
    return f"{about}{shots}{row['metric']} {numbers}\n"
