"""A decoder that costs nothing: it shows each window the genes that are known to lie there."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from genet5.annotate.annotator import Annotator
from genet5.annotate.engine import Engine, Found
from genet5.annotate.plan import GenomePlan, Machine
from genet5.annotate.windows import Batch, WindowPass
from genet5.decode.evidence import Evidence
from genet5.decode.fragment import GeneFragment
from genet5.decode.window_found import WindowFound
from genet5.genome.gene import Gene
from genet5.tokens.cut import GeneIndex

_SURE = Evidence(-0.01, -0.01, -0.01, 0.0, 0, 800.0, 100, 3.0, 3.0)


def artificial_annotator(
    genes: Sequence[Gene], unit_bp: int
) -> Callable[[GenomePlan, Machine], Annotator]:
    """Return what loads an annotator of contigs that repeat one sequence.

    Args:
        genes: Those of the sequence.
        unit_bp: Its length. A contig's name ends in the place of its first base there.
    """
    index = GeneIndex(genes)

    class Artificial(Engine):
        def decode(self, batch: Batch) -> Found:
            return [self._shown(window_pass) for window_pass in batch.passes]

        def _shown(self, window_pass: WindowPass) -> WindowFound:
            place = int(window_pass.work.contig.name.rpartition("_")[2])
            start, end = place + window_pass.tile.start, place + window_pass.tile.end
            found = []
            for turn in range(start // unit_bp, (end - 1) // unit_bp + 1):
                found += index.cut(start - turn * unit_bp, end - turn * unit_bp)
            fragments = tuple(GeneFragment.of(gene, _SURE) for gene in found)
            return window_pass.placed(WindowFound(fragments))

    def load(plan: GenomePlan, machine: Machine) -> Annotator:
        engine = Artificial(
            model=None,
            tokenizer=None,
            calling=plan.model.calling,
            machine=machine,
            strand_passes=plan.model.strand_passes,
        )
        return Annotator(engine, plan.model)

    return load
