"""Genes and models as small as tests want them.

What belongs to one room's tests alone stands with them; what several rooms make, they make here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from genet5.config.model import CompressorConfig, DecoderConfig, EncoderConfig, ModelConfig
from genet5.genome.frames import in_reading_order, phases
from genet5.genome.gene import Cds, Exon, Gene, Transcript
from genet5.genome.io.fasta import Contig, write_fasta
from genet5.genome.sequence import decode_bases
from genet5.tokens.sequence import KmerTokenizer
from genet5.tokens.vocabulary import StructureVocabulary

Intervals = Sequence[tuple[int, int]]


def make_transcript(
    *cds: tuple[int, int], strand: int = 1, id: str = "t", **fields: Any
) -> Transcript:
    """A coding transcript without UTR: (start, end) of its CDS parts, 0-based, left to right."""
    lengths = [end - start for start, end in in_reading_order(cds, strand)]
    parts = zip(cds, in_reading_order(phases(lengths), strand), strict=True)
    return Transcript(
        id=id,
        exons=tuple(Exon(*interval) for interval in cds),
        cds=tuple(Cds(*interval, phase) for interval, phase in parts),
        **fields,
    )


def make_gene(
    *cds: tuple[int, int],
    strand: int = 1,
    others: Sequence[Intervals] = (),
    id: str = "g",
    contig: str = "c",
    **fields: Any,
) -> Gene:
    """A coding gene without UTR; `others` are the CDS parts of further isoforms."""
    isoforms = tuple(make_transcript(*each, strand=strand) for each in (cds, *others))
    return Gene(id=id, contig=contig, strand=strand, transcripts=isoforms, **fields)


def tiny_config(
    *,
    encoder: Mapping[str, Any] | None = None,
    compressor: Mapping[str, Any] | None = None,
    decoder: Mapping[str, Any] | None = None,
    **changes: Any,
) -> ModelConfig:
    """The shape of a model of some thousand weights, of 4-mers; arguments change its fields."""
    small = {"layers": 1, "heads": 2, "ff_dim": 32}
    shape = ModelConfig(
        preset="tiny",
        width=32,
        sequence_vocab=KmerTokenizer(4).vocab_size,
        structure_vocab=len(StructureVocabulary()),
        bp_per_token=4.0,
        base_channels=16,
        pointer_width=16,
        encoder=EncoderConfig(window_tokens=64, positions="rope", norm_first=True, **small),
        compressor=CompressorConfig(num_latents=64, bin_bp=16, kv_heads=1, window_bp=128, **small),
        decoder=DecoderConfig(
            kv_heads=1, cross_kv_heads=1, num_experts=0, moe_top_k=1, dropout=0.0, **small
        ),
    )
    return replace(
        shape,
        encoder=replace(shape.encoder, **(encoder or {})),
        compressor=replace(shape.compressor, **(compressor or {})),
        decoder=replace(shape.decoder, **(decoder or {})),
        **changes,
    )


def coding_parts(genes: Iterable[Gene]) -> list[tuple[str, int, tuple[tuple[int, int, int], ...]]]:
    """Contig, strand and CDS (start, end, phase) of each gene: what a round trip must keep."""
    return [
        (g.contig, g.strand, tuple((c.start, c.end, c.phase) for c in g.canonical.cds))
        for g in genes
    ]


def write_contigs(path: Path, contigs: Iterable[Contig]) -> Path:
    """Write a FASTA file, descriptions included."""
    records = [(f"{c.name} {c.description}".strip(), decode_bases(c.bases)) for c in contigs]
    write_fasta(path, records)
    return path
