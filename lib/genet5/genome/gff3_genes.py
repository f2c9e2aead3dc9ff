"""Make genes of one contig's table of GFF3 lines, whatever the dialect.

Understood are gene > transcript > exon, CDS, UTR; gene > CDS (prokaryotes: the exons are the merged CDS); CDS or
transcripts without a gene; transcripts without exons; genes without children (their span is the exon).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import combinations

from genet5.genome.gene import Gene, Transcript
from genet5.genome.gff3_cds import BadTranscript, Draft, finish, is_pseudo, unwrap
from genet5.genome.gff3_lines import (
    Attributes,
    CdsLine,
    ContigTable,
    Node,
    Parts,
    Trouble,
    is_gene_type,
    unescape,
)  # fmt: skip

_BIOTYPE_KEYS = ("gene_biotype", "biotype", "gene_type")
_NAME_KEYS = ("Name", "gene", "gene_name", "name")
_CDS_NAME_KEYS = ("gene", "Name")
_CODE_KEYS = ("transl_table",)
_VAGUE_TYPES = frozenset({"", "gene", "transcript", "mRNA"})


def build_genes(table: ContigTable, trouble: Trouble) -> list[Gene]:
    """Make the genes of one contig, sorted by start."""
    genes = list(_Builder(table, trouble).genes())
    return sorted(genes, key=lambda gene: (gene.start, gene.end))


class _Builder:
    def __init__(self, table: ContigTable, trouble: Trouble) -> None:
        self.table, self.trouble = table, trouble
        self.children: dict[str, list[Node]] = {}
        self.lone: list[Node] = []
        self.gene_nodes: list[Node] = []

    def genes(self) -> Iterable[Gene]:
        self._sort_nodes()
        for node in self.gene_nodes:
            yield from self._gene(node.id, node, self._drafts_of_gene(node))
        for node in self.lone:
            yield from self._gene(f"gene-{node.id}", node, self._drafts_of_transcript(node))
        for name, parts in self.table.orphans.items():
            yield from self._orphan(name, parts)

    def _sort_nodes(self) -> None:
        table = self.table
        for node in table.nodes.values():
            if is_gene_type(node.kind):
                self.gene_nodes.append(node)
            elif node.id in table.parts or _is_transcript_type(node.kind):
                self._place(node)
        for name, parts in table.parts.items():
            if name not in table.nodes and name not in table.broken:
                self._unknown_parent(name, parts.line)

    def _place(self, node: Node) -> None:
        """File a transcript under its gene; parts of a transcript (a mature miRNA) are no isoforms."""
        parent = None
        if node.parents:
            parent = self.table.nodes.get(node.parents[0])
            if parent is None:
                if node.parents[0] not in self.table.broken:
                    self._unknown_parent(node.parents[0], node.line)
                return
        if parent is None or not (is_gene_type(parent.kind) or _is_transcript_type(parent.kind)):
            self.lone.append(node)
        elif is_gene_type(parent.kind):
            self.children.setdefault(parent.id, []).append(node)

    def _unknown_parent(self, name: str, line: int) -> None:
        self.trouble.bad(
            "parent", line, f'parent "{name}" that is not on contig "{self.table.name}"',
            "the ID of a gene or transcript",
        )  # fmt: skip

    def _drafts_of_gene(self, node: Node) -> list[Draft]:
        drafts = [
            d for child in self.children.get(node.id, ()) for d in self._drafts_of_transcript(child)
        ]
        parts = self.table.parts.get(node.id)
        if parts is not None:
            bare = [d for d in drafts if not d.cds]
            if len(drafts) == 1 and bare and parts.cds:
                bare[0].cds = parts.cds
            else:
                drafts += self._direct_drafts(node, parts)
        elif not drafts and node.id not in self.children:
            drafts.append(_childless(node, f"{node.id}.t1", "transcript"))
        return drafts

    def _drafts_of_transcript(self, node: Node) -> list[Draft]:
        """One draft, or one for each of the overlapping CDS of a transcript that has several."""
        if node.id in self.table.broken:
            return []
        parts = self.table.parts.get(node.id)
        if parts is None:
            return [_childless(node, node.id, node.kind)]
        groups = _cds_groups(parts.cds)
        drafts = []
        for number, lines in enumerate(groups or [[]]):
            name = node.id if number == 0 else f"{node.id}.{lines[0].id}"
            drafts.append(self._draft(name, node.kind, node, parts, lines))
        return [draft for draft in drafts if draft is not None]

    def _direct_drafts(self, node: Node, parts: Parts) -> list[Draft]:
        """Transcripts of a gene whose exons and CDS name the gene itself as parent."""
        if node.id in self.table.broken:
            return []
        groups: dict[str, list[CdsLine]] = {}
        for line in parts.cds:
            groups.setdefault(line.id, []).append(line)
        drafts = [
            self._draft(name or f"{node.id}.t1", "mRNA", node, parts, lines, inherit=False)
            for name, lines in groups.items()
        ]
        if not groups:
            drafts.append(self._draft(f"{node.id}.t1", "transcript", node, parts, []))
        return [draft for draft in drafts if draft is not None]

    def _draft(
        self,
        name: str,
        kind: str,
        node: Node | None,
        parts: Parts,
        cds: list[CdsLine],
        *,
        inherit: bool = True,
    ) -> Draft | None:
        """A draft of checked strand; None when it has none or two (counted by cause)."""
        strand = node.strand if node is not None else 0
        if parts.strands != {strand}:
            strand = self._settle_strand(parts, node, name)
            if not strand:
                return None
        if parts.stop_codons and cds:
            cds = cds + [s for s in parts.stop_codons if not any(_covers(c, s) for c in cds)]
        exons = parts.exons or parts.utrs + [(line.start, line.end) for line in cds]
        attributes: Attributes = {}
        marked = any([line.marked for line in cds])
        pseudo = marked and any(is_pseudo(line.attributes) for line in cds)
        if node is not None and inherit:
            attributes, marked = node.attributes, marked or node.marked
            pseudo |= _is_pseudo_type(kind) or (node.marked and is_pseudo(attributes))
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
            self.trouble.bad(
                "strands differ", line, f'"{name}" and its parts on different strands', "one strand"
            )
        else:
            self.trouble.count("trans-splicing" if own else "no strand")
        return 0

    def _orphan(self, name: str, parts: Parts) -> Iterable[Gene]:
        if name in self.table.broken:
            return
        draft = self._draft(name, "mRNA", None, parts, parts.cds)
        if draft is not None:
            for gene in self._gene(f"gene-{name}", None, [draft]):
                yield replace(gene, score=parts.score)

    def _gene(self, name: str, node: Node | None, drafts: list[Draft]) -> Iterable[Gene]:
        """The gene, if any of its transcripts stands."""
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
            self.trouble.count("no strand")
        stranded = [draft for draft in drafts if draft.strand]
        kept = [draft for draft in stranded if draft.strand == stranded[0].strand]
        for _ in range(len(stranded) - len(kept)):
            self.trouble.count("trans-splicing")
        return kept

    def _lay_out(self, drafts: list[Draft]) -> None:
        table = self.table
        if any(d.marked and any("origin_spanning" in c.attributes for c in d.cds) for d in drafts):
            table.circular = True
        if table.circular and table.length is not None:
            unwrap(drafts, table.length)

    def _finish(self, draft: Draft) -> Transcript | None:
        try:
            return finish(draft)
        except BadTranscript as error:
            self.trouble.bad(*error.args)
            return None

    def _fits(self, gene: Gene, line: int) -> bool:
        length = self.table.length
        if length is None or gene.end <= length:
            return True
        if self.table.circular and gene.start < length and gene.end - gene.start <= length:
            return True
        self.trouble.bad(
            "beyond the contig", line, f'gene "{gene.id}" ends at {gene.end}',
            f'an end within the {length} bases of "{self.table.name}", or Is_circular=true on its region',
        )  # fmt: skip
        return False


def _is_transcript_type(kind: str) -> bool:
    return kind.endswith(("RNA", "transcript", "gene_segment", "RNA_TE_gene"))


def _is_pseudo_type(kind: str) -> bool:
    return "pseudogen" in kind


def _covers(piece: CdsLine, stop: CdsLine) -> bool:
    return piece.start <= stop.start and stop.end <= piece.end


def _childless(node: Node, name: str, kind: str) -> Draft:
    return Draft(
        id=name, type=kind, strand=node.strand, line=node.line, attributes=node.attributes,
        exons=list(node.spans), pseudo=_is_pseudo_type(kind) or is_pseudo(node.attributes),
        marked=node.marked,
    )  # fmt: skip


def _cds_groups(lines: list[CdsLine]) -> list[list[CdsLine]]:
    """Split a transcript's CDS lines by ID, if those of different ID overlap; else they are one CDS."""
    if len({line.id for line in lines}) > 1:
        groups: dict[str, list[CdsLine]] = {}
        for line in lines:
            groups.setdefault(line.id, []).append(line)
        for one, other in combinations(groups.values(), 2):
            if any(a.start < b.end and b.start < a.end for a in one for b in other):
                return list(groups.values())
    return [lines] if lines else []


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
    pseudo = _is_pseudo_type(kind) or "pseudogen" in biotype or all([d.pseudo for d in drafts])
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
