"""GeneT5: find genes in DNA, and train the models that find them.

This module is the front door of the Python API (docs/api.md). Its names are loaded on first use, so
that `import genet5` takes milliseconds, and reading, writing and scoring genes never load torch.

Example:
    >>> import genet5
    >>> [name for name in dir(genet5) if name.startswith("read_")]
    ['read_annotation', 'read_fasta']
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"
__all__ = [
    "Annotator",
    "PackedReader",
    "TrainConfig",
    "__version__",
    "read_annotation",
    "read_fasta",
    "score_genes",
    "to_dataframe",
    "train",
    "write_gff3",
]

if TYPE_CHECKING:
    from genet5.annotate.annotator import Annotator
    from genet5.api import read_annotation, read_fasta, to_dataframe, train, write_gff3
    from genet5.config.train import TrainConfig
    from genet5.dataset.packed import PackedReader
    from genet5.score.genes import score_genes
else:
    import importlib

    _HOMES = {
        "Annotator": "genet5.annotate.annotator",
        "PackedReader": "genet5.dataset.packed",
        "TrainConfig": "genet5.config.train",
        "read_annotation": "genet5.api",
        "read_fasta": "genet5.api",
        "score_genes": "genet5.score.genes",
        "to_dataframe": "genet5.api",
        "write_gff3": "genet5.api",
    }

    def __getattr__(name: str) -> object:
        """Load a name of the API on its first use (PEP 562)."""
        if name == "train":  # the sub-package, which can be called
            return importlib.import_module("genet5.train")
        if name not in _HOMES:
            raise AttributeError(f"module 'genet5' has no attribute {name!r}")
        value = getattr(importlib.import_module(_HOMES[name]), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
