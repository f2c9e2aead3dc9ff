"""What `init_tokens` and `append_tokens` share: append gene types to a tokenizer, show them, and where to write it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from genet5.outputs import check_outputs, is_stream

if TYPE_CHECKING:
    from genet5.tokens.tokenizer_file import Tokenizer


@dataclass(frozen=True, kw_only=True, slots=True)
class GeneTypeConfig:
    """Where gene types come from."""

    gene_types: tuple[str, ...] = ()
    """Types to append, in this order: Sequence Ontology names or biotypes as the annotations spell them."""
    annotations: tuple[Path, ...] = ()
    """Append the types of these GFF3, GTF or GenBank files too, the most frequent first."""
    raw_dir: Path | None = None
    """Append the types of all genomes in RAW/CLADE/SPECIES/ too, as bake reads them."""
    skip_bad: bool = False
    """Drop and count records that break the format, instead of stopping at the first."""

    @property
    def is_empty(self) -> bool:
        """Whether no type is named at all."""
        return not (self.gene_types or self.annotations or self.raw_dir)


def appended(tokenizer: Tokenizer, config: GeneTypeConfig) -> tuple[Tokenizer, Counter[str]]:
    """Append the named types, then those met in annotations.

    Returns:
        The tokenizer, and how many genes of each type the annotations hold.
    """
    from genet5.dataset.gene_types import count_gene_types, find_annotations, new_types

    structure = tokenizer.structure.appended(config.gene_types)
    paths = find_annotations(config.annotations, config.raw_dir)
    counts = count_gene_types(paths, skip_bad=config.skip_bad)
    structure = structure.appended(new_types(counts, structure))
    return replace(tokenizer, structure=structure), counts


def file_to_write(out: Path) -> Path:
    """Return OUT if it names a file or stream, else tokenizer.json in the folder OUT.

    A name that is not there yet is a file's if it ends in .json.

    Raises:
        ConfigError: The file cannot be written.
    """
    from genet5.tokens.tokenizer_file import FILE_NAME

    is_file = is_stream(out) or out.is_file() or (out.suffix == ".json" and not out.is_dir())
    path = out if is_file else out / FILE_NAME
    check_outputs({"OUT": path})
    return path


def type_table(tokenizer: Tokenizer, counts: Counter[str], *, first_new: int) -> str:
    """Return a line for each gene type: its id and, where annotations were read, its genes."""
    lines = []
    structure = tokenizer.structure
    for index, name in enumerate(structure.gene_types):
        number = f"{counts[name]:>10,} genes" if counts else ""
        new = "  new" if index >= first_new else ""
        line = f"{structure.first_type + index:>4}  {name:<32}{number}{new}"
        lines.append(line.rstrip() + "\n")
    return "".join(lines)
