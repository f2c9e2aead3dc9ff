"""Make genes of one contig's table of GFF3 lines, whatever the dialect.

Understood are gene > transcript > exon, CDS, UTR; gene > CDS (prokaryotes: the exons are the merged
CDS); CDS or transcripts without a gene; transcripts without exons; genes without children (their
span is the exon). Which feature belongs to which gene is settled in `gff3_links`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from genet5.genome.gene import Gene
from genet5.genome.io.assemble import Assembler, childless
from genet5.genome.io.attributes import Attributes, unescape
from genet5.genome.io.feature_table import CdsLine, ContigTable, Node, Parts, Span
from genet5.genome.io.gff3_links import GENE_KEYS, Linker, gene_key
from genet5.genome.io.loci import draft_extent, loci, numbered
from genet5.genome.io.read_report import ReadReport
from genet5.genome.io.transcripts import Draft


def build_genes(table: ContigTable, report: ReadReport) -> list[Gene]:
    """Make the genes of one contig, in any order."""
    return list(_Builder(table, report).genes())


@dataclass(slots=True)
class _Lone:
    """A transcript or CDS without a gene line."""

    name: str
    node: Node | None
    attributes: Attributes
    drafts: list[Draft]
    score: float | None

    @property
    def extent(self) -> Span:
        """First base and one past the last."""
        extents = [draft_extent(draft) for draft in self.drafts]
        return min(start for start, _ in extents), max(end for _, end in extents)


class _Builder(Assembler):
    def __init__(self, table: ContigTable, report: ReadReport) -> None:
        super().__init__(table, report)
        self.linker = Linker(table, report)
        self.links = self.linker.links
        self.adopted: dict[str, list[Draft]] = {}
        """CDS without a parent that name their gene otherwise, by its ID."""

    def genes(self) -> Iterable[Gene]:
        self.linker.link()
        lone = list(self._lone_transcripts())
        lone += self._orphans()
        for node in self.links.genes:
            if node.id in self.links.parts_of_others:
                self.report.count("trans-splicing")
            else:
                yield from self.gene(node.id, node, self._drafts_of_gene(node))
        yield from self._lone_genes(lone)

    def _lone_transcripts(self) -> Iterator[_Lone]:
        for node in self.links.lone:
            drafts = self._drafts_of_transcript(node)
            if drafts:
                yield _Lone(node.id, node, node.attributes, drafts, node.score)

    def _orphans(self) -> Iterator[_Lone]:
        """CDS without a parent; those that name a gene line otherwise are given to it."""
        for name, parts in self.table.orphans.items():
            draft = self._orphan(name, parts)
            if draft is None:
                continue
            attributes = parts.cds[0].attributes
            gene = self.linker.gene_named(attributes, draft_extent(draft), draft.strand)
            if gene is not None:
                self.adopted.setdefault(gene.id, []).append(draft)
                continue
            self.report.summary.orphan_cds += not gene_key(attributes)[0]
            yield _Lone(name, None, attributes, [draft], parts.score)

    def _orphan(self, name: str, parts: Parts) -> Draft | None:
        if name in self.table.broken:
            return None
        return self.draft(name, "mRNA", None, parts, parts.cds)

    def _lone_genes(self, lone: list[_Lone]) -> Iterator[Gene]:
        """Genes of what names no gene line: what shares geneID, gene_id ... is one gene."""
        groups: dict[tuple[str, str, int, str], list[_Lone]] = {}
        for one in lone:
            key, value = gene_key(one.attributes)
            strand = one.drafts[0].strand if key else 0
            own = "" if key else one.name
            groups.setdefault((key, value, strand, own), []).append(one)
        used: dict[str, int] = {}
        for (key, value, _, _), members in groups.items():
            for group in loci(members, lambda one: one.extent):
                name = value if key in GENE_KEYS else f"gene-{group[0].name}"
                number = used[name] = used.get(name, -1) + 1
                self.report.summary.several_loci += number > 0
                yield from self._lone_gene(numbered(name, number), group)

    def _lone_gene(self, name: str, group: list[_Lone]) -> Iterator[Gene]:
        first = group[0]
        drafts = [draft for one in group for draft in one.drafts]
        for gene in self.gene(name, first.node, drafts):
            yield gene if first.node is not None else replace(gene, score=first.score)

    def _drafts_of_gene(self, node: Node) -> list[Draft]:
        children = self.links.children.get(node.id, ())
        drafts = [draft for child in children for draft in self._drafts_in_gene(child, node)]
        parts, adopted = self._own_parts(node, children), self.adopted.get(node.id, [])
        if parts is not None and parts.has_extent:
            without_cds = [draft for draft in drafts if not draft.cds]
            if len(drafts) == 1 and without_cds and parts.cds:
                without_cds[0].cds = parts.cds
                without_cds[0].cds_kept = self.kept(parts.cds[0].attributes)
            else:
                drafts += self._direct_drafts(node, parts)
        elif not drafts and not adopted and node.id not in self.links.children:
            drafts.append(childless(node, f"{node.id}.t1", "transcript"))
        return drafts + adopted

    def _own_parts(self, node: Node, children: Sequence[Node]) -> Parts | None:
        """The parts that name the gene as parent and none of its transcripts."""
        parts = self.table.parts.get(node.id)
        if parts is None or not parts.cds or not children:
            return parts
        table = self.table.parts
        taken = {cds.line for child in children if child.id in table for cds in table[child.id].cds}
        if not taken:
            return parts
        cds = [line for line in parts.cds if line.line not in taken]
        return replace(parts, cds=cds) if cds else None

    def _drafts_in_gene(self, node: Node, gene: Node) -> list[Draft]:
        drafts = self._drafts_of_transcript(node, gene)
        if node.id not in self.links.polycistronic:
            return drafts
        first = self.table.nodes[node.parents[0]]
        for draft in drafts:
            if gene is not first:
                draft.id = f"{node.id}.{gene.id}"
            draft.exons = _clipped(draft.exons, gene.spans[0]) or draft.exons
        return drafts

    def _drafts_of_transcript(self, node: Node, gene: Node | None = None) -> list[Draft]:
        """One draft, or one for each of the overlapping CDS of a transcript that has several."""
        if node.id in self.table.broken:
            return []
        parts = self.table.parts.get(node.id)
        if parts is None or not parts.has_extent:
            draft = childless(node, node.id, node.kind)
            draft.kept = self.kept(node.attributes)
            return [draft]
        cds = parts.cds
        if gene is not None and node.id in self.links.polycistronic:
            cds = _cds_of_gene(cds, gene)
        groups = _cds_groups(cds)
        drafts = []
        for number, lines in enumerate(groups or [[]]):
            name = node.id if number == 0 else f"{node.id}.{lines[0].id}"
            drafts.append(self.draft(name, node.kind, node, parts, lines))
        return [draft for draft in drafts if draft is not None]

    def _direct_drafts(self, node: Node, parts: Parts) -> list[Draft]:
        """Transcripts of a gene whose exons and CDS name the gene itself as parent."""
        if node.id in self.table.broken:
            return []
        groups: dict[str, list[CdsLine]] = {}
        for line in parts.cds:
            groups.setdefault(line.id, []).append(line)
        drafts = [
            self.draft(name or f"{node.id}.t1", "mRNA", node, parts, lines, inherit=False)
            for name, lines in groups.items()
        ]
        if not groups:
            drafts.append(self.draft(f"{node.id}.t1", "transcript", node, parts, []))
        return [draft for draft in drafts if draft is not None]


def _cds_of_gene(lines: list[CdsLine], gene: Node) -> list[CdsLine]:
    """The CDS lines of a polycistronic transcript that belong to one of its genes."""
    if any("Derives_from" in line.attributes for line in lines):
        return [
            line for line in lines if unescape(line.attributes.get("Derives_from", "")) == gene.id
        ]
    start, end = gene.spans[0]
    return [line for line in lines if start <= line.start and line.end <= end]


def _clipped(exons: list[Span], extent: Span) -> list[Span]:
    """What of the exons lies in the extent."""
    start, end = extent
    return [(max(a, start), min(b, end)) for a, b in exons if a < end and start < b]


def _cds_groups(lines: list[CdsLine]) -> list[list[CdsLine]]:
    """Split a transcript's CDS lines by ID, if those of different ID overlap; else it has one."""
    if len({line.id for line in lines}) > 1:
        groups: dict[str, list[CdsLine]] = {}
        for line in lines:
            groups.setdefault(line.id, []).append(line)
        for one, other in combinations(groups.values(), 2):
            if any(a.start < b.end and b.start < a.end for a in one for b in other):
                return list(groups.values())
    return [lines] if lines else []
