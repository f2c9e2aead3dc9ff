"""The model card that programs read: `card.json` in a model's folder.

Example:
    card = load_card(model_folder("nano"))
    print(card.clades, card.figures[0].value)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from genet5.config.clades import Clade
from genet5.config.json_files import config_from_dict, load_json
from genet5.errors import CheckpointError
from genet5.model.folders import CONFIG_FILE, SHIPPED

CARD_FILE = "card.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """One measured number, and how it came about."""

    measure: str
    on: str
    """Genomes that it is the mean over."""
    value: float
    peer: str = ""
    """A program that ran on the same genomes in the same run."""
    peer_value: float | None = None
    source: str = ""
    """File of the results in the repository."""
    command: str = ""
    """What makes it again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelCard:
    """What a model is for, where it comes from, and how good it is."""

    format: int
    name: str
    summary: str
    """One line."""
    clades: tuple[Clade, ...]
    """Clades whose genes it finds."""
    genetic_codes: tuple[int, ...]
    """NCBI numbers."""
    parameters: int
    window_bp: int
    training_data: str
    split: str
    """How training, validation and test genomes were kept apart."""
    training: str
    """Steps, time and machine."""
    recipe: str
    """Script of the repository that makes such a model."""
    license: str
    limits: tuple[str, ...]
    figures: tuple[Figure, ...]

    @property
    def facts(self) -> dict[str, str]:
        """What stands in one line each, by its heading."""
        return {
            "clades": ", ".join(self.clades),
            "genetic codes": ", ".join(map(str, self.genetic_codes)),
            "parameters": f"{self.parameters:,}",
            "windows": f"{self.window_bp:,} bp",
            "data": self.training_data,
            "split": self.split,
            "training": self.training,
            "recipe": self.recipe,
            "licence": self.license,
        }


def load_card(folder: Path) -> ModelCard:
    """Read a model's card.

    Raises:
        CheckpointError: It has none.
        FormatError: It is damaged.
    """
    path = folder / CARD_FILE
    if not path.is_file():
        raise CheckpointError(f"{folder} has no {CARD_FILE}: nothing is known of this model")
    return config_from_dict(ModelCard, load_json(path), path)


def shipped_models() -> Iterator[Path]:
    """Yield the folders of the shipped models, by name."""
    for path in sorted(SHIPPED.glob(f"*/{CONFIG_FILE}")):
        yield path.parent
