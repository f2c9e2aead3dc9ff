"""Write genes and their genome as GenBank flat files: gene, mRNA, CDS and RNA features, one record for each contig.

/locus_tag holds the gene's ID, /gene its name, /transcript_id the transcript's ID; complete CDS that follow the rules get
a /translation. A score has no place in the format and is lost.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable, Iterator
from typing import TextIO

from Bio import BiopythonWarning, SeqIO
from Bio.Seq import Seq
from Bio.SeqFeature import (  # fmt: skip
    AfterPosition,
    BeforePosition,
    CompoundLocation,
    ExactPosition,
    SeqFeature,
    SimpleLocation,
)
from Bio.SeqRecord import SeqRecord

from genet5.errors import DataError
from genet5.genome.codes import genetic_code
from genet5.genome.extract import protein
from genet5.genome.gene import Exon, Gene, Transcript
from genet5.genome.io.fasta import Contig
from genet5.genome.io.feature_table import Span
from genet5.genome.io.genbank_genes import BIOTYPE_NOTE
from genet5.genome.sequence import Bases, decode_bases

_OWN_KEYS = {key: key for key in ("mRNA", "tRNA", "rRNA", "tmRNA")} | {"transcript": "misc_RNA"}
_TOLD_TYPES = frozenset({"protein_coding", "pseudogene", "tRNA", "rRNA", "tmRNA", "misc_RNA"})
_CLASSES = {"lnc_RNA": "lncRNA", "ncRNA": "other"}

Qualifiers = dict[str, str]


def write_genbank(
    out: TextIO,
    genes: Iterable[Gene],
    contigs: Iterable[Contig],
    default_code: int = 1,
    *,
    circular: Collection[str] = (),
) -> None:
    """Write one record for each contig, in the order given.

    Args:
        out: Where to.
        genes: In any order.
        contigs: The genome.
        default_code: NCBI number of the genetic code of genes that do not state their own.
        circular: Contigs to mark as circular; those with a gene over the origin are marked anyway.

    Raises:
        DataError: A gene lies on no contig of the genome.
    """
    by_contig: dict[str, list[Gene]] = {}
    for gene in genes:
        by_contig.setdefault(gene.contig, []).append(gene)
    for contig in contigs:
        some = by_contig.pop(contig.name, [])
        some.sort(key=lambda gene: (gene.start, gene.end))
        record = _record(contig, some, default_code, is_circular=contig.name in circular)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", BiopythonWarning)  # long names: all readers take them
            SeqIO.write(record, out, "genbank")
    if by_contig:
        name = next(iter(by_contig))
        raise DataError(
            f'gene "{by_contig[name][0].id}" on contig "{name}"', expected="a contig of the genome",
            remedy="Do the annotation and the genome belong together?",
        )  # fmt: skip


def _record(
    contig: Contig, genes: list[Gene], default_code: int, *, is_circular: bool
) -> SeqRecord:
    length = len(contig.bases)
    is_circular |= any(gene.end > length for gene in genes)
    record = SeqRecord(
        Seq(decode_bases(contig.bases)),
        id=contig.name,
        name=contig.name,
        description=contig.description,
    )
    record.annotations = {
        "molecule_type": "DNA",
        "topology": "circular" if is_circular else "linear",
    }
    source = SeqFeature(SimpleLocation(0, length, 1), "source", qualifiers={"mol_type": "genomic DNA"})  # fmt: skip
    record.features = [source]
    for gene in genes:
        for kind, location, qualifiers in _features(gene, contig.bases, default_code):
            record.features.append(SeqFeature(location, kind, qualifiers=qualifiers))
    return record


def _features(
    gene: Gene, bases: Bases, default_code: int
) -> Iterator[tuple[str, SimpleLocation | CompoundLocation, Qualifiers]]:
    length = len(bases)
    names: Qualifiers = {"locus_tag": gene.id} | ({"gene": gene.name} if gene.name else {})
    if gene.pseudo:
        names["pseudo"] = ""
    note = {} if gene.type in _TOLD_TYPES else {"note": BIOTYPE_NOTE + gene.type}
    five = any(transcript.partial_5 for transcript in gene.transcripts)
    three = any(transcript.partial_3 for transcript in gene.transcripts)
    span = [(gene.start, gene.end)]
    yield "gene", _location(span, gene.strand, length, five, three), names | note
    for transcript in gene.transcripts:
        own = names | {"transcript_id": transcript.id}
        spans = [(exon.start, exon.end) for exon in transcript.exons]
        ends = (transcript.partial_5, transcript.partial_3)
        if not transcript.cds:
            if not _is_plain(gene, transcript):
                key, more = _rna_key(transcript)
                yield key, _location(spans, gene.strand, length, *ends), own | more
            continue
        if not _is_bare(gene, transcript):
            yield "mRNA", _location(spans, gene.strand, length), own
        pieces = [(piece.start, piece.end) for piece in transcript.cds]
        coding = own | _coding_qualifiers(gene, transcript, bases, default_code)
        yield "CDS", _location(pieces, gene.strand, length, *ends), coding


def _coding_qualifiers(
    gene: Gene, transcript: Transcript, bases: Bases, default_code: int
) -> Qualifiers:
    first = transcript.cds[0 if gene.strand > 0 else -1]
    code = gene.genetic_code or default_code
    found = {"codon_start": str(first.phase + 1), "transl_table": str(code)}
    others = [name for name in transcript.exceptions if name != "ribosomal_slippage"]
    if len(others) < len(transcript.exceptions):
        found["ribosomal_slippage"] = ""
    if others:
        found["exception"] = ",".join(name.replace("_", " ") for name in others)
    if not (gene.pseudo or others):
        residues = protein(bases, gene, transcript, genetic_code(code))
        if residues and "*" not in residues:
            found["translation"] = residues
    return found


def _rna_key(transcript: Transcript) -> tuple[str, Qualifiers]:
    if transcript.type in _OWN_KEYS:
        return _OWN_KEYS[transcript.type], {}
    return "ncRNA", {"ncRNA_class": _CLASSES.get(transcript.type, transcript.type)}


def _is_plain(gene: Gene, transcript: Transcript) -> bool:
    """Whether the gene's own feature says all of it."""
    return (
        len(gene.transcripts) == 1
        and (transcript.id, transcript.type) == (f"{gene.id}.t1", "transcript")
        and len(transcript.exons) == 1
    )


def _is_bare(gene: Gene, transcript: Transcript) -> bool:
    """Whether the CDS's feature says all of the transcript."""
    one = len(gene.transcripts) == 1 and len(transcript.cds) == 1
    return one and transcript.exons == (Exon(transcript.start, transcript.end),) and (
        transcript.cds[0].start, transcript.cds[0].end
    ) == (transcript.start, transcript.end)  # fmt: skip


def _location(
    spans: list[Span], strand: int, length: int, partial_5: bool = False, partial_3: bool = False
) -> SimpleLocation | CompoundLocation:
    """The location in Biopython's form: parts in reading direction, those behind the origin at the contig's start."""
    pieces: list[Span] = []
    for start, end in spans:
        if start < length < end:
            pieces += [(start, length), (0, end - length)]
        elif start >= length:
            pieces.append((start - length, end - length))
        else:
            pieces.append((start, end))
    left, right = (partial_5, partial_3) if strand > 0 else (partial_3, partial_5)
    parts = []
    for at, (start, end) in enumerate(pieces):
        is_open = left and at == 0
        first = BeforePosition(start) if is_open else ExactPosition(start)
        is_open = right and at == len(pieces) - 1
        last = AfterPosition(end) if is_open else ExactPosition(end)
        parts.append(SimpleLocation(first, last, strand))
    parts = parts[::strand]
    return parts[0] if len(parts) == 1 else CompoundLocation(parts)
