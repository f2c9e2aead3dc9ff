"""Settle which transcript and which CDS of a GFF3 file belong to which gene.

`Parent` decides where it can. The other forms that occur are: CDS with a protein as second or only
parent (TAIR; `Derives_from` leads on to the transcript), transcripts without a parent whose CDS
name the gene (Prokka), `geneID=`, `gene_id=`, `locus=` in place of a gene line (gffread), a
polycistronic transcript with several genes as parents whose CDS derive from one of them each
(GFF3's specification), and a trans-spliced transcript with several genes as parents.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from genet5.genome.io.attributes import Attributes, is_trans_spliced, unescape, values
from genet5.genome.io.feature_table import ContigTable, Node, Parts, Span
from genet5.genome.io.feature_types import can_be_gene, is_gene_type, is_transcript_type
from genet5.genome.io.read_report import ReadReport

_MAX_DEPTH = 20
"""Generations of features; a gene has three or four."""
GENE_KEYS = ("geneID", "gene_id", "locus")
"""Attributes by which a transcript or CDS without a parent names its gene."""
_WEAK_GENE_KEYS = ("locus_tag", "gene")
"""Those by which it names it too, but which may be used for several genes."""


@dataclass(slots=True)
class Links:
    """What belongs to what on one contig."""

    genes: list[Node] = field(default_factory=list)
    children: dict[str, list[Node]] = field(default_factory=dict)
    """Transcripts, by the ID of their gene."""
    polycistronic: set[str] = field(default_factory=set)
    """IDs of transcripts that belong to several genes: each gene takes its own CDS of them."""
    lone: list[Node] = field(default_factory=list)
    """Transcripts without a gene."""
    parts_of_others: set[str] = field(default_factory=set)
    """IDs of genes that are parts of a trans-spliced gene with a line of its own."""


def gene_key(attributes: Attributes) -> tuple[str, str]:
    """Key and value by which a feature names its gene; empty where it does not."""
    for key in (*GENE_KEYS, *_WEAK_GENE_KEYS):
        if attributes.get(key):
            return key, unescape(attributes[key])
    return "", ""


class Linker:
    """Links the features of one contig."""

    def __init__(self, table: ContigTable, report: ReadReport) -> None:
        self.table, self.report = table, report
        self.links = Links()
        self._named: dict[str, list[Node]] | None = None
        """Gene lines by ID, gene_id, locus_tag ...; made when needed."""

    def link(self) -> Links:
        """Link all features; bad ones are counted or raise."""
        table, links = self.table, self.links
        for node in list(table.nodes.values()):
            if node.parents and self._is_cyclic(node):
                continue
            if len(node.spans) > 1 and not self._is_one_feature(node):
                continue
            if is_gene_type(node.kind):
                links.genes.append(node)
            elif node.id in table.parts or is_transcript_type(node.kind):
                self._place(node)
            elif not node.parents and "Derives_from" not in node.attributes:
                self.report.summary.other_features[node.kind] += 1
        for name, parts in table.parts.items():
            if name not in table.nodes and name not in table.broken:
                self._unknown_parent(name, parts.line)
        return links

    def gene_named(self, attributes: Attributes, extent: Span, strand: int) -> Node | None:
        """The gene line that the attributes of a part name and that overlaps it."""
        names = [unescape(attributes[k]) for k in (*GENE_KEYS, *_WEAK_GENE_KEYS) if k in attributes]
        for name in names:
            for gene in self._genes_by_name().get(name, ()):
                start, end = gene.spans[0][0], gene.spans[-1][1]
                if start < extent[1] and extent[0] < end and gene.strand in (0, strand):
                    return gene
        return None

    def _genes_by_name(self) -> dict[str, list[Node]]:
        if self._named is None:
            self._named = {}
            for node in self.table.nodes.values():
                if is_gene_type(node.kind):
                    keys = (*GENE_KEYS, *_WEAK_GENE_KEYS)
                    names = {unescape(node.attributes[k]) for k in keys if k in node.attributes}
                    for name in {node.id, *names}:
                        self._named.setdefault(name, []).append(node)
        return self._named

    def _place(self, node: Node) -> None:
        """File a transcript under its gene."""
        if not node.parents:
            self._place_without_parent(node)
            return
        known = [self.table.nodes[p] for p in node.parents if p in self.table.nodes]
        if not known:
            if node.parents[0] not in self.table.broken:
                self._unknown_parent(node.parents[0], node.line)
            return
        genes = [parent for parent in known if is_gene_type(parent.kind)]
        if genes:
            self._place_in_genes(node, genes)
        elif is_transcript_type(known[0].kind):
            self._place_below_transcript(node, known[0])
        else:
            self.links.lone.append(node)

    def _place_in_genes(self, node: Node, genes: list[Node]) -> None:
        if len(genes) > 1 and (is_trans_spliced(node.attributes) or len(node.spans) > 1):
            self.links.parts_of_others.update(gene.id for gene in genes[1:])
            genes = genes[:1]
        elif len(genes) > 1:
            self.links.polycistronic.add(node.id)
        for gene in genes:
            self.links.children.setdefault(gene.id, []).append(node)

    def _place_below_transcript(self, node: Node, parent: Node) -> None:
        """A part of a transcript: its CDS count; one without (a mature miRNA) is no isoform."""
        parts = self.table.parts.get(node.id)
        if parts is None or not parts.cds:
            return
        if not is_transcript_type(node.kind):
            self._merge(parts, parent)
            return
        gene = next((n for n in self._ancestors(node) if is_gene_type(n.kind)), None)
        if gene is None:
            self.links.lone.append(node)
        else:
            self.links.children.setdefault(gene.id, []).append(node)

    def _place_without_parent(self, node: Node) -> None:
        parts = self.table.parts.get(node.id)
        source = self.table.nodes.get(unescape(node.attributes.get("Derives_from", "")))
        if source is not None and can_be_gene(source.kind):
            if is_transcript_type(node.kind) and is_gene_type(source.kind):
                self._place_in_genes(node, [source])
            elif parts is not None:
                self._merge(parts, source)
            return
        others = self._co_parents(node, parts)
        gene = next((other for other in others if is_gene_type(other.kind)), None)
        extent = (node.spans[0][0], node.spans[-1][1])
        gene = gene or self.gene_named(node.attributes, extent, node.strand)
        if not is_transcript_type(node.kind) and others:
            return  # its CDS belong to these already
        if gene is not None and is_transcript_type(node.kind):
            self._place_in_genes(node, [gene])
        else:
            self.links.lone.append(node)

    def _co_parents(self, node: Node, parts: Parts | None) -> list[Node]:
        """The genes and transcripts that the CDS lines of a feature name as parents besides it."""
        if parts is None or not parts.cds:
            return []
        names = values(parts.cds[0].attributes.get("Parent", ""))
        found = [self.table.nodes.get(name) for name in names if name != node.id]
        return [other for other in found if other is not None and can_be_gene(other.kind)]

    def _merge(self, parts: Parts, target: Node) -> None:
        """Give the CDS of a feature to the transcript or gene that it derives from."""
        own = self.table.parts.get(target.id)
        if own is None:
            own = self.table.parts[target.id] = Parts(parts.line)
        lines = {cds.line for cds in own.cds}
        own.cds += [cds for cds in parts.cds if cds.line not in lines]
        own.strands |= parts.strands

    def _ancestors(self, node: Node) -> Iterator[Node]:
        nodes, at = self.table.nodes, node
        for _ in range(_MAX_DEPTH):
            if not at.parents or at.parents[0] not in nodes:
                return
            at = nodes[at.parents[0]]
            yield at

    def _is_cyclic(self, node: Node) -> bool:
        """Whether the chain of parents leads back to this node, which is bad."""
        if not any(ancestor is node for ancestor in self._ancestors(node)):
            return False
        self.report.reject(
            "cyclic parent", node.line, f'{node.kind} "{node.id}" among its own ancestors',
            "parents that lead up to a gene",
        )  # fmt: skip
        return True

    def _is_one_feature(self, node: Node) -> bool:
        """Whether several lines of one ID are one gene or transcript, and not two loci."""
        if not can_be_gene(node.kind) or is_trans_spliced(node.attributes):
            return True
        spans = sorted(node.spans)
        apart = any(left[1] <= right[0] for left, right in pairwise(spans))
        over_origin = spans[0][0] == 0 and spans[-1][1] == self.table.length
        if not apart or self.table.circular or over_origin or "part" in node.attributes:
            return True
        self.report.reject(
            "duplicate ID", node.line,
            f'ID "{node.id}" of this {node.kind} at {len(spans)} places of the contig',
            "one line, or exception=trans-splicing",
        )  # fmt: skip
        self.table.broken.add(node.id)
        return False

    def _unknown_parent(self, name: str, line: int) -> None:
        self.report.reject(
            "parent", line, f'parent "{name}" that is not on contig "{self.table.name}"',
            "the ID of a gene or transcript",
        )  # fmt: skip
