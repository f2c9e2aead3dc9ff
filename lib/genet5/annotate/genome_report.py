"""A page on an annotated genome: figures of assembly and genes, plots, and a table of the genes.

The page is one HTML file that needs no network; plots are SVG within it. Statistics are gathered
gene by gene while the annotation is written. A genome view and a comparison with a reference are
those of `report_places`; BUSCO's completeness is scored when all genes are known, if asked for.

Example:
    report = GenomeReport()
    report.add(contig, genes)
    write_report(report, Path("report.html"), title="genome.fa", contigs=contigs, learned=learned)
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from genet5.annotate.adapt.motif import SPACERS
from genet5.genome.extract import cds_bases, introns, protein_records
from genet5.genome.frames import strand_sign
from genet5.genome.gene import Gene, Transcript
from genet5.genome.io.fasta import AnyContig
from genet5.genome.sequence import decode_bases
from genet5.outputs import atomic_writer, draw_letter, svg_element
from genet5.score.busco import STATUSES, BuscoReport, Lineage
from genet5.score.busco_search import run_busco
from genet5.score.differences_page import TABLE_STYLE
from genet5.score.plot import FAINT, FIRST, INK, STYLE
from genet5.view.genome_view import PAGE_BYTES, POLICY

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from genet5.annotate.adapt.record import Learned
    from genet5.annotate.report_places import ReportPlaces
    from genet5.view.genome_view import Track

log = logging.getLogger(__name__)

MOST_ROWS = 20_000
"""The page lists so many genes."""
_BUSCO_COLORS = (FIRST, "#7fb0cf", "#e3b23c", "#b5542b")
"""Single copy, duplicated, fragmented, missing."""
_PAGE_STYLE = (
    "table{border-collapse:collapse;font-size:14px;margin:1em 0}"
    "td,th{padding:.2em .8em;border-bottom:1px solid #d9dee3;text-align:left;white-space:nowrap}"
    "#words{font:inherit;padding:.3em;width:22em}.facts{display:flex;gap:4em;flex-wrap:wrap;align-items:flex-start}"
    "#more{margin:1em 0;font:inherit}"
)
_SCRIPT = """
const genes = JSON.parse(document.getElementById("genes").textContent);
const body = document.querySelector("#table tbody"), words = document.getElementById("words");
const more = document.getElementById("more");
let limit = 200;
function draw() {
  const text = words.value.toLowerCase();
  const found = genes.filter(row => row.join(" ").toLowerCase().includes(text));
  body.replaceChildren(...found.slice(0, limit).map(row => {
    const line = document.createElement("tr");
    row.forEach(cell => { line.insertCell().textContent = cell; });
    Object.assign(line.dataset, {contig: row[1], start: row[2] - 1, end: row[3]});
    return line;
  }));
  document.getElementById("shown").textContent =
    Math.min(limit, found.length) + " of " + found.length + " shown";
  more.hidden = found.length <= limit;
}
words.addEventListener("input", () => { limit = 200; draw(); });
more.addEventListener("click", () => { limit += 1000; draw(); });
draw();
"""

Floats = NDArray[np.float64]


@dataclass(slots=True)
class GenomeReport:
    """What is counted of the genes, and the rows of their table."""

    cds_bp: list[int] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    start_scores: list[float] = field(default_factory=list)
    intron_bp: list[int] = field(default_factory=list)
    starts: Counter[str] = field(default_factory=Counter)
    stops: Counter[str] = field(default_factory=Counter)
    partial: int = 0
    spliced: int = 0
    by_contig: Counter[str] = field(default_factory=Counter)
    rna: Counter[str] = field(default_factory=Counter)
    """Genes without CDS, by their types."""
    rows: list[tuple[str, ...]] = field(default_factory=list)
    places: ReportPlaces | None = None
    """Gathers what a genome view and a comparison show."""
    proteins: list[tuple[str, str]] | None = None
    """(header, letters) of each coding gene, for BUSCO; None: it is not asked for."""
    busco: BuscoReport | None = None

    def add(self, contig: AnyContig, genes: Sequence[Gene]) -> None:
        """Count the genes of a contig, or some of them."""
        if self.places is not None:
            self.places.add(contig, genes)
        for gene in genes:
            self.by_contig[gene.contig] += 1
            if gene.canonical.cds:
                self._count(contig, gene, gene.canonical)
                if self.proteins is not None:
                    own = protein_records(contig.bases, [gene], canonical_only=True)
                    self.proteins += [record for record in own if record[1]]
            else:
                self.rna[gene.type] += 1
            if len(self.rows) < MOST_ROWS:
                self.rows.append(_row(gene))

    def score_completeness(self, lineage: Lineage, threads: int | None) -> None:
        """Score the proteins with BUSCO's groups.

        Args:
            lineage: The groups.
            threads: CPU threads; None = all cores.

        Raises:
            ExternalToolError: BUSCO failed.
        """
        if not self.proteins:
            log.warning("no coding gene: BUSCO was not run")
            return
        self.busco = run_busco(self.proteins, lineage, threads=threads)
        log.info("BUSCO (%s, %s): %s", lineage.name, self.busco.scorer, self.busco.summary)

    def _count(self, contig: AnyContig, gene: Gene, best: Transcript) -> None:
        """Count a coding gene by its best transcript."""
        self.cds_bp.append(best.cds_length)
        gaps = introns(best)
        self.spliced += bool(gaps)
        self.intron_bp += [end - start for start, end in gaps]
        self.partial += best.partial_5 or best.partial_3
        self.scores += [] if gene.score is None else [gene.score]
        self.start_scores += [] if gene.start_score is None else [gene.start_score]
        text = decode_bases(cds_bases(contig.bases, gene, best)).upper()
        self.starts.update([] if best.partial_5 else [text[:3]])
        self.stops.update([] if best.partial_3 else [text[-3:]])


def _row(gene: Gene) -> tuple[str, ...]:
    best = gene.canonical
    number = "" if gene.score is None else f"{gene.score:.3f}"
    start = "" if gene.start_score is None else f"{gene.start_score:.3f}"
    place = gene.contig, f"{gene.start + 1}", f"{gene.end}", strand_sign(gene.strand)
    return gene.id, *place, f"{len(best.exons)}", f"{best.cds_length}", number, start


_HEAD = ("gene", "contig", "start", "end", "strand", "exons", "coding bp", "score", "start score")


def write_report(
    report: GenomeReport,
    out: Path,
    *,
    title: str,
    facts: Sequence[tuple[str, str]],
    contigs: Iterable[AnyContig],
    learned: Sequence[Learned] = (),
    tracks: Sequence[Track] = (),
    has_view: bool = False,
) -> None:
    """Write the page.

    Args:
        report: What was gathered.
        out: Where to; - is standard output.
        title: Name of the genome.
        facts: Further rows of the table on the run, (name, value).
        contigs: All of the genome.
        learned: What was learned from the genome; the first is drawn.
        tracks: Further ones of the genome view.
        has_view: Add a genome view.
    """
    lengths = np.array([len(contig.bases) for contig in contigs], np.int64)
    svg = svg_element(_figure(report, learned))
    assembly = _table([*_assembly(lengths), *facts])
    genes = _table(_genes(report, int(lengths.sum())))
    learned_lines = "".join(f"<p>{escape(str(one))}</p>" for one in learned[:20])
    head = f"<h1>{escape(title)}</h1>\n<div class='facts'>{assembly}{genes}</div>\n"
    tables = f"{_comparison(report)}{_gene_table(report)}"
    rest = len(head) + len(svg) + len(tables.encode())
    view = ""
    if has_view and report.places is not None and lengths.sum():
        found = report.places.view(contigs, tracks, PAGE_BYTES - rest)
        view = f"<h1>Genome</h1>\n{found.html}"
    with atomic_writer(out) as page:
        page.write(
            f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">{POLICY}'
            f"<title>{escape(title)}</title><style>{STYLE}{_PAGE_STYLE}{TABLE_STYLE}</style></head>"
            f"\n<body>\n{head}{learned_lines}\n{svg}\n{view}{tables}</body></html>\n"
        )


def _comparison(report: GenomeReport) -> str:
    """The section that compares with a reference, if there is one."""
    section = "" if report.places is None else report.places.section()
    title = "<h1>Compared with the reference</h1>\n<p>First: these genes, second: reference.</p>\n"
    return section and f"{title}{section}"


def _gene_table(report: GenomeReport) -> str:
    """The table of genes, as data and a script that draws what is searched for."""
    left_out = sum(report.by_contig.values()) - len(report.rows)
    note = f"<p>{left_out:,} more genes are in the annotation.</p>" if left_out else ""
    # "<" would end the script where a name holds a tag
    data = json.dumps(report.rows).replace("<", "\\u003c")
    return (
        f"<h1>Genes</h1>\n{note}"
        '<input id="words" placeholder="gene, contig, place" aria-label="words to search for">'
        ' <span id="shown"></span>\n<table id="table"><thead><tr>'
        f"{''.join(f'<th>{name}</th>' for name in _HEAD)}</tr></thead><tbody></tbody></table>\n"
        f'<button id="more">more</button>\n<script type="application/json" id="genes">{data}'
        f"</script>\n<script>{_SCRIPT}</script>\n"
    )


def _assembly(lengths: NDArray[np.int64]) -> list[tuple[str, str]]:
    return [
        ("contigs", f"{len(lengths):,}"),
        ("bases", f"{lengths.sum():,}"),
        ("longest contig", f"{lengths.max(initial=0):,} bp"),
        ("N50", f"{n50(lengths):,} bp"),
    ]


def n50(lengths: NDArray[np.int64]) -> int:
    """Return the length of the contig in which half of the bases are reached, longest first.

    Example:
        >>> n50(np.array([1, 5, 4]))
        5
    """
    ordered = np.sort(lengths)[::-1]
    if not len(ordered):
        return 0
    return int(ordered[np.searchsorted(np.cumsum(ordered), ordered.sum() / 2)])


def _genes(report: GenomeReport, bases: int) -> list[tuple[str, str]]:
    number, coding = len(report.cds_bp), sum(report.cds_bp)
    rows = [
        ("genes", f"{number:,}"),
        ("genes per Mbp", f"{1e6 * number / max(1, bases):,.0f}"),
        ("coding bases", f"{coding:,} ({coding / max(1, bases):.1%})"),
        ("median coding length", f"{int(np.median(report.cds_bp or [0])):,} bp"),
        ("incomplete genes", f"{report.partial:,}"),
    ]
    if report.intron_bp:
        rows += [
            ("spliced genes", f"{report.spliced:,} ({report.spliced / number:.1%})"),
            ("median intron", f"{int(np.median(report.intron_bp)):,} bp"),
        ]
    if report.busco is not None:
        rows.append(
            (f"BUSCO ({report.busco.lineage}, {report.busco.scorer})", report.busco.summary)
        )
    return rows + [(f"genes of {kind}", f"{count:,}") for kind, count in report.rna.most_common()]


def _table(rows: Iterable[tuple[str, str]]) -> str:
    lines = (f"<tr><td>{escape(n)}</td><td>{escape(v)}</td></tr>" for n, v in rows)
    return f"<table>{''.join(lines)}</table>"


def _figure(report: GenomeReport, learned: Sequence[Learned]) -> Figure:
    from matplotlib.figure import Figure

    panels = [
        (_draw_lengths, bool(report.cds_bp)),
        (_draw_scores, bool(report.scores)),
        (_draw_codons, bool(report.starts)),
        (_draw_introns, bool(report.intron_bp)),
        (_draw_busco, report.busco is not None),
    ]
    wanted = [draw for draw, has in panels if has]
    count = len(wanted) + 2 * bool(learned)
    rows = max(1, -(-count // 2))
    figure = Figure(figsize=(10, 2.9 * rows), layout="constrained")
    for k, draw in enumerate(wanted):
        draw(figure.add_subplot(rows, 2, k + 1), report)
    if learned:
        _draw_logo(figure.add_subplot(rows, 2, count - 1), learned[0])
        _draw_spacers(figure.add_subplot(rows, 2, count), learned[0])
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _draw_lengths(axes: Axes, report: GenomeReport) -> None:
    sizes = np.array(report.cds_bp)
    edges = np.geomspace(max(1, sizes.min()), sizes.max() + 1, 50)
    axes.hist(sizes, bins=edges.tolist(), color=FIRST)
    axes.set(title="Coding length", xlabel="bp", ylabel="genes", xscale="log")
    _label_lengths(axes)


def _draw_scores(axes: Axes, report: GenomeReport) -> None:
    edges = np.linspace(0, 1, 41).tolist()
    axes.hist(report.scores, bins=edges, color=FIRST, label="gene")
    if report.start_scores:
        axes.hist(report.start_scores, bins=edges, histtype="step", color=INK, label="its start")
        axes.legend(frameon=False)
    axes.set(title="Scores", xlabel="probability", ylabel="genes", yscale="log")


def _draw_codons(axes: Axes, report: GenomeReport) -> None:
    both = [*report.starts.most_common(5), *report.stops.most_common(4)]
    split = min(5, len(report.starts))
    shares = [n / report.starts.total() for _, n in both[:split]]
    shares += [n / max(1, report.stops.total()) for _, n in both[split:]]
    colors = [FIRST] * split + [FAINT] * (len(both) - split)
    bars = axes.bar(range(len(both)), shares, color=colors)
    axes.bar_label(bars, [f"{share:.0%}" for share in shares], fontsize=8)
    axes.set_xticks(range(len(both)), [codon for codon, _ in both])
    axes.set(title="Start codons, stop codons", ylabel="share", ylim=(0, 1.08))


def _draw_introns(axes: Axes, report: GenomeReport) -> None:
    sizes = np.array(report.intron_bp)
    edges = np.geomspace(max(1, sizes.min()), sizes.max() + 1, 50)
    axes.hist(sizes, bins=edges.tolist(), color=FIRST)
    axes.set(title="Introns", xlabel="bp", ylabel="introns", xscale="log")
    _label_lengths(axes)


def _draw_busco(axes: Axes, report: GenomeReport) -> None:
    """Draw the shares of BUSCO's groups, in one bar."""
    assert report.busco is not None
    counts = Counter(result.status for result in report.busco.results)
    left, total = 0.0, max(1, counts.total())
    for status, color in zip(STATUSES, _BUSCO_COLORS, strict=True):
        share = counts[status] / total
        words = f"{status} {counts[status]:,} ({share:.1%})"
        axes.barh(0, share, left=left, color=color, label=words)
        left += share
    axes.set(title=f"BUSCO, {total:,} groups of {report.busco.lineage}", xlim=(0, 1), yticks=[],
             ylim=(-1.6, 0.7))  # fmt: skip
    axes.xaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    axes.legend(frameon=False, ncols=2, loc="lower left", fontsize=8)


def _label_lengths(axes: Axes) -> None:
    """Label a logarithmic axis of bases at 100, 300, 1,000 ..."""
    low, high = axes.get_xlim()
    marks = [mark * 10**power for power in range(7) for mark in (1, 3)]
    shown = [mark for mark in marks if low <= mark <= high]
    axes.set_xticks(shown, [f"{mark:,}" for mark in shown])
    axes.set_xticks([], minor=True)


def _draw_logo(axes: Axes, learned: Learned) -> None:
    """Draw the motif before starts as a sequence logo (Schneider and Stephens 1990)."""
    motif = learned.motif
    for k, (column, bits) in enumerate(zip(motif.columns, motif.information, strict=True)):
        bottom = 0.0
        for share, letter in sorted(zip(column.tolist(), "ACGT", strict=True)):
            height = share * max(0.0, float(bits))
            draw_letter(axes, letter, k + 1, bottom, height)
            bottom += height
    top = max(0.5, 1.1 * float(np.max(motif.information)))
    axes.set(xlim=(0.4, len(motif.columns) + 0.6), ylim=(0, top), ylabel="bits")
    axes.set_xticks(range(1, len(motif.columns) + 1))
    name = learned.motif_name.capitalize()
    axes.set(title=f"{name}, in {motif.share:.0%} of genes", xlabel="position")


def _draw_spacers(axes: Axes, learned: Learned) -> None:
    axes.bar(list(SPACERS), learned.motif.spacers, color=FIRST)
    axes.set(title="Bases between it and the start", xlabel="bp", ylabel="share")
