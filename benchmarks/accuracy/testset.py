"""The genomes that tools are compared on.

Rows of the split table, their contigs as a FASTA file, their true genes.

Each test genome is cut to the contigs of its split, so that a tool is given nothing else and its
time is theirs. A genome is of a *held-out species* if no genome of that species is for training,
else its chromosomes alone are held out.

Example:
    >>> species_of("Caenorhabditis_elegans_WS282_1pct")
    'Caenorhabditis_elegans'
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from genet5.dataset.sources import SplitTable, read_split_table
from genet5.errors import DataError
from genet5.genome.gene import Gene
from genet5.genome.io.annotation import Annotation
from genet5.genome.io.fasta import Contig, read_fasta, write_fasta
from genet5.genome.io.formats import read_annotation
from genet5.genome.sequence import decode_bases

Split = Literal["test", "valid"]
Regime = Literal["species", "chromosome"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A genome of the split table that has contigs in the wanted split."""

    clade: str
    genome: str
    contigs: tuple[str, ...]
    """As the table names them; "*" stands for the rest of the genome."""
    regime: Regime
    """What no model has seen in training: the species, or the chromosomes only."""

    @property
    def species(self) -> str:
        """Genus_species."""
        return species_of(self.genome)

    @property
    def title(self) -> str:
        """The name as tables show it."""
        where = "" if self.contigs == ("*",) else f" {', '.join(self.contigs)}"
        return self.genome.replace("_", " ") + where


@dataclass(frozen=True, slots=True)
class Case:
    """What tools read, and what is true about it."""

    entry: Entry
    fasta: Path
    annotation: Annotation
    """Genes of the contigs in the FASTA file."""
    sizes: Mapping[str, int]
    """Contigs of the FASTA file with their lengths in bp."""
    genetic_code: int

    @property
    def size_bp(self) -> int:
        """Bases in the FASTA file."""
        return sum(self.sizes.values())

    @property
    def prokaryote(self) -> bool:
        """Whether stop and exact levels are scored."""
        return self.entry.clade == "prokaryotes"


def species_of(genome: str) -> str:
    """Return the first two words of a genome's name."""
    return "_".join(genome.split("_")[:2])


def find_entries(
    table_path: Path, split: Split, clades: Sequence[str] = (), genomes: Sequence[str] = ()
) -> list[Entry]:
    """List the genomes that have contigs in a split, in the table's order.

    Args:
        table_path: The split table.
        split: Which rows.
        clades: Take these clades only.
        genomes: Take genomes with these names only, or beginnings of names.

    Raises:
        DataError: There is no such table, or no such genome in it.
    """
    table = read_split_table(table_path)
    entries = _entries(table, split)
    chosen = [
        entry
        for entry in entries
        if (not clades or entry.clade in clades)
        and (not genomes or entry.genome.startswith(tuple(genomes)))
    ]
    if not chosen:
        known = ", ".join(entry.genome for entry in entries)
        raise DataError(
            f"no {split} genome for clades {list(clades)}, genomes {list(genomes)}",
            expected=f"some of {known}",
            path=table_path,
        )
    return chosen


def _entries(table: SplitTable, split: Split) -> list[Entry]:
    trained = {
        species_of(genome) for (_, genome), row in table.rows.items() if "train" in row.values()
    }
    entries = []
    for (clade, genome), row in table.rows.items():
        contigs = tuple(contig for contig, word in row.items() if word == split)
        if contigs:
            regime: Regime = "chromosome" if species_of(genome) in trained else "species"
            entries.append(Entry(clade, genome, contigs, regime))
    return entries


def contigs_of(entry: Entry, table_path: Path, fasta: Path, split: Split) -> list[Contig]:
    """Read the contigs of a genome that belong to the split.

    Raises:
        DataError: The genome has none of them.
    """
    table = read_split_table(table_path)
    found = [
        contig
        for contig in read_fasta(fasta)
        if table.split_of(entry.clade, entry.genome, contig.name) == split
    ]
    if not found:
        raise DataError(f"no contig {', '.join(entry.contigs)}", path=fasta)
    return found


def load_case(
    entry: Entry, data: Path, split: Split, folder: Path, max_bp: int | None = None
) -> Case:
    """Write the contigs of a test genome to a FASTA file in `folder`; read the true genes on them.

    Args:
        entry: The genome.
        data: Folder with splits.tsv and raw/CLADE/GENOME.
        split: Which contigs.
        folder: Where the FASTA file goes.
        max_bp: Keep the first bases only; genes that run over the cut become partial, and so are
            ignored.
    """
    source = data / "raw" / entry.clade / entry.genome
    contigs = contigs_of(entry, data / "splits.tsv", source / "genome.fa.gz", split)
    whole = {contig.name: len(contig.bases) for contig in contigs}
    sizes = whole if max_bp is None else cut_sizes(whole, max_bp)
    fasta = folder / f"{entry.genome}.fa"
    write_fasta(fasta, ((c.name, _letters(c)[: sizes[c.name]]) for c in contigs if c.name in sizes))
    annotation = read_annotation(source / "annotation.gff3.gz")
    genes = cut_genes(annotation.genes, sizes, whole)
    # Lengths mark genes over the origin of a circle; a cut contig is no circle.
    lengths = {name: size for name, size in sizes.items() if size == whole[name]}
    annotation = replace(annotation, genes=genes, contig_lengths=lengths)
    code = genetic_code_of(genes, entry.clade)
    return Case(entry, fasta, annotation, sizes, code)


def _letters(contig: Contig) -> str:
    """The sequence.

    One that is wholly in lower case has no soft mask, and is written in upper case.
    """
    letters = decode_bases(contig.bases)
    return letters.upper() if not np.any((contig.bases & 0x20) == 0) else letters


def genetic_code_of(genes: Sequence[Gene], clade: str) -> int:
    """The code that most genes state, else 11 for prokaryotes and 1 for others."""
    codes = Counter(gene.genetic_code for gene in genes if gene.genetic_code)
    return codes.most_common(1)[0][0] if codes else 11 if clade == "prokaryotes" else 1


def cut_sizes(sizes: Mapping[str, int], max_bp: int) -> dict[str, int]:
    """Keep contigs, the last of them cut, up to `max_bp` in all."""
    kept: dict[str, int] = {}
    for name, size in sizes.items():
        left = max_bp - sum(kept.values())
        if left > 0:
            kept[name] = min(size, left)
    return kept


def cut_genes(
    genes: Sequence[Gene], sizes: Mapping[str, int], whole: Mapping[str, int]
) -> tuple[Gene, ...]:
    """Keep the genes of the contigs that are left.

    Args:
        genes: Genes of the whole genome.
        sizes: Bases that are left of each contig; genes beyond are dropped, those over the cut
            become partial.
        whole: The contigs' lengths; in a contig that is not cut genes may run over the origin.
    """
    kept: list[Gene] = []
    for gene in genes:
        size = sizes.get(gene.contig, 0)
        if gene.start >= size:
            continue
        if gene.end > size < whole[gene.contig]:
            cut = tuple(replace(tx, partial_3=True) for tx in gene.transcripts)
            gene = replace(gene, transcripts=cut)
        kept.append(gene)
    return tuple(kept)
