"""The five groups of organisms that training data are sorted into."""

from __future__ import annotations

from typing import Literal, TypeAlias

Clade: TypeAlias = Literal["prokaryotes", "unicellular", "invertebrates", "vertebrates", "plants"]
