"""Gene types in annotations, for the structure vocabulary, counted as `bake` writes them.

Example:
    counts = count_gene_types(find_annotations([Path("genes.gff3")], raw_dir=None))
    new_types(counts, StructureVocabulary())        # ('snoRNA', 'lncRNA'), the most frequent first
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from genet5.dataset.sources import find_genomes
from genet5.genome.io.formats import read_annotation
from genet5.tokens.cut import target_type
from genet5.tokens.vocabulary import StructureVocabulary

log = logging.getLogger(__name__)


def find_annotations(annotations: Sequence[Path], raw_dir: Path | None) -> list[Path]:
    """List the given files, and the annotations of all genomes RAW/CLADE/SPECIES.

    Raises:
        DataError: `raw_dir` is no such folder, or one of its genomes is incomplete.
    """
    found = list(annotations)
    if raw_dir is not None:
        found += [source.gff for source in find_genomes(raw_dir)]
    return found


def count_gene_types(paths: Iterable[Path], *, skip_bad: bool = False) -> Counter[str]:
    """Count the genes of each type in GFF3, GTF and GenBank files; each file is logged.

    Raises:
        DataError: A file or record is bad; with `skip_bad` bad records are left out and counted in
            the log.
    """
    counts: Counter[str] = Counter()
    for path in paths:
        annotation = read_annotation(path, skip_bad=skip_bad)
        counts.update(target_type(gene) for gene in annotation.genes)
        log.info("%s: %d genes", path, len(annotation.genes))
        for cause, number in annotation.skipped.items():
            log.warning("%s: skipped %d: %s", path, number, cause)
    return counts


def new_types(counts: Counter[str], vocabulary: StructureVocabulary) -> tuple[str, ...]:
    """Return the counted types that the vocabulary lacks: the most frequent first, ties by name.

    Example:
        >>> new_types(Counter(tRNA=9, snoRNA=2, lncRNA=5, miRNA=2), StructureVocabulary())
        ('lncRNA', 'miRNA', 'snoRNA')
    """
    lacking = [name for name in counts if name not in vocabulary.gene_types]
    return tuple(sorted(lacking, key=lambda name: (-counts[name], name)))
