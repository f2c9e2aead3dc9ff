"""Settle everything before work starts: model, gene calling, contigs, device.

`plan_model` and `plan_genome` check all that the user gave and need no PyTorch, so that a wrong
path fails at once; `choose_machine` comes last.

Example:
    config = AnnotateConfig(genome=Path("genome.fa.gz"), output=Path("genes.gff3"))
    with plan_genome(config) as plan:
        machine = choose_machine(config.annotator)
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from genet5.annotate.calling_config import CallingConfig, load_calling_config
from genet5.annotate.genome import Genome, GenomeSize, measure, open_genome
from genet5.config.annotate import AUTO_MODEL, AdaptName, AnnotateConfig, AnnotatorConfig
from genet5.config.clades import Clade
from genet5.errors import CheckpointError, ConfigError, DataError
from genet5.genome.codes import genetic_code, parse_contig_codes
from genet5.genome.io.fasta import AnyContig
from genet5.genome.organelles import MOST_BP, organelle_code, organelle_of
from genet5.genome.survey import NO_SURVEY, STANDARD, Survey, survey_genome
from genet5.model.card import load_card, shipped_models
from genet5.model.folders import load_config, model_folder
from genet5.train.distributed.place import place_of_process

log = logging.getLogger(__name__)

ALL, AUTO, NONE = "all", "auto", "none"
CIRCULAR_WORDS = (ALL, AUTO, NONE)
"""Words that may stand beside names of contigs in `circular`."""

_MOST_NAMED = 5
"""Contigs with codes of their own that a plan's text names."""
_CIRCULAR_HEADER = re.compile(
    r"(?:^|[\s\[;,|])(?:circular=(?:true|yes|y)|topology=circular)(?:$|[\s\];,|])", re.IGNORECASE
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelPlan:
    """A model and how it calls genes: its own configuration with the user's laid over it."""

    folder: Path
    calling: CallingConfig
    strand_passes: int
    """1, or 2: windows also pass as their reverse complements."""
    keep_partial: bool
    adapt: AdaptName = "off"
    """Which contigs' genes teach together; off where the model cannot learn."""
    start_alternatives: int = 0
    isoforms: int = 1
    """Most transcripts of a gene."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GenomePlan:
    """What is annotated with which model."""

    model: ModelPlan
    genome: Genome
    code: int
    """NCBI number of the genetic code of contigs that have none of their own."""
    size: GenomeSize
    survey: Survey = NO_SURVEY
    """What its open frames say."""
    contig_codes: Mapping[str, int] = field(default_factory=dict)
    """Contigs with a genetic code of their own."""

    def code_of(self, contig: AnyContig) -> int:
        """Return the NCBI number of a contig's genetic code."""
        return self.contig_codes.get(contig.name, self.code)

    def __str__(self) -> str:
        calling, regions = self.model.calling, self.genome.regions
        introns = "yes" if calling.grammar.introns else "no"
        parts = f"{len(regions)} regions of " if regions else ""
        return (
            f"{parts}{len(self.genome.contigs)} contigs, {self.size.bases:,} bp;"
            f" {self.size.windows:,}"
            f" windows of {calling.window_bp:,} bp, overlap {calling.overlap_bp:,} bp,"
            f" {'two strand passes' if self.model.strand_passes > 1 else 'one strand pass'};"
            f" model {self.model.folder}; {self.survey.kind}; {self._codes};"
            f" grammar {calling.grammar.level}, introns {introns}"
        )

    @property
    def _codes(self) -> str:
        """The genetic codes in words."""
        others = [f"{code} on {name}" for name, code in self.contig_codes.items()]
        more = [f"others on {len(others) - _MOST_NAMED} contigs"] if others[_MOST_NAMED:] else []
        return ", ".join([f"genetic code {self.code}", *others[:_MOST_NAMED], *more])


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """What the model runs on."""

    device: str
    """cpu or cuda."""
    use_bf16: bool
    """Whether the encoder computes in bfloat16 instead of float32."""
    batch_size: int
    """Windows decoded together."""
    threads: int | None
    """CPU threads while the model runs; None = as PyTorch is set."""
    deterministic: bool = False
    """Whether a batch that does not fit is an error, not decoded in parts."""

    def __str__(self) -> str:
        precision = "bf16" if self.use_bf16 else "fp32"
        return f"{self.device} in {precision}, {self.batch_size} windows in a batch"


def plan_model(config: AnnotatorConfig) -> ModelPlan:
    """Find the model and settle how it calls genes.

    Raises:
        CheckpointError: There is no such model.
        ConfigError: A flag does not fit the model, or the model is "auto".
        FormatError: A file of the model is damaged.
    """
    if config.model == AUTO_MODEL:
        rule = "chooses by a genome, and there is none yet: name a model (genet5 models lists them)"
        raise ConfigError("model", config.model, rule)
    folder = model_folder(config.model)
    own = load_calling_config(folder, load_config(folder).max_window_bp)
    if own.scores_of_base:
        log.warning(
            "%s: scores and thresholds are of the model that its training started from; genet5"
            " calibrate %s fits them to this one", folder, folder,
        )  # fmt: skip
    calling = effective_calling(config, own)
    if not 0 <= calling.overlap_bp < calling.window_bp:
        rule = f"must be 0 to {calling.window_bp - 1}"
        raise ConfigError("window_overlap", calling.overlap_bp, rule)
    if config.isoforms > 1 and not (calling.grammar.introns and calling.grammar.level == "strict"):
        rule = "must be 1 for a model of genes without introns, and without --grammar strict"
        raise ConfigError("isoforms", config.isoforms, rule)
    return ModelPlan(
        folder=folder,
        calling=calling,
        strand_passes=2 if config.both_strands else 1,
        keep_partial=config.partial_genes == "keep",
        adapt=settle_adapt(config.adapt, calling),
        start_alternatives=config.start_alternatives,
        isoforms=config.isoforms,
    )


def settle_adapt(wanted: AdaptName, calling: CallingConfig) -> AdaptName:
    """Return what is learned from: what is wanted, or off where auto is wanted and impossible.

    Raises:
        ConfigError: genome or contig is wanted, and the model cannot learn from genomes.
    """
    reason = ""
    if calling.adapt is None:
        reason = "needs weights for such genes in the model's annotate.json: run genet5 calibrate"
    elif calling.grammar.utr:
        reason = "is for models that do not label untranslated regions"
    elif calling.grammar.level != "strict":
        reason = "needs --grammar strict"
    if reason and wanted not in ("auto", "off"):
        raise ConfigError("adapt", wanted, reason)
    return "off" if reason else wanted


def effective_calling(config: AnnotatorConfig, own: CallingConfig) -> CallingConfig:
    """Lay the user's flags over the model's configuration."""
    grammar = own.grammar
    if config.introns != "auto":
        grammar = replace(grammar, introns=config.introns == "yes")
    if config.min_intron is not None:
        grammar = replace(grammar, min_intron=config.min_intron)
    if config.at_ac:
        grammar = replace(grammar, at_ac=True)
    if config.start_codons:
        grammar = replace(grammar, start_codons=tuple(c.upper() for c in config.start_codons))
    if config.grammar is not None:
        grammar = replace(grammar, level=config.grammar)
    overlap_bp, clade, min_score = config.window_overlap, config.clade, config.min_score
    adapt = own.adapt if grammar.introns == own.grammar.introns else None
    return replace(
        own,
        grammar=grammar,
        overlap_bp=own.overlap_bp if overlap_bp is None else overlap_bp,
        segment_windows=config.segment_windows or own.segment_windows,
        min_coding_bp=config.min_coding_bp or own.min_coding_bp,
        clade=own.clade if clade is None else clade,
        min_score=own.min_score if min_score is None else min_score,
        adapt=adapt if adapt is None or min_score is None else replace(adapt, min_score=min_score),
    )


@contextmanager
def plan_genome(config: AnnotateConfig) -> Iterator[GenomePlan]:
    """Open the genome, and settle everything that the flags leave open.

    Raises:
        ConfigError: A flag does not fit the genome or the model.
        DataError: The genome cannot be read.
        CheckpointError: There is no such model.
    """
    is_auto = config.annotator.model == AUTO_MODEL
    model = None if is_auto else plan_model(config.annotator)
    if config.genetic_code is not None:
        genetic_code(config.genetic_code)
    named_codes = parse_contig_codes(config.contig_codes)
    if config.region and not set(config.circular) <= {AUTO, NONE}:
        raise ConfigError("circular", config.circular, "has no effect on regions: leave it out")
    with open_genome(config.genome, config.region, config.cut_at_gaps) as genome:
        check_circular(config.circular, genome.contigs)
        survey = survey_genome(genome.parts)
        if model is None:
            model = plan_model(replace(config.annotator, model=model_for(survey)))
        size = measure(genome.parts, model.calling)
        if not size.bases:
            raise DataError("no bases in any contig", expected="DNA", path=config.genome)
        code = settle_code(config.genetic_code, model.calling, survey)
        check_names("contig_codes", named_codes, genome.parts)
        own = {} if config.genetic_code else organelle_codes(genome.parts, model.calling.clade)
        yield GenomePlan(
            model=model, genome=genome, code=code, size=size, survey=survey,
            contig_codes={**own, **named_codes},
        )  # fmt: skip


def organelle_codes(contigs: Iterable[AnyContig], clade: str | None) -> dict[str, int]:
    """Return the genetic codes of contigs that are mitochondria or plastids by their headers.

    Args:
        contigs: Bases of organelles only are read.
        clade: Clade of the genome, where it is known.
    """
    found: dict[str, int] = {}
    for contig in contigs:
        organelle = organelle_of(contig.name, contig.description)
        if organelle is None or not 0 < len(contig.bases) <= MOST_BP:
            continue
        own = organelle_code(organelle, contig.bases[:], clade, contig.description)
        found[contig.name] = own.code
        log.info(
            "%s is a %s by its header: genetic code %d (%s); --contig_codes %s=NUMBER overrides it",
            contig.name, organelle, own.code, own.reason, contig.name,
        )  # fmt: skip
    return found


def model_for(survey: Survey) -> str:
    """Return the name of the shipped model for a genome; one too small to judge is a prokaryote's.

    Raises:
        CheckpointError: No model for such genomes is shipped.
    """
    clade: Clade = "unicellular" if survey.is_prokaryote is False else "prokaryotes"
    for folder in shipped_models():
        if clade in load_card(folder).clades:
            return folder.name
    raise CheckpointError(
        f"this is {survey.kind}, and no model for such genomes is shipped: name one with --model"
    )


def settle_code(wanted: int | None, calling: CallingConfig, survey: Survey = NO_SURVEY) -> int:
    """Return the NCBI number of the genetic code: the one wanted, the genome's, or the model's.

    A genome's own counts where the model is one of prokaryotes, and the open frames speak for TGA
    as an amino acid.

    Raises:
        ConfigError: There is no such code.
    """
    if wanted is None:
        is_bacterial = calling.genetic_code == STANDARD and survey.is_prokaryote
        wanted = (survey.genetic_code if is_bacterial else None) or calling.genetic_code
    return genetic_code(wanted).number


def check_circular(wanted: Collection[str], contigs: Iterable[AnyContig]) -> None:
    """Check that circular contigs exist.

    Raises:
        ConfigError: One does not.
    """
    names = [name for name in wanted if name not in CIRCULAR_WORDS]
    check_names("circular", names, contigs, "must be the name of a contig, all, auto or none")


def check_names(
    field: str,
    names: Collection[str],
    contigs: Iterable[AnyContig],
    rule: str = "must be the name of a contig",
) -> None:
    """Check that there are contigs of these names.

    Raises:
        ConfigError: There is none of one of them.
    """
    missing = set(names)
    if missing:
        missing.difference_update(contig.name for contig in contigs)
    for name in names:
        if name in missing:
            raise ConfigError(field, name, rule)


def is_circular(contig: AnyContig, wanted: Collection[str]) -> bool:
    """Whether genes may lie over the contig's origin.

    Unicycler, Trycycler and Plassembler write `circular=true` into headers, NCBI's submission
    format and Bakta `[topology=circular]`; genomes from NCBI's servers have neither. Canu's
    `suggestCircular=yes` does not count: its ends overlap untrimmed.

    Args:
        contig: The contig; its header counts where `wanted` has "auto".
        wanted: Names of contigs, or "all", "auto", "none".

    Example:
        >>> import numpy as np
        >>> from genet5.genome.io.fasta import Contig
        >>> is_circular(Contig("1", np.zeros(3, np.uint8), "depth=1.00x circular=true"), ("auto",))
        True
    """
    if ALL in wanted or contig.name in wanted:
        return True
    return AUTO in wanted and _CIRCULAR_HEADER.search(contig.description) is not None


def choose_machine(config: AnnotatorConfig) -> Machine:
    """Settle device, precision and batch size.

    Raises:
        ConfigError: cuda is wanted and there is none.
    """
    import torch

    from genet5.model.precision import has_fast_bf16

    has_cuda = torch.cuda.is_available()
    if config.device == "cuda" and not has_cuda:
        raise ConfigError("device", config.device, "is not available here; use cpu or auto")
    use_cuda = has_cuda if config.device == "auto" else config.device == "cuda"
    device, share = _own_gpu(torch.cuda.device_count()) if use_cuda else ("cpu", 1)
    use_bf16 = config.precision == "bf16"
    if config.precision == "auto":
        use_bf16 = has_fast_bf16(torch.device(device))
    size = (
        config.batch_size if isinstance(config.batch_size, int) else _auto_batch_size(device, share)
    )
    return Machine(
        device=device,
        use_bf16=use_bf16,
        batch_size=size,
        threads=1 if config.deterministic else config.threads,
        deterministic=config.deterministic,
    )


def _own_gpu(count: int) -> tuple[str, int]:
    """Return this process's GPU, and how many processes share it; several processes take turns."""
    place = place_of_process()
    processes = place.local_world_size
    if processes == 1:
        return "cuda", 1
    own = place.local_rank % count
    return f"cuda:{own}", -(-(processes - own) // count)


def _auto_batch_size(device: str, share: int) -> int:
    """Windows in a batch: few on a CPU, where more cost memory alone, as many as fit on a GPU."""
    import torch

    if device == "cpu":
        return 4
    free_bytes, _ = torch.cuda.mem_get_info(device)
    return int(min(256, max(8, free_bytes // share // (256 << 20))))
