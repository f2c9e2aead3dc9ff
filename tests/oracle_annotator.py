"""An annotator without a network that knows the true genes: it shows each window what lies in it.

With it, everything but the network is tested: tiling, joining, selection and writing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from genet5.annotate.annotator import Annotator
from genet5.annotate.engine import Engine, Found
from genet5.annotate.plan import GenomePlan, Machine
from genet5.annotate.windows import Batch
from genet5.decode.evidence import Evidence
from genet5.decode.fragment import GeneFragment
from genet5.decode.window_found import WindowFound
from genet5.genome.gene import Gene
from genet5.tokens.cut import GeneIndex


def oracle(truth: dict[str, Sequence[Gene]]) -> Callable[[GenomePlan, Machine], Annotator]:
    """A loader of an annotator that shows each window its true genes."""
    indices = {name: GeneIndex(genes) for name, genes in truth.items()}

    class Oracle(Engine):
        def decode(self, batch: Batch) -> Found:
            shown = []
            for task in batch.passes:
                index, tile, tiling = indices[task.work.contig.name], task.tile, task.work.tiling
                reverse = bool(task.strand_pass)
                genes = list(index.cut(tile.start, tile.end, reverse=reverse))
                if tiling.circular and tile.end > tiling.contig_bp:
                    low = tile.start - tiling.contig_bp
                    again = index.cut(low, tile.end - tiling.contig_bp, reverse=reverse)
                    genes += [gene for gene in again if gene not in genes]
                evidence = Evidence(-0.01, -0.01, -0.01, 0.0, 0, 800.0, 100, 3.0, 3.0)
                found = tuple(GeneFragment.of(gene, evidence) for gene in genes)
                shown.append(task.placed(WindowFound(found)))
            return shown

    def load(plan: GenomePlan, machine: Machine) -> Annotator:
        engine = Oracle(
            model=None,
            tokenizer=None,
            calling=plan.model.calling,
            machine=replace(machine, batch_size=3),
            strand_passes=plan.model.strand_passes,
        )
        return Annotator(engine, plan.model)

    return load
