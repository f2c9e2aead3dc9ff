"""Put genes together from drafts of transcripts, whatever file they came from.

The readers of GFF3, GTF and GenBank differ in how they find the parts of a gene; what makes a gene
of the parts is the same for all: one strand, the origin of circular contigs, the rules of a
transcript (`transcripts`), type, name and marks.
"""

from __future__ import annotations

from collections.abc import Iterable

from genet5.genome.gene import Gene, KeptAttributes, Transcript
from genet5.genome.io.attributes import (
    Attributes,
    is_pseudo,
    is_trans_spliced,
    kept_attributes,
    unescape,
)
from genet5.genome.io.feature_table import CdsLine, ContigTable, Node, Parts
from genet5.genome.io.feature_types import is_gene_type
from genet5.genome.io.read_report import ReadReport
from genet5.genome.io.start_scores import read_start_alternatives, read_start_score
from genet5.genome.io.stop_codons import with_stop_codon
from genet5.genome.io.transcripts import BadTranscript, Draft, Pool, finish, unwrap

_BIOTYPE_KEYS = ("gene_biotype", "biotype", "gene_type")
_NAME_KEYS = ("Name", "gene", "gene_name", "name")
_CDS_NAME_KEYS = ("gene", "Name")
_CODE_KEYS = ("transl_table",)
_VAGUE_TYPES = frozenset({"", "gene", "transcript", "mRNA"})


class Assembler:
    """Makes genes of one contig."""

    separator = ","
    """Between the values of an attribute."""

    def __init__(self, table: ContigTable, report: ReadReport) -> None:
        self.table, self.report = table, report
        self.pool = Pool()
        self._keeps = report.options.keep_attributes

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
            has_stop_codon=bool(parts.stop_codons),
            kept=self.kept(attributes) if self._keeps else (),
            cds_kept=self.kept(cds[0].attributes) if cds and self._keeps else (),
        )  # fmt: skip

    def kept(self, attributes: Attributes) -> KeptAttributes:
        """The attributes to keep, if any are to be kept."""
        if not self.report.options.keep_attributes:
            return ()
        return kept_attributes(attributes, separator=self.separator)

    def _settle_strand(self, parts: Parts, node: Node | None, name: str) -> int:
        """The strand of a transcript whose lines differ in it; 0 when it has none (counted)."""
        own = parts.strands - {0}
        stated = node.strand if node is not None else 0
        if len(own | {stated} - {0}) == 1:
            return next(iter(own or {stated}))
        if not own:
            self.report.count("no strand")
        elif self._is_trans_spliced(parts, node):
            self.report.count("trans-splicing")
        elif parts.cds and all(is_pseudo(line.attributes) for line in parts.cds):
            self.report.count("pseudogene on both strands")
        else:
            self._reject_strands(parts, node, name)
        return 0

    def _is_trans_spliced(self, parts: Parts, node: Node | None) -> bool:
        """Whether parts on two strands are meant: marked so, or a parent without a strand."""
        found = [line.attributes for line in parts.cds]
        if node is not None:
            parents = [self.table.nodes.get(name) for name in node.parents]
            nodes = [node, *(parent for parent in parents if parent is not None)]
            if len(parts.strands - {0}) > 1 and not all(one.strand for one in nodes):
                return True
            found += [one.attributes for one in nodes]
        return any(map(is_trans_spliced, found))

    def _reject_strands(self, parts: Parts, node: Node | None, name: str) -> None:
        stated = node.strand if node is not None else parts.cds[0].strand if parts.cds else 0
        odd = [line for line in parts.cds if line.strand != stated]
        if odd:
            found = f'CDS of "{name}" on another strand than the rest of it'
        else:
            found = f'"{name}" and its parts on different strands'
        line = odd[0].line if odd else node.line if node is not None else parts.line
        self.report.reject("strands differ", line, found, "one strand, or exception=trans-splicing")

    def gene(self, name: str, node: Node | None, drafts: list[Draft]) -> Iterable[Gene]:
        """Yield the gene, if any of its transcripts is valid."""
        if len({draft.strand for draft in drafts}) > 1 or (drafts and not drafts[0].strand):
            drafts = self._of_one_strand(drafts)
        if not drafts or name in self.table.broken or self._differs_in_strand(node, drafts[0]):
            return
        self._lay_out(drafts)
        transcripts = [t for draft in drafts if (t := self._finish(draft)) is not None]
        if not transcripts:
            return
        gene = self._describe(name, node, drafts, tuple(transcripts))
        if self._fits(gene, drafts[0].line):
            self.report.summary.inferred_genes += not _has_line(node)
            yield gene

    def _of_one_strand(self, drafts: list[Draft]) -> list[Draft]:
        for _ in [draft for draft in drafts if not draft.strand]:
            self.report.count("no strand")
        stranded = [draft for draft in drafts if draft.strand]
        kept = [draft for draft in stranded if draft.strand == stranded[0].strand]
        for draft in stranded:
            if draft.strand != stranded[0].strand:
                self._drop_other_strand(draft)
        return kept

    def _drop_other_strand(self, draft: Draft) -> None:
        if is_trans_spliced(draft.attributes):
            self.report.count("trans-splicing")
        else:
            self.report.reject(
                "strands differ", draft.line,
                f'transcript "{draft.id}" on another strand than the rest of its gene',
                "one strand, or exception=trans-splicing",
            )  # fmt: skip

    def _differs_in_strand(self, node: Node | None, draft: Draft) -> bool:
        """Whether the gene's line has another strand than its transcripts, which is bad."""
        if node is None or node.strand in (0, draft.strand):
            return False
        if is_trans_spliced(node.attributes) or is_trans_spliced(draft.attributes):
            self.report.count("trans-splicing")
        else:
            self.report.reject(
                "strands differ", node.line,
                f'{node.kind} "{node.id}" and its transcripts on different strands', "one strand",
            )  # fmt: skip
        return True

    def _lay_out(self, drafts: list[Draft]) -> None:
        table = self.table
        marked = [draft for draft in drafts if draft.marked]
        if any("origin_spanning" in line.attributes for draft in marked for line in draft.cds):
            table.circular = True
        if table.circular and table.length is not None:
            unwrap(drafts, table.length)

    def _finish(self, draft: Draft) -> Transcript | None:
        try:
            made = finish(draft, self.pool)
        except BadTranscript as error:
            self.report.reject(*error.args)
            return None
        if not (self.report.options.stop_codon_outside and made.cds):
            return made
        if draft.has_stop_codon or draft.pseudo or made.partial_3 or made.exceptions:
            return made
        length = None if self.table.circular else self.table.length
        return with_stop_codon(made, draft.strand, length)

    def _fits(self, gene: Gene, line: int) -> bool:
        length = self.table.length
        if length is None or gene.end <= length:
            return True
        if self.table.circular and gene.start < length and gene.end - gene.start <= length:
            return True
        self.report.reject(
            "beyond the contig", line, f'gene "{gene.id}" ends at {gene.end}',
            f'an end within the {length} bases of "{self.table.name}", '
            "or Is_circular=true on its region",
        )  # fmt: skip
        return False

    def _describe(
        self, name: str, node: Node | None, drafts: list[Draft], transcripts: tuple[Transcript, ...]
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
        default_code = self.table.genetic_code if first is not None else None
        return Gene(
            id=name,
            contig=self.table.name,
            strand=drafts[0].strand,
            transcripts=transcripts,
            type=_gene_type(biotype, kind, drafts, pseudo),
            pseudo=pseudo,
            genetic_code=int(code) if code else default_code,
            name=unescape(_first(names, _NAME_KEYS if node is not None else _CDS_NAME_KEYS)),
            score=node.score if node is not None else None,
            start_score=read_start_score(attributes),
            start_alternatives=read_start_alternatives(attributes),
            attributes=self._gene_attributes(node, first or {}),
        )

    def _gene_attributes(self, node: Node | None, cds: Attributes) -> KeptAttributes:
        """What to keep of a gene; without a line of its own, the /locus_tag of its parts."""
        if not self._keeps:
            return ()
        if node is not None and _has_line(node):
            return self.kept(node.attributes)
        source = {**cds, **(node.attributes if node is not None else {})}
        return tuple(pair for pair in self.kept(source) if pair[0] == "locus_tag")


def _has_line(node: Node | None) -> bool:
    """Whether it is a gene with a line of its own."""
    return node is not None and is_gene_type(node.kind) and not node.is_inferred


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


def _covers(cds: CdsLine, stop: CdsLine) -> bool:
    return cds.start <= stop.start and stop.end <= cds.end


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
