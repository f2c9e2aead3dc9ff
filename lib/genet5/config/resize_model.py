"""Settings of `genet5 resize_model`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True, kw_only=True, slots=True)
class ResizeSettings:
    """Which model to resize, and where to."""

    model: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """Folder of the model, which is left as it is."""
    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    """Folder to write; made if it is not there."""
    tokenizer: Path | None = None
    """Tokenizer with appended gene types: a tokenizer.json or a folder with one; None = that of MODEL."""
    overwrite: bool = False
    """Replace a model that is already in OUT."""
