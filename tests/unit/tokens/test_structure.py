from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genet5.config.clades import CLADES
from genet5.errors import ConfigError, DataError, FormatError
from genet5.genome.codes import known_codes
from genet5.tokens.structure import decode_window, encode_window
from genet5.tokens.vocabulary import StructureVocabulary, encode_position
from genet5.tokens.window import Part, WindowGene, WindowStructure, WindowTranscript
from views import in_order

VOCABULARY = StructureVocabulary()
LENGTH = 400


@st.composite
def transcripts(draw, coding: bool, utr: bool) -> WindowTranscript:
    """Any transcript that the language can write, cuts in parts and in introns included."""
    num_parts = draw(st.integers(0, 5))
    cut_left, cut_right = draw(st.booleans()), draw(st.booleans())
    if num_parts == 0:
        cut_left = cut_right = True
    ends = sorted(
        draw(
            st.lists(
                st.integers(0, LENGTH - 1),
                min_size=2 * num_parts,
                max_size=2 * num_parts,
                unique=True,
            )
        )
    )
    if num_parts and cut_left and draw(st.booleans()):
        ends[0] = 0  # the edge runs through a part
    if num_parts and cut_right and draw(st.booleans()):
        ends[-1] = LENGTH - 1
    kinds = ("exon",) if not coding else ("cds", "utr") if utr else ("cds",)
    parts = tuple(
        Part(draw(st.sampled_from(kinds)), first, last)
        for first, last in zip(ends[::2], ends[1::2], strict=True)
    )
    frame = draw(st.sampled_from((0, 1, 2))) if cut_left and coding else None
    return WindowTranscript(parts, cut_left, cut_right, frame)


@st.composite
def structures(draw) -> WindowStructure:
    genes = []
    for _ in range(draw(st.integers(0, 5))):
        gene_type = draw(st.sampled_from(VOCABULARY.gene_types))
        coding = gene_type == "protein_coding"
        isoforms = draw(st.lists(transcripts(coding, draw(st.booleans())), min_size=1, max_size=3))
        genes.append(WindowGene(gene_type, draw(st.sampled_from((1, -1))), tuple(isoforms)))
    clade = draw(st.sampled_from((None, *CLADES)))
    return WindowStructure(draw(st.sampled_from(known_codes())), clade, in_order(genes))


@pytest.mark.slow
@given(structures(), st.integers(0, 3))
def test_decoding_undoes_encoding(structure: WindowStructure, padding: int):
    labels = encode_window(structure, VOCABULARY)
    assert labels.dtype == np.int32
    padded = np.concatenate([labels, np.full(padding, VOCABULARY.pad, np.int32)])
    assert decode_window(padded, VOCABULARY) == structure
    again = encode_window(decode_window(labels, VOCABULARY), VOCABULARY)
    np.testing.assert_array_equal(again, labels)


@pytest.mark.slow
@given(structures(), st.data())
def test_a_truncated_row_is_an_error_at_its_end(structure: WindowStructure, data):
    labels = encode_window(structure, VOCABULARY)
    kept = data.draw(st.integers(0, len(labels) - 1))
    with pytest.raises(FormatError, match=r"label \d+: "):
        decode_window(labels[:kept], VOCABULARY)


@given(st.lists(st.integers(-20, len(VOCABULARY) + 2), max_size=20))
def test_any_row_is_read_or_refused(labels: list[int]):
    try:
        structure = decode_window(labels, VOCABULARY)
    except FormatError:
        return
    assert encode_window(structure, VOCABULARY).tolist() == [
        x for x in labels if x != VOCABULARY.pad
    ]


def test_rows_do_not_change_when_gene_types_are_appended():
    gene = WindowGene("tRNA", -1, (WindowTranscript((Part("exon", 5, 80),)),))
    structure = WindowStructure(4, "plants", (gene,))
    longer = VOCABULARY.appended(("snoRNA",))
    np.testing.assert_array_equal(
        encode_window(structure, VOCABULARY), encode_window(structure, longer)
    )


def test_genes_without_a_position_come_first():
    hidden = WindowGene("protein_coding", -1, (WindowTranscript((), True, True, 1),))
    early = WindowGene("protein_coding", 1, (WindowTranscript((Part("cds", 0, 8),), True),))
    late = WindowGene("protein_coding", -1, (WindowTranscript((Part("cds", 4, 12),)),))
    assert in_order([late, early, hidden]) == (hidden, early, late)


def _row(*middle: int) -> list[int]:
    return [VOCABULARY.bos, VOCABULARY.code(11), *middle, VOCABULARY.eos]


_GENE = (VOCABULARY.first_type, VOCABULARY.plus, VOCABULARY.tx)
_POSITIONS = (encode_position(9), encode_position(20))


@pytest.mark.parametrize(
    ("labels", "index", "found"),
    [
        ([], 0, "the row ends"),
        ([VOCABULARY.eos], 0, "<eos>"),
        ([VOCABULARY.bos, VOCABULARY.code(1) + 6], 1, "<code_7>"),
        (_row(VOCABULARY.plus), 2, "+"),
        (_row(VOCABULARY.first_type, VOCABULARY.tx), 3, "<tx>"),
        (_row(*_GENE), 4, "a transcript without parts"),
        (_row(*_GENE, VOCABULARY.cut_left, VOCABULARY.cds), 6, "<cds>"),
        (_row(*_GENE, VOCABULARY.cds, *_POSITIONS[::-1]), 7, "base 9"),
        (_row(*_GENE, VOCABULARY.cds, *_POSITIONS, VOCABULARY.utr, *_POSITIONS), 9, "base 9"),
        (_row(*_GENE, VOCABULARY.cds, VOCABULARY.tx), 6, "<tx>"),
        (_row(len(VOCABULARY)), 2, "unknown token"),
        ([*_row(), VOCABULARY.pad, VOCABULARY.eos], 4, "<eos>"),
    ],
)
def test_the_error_names_the_label(labels: list[int], index: int, found: str):
    with pytest.raises(FormatError, match=re.escape(f"label {index}: {found}")):
        decode_window(labels, VOCABULARY)


@pytest.mark.parametrize(
    "transcript",
    [
        WindowTranscript(()),
        WindowTranscript((), True, False, 0),
        WindowTranscript((Part("cds", 5, 9),), frame=1),
        WindowTranscript((Part("cds", 9, 5),)),
        WindowTranscript((Part("cds", 5, 9), Part("cds", 9, 12))),
        WindowTranscript((Part("cds", -2, 9),)),
    ],
)
def test_what_the_language_cannot_say_is_not_written(transcript: WindowTranscript):
    structure = WindowStructure(11, None, (WindowGene("protein_coding", 1, (transcript,)),))
    with pytest.raises(DataError):
        encode_window(structure, VOCABULARY)


def test_unknown_types_codes_and_clades_are_errors():
    transcript = WindowTranscript((Part("exon", 5, 9),))
    with pytest.raises(DataError, match="snoRNA"):
        encode_window(
            WindowStructure(11, None, (WindowGene("snoRNA", 1, (transcript,)),)), VOCABULARY
        )
    with pytest.raises(ConfigError, match="genetic_code"):
        encode_window(WindowStructure(7, None, ()), VOCABULARY)
    with pytest.raises(ConfigError, match="clade"):
        encode_window(WindowStructure(1, "fungi", ()), VOCABULARY)
