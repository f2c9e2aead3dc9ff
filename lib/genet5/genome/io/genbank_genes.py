"""Make genes of the features of one GenBank record.

Here is settled which CDS and RNA belong to which gene, and which mRNA to which CDS.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from genet5.genome.frames import five_prime, five_three
from genet5.genome.gene import Gene, KeptAttributes
from genet5.genome.io.assemble import Assembler
from genet5.genome.io.attributes import KEPT, Attributes, has_marks
from genet5.genome.io.feature_table import CdsLine, ContigTable, Node, Span
from genet5.genome.io.read_report import ReadReport
from genet5.genome.io.transcripts import Draft, merged
from genet5.genome.io.unique_ids import Names

_CLASS_TYPES = {"lncRNA": "lnc_RNA", "other": "ncRNA"}
BIOTYPE_NOTE = "gene_biotype: "
"""Begins the /note of our writer with a gene's type; INSDC has no qualifier for it."""
EXCEPTION_NOTE = "exception: "
"""Begins the /note with exceptions that are none of INSDC's."""
RNA_NOTE = "RNA type: "
"""Begins the /note with a type of RNA that is no ncRNA_class of INSDC's."""
_OWN_NOTES = (BIOTYPE_NOTE, EXCEPTION_NOTE, RNA_NOTE)


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature on one strand."""

    kind: str
    spans: list[Span]
    """Ascending; beyond the contig's end for what lies after its origin."""
    strand: int
    qualifiers: dict[str, str]
    """With all values of a repeated one in one text."""
    words: dict[str, list[str]]
    """Each qualifier's values."""
    line: int
    open_left: bool
    open_right: bool

    @property
    def start(self) -> int:
        """First base."""
        return self.spans[0][0]

    @property
    def end(self) -> int:
        """One past the last base."""
        return max(end for _, end in self.spans)

    @property
    def is_pseudo(self) -> bool:
        """Whether it is marked as a pseudogene's."""
        return "pseudo" in self.qualifiers or "pseudogene" in self.qualifiers

    def marks(self, *, ends: bool = True) -> Attributes:
        """What is unusual, in GFF3's words."""
        found: Attributes = {}
        for key in ("exception", "transl_except"):
            if key in self.qualifiers:
                found[key] = self.qualifiers[key].replace("%", "%25")
        noted = self.note(EXCEPTION_NOTE)
        if noted:
            found["exception"] = ",".join(filter(None, (found.get("exception"), noted)))
        if "ribosomal_slippage" in self.qualifiers:
            found["ribosomal_slippage"] = "true"
        if self.is_pseudo:
            found["pseudo"] = "true"
        five, three = five_three(self.open_left, self.open_right, self.strand)
        if ends and (five or three):
            found["partial"] = "both" if five and three else "start" if five else "end"
        return found

    def note(self, start: str) -> str:
        """The rest of the /note that starts so; empty if there is none."""
        notes = (text for text in self.words.get("note", ()) if text.startswith(start))
        return next(notes, start).removeprefix(start)

    @property
    def kept(self) -> KeptAttributes:
        """The qualifiers to keep."""
        return tuple(
            (key, value)
            for key in KEPT
            for value in self.words.get(key, ())
            if value and not value.startswith(_OWN_NOTES)
        )


@dataclass(slots=True)
class _Entry:
    """A gene with what belongs to it."""

    name: str
    gene: Feature | None
    children: list[Feature] = field(default_factory=list)


def is_used(kind: str) -> bool:
    """Whether a feature of this key can be a gene or a part of one."""
    return kind in ("gene", "CDS") or kind.endswith("RNA")


class Builder(Assembler):
    """Makes the genes of one record."""

    def __init__(self, table: ContigTable, report: ReadReport, names: Names) -> None:
        super().__init__(table, report)
        self.names = names
        self.keeps = report.options.keep_attributes
        self.by_key: dict[str, list[_Entry]] = {}

    def genes(self, features: Iterable[Feature]) -> Iterator[Gene]:
        """Yield all genes."""
        features = list(features)
        entries = [self._open(f, f) for f in features if f.kind == "gene"]
        for feature in features:
            if feature.kind != "gene":
                entry = self._find(feature)
                if entry is None:
                    entry = self._open(feature, None)
                    entries.append(entry)
                entry.children.append(feature)
        for entry in entries:
            name = self.names.unique(entry.name)
            drafts = list(self._drafts(entry, name))
            for gene in self.gene(name, self._node(entry, name), drafts):
                yield replace(gene, attributes=self._kept_of(entry)) if self.keeps else gene

    def _kept_of(self, entry: _Entry) -> KeptAttributes:
        """What to keep of a gene; without a feature of its own, the /locus_tag of its parts."""
        if entry.gene is not None:
            return entry.gene.kept
        return tuple(pair for pair in entry.children[0].kept if pair[0] == "locus_tag")

    def _open(self, feature: Feature, gene: Feature | None) -> _Entry:
        keys = _keys(feature)
        name = next(iter(keys.values()), f"{feature.kind}_line{feature.line}")
        entry = _Entry(name, gene)
        for kind, key in keys.items():
            self.by_key.setdefault(f"{kind}={key}", []).append(entry)
        return entry

    def _find(self, feature: Feature) -> _Entry | None:
        """The gene of the same name whose feature, or first part, overlaps on the same strand."""
        for kind, key in _keys(feature).items():
            for entry in self.by_key.get(f"{kind}={key}", ()):
                owner = entry.gene or entry.children[0]
                overlaps = owner.start < feature.end and feature.start < owner.end
                if owner.strand == feature.strand and overlaps:
                    return entry
        return None

    def _node(self, entry: _Entry, name: str) -> Node:
        source = entry.gene or entry.children[0]
        attributes = source.marks(ends=not entry.children)
        if entry.gene is None:
            attributes = {k: v for k, v in attributes.items() if k == "pseudo"}
        attributes["gene"] = source.qualifiers.get("gene", "").replace("%", "%25")
        attributes["gene_biotype"] = _biotype(entry).replace("%", "%25")
        return Node(
            "gene", name, source.spans, source.strand, None, attributes, [], source.line,
            has_marks(attributes), is_inferred=entry.gene is None,
        )  # fmt: skip

    def _drafts(self, entry: _Entry, name: str) -> Iterator[Draft]:
        rnas = [child for child in entry.children if child.kind != "CDS"]
        codings = [child for child in entry.children if child.kind == "CDS"]
        pairs = _pair(rnas, codings)
        for number, (rna, coding) in enumerate(pairs, 1):
            yield self._draft(rna, coding, f"{name}.t{number}")
        if not pairs and entry.gene is not None:
            gene = entry.gene
            marks = gene.marks()
            yield Draft(
                id=f"{name}.t1", type="transcript", strand=gene.strand, line=gene.line,
                attributes=marks, exons=list(gene.spans), pseudo=gene.is_pseudo, marked=bool(marks),
            )  # fmt: skip

    def _draft(self, rna: Feature | None, coding: Feature | None, default: str) -> Draft:
        first = rna or coding
        assert first is not None
        exons = list(first.spans)
        attributes = rna.marks(ends=coding is None) if rna is not None else {}
        lines = _cds_lines(coding) if coding is not None else []
        is_pseudo = any(f.is_pseudo for f in (rna, coding) if f is not None)
        return Draft(
            id=self.names.unique(_transcript_id(rna, coding) or default),
            type="mRNA" if rna is None else _rna_type(rna),
            strand=first.strand, line=first.line, attributes=attributes, exons=exons, cds=lines,
            pseudo=is_pseudo, marked=bool(attributes) or any(line.marked for line in lines),
            kept=rna.kept if rna is not None and self.keeps else (),
            cds_kept=coding.kept if coding is not None and self.keeps else (),
        )  # fmt: skip


def _keys(feature: Feature) -> dict[str, str]:
    """The names by which features find their gene, the best first."""
    keys = {k: feature.qualifiers[k] for k in ("locus_tag", "gene") if feature.qualifiers.get(k)}
    return {"locus_tag": keys["locus_tag"]} if "locus_tag" in keys else keys


def _pair(
    rnas: list[Feature], codings: list[Feature]
) -> list[tuple[Feature | None, Feature | None]]:
    """Put each CDS with its mRNA.

    That is the one of the same /transcript_id, or else the first free one that it fits.
    """
    found: dict[int, Feature] = {}
    shared: list[tuple[Feature | None, Feature]] = []
    rest: list[Feature] = []
    ids = {
        rna.qualifiers["transcript_id"]: at
        for at, rna in enumerate(rnas)
        if "transcript_id" in rna.qualifiers
    }
    for coding in codings:
        at = ids.get(coding.qualifiers.get("transcript_id", ""))
        if at is not None and at not in found and _lies_in(coding, rnas[at]):
            found[at] = coding
        else:
            rest.append(coding)
    for coding in rest:
        fitting = [i for i, rna in enumerate(rnas) if rna.kind == "mRNA" and _fits(coding, rna)]
        free = [i for i in fitting if i not in found]
        if free:
            found[free[0]] = coding
        else:
            shared.append((rnas[fitting[0]] if fitting else None, coding))
    return [*((rna, found.get(i)) for i, rna in enumerate(rnas)), *shared]


def _lies_in(coding: Feature, rna: Feature) -> bool:
    """Whether the CDS lies in the exons; one that has its transcript's name may skip some."""
    exons = merged(rna.spans)
    return all(any(a <= c and d <= b for a, b in exons) for c, d in merged(coding.spans))


def _fits(coding: Feature, rna: Feature) -> bool:
    """Whether the CDS is an interval of the transcript: the same introns where they overlap."""
    start, end = coding.start, coding.end
    clipped = [(max(a, start), min(b, end)) for a, b in merged(rna.spans) if a < end and start < b]
    return clipped == merged(coding.spans)


def _cds_lines(coding: Feature) -> list[CdsLine]:
    """The CDS as lines; /codon_start is the phase of the 5' one."""
    marks = coding.marks()
    if "transl_table" in coding.qualifiers:
        marks["transl_table"] = coding.qualifiers["transl_table"]
    marks["gene"] = coding.qualifiers.get("gene", "").replace("%", "%25")
    first = five_prime(range(len(coding.spans)), coding.strand)
    phase = int(coding.qualifiers.get("codon_start", "1")) - 1
    return [
        CdsLine(
            *span, coding.strand, phase if at == first else None, "", marks, coding.line,
            has_marks(marks),
        )
        for at, span in enumerate(coding.spans)
    ]  # fmt: skip


def _transcript_id(rna: Feature | None, coding: Feature | None) -> str:
    if rna is not None:
        return rna.qualifiers.get("transcript_id", "")
    assert coding is not None
    return coding.qualifiers.get("transcript_id") or coding.qualifiers.get("protein_id", "")


def _rna_type(rna: Feature) -> str:
    if rna.kind == "ncRNA":
        noted = rna.note(RNA_NOTE)
        if noted:
            return noted
        name = rna.qualifiers.get("ncRNA_class", "ncRNA")
        return _CLASS_TYPES.get(name, name)
    return "transcript" if rna.kind == "misc_RNA" else rna.kind


def _biotype(entry: _Entry) -> str:
    """The gene's type where it does not follow from the keys of its features."""
    noted = entry.gene.note(BIOTYPE_NOTE) if entry.gene is not None else ""
    if noted:
        return noted
    classes = {
        child.note(RNA_NOTE) or child.qualifiers.get("ncRNA_class", "") for child in entry.children
    }
    kinds = {child.kind for child in entry.children}
    if kinds == {"misc_RNA"}:
        return "misc_RNA"
    if kinds == {"ncRNA"} and len(classes) == 1:
        return classes.pop().replace("other", "ncRNA")
    return ""
