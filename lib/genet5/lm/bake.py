"""Windows for language models: genomes, their genes, or ready-made windows, to packed files.

The files are those of `dataset.packed`, without labels: bases with their soft mask, and the tokens
that the window has from its first base on. Genomes are read twice, as the header of a packed file
comes first and holds counts and checksum; nothing is held in memory but one contig.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from genet5.config.json_files import config_to_dict
from genet5.config.lm.bake import LmBakeConfig
from genet5.dataset.header import Header
from genet5.dataset.sources import Source, Split, find_genomes, read_split_table
from genet5.dataset.windows import Window
from genet5.errors import ConfigError, DataError
from genet5.genome.io.fasta import read_fasta
from genet5.genome.io.formats import read_annotation
from genet5.genome.sequence import on_strand
from genet5.lm.packed_windows import token_window, write_windows
from genet5.lm.text import Vocabulary, count_ambiguous
from genet5.lm.window_files import PlacedSequence, read_window_files

log = logging.getLogger(__name__)

FILES: dict[Split, str] = {"training": "training.packed", "validation": "validation.packed"}
_SPLITS: dict[str, Split] = {"train": "training", "valid": "validation"}

Span = tuple[int, int]
Reader = Callable[[], Iterator[PlacedSequence]]
"""Gives a genome's contigs, or intervals of them, anew at each call."""


@dataclass(frozen=True, slots=True)
class _Genome:
    """A genome, and which parts of its contigs belong to which split."""

    clade: str
    name: str
    read: Reader
    spans: Mapping[str, Mapping[Split, Sequence[Span]]]
    """Contig -> split -> ascending intervals that windows tile."""


def bake(config: LmBakeConfig, vocabulary: Vocabulary) -> dict[Split, dict[str, int]]:
    """Write training.packed and validation.packed; return what they hold.

    Raises:
        ConfigError: OUT holds packed files already.
        DataError: A genome cannot be read, or no window is left.
    """
    for name in FILES.values():
        if (config.out / name).exists() and not config.overwrite:
            rule = f"holds {name} already; --overwrite replaces it"
            raise ConfigError("OUT", str(config.out), rule)
    genomes = [_placed(source, reader, config) for source, reader in _sources(config)]
    found: dict[Split, dict[str, int]] = {}
    for split, name in FILES.items():
        left_out = Counter[str]()
        found[split] = write_windows(
            config.out / name,
            Header(
                split=split,
                tokenizer=vocabulary.to_dict(),
                settings=config_to_dict(config),
                sources=tuple({"taxon": g.clade, "genome": g.name} for g in genomes),
            ),
            partial(_windows, config, genomes, split, vocabulary, left_out),
        )
        for cause, number in left_out.items():
            log.info("%s: %d windows left out: %s", split, number, cause)
        if not found[split]["windows"]:
            raise DataError(
                f"no {split} window", expected="one or more",
                remedy="See --valid_share, --splits, --shortest_bp and --most_ambiguous",
            )  # fmt: skip
    return found


# ---- which parts of which contigs ----------------------------------------------------------------


def _sources(config: LmBakeConfig) -> Iterator[tuple[Source, Reader]]:
    if config.windows:
        first = config.windows[0]
        yield Source("", "windows", first, first), partial(read_window_files, config.windows)
    elif config.fasta is not None:
        name = config.fasta.name.removesuffix(".gz")
        gff = config.gff or config.fasta
        source = Source("", name.rpartition(".")[0] or name, config.fasta, gff)
        yield source, partial(_contigs, config.fasta)
    else:
        for source in find_genomes(config.raw_dir, clades=config.clades, species=config.species):
            yield source, partial(_contigs, source.fasta)


def _contigs(fasta: Path) -> Iterator[PlacedSequence]:
    return (PlacedSequence(contig.name, 0, contig.bases) for contig in read_fasta(fasta))


def _placed(source: Source, reader: Reader, config: LmBakeConfig) -> _Genome:
    lengths: dict[str, int] = {}
    for placed in reader():
        end = placed.start + len(placed.bases)
        lengths[placed.contig] = max(end, lengths.get(placed.contig, 0))
    parts = _splits(source, config, lengths)
    if config.regions == "genes":
        genes = _gene_spans(source, config, lengths)
        parts = {
            contig: {split: _within(genes.get(contig, []), spans) for split, spans in by.items()}
            for contig, by in parts.items()
        }
    return _Genome(source.clade, source.genome, reader, parts)


def _splits(
    source: Source, config: LmBakeConfig, lengths: Mapping[str, int]
) -> dict[str, dict[Split, list[Span]]]:
    """Return contig -> split -> intervals."""
    if config.splits is not None:
        table = read_split_table(config.splits)
        table.check_contigs(source, lengths)
        words = {n: table.split_of(source.clade, source.genome, n) or "" for n in lengths}
        return {
            name: {_SPLITS[word]: [(0, lengths[name])]}
            for name, word in words.items()
            if word in _SPLITS
        }
    if len(lengths) == 1:
        ((name, length),) = lengths.items()
        border = round(length * (1 - config.valid_share))
        log.info("%s: its only contig is validated from base %d on", source.genome, border + 1)
        return {name: {"training": [(0, border)], "validation": [(border, length)]}}
    return _drawn(config, lengths)


def _drawn(config: LmBakeConfig, lengths: Mapping[str, int]) -> dict[str, dict[Split, list[Span]]]:
    """Hold out whole contigs at random, as few as make up the share, but one at least."""
    names = sorted(lengths)
    order = np.random.default_rng(config.seed).permutation(len(names))
    wanted, held = config.valid_share * sum(lengths.values()), set[str]()
    for index in order[:-1]:
        if held and sum(lengths[name] for name in held) >= wanted:
            break
        if config.valid_share:
            held.add(names[index])
    return {
        name: {"validation" if name in held else "training": [(0, length)]}
        for name, length in lengths.items()
    }


def _gene_spans(
    source: Source, config: LmBakeConfig, lengths: Mapping[str, int]
) -> dict[str, list[Span]]:
    """Return genes of all types with their flanks, overlapping ones joined, by contig."""
    spans: dict[str, list[Span]] = {}
    flank = config.flank_bp
    for gene in read_annotation(source.gff).genes:
        length = lengths.get(gene.contig, 0)
        begin, end = max(0, gene.start - flank), min(gene.end + flank, length)
        if begin < end:
            spans.setdefault(gene.contig, []).append((begin, end))
    return {contig: _joined(sorted(each)) for contig, each in spans.items()}


def _joined(spans: Sequence[Span]) -> list[Span]:
    """Join ascending intervals that overlap or touch.

    Example:
        >>> _joined([(0, 5), (3, 9), (12, 15)])
        [(0, 9), (12, 15)]
    """
    joined: list[Span] = []
    for begin, end in spans:
        if joined and begin <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((begin, end))
    return joined


def _within(spans: Sequence[Span], parts: Sequence[Span]) -> list[Span]:
    """Cut intervals to the parts of a split."""
    cut = [(max(a, c), min(b, d)) for a, b in spans for c, d in parts]
    return [(begin, end) for begin, end in cut if begin < end]


# ---- windows -------------------------------------------------------------------------------------


def _windows(
    config: LmBakeConfig,
    genomes: Sequence[_Genome],
    split: Split,
    vocabulary: Vocabulary,
    left_out: Counter[str],
) -> Iterator[Window]:
    """Yield a split's windows in the genomes' order; the same ones at each call."""
    left_out.clear()
    rng = np.random.default_rng([config.seed, len(split)])
    for genome in genomes:
        for placed in genome.read():
            spans = genome.spans.get(placed.contig, {}).get(split, ())
            for first, last in _within([(placed.start, placed.start + len(placed.bases))], spans):
                for begin in range(first, last, config.window_bp):
                    end = min(begin + config.window_bp, last)
                    bases = placed.bases[begin - placed.start : end - placed.start]
                    if len(bases) < config.shortest_bp:
                        left_out["shorter than --shortest_bp"] += 1
                    elif count_ambiguous(bases) > config.most_ambiguous:
                        left_out["more ambiguous letters than --most_ambiguous"] += 1
                    else:
                        for strand in _strands(config, rng):
                            yield token_window(
                                on_strand(bases, strand),
                                vocabulary,
                                clade=genome.clade,
                                genome=genome.name,
                                contig=placed.contig,
                                start=begin,
                                strand=strand,
                            )


def _strands(config: LmBakeConfig, rng: np.random.Generator) -> tuple[int, ...]:
    if config.strand == "both":
        return (1, -1)
    return (1,) if config.strand == "forward" or rng.random() < 0.5 else (-1,)
