"""What `init_tokens` and `append_tokens` share: appending gene types to a tokenizer."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from genet5.outputs import check_outputs, is_stream

if TYPE_CHECKING:
    from genet5.tokens.tokenizer_file import Tokenizer


@dataclass(frozen=True, kw_only=True, slots=True)
class GeneTypeConfig:
    """Where the gene types come from."""

    gene_types: Annotated[tuple[str, ...], tyro.conf.arg(metavar="TYPE ...")] = ()
    """Gene types to append, in this order: Sequence Ontology terms or biotypes as spelled in the
    annotations."""
    annotations: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="FILE ...")] = ()
    """Also append the types in these GFF3, GTF or GenBank files, the most frequent first."""
    raw_dir: Annotated[Path | None, tyro.conf.arg(metavar="RAW")] = None
    """Also append the types of all genomes in RAW/CLADE/SPECIES/."""
    skip_bad: bool = False
    """Drop and count invalid annotation records instead of stopping at the first."""

    @property
    def is_empty(self) -> bool:
        """Whether no source of types is given."""
        return not (self.gene_types or self.annotations or self.raw_dir)


def appended(tokenizer: Tokenizer, config: GeneTypeConfig) -> tuple[Tokenizer, Counter[str]]:
    """Append the given types, then those found in annotations.

    Returns:
        The tokenizer, and the number of genes of each type in the annotations.
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
