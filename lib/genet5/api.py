"""Functions of the Python API, which `import genet5` offers: paths as text, genes in any form.

They add nothing but convenience to the rooms below: each is a few lines around a reader, a writer,
a table or a training run. Importing this module does not load torch.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, TypeAlias

from genet5.genome.gene import Gene
from genet5.genome.io import fasta, formats, gff3_write
from genet5.genome.io.annotation import Annotation
from genet5.genome.io.fasta import Contig
from genet5.genome.table import Level, gene_table
from genet5.outputs import atomic_writer

if TYPE_CHECKING:
    import pandas as pd

    from genet5.config.train import TrainConfig
    from genet5.train.run import TrainResult

AnyPath: TypeAlias = str | PathLike[str]


def read_fasta(path: AnyPath) -> Iterator[Contig]:
    """Yield the contigs of a FASTA file one by one: plain, gzip or bgzip; `-` is standard input.

    Raises:
        DataError: The file is damaged or not FASTA; the text gives file and line.
    """
    return fasta.read_fasta(Path(path))


def read_annotation(
    path: AnyPath,
    *,
    skip_bad: bool = False,
    stop_codon_outside: bool = False,
    keep_attributes: bool = False,
) -> Annotation:
    """Read the genes of a GFF3, GTF or GenBank file, whatever its name; `-` is standard input.

    Args:
        path: The file: plain, gzip or bgzip.
        skip_bad: Leave bad records out and count them in `Annotation.skipped`, instead of raising.
        stop_codon_outside: The file leaves stop codons out of its CDS: extend each complete CDS.
        keep_attributes: Keep products, cross-references, notes ... in `Gene.attributes`,
            `Transcript.attributes` and `Transcript.cds_attributes`.

    Returns:
        A sequence of `Gene`, which also knows the contigs' lengths and which of them are circular.

    Raises:
        DataError: The file or a record is bad; the text gives file and line.
    """
    return formats.read_annotation(
        Path(path),
        skip_bad=skip_bad,
        stop_codon_outside=stop_codon_outside,
        keep_attributes=keep_attributes,
    )


def write_gff3(
    out: AnyPath | TextIO,
    genes: Iterable[Gene],
    *,
    contig_lengths: Mapping[str, int] | None = None,
    circular: Collection[str] = (),
    prokaryote: bool = False,
    source: str = "GeneT5",
) -> None:
    """Write genes as sorted, valid GFF3.

    Args:
        out: A path (`-` is standard output, `.gz` compresses; the file appears under its name when
            it is complete), or a text stream.
        genes: In any order.
        contig_lengths: Name to length in bp: each gets a `##sequence-region` line, and their order
            is the file's.
        circular: Contigs to mark as circular.
        prokaryote: Write coding genes of one exon without UTR as gene > CDS, without mRNA and exon
            lines.
        source: Column 2.
    """
    if isinstance(out, str | PathLike):
        with atomic_writer(Path(out)) as stream:
            write_gff3(
                stream,
                genes,
                contig_lengths=contig_lengths,
                circular=circular,
                prokaryote=prokaryote,
                source=source,
            )
        return
    gff3_write.write_gff3(
        out, genes, contig_lengths or {}, source, prokaryote=prokaryote, circular=circular
    )


def to_dataframe(genes: Iterable[Gene], level: Level = "gene") -> pd.DataFrame:
    """Return genes as a pandas table; coordinates stay 0-based and half-open.

    Args:
        genes: In any order, which is that of the rows.
        level: What a row is: a gene, a transcript, an exon, or a CDS part.

    Raises:
        ImportError: pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError(
            "to_dataframe needs pandas, which is not installed;"
            " install it with: pip install 'genet5[pandas]'"
        ) from error
    return pd.DataFrame(gene_table(genes, level))


def train(config: TrainConfig) -> TrainResult:
    """Train a model, and give it an annotate.json; alone or as one process of several (torchrun).

    Ctrl-C finishes the step, saves, and returns; `resume` continues such a run. Nothing of the run
    is left in the program: no signal or log handler, no process group.

    Args:
        config: Settings; the same in all processes.

    Raises:
        ConfigError: A setting is wrong, or the output folder holds another run.
        DataError: A file does not fit the model.
        CheckpointError: The base model or a checkpoint cannot be used.
        NonFiniteLossError: The loss or its gradient was no finite number.
        RankError: Another process failed or died.
    """
    from genet5.annotate.trained_config import write_trained_config
    from genet5.train.run import run_training

    return run_training(
        config, complete=lambda folder, base: write_trained_config(config.train, base, folder)
    )
