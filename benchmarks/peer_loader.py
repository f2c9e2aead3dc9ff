"""Peer of the loader.

A torch data set that reads plain FASTA and GFF3 and makes each window when it is asked for.

pyfaidx cuts the window's bases out of an indexed FASTA file; tokens and labels are made from them
on the fly; genes lie in memory, sorted. Micro-batches hold the same windows as the loader's and go
through the same `collate`, so that both give equal tensors. What baking adds, the labels' weights
under the grammar, the peer leaves out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from genet5.config.bake import BakeConfig
from genet5.dataset.batch import Batch
from genet5.dataset.collate import collate
from genet5.dataset.sources import find_sources
from genet5.dataset.windows import Window
from genet5.genome.gene import Gene
from genet5.genome.io.fasta import read_fasta, write_fasta
from genet5.genome.io.formats import read_annotation
from genet5.genome.sequence import decode_bases, encode_bases, reverse_complement
from genet5.tokens.cut import GeneIndex
from genet5.tokens.structure import encode_window
from genet5.tokens.tokenizer_file import Tokenizer
from genet5.tokens.window import WindowStructure

Place = tuple[str, str, int, int, int, int, str]
"""Genome, contig, start, bases, strand, genetic code, clade of a window."""


def place_of(window: Window) -> Place:
    """Return where a window lies; names of genomes differ in all clades."""
    return (
        window.genome,
        window.contig,
        window.start,
        len(window.bases),
        window.strand,
        window.genetic_code,
        window.clade,
    )


class FastaBatches(Dataset[Batch]):
    """Micro-batches of windows, read from FASTA and GFF3 files.

    Args:
        settings: Of the bake whose windows are read; its tokenizer is `tokenizer`.
        folder: For plain copies of the FASTA files and their indices.
        batches: Places of each micro-batch's windows.
        tokenizer: The bake's.
    """

    def __init__(
        self,
        settings: BakeConfig,
        folder: Path,
        batches: Sequence[Sequence[Place]],
        tokenizer: Tokenizer,
    ) -> None:
        self._batches, self._tokenizer = batches, tokenizer
        self._paths: dict[str, Path] = {}
        self._genes: dict[tuple[str, str], GeneIndex] = {}
        self._open: dict[str, Any] = {}
        for source in find_sources(settings):
            path = self._paths[source.genome] = folder / f"{source.clade}_{source.genome}.fa"
            write_fasta(path, ((c.name, decode_bases(c.bases)) for c in read_fasta(source.fasta)))
            self._read_genes(source.genome, source.gff)

    def _read_genes(self, genome: str, gff: Path) -> None:
        by_contig: dict[str, list[Gene]] = {}
        for gene in read_annotation(gff, skip_bad=True).genes:
            if gene.is_coding and gene.is_regular:
                by_contig.setdefault(gene.contig, []).append(gene)
        for contig, genes in by_contig.items():
            self._genes[genome, contig] = GeneIndex(genes)

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int) -> Batch:
        windows = [self._window(place) for place in self._batches[index]]
        return collate(windows, self._tokenizer.structure)

    def _window(self, place: Place) -> Window:
        genome, contig, start, size, strand, code, clade = place
        bases = encode_bases(self._fasta(genome)[contig][start : start + size].seq)
        bases = bases if strand > 0 else reverse_complement(bases)
        ids, starts = self._tokenizer.sequence.encode(bases)
        index = self._genes.get((genome, contig))
        shown = index.cut(start, start + size, reverse=strand < 0) if index else ()
        labels = encode_window(WindowStructure(code, None, shown), self._tokenizer.structure)
        return Window(
            bases=bases,
            input_ids=ids,
            token_start_bp=starts,
            labels=labels,
            label_weights=np.ones(len(labels), dtype=np.float32),
            genetic_code=code,
            clade=clade,
            genome=genome,
            contig=contig,
            start=start,
            strand=strand,
        )

    def _fasta(self, genome: str) -> Any:
        if genome not in self._open:
            from pyfaidx import Fasta

            self._open[genome] = Fasta(str(self._paths[genome]), rebuild=False)
        return self._open[genome]
