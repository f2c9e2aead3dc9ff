"""Write genes and their genome as GenBank flat files: one record per contig; gene, mRNA, CDS, RNA.

/locus_tag is the one that came with the gene, or else the gene's ID; /gene is its name.
/transcript_id is the one that came, or else the transcript's ID where the CDS has no /protein_id.
Kept attributes have INSDC's names. Values that INSDC does not define stand in a /note: exceptions
of its own list alone are in /exception, RNA classes of its own list in /ncRNA_class. Complete CDS
that follow the rules get a /translation. A score has no place in the format and is lost.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable, Iterator
from typing import TextIO, TypeAlias

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
from genet5.genome.frames import five_prime, five_three
from genet5.genome.gene import Exon, Gene, KeptAttributes, Transcript
from genet5.genome.io.fasta import Contig
from genet5.genome.io.feature_table import Span
from genet5.genome.io.genbank_genes import BIOTYPE_NOTE, EXCEPTION_NOTE, RNA_NOTE
from genet5.genome.io.gff3_write import unexplained
from genet5.genome.sequence import Bases, decode_bases

_OWN_KEYS = {key: key for key in ("mRNA", "tRNA", "rRNA", "tmRNA")} | {"transcript": "misc_RNA"}
_KEYED_TYPES = frozenset({"protein_coding", "pseudogene", "tRNA", "rRNA", "tmRNA", "misc_RNA"})
"""Types of genes that follow from the keys of their features."""
_CLASSES = {"lnc_RNA": "lncRNA", "ncRNA": "other"}
_NCRNA_CLASSES = frozenset({
    "antisense_RNA", "autocatalytically_spliced_intron", "circRNA", "guide_RNA",
    "hammerhead_ribozyme", "lncRNA", "miRNA", "other", "piRNA", "pre_miRNA", "rasiRNA", "ribozyme",
    "RNase_MRP_RNA", "RNase_P_RNA", "scaRNA", "scRNA", "sgRNA", "siRNA", "snoRNA", "snRNA",
    "SRP_RNA", "telomerase_RNA", "vault_RNA", "Y_RNA",
})  # fmt: skip
"""INSDC's vocabulary of /ncRNA_class."""
_EXCEPTIONS = frozenset({
    "RNA_editing", "reasons_given_in_citation", "rearrangement_required_for_product",
    "annotated_by_transcript_or_proteomic_data",
})  # fmt: skip
"""INSDC's vocabulary of /exception."""

Qualifiers: TypeAlias = dict[str, list[str]]


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
        write_genbank_record(out, contig, some, default_code, is_circular=contig.name in circular)
    if by_contig:
        name = next(iter(by_contig))
        raise DataError(
            f'gene "{by_contig[name][0].id}" on contig "{name}"', expected="a contig of the genome",
            remedy="Do the annotation and the genome belong together?",
        )  # fmt: skip


def write_genbank_record(
    out: TextIO, contig: Contig, genes: list[Gene], default_code: int = 1, *, is_circular: bool
) -> None:
    """Write one contig with its genes, which ascend by start and end."""
    record = _record(contig, genes, default_code, is_circular=is_circular)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BiopythonWarning)  # long names: readers take them
        SeqIO.write(record, out, "genbank")


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
    whole = SimpleLocation(0, length, 1)
    source = SeqFeature(whole, "source", qualifiers={"mol_type": "genomic DNA"})
    record.features = [source]
    for gene in genes:
        for kind, location, qualifiers in _features(gene, contig.bases, default_code):
            record.features.append(SeqFeature(location, kind, qualifiers=qualifiers))
    return record


def _features(
    gene: Gene, bases: Bases, default_code: int
) -> Iterator[tuple[str, SimpleLocation | CompoundLocation, Qualifiers]]:
    length = len(bases)
    tags = _values(gene.attributes).get("locus_tag", [gene.id])
    names: Qualifiers = {"locus_tag": tags} | ({"gene": [gene.name]} if gene.name else {})
    if gene.pseudo:
        names["pseudo"] = [""]
    five = any(transcript.partial_5 for transcript in gene.transcripts)
    three = any(transcript.partial_3 for transcript in gene.transcripts)
    span = [(gene.start, gene.end)]
    notes = [] if gene.type in _KEYED_TYPES else [BIOTYPE_NOTE + gene.type]
    own = _with(names, gene.attributes, notes)
    yield "gene", _location(span, gene.strand, length, five, three), own
    for transcript in gene.transcripts:
        yield from _transcript(gene, transcript, names, bases, default_code)


def _transcript(
    gene: Gene, transcript: Transcript, names: Qualifiers, bases: Bases, default_code: int
) -> Iterator[tuple[str, SimpleLocation | CompoundLocation, Qualifiers]]:
    length = len(bases)
    own = names | _transcript_name(transcript)
    spans = [(exon.start, exon.end) for exon in transcript.exons]
    ends = (transcript.partial_5, transcript.partial_3)
    if not transcript.cds:
        if not _is_plain(gene, transcript):
            key, more, notes = rna_key(transcript)
            qualifiers = _with(own | more, transcript.attributes, notes)
            yield key, _location(spans, gene.strand, length, *ends), qualifiers
        return
    kept = transcript.cds_attributes
    if _is_single_cds(gene, transcript):
        known = {name for name, _ in kept}
        kept += tuple(pair for pair in transcript.attributes if pair[0] not in known)
    else:
        mrna = _with(own, transcript.attributes, [])
        yield "mRNA", _location(spans, gene.strand, length), mrna
    intervals = [(cds.start, cds.end) for cds in transcript.cds]
    coding, notes = _coding_qualifiers(gene, transcript, bases, default_code)
    qualifiers = _with(own | coding, kept, notes)
    yield "CDS", _location(intervals, gene.strand, length, *ends), qualifiers


def _transcript_name(transcript: Transcript) -> Qualifiers:
    """/transcript_id, by which an mRNA and its CDS find each other."""
    given = _values(transcript.attributes).get("transcript_id")
    if given:
        return {"transcript_id": given}
    if "protein_id" in _values(transcript.cds_attributes):
        return {}
    return {"transcript_id": [transcript.id]}


def _values(attributes: KeptAttributes) -> Qualifiers:
    found: Qualifiers = {}
    for name, value in attributes:
        found.setdefault(name, []).append(value)
    return found


def _with(qualifiers: Qualifiers, attributes: KeptAttributes, notes: list[str]) -> Qualifiers:
    """Qualifiers with kept attributes that they lack, and with notes."""
    found = _values(attributes) | qualifiers
    if notes:
        found["note"] = [*notes, *found.get("note", ())]
    return found


def _coding_qualifiers(
    gene: Gene, transcript: Transcript, bases: Bases, default_code: int
) -> tuple[Qualifiers, list[str]]:
    """Qualifiers of a CDS, and notes."""
    first = five_prime(transcript.cds, gene.strand)
    code = gene.genetic_code or default_code
    found = {"codon_start": [str(first.phase + 1)], "transl_table": [str(code)]}
    if "ribosomal_slippage" in transcript.exceptions:
        found["ribosomal_slippage"] = [""]
    others = [name for name in unexplained(transcript) if name != "ribosomal_slippage"]
    of_insdc = [name.replace("_", " ") for name in others if name in _EXCEPTIONS]
    if of_insdc:
        found["exception"] = of_insdc
    rest = [name.replace("_", " ") for name in others if name not in _EXCEPTIONS]
    if not (gene.pseudo or set(transcript.exceptions) - {"ribosomal_slippage"}):
        residues = protein(bases, gene, transcript, genetic_code(code))
        if residues and "*" not in residues:
            found["translation"] = [residues]
    return found, [EXCEPTION_NOTE + ",".join(rest)] if rest else []


def rna_key(transcript: Transcript) -> tuple[str, Qualifiers, list[str]]:
    """Key of an RNA's feature, its qualifiers, and notes."""
    if transcript.type in _OWN_KEYS:
        return _OWN_KEYS[transcript.type], {}, []
    name = _CLASSES.get(transcript.type, transcript.type)
    if name in _NCRNA_CLASSES:
        return "ncRNA", {"ncRNA_class": [name]}, []
    return "ncRNA", {"ncRNA_class": ["other"]}, [RNA_NOTE + transcript.type]


def _is_plain(gene: Gene, transcript: Transcript) -> bool:
    """Whether the gene's own feature describes all of it."""
    return (
        len(gene.transcripts) == 1
        and (transcript.id, transcript.type) == (f"{gene.id}.t1", "transcript")
        and len(transcript.exons) == 1
    )


def _is_single_cds(gene: Gene, transcript: Transcript) -> bool:
    """Whether the CDS's feature describes all of the transcript."""
    one = len(gene.transcripts) == 1 and len(transcript.cds) == 1
    return one and transcript.exons == (Exon(transcript.start, transcript.end),) and (
        transcript.cds[0].start, transcript.cds[0].end
    ) == (transcript.start, transcript.end)  # fmt: skip


def _location(
    spans: list[Span], strand: int, length: int, partial_5: bool = False, partial_3: bool = False
) -> SimpleLocation | CompoundLocation:
    """The location in Biopython's form: parts in reading direction."""
    found = spans_on_contig(spans, length)
    left, right = five_three(partial_5, partial_3, strand)
    parts = []
    for at, (start, end) in enumerate(found):
        is_open = left and at == 0
        first = BeforePosition(start) if is_open else ExactPosition(start)
        is_open = right and at == len(found) - 1
        last = AfterPosition(end) if is_open else ExactPosition(end)
        parts.append(SimpleLocation(first, last, strand))
    parts = parts[::strand]
    return parts[0] if len(parts) == 1 else CompoundLocation(parts)


def spans_on_contig(spans: Iterable[Span], length: int) -> list[Span]:
    """Return spans as they lie on a contig: those beyond its end are at its start (circular).

    Example:
        >>> spans_on_contig([(5, 8), (9, 12)], 10)
        [(5, 8), (9, 10), (0, 2)]
    """
    found: list[Span] = []
    for start, end in spans:
        if start < length < end:
            found += [(start, length), (0, end - length)]
        elif 0 < length <= start:
            found.append((start - length, end - length))
        else:
            found.append((start, end))
    return found
