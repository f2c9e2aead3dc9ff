"""Settings that `genet5 init_tokens` and `genet5 append_tokens` share: where gene types come from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class GeneTypeSettings:
    """Where gene types come from."""

    gene_types: tuple[str, ...] = ()
    """Types to append, in this order: Sequence Ontology names or biotypes as the annotations spell them."""
    annotations: tuple[Path, ...] = ()
    """Append the types of these GFF3, GTF or GenBank files too, the most frequent first."""
    raw_dir: Path | None = None
    """Append the types of all genomes in RAW/TAXON/SPECIES/ too, as bake reads them."""
    skip_bad: bool = False
    """Drop and count records that break the format, instead of stopping at the first."""

    @property
    def is_empty(self) -> bool:
        """Whether no type is named at all."""
        return not (self.gene_types or self.annotations or self.raw_dir)
