"""Make genes of one contig's table of GFF3 lines, whatever the dialect.

Understood are gene > transcript > exon, CDS, UTR; gene > CDS (prokaryotes: the exons are the merged CDS); CDS or
transcripts without a gene; transcripts without exons; genes without children (their span is the exon).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import combinations

from genet5.genome.gene import Gene
from genet5.genome.io.assemble import Assembler, childless
from genet5.genome.io.feature_table import CdsLine, ContigTable, Node, Parts
from genet5.genome.io.feature_types import is_gene_type, is_transcript_type
from genet5.genome.io.record_errors import RecordErrors
from genet5.genome.io.transcripts import Draft

_MAX_DEPTH = 20
"""Generations of features; a gene has three or four."""


def build_genes(table: ContigTable, errors: RecordErrors) -> list[Gene]:
    """Make the genes of one contig, in any order."""
    return list(_Builder(table, errors).genes())


class _Builder(Assembler):
    def __init__(self, table: ContigTable, errors: RecordErrors) -> None:
        super().__init__(table, errors)
        self.children: dict[str, list[Node]] = {}
        self.lone: list[Node] = []
        self.gene_nodes: list[Node] = []

    def genes(self) -> Iterable[Gene]:
        self._sort_nodes()
        for node in self.gene_nodes:
            yield from self.gene(node.id, node, self._drafts_of_gene(node))
        for node in self.lone:
            yield from self.gene(f"gene-{node.id}", node, self._drafts_of_transcript(node))
        for name, parts in self.table.orphans.items():
            yield from self._orphan(name, parts)

    def _sort_nodes(self) -> None:
        table = self.table
        for node in table.nodes.values():
            if node.parents and self._is_cyclic(node):
                continue
            if is_gene_type(node.kind):
                self.gene_nodes.append(node)
            elif node.id in table.parts or is_transcript_type(node.kind):
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
        if parent is None or not (is_gene_type(parent.kind) or is_transcript_type(parent.kind)):
            self.lone.append(node)
        elif is_gene_type(parent.kind):
            self.children.setdefault(parent.id, []).append(node)

    def _is_cyclic(self, node: Node) -> bool:
        """Whether the chain of parents leads back to this node, which is bad."""
        nodes, at, steps = self.table.nodes, node, 0
        while at.parents and at.parents[0] in nodes and steps < _MAX_DEPTH:
            at, steps = nodes[at.parents[0]], steps + 1
            if at is node:
                self.errors.reject(
                    "cyclic parent", node.line, f'{node.kind} "{node.id}" among its own ancestors',
                    "parents that lead up to a gene",
                )  # fmt: skip
                return True
        return False

    def _unknown_parent(self, name: str, line: int) -> None:
        self.errors.reject(
            "parent", line, f'parent "{name}" that is not on contig "{self.table.name}"',
            "the ID of a gene or transcript",
        )  # fmt: skip

    def _drafts_of_gene(self, node: Node) -> list[Draft]:
        drafts = [
            d for child in self.children.get(node.id, ()) for d in self._drafts_of_transcript(child)
        ]
        parts = self.table.parts.get(node.id)
        if parts is not None and parts.has_extent:
            bare = [d for d in drafts if not d.cds]
            if len(drafts) == 1 and bare and parts.cds:
                bare[0].cds = parts.cds
            else:
                drafts += self._direct_drafts(node, parts)
        elif not drafts and node.id not in self.children:
            drafts.append(childless(node, f"{node.id}.t1", "transcript"))
        return drafts

    def _drafts_of_transcript(self, node: Node) -> list[Draft]:
        """One draft, or one for each of the overlapping CDS of a transcript that has several."""
        if node.id in self.table.broken:
            return []
        parts = self.table.parts.get(node.id)
        if parts is None or not parts.has_extent:
            return [childless(node, node.id, node.kind)]
        groups = _cds_groups(parts.cds)
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

    def _orphan(self, name: str, parts: Parts) -> Iterable[Gene]:
        if name in self.table.broken:
            return
        draft = self.draft(name, "mRNA", None, parts, parts.cds)
        if draft is not None:
            for gene in self.gene(f"gene-{name}", None, [draft]):
                yield replace(gene, score=parts.score)


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
