"""The front door to annotation from Python: `Annotator` finds the genes of sequences and of files.

`genet5 annotate` runs on the same class; what it adds is files, a journal and progress (`run`).

Example:
    annotator = Annotator.load("nano")
    genes = annotator.annotate("ATGAAACGT...", genetic_code=11)
    for contig, genes in annotator.annotate_file("genome.fa.gz"):
        print(contig.name, len(genes))
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, Unpack, cast

from genet5.annotate.adapt.record import Learned
from genet5.annotate.adaptation import Adaptation, ChosenBlock
from genet5.annotate.engine import Engine, ignore, load_engine
from genet5.annotate.hint_score import HintIndex
from genet5.annotate.isoforms import Isoforms
from genet5.annotate.journal import Journal
from genet5.annotate.plan import ModelPlan, choose_machine, is_circular, plan_model, settle_code
from genet5.annotate.select import SelectionRules, gene_of
from genet5.annotate.windows import WindowPass
from genet5.config.annotate import DEFAULT_MODEL, AnnotatorConfig, AnnotatorOptions
from genet5.decode.window_found import Percents
from genet5.errors import DataError
from genet5.genome.gene import Gene
from genet5.genome.io.fasta import AnyContig, Contig, read_fasta
from genet5.genome.sequence import checked_bases

if TYPE_CHECKING:
    from Bio.SeqRecord import SeqRecord

    from genet5.annotate.workers import Workers

SequenceLike: TypeAlias = "str | bytes | Contig | SeqRecord"
"""What `Annotator.annotate` takes."""

DEFAULT_NAME = "sequence"


class Annotator:
    """Finds genes with a model that is loaded once; not for use by several threads at a time.

    Coordinates of genes are 0-based half-open on the forward strand.

    Args:
        engine: The loaded model.
        plan: How it calls genes.
    """

    def __init__(self, engine: Engine, plan: ModelPlan) -> None:
        self._engine, self._plan = engine, plan

    @classmethod
    def load(
        cls,
        model: str | Path = DEFAULT_MODEL,
        *,
        start_codons: Collection[str] = (),
        **options: Unpack[AnnotatorOptions],
    ) -> Annotator:
        """Load a model.

        Args:
            model: Name of a shipped model, a model folder, or the id of a model on the Hugging Face
                Hub ("user/name").
            start_codons: Codons that may start a gene; none = the model's.
            options: Flags of `genet5 annotate` of the same names. Where the model runs: `device`,
                `threads`, `precision`, `batch_size`, `deterministic`. How it calls genes:
                `min_score`, `partial_genes`, `introns`, `adapt`, `start_alternatives`,
                `isoforms`, `min_coding_bp`, `min_intron`, `at_ac`, `grammar`, `clade`,
                `window_overlap`, `segment_windows`, `both_strands`.

        Raises:
            CheckpointError: There is no such model, or it cannot be used.
            ConfigError: A value is outside its rule.
            TypeError: There is no such option.
        """
        return cls.from_config(
            AnnotatorConfig(model=str(model), start_codons=tuple(start_codons), **options)
        )

    @classmethod
    def from_config(cls, config: AnnotatorConfig) -> Annotator:
        """Load the model that a configuration names."""
        plan = plan_model(config)
        return cls(load_engine(plan, choose_machine(config)), plan)

    def with_workers(self, workers: Workers) -> Annotator:
        """Return an annotator of this process that has other processes decode as well."""
        return Annotator(replace(self._engine, workers=workers), self._plan)

    def with_percents(self) -> Annotator:
        """Return an annotator that passes the per-base heads' probabilities on, too."""
        return Annotator(replace(self._engine, keeps_percents=True), self._plan)

    def annotate(
        self,
        sequence: SequenceLike,
        *,
        genetic_code: int | None = None,
        circular: bool = False,
        name: str | None = None,
    ) -> list[Gene]:
        """Return the genes of one sequence, sorted by start.

        Args:
            sequence: DNA as text or bytes (white space is left out), a `Contig`, or a Biopython
                `SeqRecord`.
            genetic_code: NCBI number; None = the model's (11 for prokaryotes).
            circular: Whether genes may lie over the sequence's origin.
            name: Name of the contig in the genes; None = the record's own, or "sequence".

        Raises:
            DataError: The sequence is of another type, empty, or no DNA.
            ConfigError: There is no such genetic code.
        """
        contig = contig_of(sequence, name)
        (found,) = self.annotate_contigs(
            [contig], genetic_code=genetic_code, is_circular=lambda _: circular
        )
        return found[1]

    def annotate_file(
        self,
        path: str | Path,
        *,
        genetic_code: int | None = None,
        contig_codes: Mapping[str, int] | None = None,
        circular: Collection[str] = ("auto",),
    ) -> Iterator[tuple[Contig, list[Gene]]]:
        """Yield the contigs of a FASTA file with their genes, in the file's order.

        Some contigs are held in memory at a time, never the whole genome.

        Args:
            path: FASTA file, plain, gzip or bgzip.
            genetic_code: NCBI number for all other contigs; None = the model's.
            contig_codes: NCBI numbers of single contigs, by name.
            circular: Names of circular contigs, or "all", "none", or "auto" = those whose FASTA
                header has circular=true or topology=circular.

        Raises:
            DataError: The file cannot be read, or is no FASTA.
            ConfigError: There is no such genetic code.
        """
        words = frozenset([circular] if isinstance(circular, str) else circular)
        return self.annotate_contigs(
            read_fasta(Path(path)),
            genetic_code=genetic_code,
            contig_codes=contig_codes,
            is_circular=lambda contig: is_circular(contig, words),
        )

    def annotate_contigs(
        self,
        contigs: Iterable[Contig],
        *,
        genetic_code: int | None = None,
        contig_codes: Mapping[str, int] | None = None,
        is_circular: Callable[[AnyContig], bool],
    ) -> Iterator[tuple[Contig, list[Gene]]]:
        """Yield contigs with their genes, in order; genes are numbered through all contigs.

        Args:
            contigs: Read as they are needed.
            genetic_code: NCBI number for all other contigs; None = the model's.
            contig_codes: NCBI numbers of single contigs, by name.
            is_circular: Whether genes may lie over a contig's origin.

        Raises:
            ConfigError: There is no such genetic code.
        """
        found = self.annotate_blocks(
            contigs,
            genetic_code=genetic_code,
            contig_codes=contig_codes,
            is_circular=is_circular,
        )
        return _whole_contigs(found)

    def annotate_blocks(
        self,
        contigs: Iterable[AnyContig],
        *,
        genetic_code: int | None = None,
        contig_codes: Mapping[str, int] | None = None,
        is_circular: Callable[[AnyContig], bool],
        journal: Journal | None = None,
        on_bases: Callable[[int], None] = ignore,
        on_learned: Callable[[Learned], None] = ignore,
        on_percents: Callable[[WindowPass, Percents], None] = ignore,
        hints: HintIndex | None = None,
    ) -> Iterator[GeneBlock]:
        """Yield the genes of contigs block by block, numbered through all contigs.

        Memory does not grow with the contigs' number and length, but for what is held of contigs
        that are learned from together (`adaptation`).

        Args:
            contigs: Read as they are needed.
            genetic_code: NCBI number for all other contigs; None = the model's.
            contig_codes: NCBI numbers of single contigs, by name.
            is_circular: Whether genes may lie over a contig's origin.
            journal: Gets the decoded windows, and has those of an interrupted run.
            on_bases: Called with the number of bases that were just finished.
            on_learned: Called with what was learned from contigs' own genes.
            on_percents: Called with the per-base heads' probabilities of each window pass, in the
                order of the run, by an annotator that passes them on.
            hints: What adds to the odds of genes that agree with it, and what a model with
                channels of evidence reads.

        Raises:
            ConfigError: There is no such genetic code.
        """
        calling = self._plan.calling
        code = settle_code(genetic_code, calling)
        rules = SelectionRules(
            calling=calling, code=code, keep_partial=self._plan.keep_partial, hints=hints
        )
        own_codes = dict(contig_codes or {})
        blocks = self._engine.run(
            contigs,
            code_of=lambda contig: own_codes.get(contig.name, code),
            is_circular=is_circular,
            journal=journal,
            on_bases=on_bases,
            on_percents=on_percents,
            evidence=None if hints is None else hints.evidence,
        )
        chosen = Adaptation(rules, self._plan.adapt, on_learned).chosen(blocks)
        found = _numbered(chosen, self._plan.start_alternatives)
        if self._plan.isoforms == 1:
            return found
        evidence = None if hints is None else hints.evidence
        isoforms = Isoforms(self._engine, self._plan.isoforms, evidence)
        return (
            replace(block, genes=isoforms.added(block.index, block.contig, block.genes))
            for block in found
        )


@dataclass(frozen=True, slots=True)
class GeneBlock:
    """Genes of one interval of a contig, sorted by start; every contig has one block at least."""

    index: int
    """Number of the contig in the run."""
    contig: AnyContig
    genes: list[Gene]
    is_last: bool
    """Whether it is the contig's last."""


def _numbered(chosen: Iterable[ChosenBlock], start_alternatives: int) -> Iterator[GeneBlock]:
    number = 0
    for block in chosen:
        genes = []
        for candidate, score in block.genes:
            number += 1
            genes.append(
                gene_of(
                    candidate, block.contig.name, f"gene_{number:06d}", score, block.code,
                    start_alternatives=start_alternatives,
                )
            )  # fmt: skip
        yield GeneBlock(block.index, block.contig, genes, block.is_last)


def _whole_contigs(found: Iterable[GeneBlock]) -> Iterator[tuple[Contig, list[Gene]]]:
    """Put the blocks of each contig together; the contigs are in memory."""
    genes: list[Gene] = []
    for block in found:
        genes += block.genes
        if block.is_last:
            yield cast("Contig", block.contig), genes
            genes = []


def contig_of(sequence: SequenceLike, name: str | None = None) -> Contig:
    """Make a contig of whatever holds a sequence.

    Raises:
        DataError: The type is another, the sequence is empty, or it holds a letter that is no DNA.
    """
    from Bio.SeqRecord import SeqRecord

    if isinstance(sequence, Contig):
        contig = Contig(name or sequence.name, sequence.bases, sequence.description)
    elif isinstance(sequence, SeqRecord):
        contig = Contig(name or str(sequence.id), checked_bases(str(sequence.seq)))
    elif isinstance(sequence, (str, bytes)):
        contig = Contig(name or DEFAULT_NAME, checked_bases(sequence))
    else:
        raise DataError(
            f"a sequence of type {type(sequence).__name__}",
            expected="str, bytes, genet5.Contig or Bio.SeqRecord",
        )
    if not len(contig.bases):
        raise DataError(f"sequence {contig.name!r} is empty", expected="DNA")
    return contig
