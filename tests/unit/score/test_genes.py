"""Scores of small gene sets whose right answer is plain."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import make_gene, make_transcript
from genet5.errors import DataError
from genet5.genome.gene import Exon, Gene, Transcript
from genet5.score.genes import score_genes
from genet5.score.stops import StopOffsets


def gene(*isoforms: Transcript | tuple[int, int], strand: int = 1, contig="c", **fields) -> Gene:
    if not isinstance(isoforms[0], Transcript):
        return make_gene(*isoforms, strand=strand, contig=contig, **fields)
    return Gene(id="g", contig=contig, strand=strand, transcripts=isoforms, **fields)


def f1(scores) -> dict[str, float]:
    return {name: round(level.f1, 3) for name, level in scores.levels.items()}


SPLICED = gene((0, 30), (60, 100), (150, 200))
PLAIN = gene((300, 600))


def test_identical_annotations_score_1_at_every_level() -> None:
    genes = [SPLICED, PLAIN, gene((900, 1200), strand=-1)]
    scores = score_genes(genes, genes, prokaryote=False)
    assert set(f1(scores).values()) == {1.0}
    assert list(scores.levels) == ["nucleotide", "exon", "intron", "transcript", "gene"]


def test_one_wrong_splice_site_costs_an_exon_an_intron_and_the_gene() -> None:
    scores = score_genes([gene((0, 30), (66, 100), (150, 200))], [SPLICED])
    assert f1(scores) == {
        "nucleotide": round(2 * 114 / (114 + 120), 3),
        "exon": round(2 / 3, 3),
        "intron": 0.5,
        "transcript": 0.0,
        "gene": 0.0,
    }


def test_strands_are_scored_apart() -> None:
    scores = score_genes([replace(PLAIN, strand=-1)], [PLAIN])
    assert set(f1(scores).values()) == {0.0}


def test_a_gene_is_right_if_any_isoform_is() -> None:
    other = make_transcript((0, 30), (150, 200))
    reference = [gene(SPLICED.transcripts[0], other)]
    scores = score_genes([gene(other)], reference)
    assert scores.levels["gene"].f1 == 1.0
    assert scores.levels["transcript"].sensitivity == 0.5
    assert scores.levels["exon"].sensitivity == pytest.approx(2 / 3)


def test_duplicates_are_wrong_at_gene_level() -> None:
    scores = score_genes([PLAIN, PLAIN], [PLAIN])
    assert (scores.levels["gene"].tp, scores.levels["gene"].predicted) == (1, 2)
    assert (scores.levels["stop"].tp, scores.levels["stop"].predicted) == (1, 2)
    assert scores.levels["exon"].f1 == 1.0


def test_cds_intervals_that_touch_are_one_exon() -> None:
    scores = score_genes([gene((300, 400), (400, 600))], [PLAIN])
    assert scores.levels["exon"].f1 == scores.levels["gene"].f1 == 1.0
    assert scores.levels["intron"].predicted == 0


@pytest.mark.parametrize(("strand", "moved"), [(1, (330, 600)), (-1, (300, 570))])
def test_a_wrong_start_is_a_right_stop(strand: int, moved: tuple[int, int]) -> None:
    scores = score_genes([gene(moved, strand=strand)], [replace(PLAIN, strand=strand)])
    assert scores.prokaryote
    assert scores.levels["stop"].f1 == 1.0
    assert scores.levels["exact"].f1 == 0.0


def test_references_with_one_stop_count_once_and_either_start_is_exact() -> None:
    reference = [PLAIN, gene((330, 600))]
    scores = score_genes([gene((330, 600))], reference)
    assert (scores.levels["stop"].tp, scores.levels["stop"].reference) == (1, 1)
    assert (scores.levels["exact"].tp, scores.levels["exact"].reference) == (1, 1)


IRREGULAR = [
    ("pseudo", gene((1000, 1300), pseudo=True)),
    ("partial", gene(make_transcript((1000, 1300), partial_5=True))),
    ("partial", gene(make_transcript((1000, 1300), partial_3=True))),
    ("exception", gene(make_transcript((1000, 1300), exceptions=("ribosomal_slippage",)))),
    ("spliced", gene((1000, 1100), (1160, 1300))),
]


@pytest.mark.parametrize(("cause", "irregular"), IRREGULAR)
def test_irregular_references_and_what_lies_in_them_are_ignored(cause: str, irregular) -> None:
    guess = gene((1000, 1290))
    scores = score_genes([PLAIN, guess], [PLAIN, irregular], prokaryote=True)
    assert set(f1(scores).values()) <= {1.0, 0.0}
    assert scores.levels["nucleotide"].f1 == scores.levels["exact"].f1 == 1.0
    assert scores.ignored_references == {cause: 1}
    assert scores.ignored_predictions == 1


@pytest.mark.parametrize(
    ("guess", "is_ignored"),
    [
        (gene((1150, 1450)), True),  # half
        (gene((1151, 1451)), False),  # a base less than half
        (gene((1000, 1300), strand=-1), False),
    ],
)
def test_a_prediction_is_ignored_from_half_of_its_bases_on_its_strand(guess, is_ignored) -> None:
    pseudo = gene((1000, 1300), pseudo=True)
    scores = score_genes([guess], [PLAIN, pseudo])
    assert scores.ignored_predictions == is_ignored
    assert scores.levels["gene"].predicted == (not is_ignored)


def test_a_prediction_that_matches_a_counted_reference_is_never_ignored() -> None:
    pseudo = gene((290, 560), pseudo=True)
    same_stop = score_genes([gene((270, 600))], [PLAIN, pseudo])
    assert same_stop.levels["stop"].f1 == 1.0
    assert same_stop.ignored_predictions == 0
    inside = score_genes([gene((300, 570))], [PLAIN, pseudo])
    assert inside.ignored_predictions == 0


def test_bases_of_ignored_references_are_neither_right_nor_wrong() -> None:
    pseudo = gene((600, 700), pseudo=True)
    scores = score_genes([gene((300, 720))], [PLAIN, pseudo])
    level = scores.levels["nucleotide"]
    assert (level.tp, level.predicted, level.reference) == (300, 320, 300)


def test_a_partial_isoform_of_a_counted_gene_is_neither_right_nor_wrong() -> None:
    partial = make_transcript((40, 60), (80, 100), partial_5=True)
    reference = [gene(SPLICED.transcripts[0], partial)]
    guess = gene(SPLICED.transcripts[0], partial)
    scores = score_genes([guess], reference, prokaryote=False)
    assert set(f1(scores).values()) == {1.0}


def test_non_coding_genes_do_not_matter() -> None:
    trna = Gene(
        id="r",
        contig="c",
        strand=1,
        transcripts=(Transcript(id="t", exons=(Exon(300, 600),)),),
        type="tRNA",
    )
    scores = score_genes([PLAIN, trna], [PLAIN, trna])
    assert scores.levels["gene"].reference == scores.levels["gene"].predicted == 1
    assert scores.ignored_references == {}


def test_a_gene_over_the_origin_is_equal_in_either_notation() -> None:
    lengths = {"c": 1000}
    one, other = gene((940, 1030)), gene((940, 1000), (1000, 1030))
    early = gene((1940, 2030))
    for guess in (one, other, early):
        scores = score_genes([guess], [one, PLAIN], lengths)
        assert scores.levels["exact"].tp == scores.levels["gene"].tp == 1
        assert scores.levels["nucleotide"].tp == 90
    tail = score_genes([gene((0, 30))], [one], lengths)
    assert tail.levels["stop"].tp == 1
    assert tail.levels["nucleotide"].tp == 30


def test_the_reference_tells_whether_it_is_a_prokaryote() -> None:
    many = [gene((start, start + 300)) for start in range(0, 200_000, 1000)]
    assert score_genes(many, many).prokaryote
    assert score_genes(many, [*many, SPLICED]).prokaryote
    assert not score_genes(many, [*many[:100], SPLICED]).prokaryote


def test_predictions_on_contigs_that_the_reference_does_not_name_are_left_out() -> None:
    elsewhere = gene((0, 90), contig="plasmid")
    scores = score_genes([PLAIN, elsewhere], [PLAIN])
    assert scores.elsewhere == 1
    assert scores.levels["gene"].f1 == 1.0
    named = score_genes([PLAIN, elsewhere], [PLAIN], {"c": 2000, "plasmid": 900})
    assert named.levels["gene"].predicted == 2


def test_no_common_contig_is_an_error_that_names_some() -> None:
    with pytest.raises(DataError, match=r"share no contig: chr1 against c; expected .*same names"):
        score_genes([replace(PLAIN, contig="chr1")], [PLAIN])


def test_a_reference_without_coding_genes_is_an_error() -> None:
    with pytest.raises(DataError, match="no coding gene"):
        score_genes([PLAIN], [replace(PLAIN, pseudo=True)])


def test_no_predictions_score_0() -> None:
    scores = score_genes([], [PLAIN])
    assert scores.levels["gene"].f1 == scores.levels["gene"].precision == 0.0
    assert "gene         0.000" in scores.table()


def test_the_table_and_the_dict_tell_the_same() -> None:
    scores = score_genes([PLAIN, gene((700, 790))], [PLAIN, gene((900, 990), pseudo=True)])
    assert "stop         1.000  0.500  0.667" in scores.table()
    assert "intron           -" in scores.table()
    assert "ignored: 1 reference genes (1 pseudo), 0 predicted genes" in scores.table()
    values = scores.to_dict()
    assert values["levels"]["stop"]["f1"] == pytest.approx(2 / 3)
    assert "stop coordinate" in values["protocol"]


INTERVALS = st.lists(
    st.tuples(st.integers(0, 900), st.integers(3, 120), st.sampled_from([1, -1])), min_size=1
)


@pytest.mark.slow
@given(INTERVALS, INTERVALS)
def test_levels_equal_a_plain_evaluation(predicted, reference) -> None:
    sides = [[gene((s, s + n), strand=d) for s, n, d in side] for side in (predicted, reference)]
    scores = score_genes(*sides)
    sets = [
        {(base, d) for s, n, d in side for base in range(s, s + n)}
        for side in (predicted, reference)
    ]
    level = scores.levels["nucleotide"]
    assert (level.tp, level.predicted, level.reference) == (
        len(sets[0] & sets[1]),
        len(sets[0]),
        len(sets[1]),
    )
    assert scores.levels["exon"].tp == len(set(predicted) & set(reference))
    stops = [{(s + n if d > 0 else s, d) for s, n, d in side} for side in (predicted, reference)]
    assert scores.levels["stop"].tp == len(stops[0] & stops[1])
    for name, level in scores.levels.items():
        assert level.tp <= min(level.predicted, level.reference), name


@pytest.mark.parametrize("strand", [1, -1])
@pytest.mark.parametrize(
    ("cut_bp", "expected"),
    [(0, StopOffsets(1, 0, 0)), (3, StopOffsets(0, 1, 0)), (-3, StopOffsets(0, 0, 1))],
)
def test_stops_one_codon_off_are_counted(strand: int, cut_bp: int, expected: StopOffsets) -> None:
    ends = (900, 1200 - cut_bp) if strand > 0 else (900 + cut_bp, 1200)
    scores = score_genes(
        [gene(ends, strand=strand), PLAIN], [gene((900, 1200), strand=strand)], {"c": 1200}
    )
    assert scores.stops == expected
    assert scores.to_dict()["predicted_stops"]["early"] == expected.early


def test_stops_one_codon_off_are_counted_over_the_origin() -> None:
    scores = score_genes([gene((1100, 1199))], [gene((1100, 1202))], {"c": 1200})
    assert scores.stops == StopOffsets(0, 1, 0)
