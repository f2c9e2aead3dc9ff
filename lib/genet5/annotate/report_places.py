"""What a report shows of places in the genome: a browser of it, and what a reference has otherwise.

Genes are gathered contig by contig while the annotation is written; probabilities are read from the
files of `tracks` when these are done.

Example:
    with open_places(reference=Path("reference.gff3"), regions=()) as places:
        places.add(contig, genes)
        places.finish()
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

from genet5.annotate.tracks import track_names
from genet5.errors import DataError
from genet5.genome.frames import strand_sign
from genet5.genome.gene import Gene
from genet5.genome.hints import Hint, HintKind
from genet5.genome.io.annotation import AnnotationFile
from genet5.genome.io.fasta import AnyContig
from genet5.genome.io.formats import open_annotation
from genet5.genome.io.regions import Region
from genet5.score.differences_page import differences_section
from genet5.view.comparison import Comparison
from genet5.view.features import Features
from genet5.view.genome_view import FORWARD, GenomeView, Track, genome_view

log = logging.getLogger(__name__)

_FRAME_COLORS = ("#2a6f97", "#2a9d8f", "#8e6bbf")
_STRAND_COLORS = ("#2a6f97", "#b5542b")
_BOTH = ("plus", "minus")
_HINT_COLORS: dict[HintKind, str] = {
    "intron": "142,107,191", "coding": "42,157,143", "start": "42,111,151", "stop": "181,84,43",
}  # fmt: skip


class ReportPlaces:
    """Gathers genes for the report, and compares them with a reference if there is one.

    Args:
        reference: The reference annotation.
        regions: What of the genome is annotated; none = all.
        hints: Shown below the genes.
    """

    def __init__(
        self,
        reference: AnnotationFile | None,
        regions: Sequence[Region],
        hints: Sequence[Hint] = (),
    ) -> None:
        self._reference, self._regions, self._hints = reference, regions, hints
        self._comparison = Comparison()
        self._genes = Features()
        self._contig: AnyContig | None = None
        self._own: list[Gene] = []
        self._compared: set[str] = set()

    def add(self, contig: AnyContig, genes: Sequence[Gene]) -> None:
        """Take genes of a contig; contigs come one after the other, each maybe in several parts."""
        if self._reference is None:
            self._genes.add_genes(contig.name, len(contig.bases), genes)
            return
        if self._contig is None or contig.name != self._contig.name:
            self.finish()
            self._contig = contig
        self._own += genes

    def finish(self) -> None:
        """Compare the genes of the contig that came last."""
        if self._contig is None or self._reference is None:
            return
        name, size = self._contig.name, len(self._contig.bases)
        others = self._reference.read(name).genes if name in self._reference.contigs else ()
        self._comparison.add(name, size, self._own, [g for g in others if self._is_inside(g)])
        self._compared.add(name)
        self._contig, self._own = None, []

    def section(self) -> str:
        """Return the comparison as a part of a page; empty without a reference."""
        if self._reference is None:
            return ""
        if not self._compared & set(self._reference.contigs):
            log.warning("no contig of the genome has a gene in the reference")
        return differences_section(self._comparison.counts, self._comparison.listed)

    def view(
        self, contigs: Iterable[AnyContig], tracks: Sequence[Track], most_bytes: int
    ) -> GenomeView:
        """Return the genome view.

        Args:
            contigs: All of the genome.
            tracks: Further ones, below the genes.
            most_bytes: What it may take in the page.
        """
        if self._reference is None:
            own = [Track("genes", "bed", ((FORWARD, self._genes.data()),))]
        else:
            own = self._comparison.tracks("genes", "reference")
        if self._hints:
            own.append(Track("hints", "bed", (("", _hint_features(self._hints).data()),)))
        return genome_view(contigs, [*own, *tracks], most_bytes=most_bytes)

    def _is_inside(self, gene: Gene) -> bool:
        """Whether a gene of the reference lies on what is annotated."""
        return not self._regions or any(
            region.contig == gene.contig and region.start <= gene.start and gene.end <= region.end
            for region in self._regions
        )


@contextmanager
def open_places(
    reference: Path | None, regions: Sequence[Region], hints: Sequence[Hint] = ()
) -> Iterator[ReportPlaces]:
    """Gather what a report shows of places.

    Args:
        reference: Annotation to compare with; its bad records are counted and left out.
        regions: What of the genome is annotated; none = all.
        hints: Shown below the genes.

    Raises:
        DataError: The reference cannot be read, or has no genes.
    """
    opened = nullcontext() if reference is None else open_annotation(reference, skip_bad=True)
    with opened as file:
        if file is not None and not file.contigs:
            raise DataError("no genes", expected="an annotation", path=reference)
        yield ReportPlaces(file, regions, hints)


def _hint_features(hints: Sequence[Hint]) -> Features:
    features = Features()
    for hint in hints:
        features.add_interval(
            hint.contig, hint.start, hint.end, name=f"{hint.kind}({hint.multiplicity})",
            strand=strand_sign(hint.strand) if hint.strand else ".",
            color=_HINT_COLORS[hint.kind],
        )  # fmt: skip
    return features


def probability_tracks(folder: Path, *, spliced: bool) -> list[Track]:
    """Return a run's tracks as the view shows them: coding by frame, starts, stops, introns."""
    coding = [
        (f"coding {sign}", [f"coding_{strand}_frame{n}" for n in (1, 2, 3)], _FRAME_COLORS)
        for sign, strand in zip("+-", _BOTH, strict=True)
    ]
    kinds = ["start", "stop", *(["intron", "donor", "acceptor"] if spliced else [])]
    others = [(kind, [f"{kind}_{strand}" for strand in _BOTH], _STRAND_COLORS) for kind in kinds]
    known = set(track_names(spliced=spliced))
    tracks = []
    for name, members, colors in (*coding, *others):
        assert known.issuperset(members)
        data = [(folder / f"{member}.bw").read_bytes() for member in members]
        tracks.append(Track(name, "bigwig", tuple(zip(colors, data, strict=True)), height=45))
    return tracks
