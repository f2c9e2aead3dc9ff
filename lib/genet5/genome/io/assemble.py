"""Put genes together from drafts of transcripts, whatever file they came from.

The readers of GFF3, GTF and GenBank differ in how they find the parts of a gene; what makes a gene of the parts is the
same for all: one strand, the origin of circular contigs, the rules of a transcript (`transcripts`), type, name and marks.
"""

from __future__ import annotations

from collections.abc import Iterable

from genet5.genome.gene import Gene, Transcript
from genet5.genome.io.attributes import Attributes, is_pseudo, unescape
from genet5.genome.io.feature_table import CdsLine, ContigTable, Node, Parts
from genet5.genome.io.record_errors import RecordErrors
from genet5.genome.io.transcripts import BadTranscript, Draft, Pool, finish, unwrap

_BIOTYPE_KEYS = ("gene_biotype", "biotype", "gene_type")
_NAME_KEYS = ("Name", "gene", "gene_name", "name")
_CDS_NAME_KEYS = ("gene", "Name")
_CODE_KEYS = ("transl_table",)
_VAGUE_TYPES = frozenset({"", "gene", "transcript", "mRNA"})


class Assembler:
    """Makes genes of one contig."""

    def __init__(self, table: ContigTable, errors: RecordErrors) -> None:
        self.table, self.errors = table, errors
        self.pool = Pool()

    def draft(
        self,
        name: str,
        kind: str,
        node: Node | None,
        parts: Parts,
        cds: list[CdsLine],
        *,
        inherit: bool = True,
    ) -> Draft | None:
        """Return a draft of checked strand; None when it has none or two (counted by cause)."""
        strand = node.strand if node is not None else 0
        if parts.strands != {strand}:
            strand = self._settle_strand(parts, node, name)
            if not strand:
                return None
        exons = parts.exons
        if parts.stop_codons and cds:
            stops = [s for s in parts.stop_codons if not any(_covers(c, s) for c in cds)]
            cds = cds + stops
            exons = parts.exons and parts.exons + [(stop.start, stop.end) for stop in stops]
        exons = exons or parts.utrs + [(line.start, line.end) for line in cds]
        attributes: Attributes = {}
        marked = any([line.marked for line in cds])
        pseudo = marked and any(is_pseudo(line.attributes) for line in cds)
        if node is not None and inherit:
            attributes, marked = node.attributes, marked or node.marked
            pseudo |= is_pseudo_type(kind) or (node.marked and is_pseudo(attributes))
        return Draft(
            id=name, type=kind, strand=strand, line=parts.line, attributes=attributes, exons=exons,
            cds=cds, recoded=parts.recoded, pseudo=pseudo, marked=marked,
        )  # fmt: skip

    def _settle_strand(self, parts: Parts, node: Node | None, name: str) -> int:
        """The strand of a transcript whose lines do not all say the same; 0 when there is none (counted)."""
        own = parts.strands - {0}
        stated = node.strand if node is not None else 0
        if len(own | {stated} - {0}) == 1:
            return next(iter(own or {stated}))
        if len(own) == 1:
            line = node.line if node is not None else parts.line
            self.errors.reject(
                "strands differ", line, f'"{name}" and its parts on different strands', "one strand"
            )
        else:
            self.errors.count("trans-splicing" if own else "no strand")
        return 0

    def gene(self, name: str, node: Node | None, drafts: list[Draft]) -> Iterable[Gene]:
        """Yield the gene, if any of its transcripts stands."""
        if len({draft.strand for draft in drafts}) > 1 or (drafts and not drafts[0].strand):
            drafts = self._of_one_strand(drafts)
        if not drafts or name in self.table.broken:
            return
        self._lay_out(drafts)
        transcripts = [t for draft in drafts if (t := self._finish(draft)) is not None]
        if not transcripts:
            return
        gene = _describe(name, node, self.table, drafts, tuple(transcripts))
        if self._fits(gene, drafts[0].line):
            yield gene

    def _of_one_strand(self, drafts: list[Draft]) -> list[Draft]:
        for _ in [draft for draft in drafts if not draft.strand]:
            self.errors.count("no strand")
        stranded = [draft for draft in drafts if draft.strand]
        kept = [draft for draft in stranded if draft.strand == stranded[0].strand]
        for _ in range(len(stranded) - len(kept)):
            self.errors.count("trans-splicing")
        return kept

    def _lay_out(self, drafts: list[Draft]) -> None:
        table = self.table
        if any(d.marked and any("origin_spanning" in c.attributes for c in d.cds) for d in drafts):
            table.circular = True
        if table.circular and table.length is not None:
            unwrap(drafts, table.length)

    def _finish(self, draft: Draft) -> Transcript | None:
        try:
            return finish(draft, self.pool)
        except BadTranscript as error:
            self.errors.reject(*error.args)
            return None

    def _fits(self, gene: Gene, line: int) -> bool:
        length = self.table.length
        if length is None or gene.end <= length:
            return True
        if self.table.circular and gene.start < length and gene.end - gene.start <= length:
            return True
        self.errors.reject(
            "beyond the contig", line, f'gene "{gene.id}" ends at {gene.end}',
            f'an end within the {length} bases of "{self.table.name}", or Is_circular=true on its region',
        )  # fmt: skip
        return False


def is_pseudo_type(kind: str) -> bool:
    """Whether column 3 or a biotype names a pseudogene."""
    return "pseudogen" in kind


def childless(node: Node, name: str, kind: str) -> Draft:
    """A transcript of a gene or transcript without parts: its span is the exon."""
    return Draft(
        id=name, type=kind, strand=node.strand, line=node.line, attributes=node.attributes,
        exons=list(node.spans), pseudo=is_pseudo_type(kind) or is_pseudo(node.attributes),
        marked=node.marked,
    )  # fmt: skip


def _covers(piece: CdsLine, stop: CdsLine) -> bool:
    return piece.start <= stop.start and stop.end <= piece.end


def _describe(
    name: str,
    node: Node | None,
    table: ContigTable,
    drafts: list[Draft],
    transcripts: tuple[Transcript, ...],
) -> Gene:
    """Put the gene together: its type, name, genetic code and marks."""
    first = next((draft.cds[0].attributes for draft in drafts if draft.cds), None)
    attributes: Attributes = node.attributes if node is not None else {}
    names = attributes if node is not None else first or {}
    biotype = unescape(_first(attributes, _BIOTYPE_KEYS))
    kind = node.kind if node is not None else "gene"
    pseudo = is_pseudo_type(kind) or "pseudogen" in biotype or all([d.pseudo for d in drafts])
    if node is not None and node.marked:
        pseudo |= is_pseudo(attributes)
    code = _first(first or {}, _CODE_KEYS) or _first(attributes, _CODE_KEYS)
    return Gene(
        id=name,
        contig=table.name,
        strand=drafts[0].strand,
        transcripts=transcripts,
        type=_gene_type(biotype, kind, drafts, pseudo),
        pseudo=pseudo,
        genetic_code=int(code) if code else table.genetic_code if first is not None else None,
        name=unescape(_first(names, _NAME_KEYS if node is not None else _CDS_NAME_KEYS)),
        score=node.score if node is not None else None,
    )


def _first(attributes: Attributes, keys: tuple[str, ...]) -> str:
    for key in keys:
        if key in attributes:
            return attributes[key]
    return ""


def _gene_type(biotype: str, kind: str, drafts: list[Draft], pseudo: bool) -> str:
    if biotype not in _VAGUE_TYPES:
        vague = biotype == "protein_coding" or "pseudogenic" in biotype
        return "pseudogene" if pseudo and vague else biotype
    if pseudo:
        return "pseudogene"
    if any(draft.cds for draft in drafts):
        return "protein_coding"
    for draft in drafts:
        if draft.type not in _VAGUE_TYPES:
            return draft.type
    if kind.endswith("RNA_gene"):
        return kind.removesuffix("_gene")
    return kind if kind != "gene" else "ncRNA"
