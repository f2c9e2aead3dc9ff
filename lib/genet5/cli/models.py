"""`genet5 models`: which models there are, what they are for, and where they lie."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from genet5.cli.parse import run
from genet5.config.checks import require
from genet5.config.json_files import config_to_dict
from genet5.model.card import Figure, ModelCard, load_card, shipped_models
from genet5.model.folders import WEIGHTS_FILE, load_config, model_folder

Action = Literal["list", "info", "path", "fetch"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelsConfig:
    """What to do with which model.

    list names the shipped models; info MODEL prints a model's card: data, figures, limits, licence;
    path MODEL prints the folder of a model on this machine; fetch MODEL downloads one from the
    Hugging Face Hub (user/name) into the Hub's cache and prints its folder, so that later runs need
    no network.
    """

    action: tyro.conf.Positional[Action] = "list"
    """list, info, path or fetch."""
    model: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")] = ""
    """Name of a shipped model, a folder, or an id on the Hub (user/name)."""
    json: bool = False
    """Print list and info as JSON."""

    def __post_init__(self) -> None:
        needs = self.action != "list"
        rule = f"{self.action} needs a model" if needs else "list takes no model"
        require(bool(self.model) is needs, "MODEL", self.model, rule)
        is_text = self.action in ("path", "fetch")
        require(not (self.json and is_text), "json", True, "is for list and info")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return run(
        _models,
        ModelsConfig,
        argv,
        name="models",
        description="List models, describe one, or download one.",
    )


def _models(config: ModelsConfig) -> int:
    if config.action == "list":
        found = [(folder, load_card(folder)) for folder in shipped_models()]
        cards = [config_to_dict(card) for _, card in found]
        text = json.dumps(cards, indent=2) if config.json else _table(found)
    else:
        folder = model_folder(config.model)
        load_config(folder)
        text = str(folder) if config.action in ("path", "fetch") else ""
        if config.action == "info":
            card = load_card(folder)
            text = json.dumps(config_to_dict(card), indent=2) if config.json else _described(card)
    sys.stdout.write(text + "\n")
    return 0


def _table(found: Sequence[tuple[Path, ModelCard]]) -> str:
    rows = [("model", "parameters", "size", "clades", "what it does")]
    for folder, card in found:
        size_mb = (folder / WEIGHTS_FILE).stat().st_size / 1e6
        millions = f"{card.parameters / 1e6:.1f} M"
        rows.append(
            (card.name, millions, f"{size_mb:.0f} MB", ", ".join(card.clades), card.summary)
        )
    widths = [max(len(row[k]) for row in rows) for k in range(4)]
    return "\n".join(
        "  ".join([*(row[k].ljust(widths[k]) for k in range(4)), row[4]]) for row in rows
    )


def _described(card: ModelCard) -> str:
    lines = [f"{card.name}: {card.summary}", ""]
    lines += [f"  {name:<14} {value}" for name, value in card.facts.items()]
    lines += ["", "figures:", *map(_line, card.figures)]
    lines += ["", "limits:", *(f"  - {limit}" for limit in card.limits)]
    return "\n".join(lines)


def _line(figure: Figure) -> str:
    peer = f" ({figure.peer} {figure.peer_value:.3f})" if figure.peer_value is not None else ""
    return f"  {figure.measure}, {figure.on}: {figure.value:.3f}{peer}; {figure.source}"
