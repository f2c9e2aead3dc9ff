"""`genet5 convert`: rewrite an annotation in another format."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from genet5.cli.parse import run
from genet5.errors import ConfigError, DataError
from genet5.genome.io.files import check_inputs
from genet5.outputs import atomic_writer, check_outputs

if TYPE_CHECKING:
    from genet5.genome.gene import Gene
    from genet5.genome.io.annotation import Annotation
    from genet5.genome.io.fasta import Contig
    from genet5.genome.io.formats import OutputFormat

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class ConvertConfig:
    """What to rewrite, and how."""

    annotation: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="IN")]
    """Annotation to read: GFF3, GTF or GenBank, recognised by content; plain or compressed; - is
    standard input."""
    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    """Output file; a name in .gz is compressed; - is standard output."""
    genome: Annotated[Path | None, tyro.conf.arg(metavar="FASTA")] = None
    """The genome: checks that the annotation fits it and that its CDS translate, and gives contigs
    their lengths; GenBank output needs it."""
    format: Literal["auto", "gff3", "gtf", "genbank", "bed", "tsv", "tbl"] = "auto"
    """Output format; auto is by the name of OUT (.gff3, .gff, .gtf, .gb, .gbk, .gbff, .bed for
    BED12, .tsv for a table, .tbl for NCBI's feature table)."""
    genetic_code: int = 1
    """NCBI genetic code of genes without one (GenBank output)."""
    contig_codes: tuple[str, ...] = ()
    """The same for single contigs, as CONTIG=NUMBER: chrM=2 chrP=11; written as transl_table."""
    stop_codon_outside: bool = False
    """IN leaves stop codons out of its CDS, without stop_codon lines: extend each complete CDS."""
    skip_bad: bool = False
    """Drop and count invalid annotation records instead of stopping at the first."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return run(
        _convert,
        ConvertConfig,
        argv,
        name="convert",
        description=(
            "Rewrite an annotation (GFF3, GTF or GenBank) as GFF3, GTF, GenBank, BED12, a table "
            "of transcripts or NCBI's feature table. The first three keep genes, transcripts, "
            "exons and CDS with names, types, genetic codes, missing ends and exceptions, and "
            "locus_tag, old_locus_tag, gene_synonym, product, protein_id, transcript_id, "
            "EC_number, Dbxref, inference, transl_except and note in each format's "
            "own words. Other attributes and features that are no part of a gene are left out (the "
            "log lists them), and GenBank has no place for scores."
        ),
    )


def _convert(config: ConvertConfig) -> int:
    from genet5.genome.codes import genetic_code, parse_contig_codes
    from genet5.genome.io.fasta import read_fasta
    from genet5.genome.io.formats import read_annotation
    from genet5.genome.io.write import write_annotation
    from genet5.genome.translation import with_contig_codes

    inputs = {"IN": config.annotation, "genome": config.genome}
    check_inputs(inputs)
    check_outputs({"OUT": config.out}, inputs)
    kind = _format(config)
    genetic_code(config.genetic_code)
    contig_codes = parse_contig_codes(config.contig_codes)
    annotation = read_annotation(
        config.annotation,
        skip_bad=config.skip_bad,
        stop_codon_outside=config.stop_codon_outside,
        keep_attributes=True,
    )
    for cause, count in annotation.skipped.items():
        log.warning("%s: skipped %d: %s", config.annotation, count, cause)
    contigs = list(read_fasta(config.genome)) if config.genome is not None else []
    if contigs:
        annotation = _fitted(annotation, contigs, config)
        _check_translation(annotation, contigs, config.genetic_code, contig_codes)
    with atomic_writer(config.out) as out:
        write_annotation(
            out,
            kind,
            with_contig_codes(annotation.genes, contig_codes),
            annotation.contig_lengths,
            contigs,
            default_code=config.genetic_code,
            circular=annotation.circular,
        )
    log.info("%s: %d genes", config.out, len(annotation.genes))
    return 0


def _format(config: ConvertConfig) -> OutputFormat:
    from genet5.genome.io.formats import format_of_name

    found = format_of_name(config.out) if config.format == "auto" else config.format
    if found is None:
        raise ConfigError(
            "format", "auto", f"must be given: the name {str(config.out)!r} has no known suffix"
        )
    if found == "genbank" and config.genome is None:
        raise ConfigError("genome", None, "must be given: GenBank holds the bases too")
    return found


def _fitted(annotation: Annotation, contigs: Sequence[Contig], config: ConvertConfig) -> Annotation:
    """The annotation with the genome's contigs and lengths.

    Raises:
        DataError: A gene lies on no contig of the genome, or beyond its end.
    """
    lengths = {contig.name: len(contig.bases) for contig in contigs}
    kept = []
    for gene in annotation.genes:
        length = lengths.get(gene.contig, 0)
        circular = gene.contig in annotation.circular
        if gene.end <= length or (circular and gene.start < length and gene.end <= 2 * length):
            kept.append(gene)
        elif not config.skip_bad:
            raise DataError(
                f'gene "{gene.id}" at {gene.start + 1}-{gene.end} of contig "{gene.contig}"',
                expected=f"a place in {config.genome}", path=config.annotation,
                line=annotation.contig_lines.get(gene.contig),
                remedy="Do annotation and genome belong together? --skip_bad leaves such genes out",
            )  # fmt: skip
    if annotation.genes and not kept:
        raise DataError(
            f"none of {len(annotation.genes)} genes lies in the genome", path=config.annotation,
            remedy="Do contig names agree? Convert without --skip_bad to see the first gene",
        )  # fmt: skip
    if len(kept) < len(annotation.genes):
        log.warning("skipped %d: not in the genome", len(annotation.genes) - len(kept))
    return replace(annotation, genes=tuple(kept), contig_lengths=lengths)


def _check_translation(
    annotation: Annotation,
    contigs: Sequence[Contig],
    default_code: int,
    contig_codes: Mapping[str, int],
) -> None:
    """Log how many CDS translate."""
    from genet5.genome.translation import TranslationCheck

    by_contig: dict[str, list[Gene]] = {}
    for gene in annotation.genes:
        by_contig.setdefault(gene.contig, []).append(gene)
    check = TranslationCheck(default_code, contig_codes)
    for contig in contigs:
        check.add(contig.name, contig.bases, by_contig.get(contig.name, ()))
    check.log("translation")
