"""The gene-structure language: a window's genes as a row of labels, and back.

    window     := <bos> CODE [CLADE] gene* <eos>
    gene       := TYPE STRAND transcript+
    transcript := <tx> [<cut_left> FRAME] part* [<cut_right>]
    part       := KIND POS POS

A label >= 0 is a token's id, a label -1 - p is base p of the window. Genes stand in the order of
the first position written; genes without any (the window lies inside an intron) stand first. Cost:
linear in the number of labels.

Example:
    >>> vocabulary = StructureVocabulary()
    >>> transcript = WindowTranscript((Part("cds", 3, 11),))
    >>> structure = WindowStructure(11, None, (WindowGene("protein_coding", 1, (transcript,)),))
    >>> labels = encode_window(structure, vocabulary)
    >>> [vocabulary.tokens[i] if i >= 0 else decode_position(i) for i in labels.tolist()]
    ['<bos>', '<code_11>', 'protein_coding', '+', '<tx>', '<cds>', 3, 11, '<eos>']
    >>> decode_window(labels, vocabulary) == structure
    True
"""

from __future__ import annotations

from collections.abc import Container
from typing import NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from genet5.config.clades import CLADES
from genet5.errors import DataError, FormatError
from genet5.genome.codes import known_codes
from genet5.tokens.vocabulary import (
    StructureVocabulary,
    decode_position,
    encode_position,
)
from genet5.tokens.window import (
    Frame,
    Kind,
    Part,
    WindowGene,
    WindowStructure,
    WindowTranscript,
)

_FRAMES: tuple[Frame | None, ...] = (0, 1, 2, None)  # in the order of the tokens' ids


def order_key(gene: WindowGene) -> tuple[object, ...]:
    """Key that sorts a window's genes into the language's order.

    The first position written decides (none at all: first), then the last one, then + before -,
    then the type; what remains of the gene makes the order total, so that it never depends on the
    order of the source.
    """
    parts = [part for transcript in gene.transcripts for part in transcript.parts]
    first = parts[0].first if parts else -1
    last = parts[-1].last if parts else -1
    rest = [
        (t.cut_left, t.cut_right, -1 if t.frame is None else t.frame, len(t.parts))
        for t in gene.transcripts
    ]
    return first, last, -gene.strand, gene.type, rest, [(p.first, p.last, p.kind) for p in parts]


def begin_key(gene: WindowGene) -> tuple[object, ...]:
    """What two genes of one window must differ in: first position, strand, type, left cut.

    The grammar refuses a second gene of the same key, so that decoding always progresses.
    """
    transcript = gene.transcripts[0]
    first = transcript.parts[0].first if transcript.parts else -1
    return first, gene.strand, gene.type, transcript.cut_left, transcript.frame


def language_violation(transcript: WindowTranscript) -> str:
    """Return what the language cannot write about a transcript; empty when it can."""
    if not transcript.parts and not (transcript.cut_left and transcript.cut_right):
        return "a transcript without parts that is not cut at both edges"
    if transcript.frame is not None and not transcript.cut_left:
        return f"frame {transcript.frame} of a transcript that is not cut at the left edge"
    before = -1
    for part in transcript.parts:
        if not before < part.first <= part.last:
            return f"part {part.first}..{part.last} after base {before}"
        before = part.last
    return ""


def encode_window(structure: WindowStructure, vocabulary: StructureVocabulary) -> NDArray[np.int32]:
    """Write a window as labels.

    Returns:
        (T,) int32 from <bos> to <eos>: token ids, base p as -1 - p.

    Raises:
        DataError: The language cannot write a transcript, or the vocabulary lacks a gene's type.
    """
    labels = [vocabulary.bos, vocabulary.code(structure.genetic_code)]
    if structure.clade is not None:
        labels.append(vocabulary.clade(structure.clade))
    for gene in structure.genes:
        labels += (vocabulary.gene_type(gene.type), vocabulary.strand(gene.strand))
        if not gene.transcripts:
            raise DataError("a gene without transcripts", expected="one or more")
        for transcript in gene.transcripts:
            _write_transcript(labels, transcript, vocabulary)
    labels.append(vocabulary.eos)
    return np.array(labels, dtype=np.int32)


def _write_transcript(
    labels: list[int], transcript: WindowTranscript, vocabulary: StructureVocabulary
) -> None:
    violation = language_violation(transcript)
    if violation:
        raise DataError(
            violation, expected="a transcript that the gene-structure language can write"
        )
    labels.append(vocabulary.tx)
    if transcript.cut_left:
        labels += (vocabulary.cut_left, vocabulary.frame(transcript.frame))
    for part in transcript.parts:
        labels += (
            getattr(vocabulary, part.kind),
            encode_position(part.first),
            encode_position(part.last),
        )
    if transcript.cut_right:
        labels.append(vocabulary.cut_right)


def decode_window(labels: ArrayLike, vocabulary: StructureVocabulary) -> WindowStructure:
    """Read a row of labels, <bos> to <eos>; <pad> may follow.

    The genes keep the order they are written in.

    Raises:
        FormatError: The row is no sentence of the language; the text names the index of the
            offending label.
    """
    return _Reader(np.asarray(labels).tolist(), vocabulary).window()


class _Reader:
    """Recursive descent over one row."""

    def __init__(self, labels: list[int], vocabulary: StructureVocabulary) -> None:
        self.labels, self.vocabulary, self.index = labels, vocabulary, 0
        self.kinds: dict[int, Kind] = {
            vocabulary.cds: "cds",
            vocabulary.utr: "utr",
            vocabulary.exon: "exon",
        }

    def window(self) -> WindowStructure:
        vocabulary = self.vocabulary
        self.take((vocabulary.bos,), "<bos>")
        first_code, first_clade = vocabulary.code(1), vocabulary.first_clade
        codes = {first_code + number - 1: number for number in known_codes()}
        code = codes[self.take(codes, "a genetic code")]
        clade = None
        if first_clade <= self.peek() < first_clade + len(CLADES):
            clade = [*CLADES][self.take(None, "a clade") - first_clade]
        genes = []
        while self.peek() >= vocabulary.first_type:
            genes.append(self.gene())
        self.take((vocabulary.eos,), "a gene or <eos>")
        while self.index < len(self.labels):
            self.take((vocabulary.pad,), "nothing but <pad> after <eos>")
        return WindowStructure(code, clade, tuple(genes))

    def gene(self) -> WindowGene:
        vocabulary = self.vocabulary
        ids = range(vocabulary.first_type, len(vocabulary))
        gene_type = vocabulary.gene_types[self.take(ids, "a gene type") - vocabulary.first_type]
        strand = self.take((vocabulary.plus, vocabulary.minus), "a strand")
        transcripts = [self.transcript()]
        while self.peek() == vocabulary.tx:
            transcripts.append(self.transcript())
        return WindowGene(gene_type, 1 if strand == vocabulary.plus else -1, tuple(transcripts))

    def transcript(self) -> WindowTranscript:
        vocabulary = self.vocabulary
        begin = self.index
        self.take((vocabulary.tx,), "<tx>")
        frame: Frame | None = None
        cut_left = self.accept(vocabulary.cut_left)
        if cut_left:
            ids = range(vocabulary.frame_0, vocabulary.frame_none + 1)
            frame = _FRAMES[self.take(ids, "a frame") - vocabulary.frame_0]
        parts: list[Part] = []
        while self.peek() in self.kinds:
            parts.append(self.part(parts[-1].last if parts else -1))
        cut_right = self.accept(vocabulary.cut_right)
        transcript = WindowTranscript(tuple(parts), cut_left, cut_right, frame)
        violation = language_violation(transcript)
        if violation:
            raise FormatError(
                f"label {begin}: {violation}", expected="a transcript of the language"
            )
        return transcript

    def part(self, before: int) -> Part:
        kind = self.kinds[self.take(self.kinds, "a part")]
        first = self.position(before + 1)
        return Part(kind, first, self.position(first))

    def position(self, least: int) -> int:
        label = self.peek()
        if label >= 0 or decode_position(label) < least:
            self.fail(f"base {least} of the window or one to its right")
        self.index += 1
        return decode_position(label)

    def peek(self) -> int:
        """The next label; <pad>, which no rule begins with, beyond the end."""
        return self.labels[self.index] if self.index < len(self.labels) else self.vocabulary.pad

    def accept(self, token: int) -> bool:
        found = self.peek() == token
        self.index += found
        return found

    def take(self, tokens: Container[int] | None, expected: str) -> int:
        """Return the next label, which must be one of `tokens` (None: the caller has looked)."""
        label = self.peek()
        if self.index >= len(self.labels) or (tokens is not None and label not in tokens):
            self.fail(expected)
        self.index += 1
        return label

    def fail(self, expected: str) -> NoReturn:
        raise FormatError(f"label {self.index}: {self.name()}", expected=expected)

    def name(self) -> str:
        if self.index >= len(self.labels):
            return "the row ends"
        label = self.labels[self.index]
        if label < 0:
            return f"base {decode_position(label)}"
        if label < len(self.vocabulary):
            return self.vocabulary.tokens[label]
        return f"unknown token {label}"
