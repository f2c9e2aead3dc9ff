"""Windows of many contigs become batches, whatever an earlier run found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from genet5.annotate.hint_evidence import HintEvidence
from genet5.annotate.windows import Batch, WindowList, WindowRules
from genet5.annotate.workers import pack_found, pack_windows, unpack_found, unpack_windows
from genet5.decode.fragment import GeneFragment, Interval
from genet5.decode.window_found import WindowFound
from genet5.genome.evidence import paint
from genet5.genome.hints import Hint
from genet5.genome.io.fasta import AnyContig, Contig
from genet5.genome.sequence import encode_bases

GENE = GeneFragment("protein_coding", 1, (Interval("cds", 3, 12),), starts=((3, 1 / 3),))


def contigs(*lengths: int) -> list[Contig]:
    return [Contig(str(n), np.full(n, ord("A"), dtype=np.uint8)) for n in lengths]


def code_of(contig: AnyContig) -> int:
    return 2 if contig.name == "chrM" else 11


def rules(**changes: object) -> WindowRules:
    options: dict[str, object] = {
        "window_bp": 100, "overlap_bp": 50, "strand_passes": 1, "spliced": False, "batch_size": 2,
        "segment_windows": 4,
    }  # fmt: skip
    return WindowRules(**{**options, **changes})


def list_all(
    some: Sequence[Contig], of: WindowRules
) -> tuple[list[Batch], list[tuple[int, bool]], list[int]]:
    """Batches, blocks (contig, whether the last) and counted bases of a run that finds nothing."""
    counted: list[int] = []
    windows = WindowList(some, of, code_of, lambda _: False, counted.append)
    batches, blocks = [], []
    for batch in windows.batches():
        batches.append(batch)
        if batch.is_last:
            windows.put(batch.pool, dict.fromkeys((p.number for p in batch.pool), WindowFound(())))
            blocks += list(windows.blocks())
    blocks += list(windows.blocks())
    return batches, [(block.index, block.is_last) for block in blocks], counted


def test_every_contig_has_a_last_block_in_order_and_every_base_counts_once() -> None:
    some = [*contigs(1000, 0, 30), Contig("n", encode_bases("N" * 500)), *contigs(260)]
    _, blocks, counted = list_all(some, rules())
    assert blocks == [(index, True) for index in range(5)]
    assert sum(counted) == 1000 + 30 + 500 + 260


def test_windows_are_numbered_in_order_and_batches_are_sorted_by_length() -> None:
    batches, _, _ = list_all(contigs(30, 100, 20, 90), rules())
    assert [batch.numbers for batch in batches] == [[1, 3], [0, 2]]


def test_a_long_contig_is_listed_while_it_is_decoded() -> None:
    windows = WindowList(contigs(100_000), rules(), code_of, lambda _: False, lambda _: None)
    batches = windows.batches()
    assert len(next(batches).pool) == 16


@pytest.mark.parametrize("batch_size", [1, 2, 64])
def test_windows_are_read_together_by_their_place_in_the_contig_alone(batch_size: int) -> None:
    blank = Contig("n", np.full(350, ord("A"), dtype=np.uint8))
    blank.bases[150:260] = ord("N")  # window 3 alone is blank
    some = [*contigs(500, 120), blank]
    batches, _, _ = list_all(some, rules(strand_passes=2, batch_size=batch_size))
    found = {
        (s[0].work.index, s[0].strand_pass, tuple(p.tile.index for p in s))
        for batch in batches
        for s in batch.segments
    }
    forward = [
        (0, (0, 1, 2, 3)),
        (0, (4, 5, 6, 7)),
        (0, (8,)),
        (1, (0, 1)),
        (2, (0, 1, 2)),
        (2, (4, 5)),
    ]
    assert found == {
        (contig, turn, tiles[::-1] if turn else tiles)
        for contig, tiles in forward
        for turn in (0, 1)
    }


def test_windows_of_a_segment_lie_where_its_bases_say() -> None:
    letters = np.random.default_rng(0).choice(np.frombuffer(b"ACGT", np.uint8), 470)
    batches, _, _ = list_all([Contig("c", letters)], rules(strand_passes=2, overlap_bp=35))
    for batch in batches:
        for window_pass, place in zip(batch.passes, batch.places, strict=True):
            if not place:
                row, first = window_pass.bases, window_pass
            else:
                assert np.array_equal(row[place:], window_pass.bases[: len(row) - place])
                row = np.concatenate((row[:place], window_pass.bases))
                assert first.strand_pass == window_pass.strand_pass


def test_hints_travel_with_the_windows_turned_on_the_reverse_pass() -> None:
    hint = Hint("a", "coding", 12, 60, 1, 1)
    hints = HintEvidence([hint, Hint("x", "start", 3, 6, 1)], place=lambda part: ("ab"[part], 0))
    some, of = contigs(70, 90), rules(strand_passes=2)
    windows = WindowList(some, of, code_of, lambda _: False, lambda _: None, hints)
    evidence = [c for batch in windows.batches() for c in unpack_windows(pack_windows(batch))[-1]]
    turned = Hint("a", "coding", 10, 58, -1, 1)
    expected = [paint([], 0, 90)] * 2 + [paint([hint], 0, 70), paint([turned], 0, 70)]
    assert len(evidence) == 4
    assert all(np.array_equal(*pair) for pair in zip(evidence, expected, strict=True))


@pytest.mark.parametrize("strand_passes", [1, 2])
def test_windows_and_fragments_travel_unchanged(strand_passes: int) -> None:
    some = [Contig(name, encode_bases("ACGTTGCANNACGTACGATT" * 5)) for name in ("a", "chrM")]
    ((first, *_), _, _) = list_all(some, rules(strand_passes=strand_passes))
    bases, cores, codes, places, evidence = unpack_windows(pack_windows(first))
    assert evidence == []
    assert [b.tobytes() for b in bases] == [p.bases.tobytes() for p in first.passes]
    assert cores == [p.core for p in first.passes]
    assert codes == [p.code for p in first.passes]
    assert places == first.places
    assert set(codes) == ({11, 2} if strand_passes == 1 else {11})
    percents = np.arange(20, dtype=np.uint8).reshape(2, 5, 2)
    found = [WindowFound((GENE,)), WindowFound(()), WindowFound((GENE, GENE), percents)]
    back = unpack_found(pack_found(found))
    # as text: they hold NaN, which equals nothing from Python 3.13 on
    assert repr([window.fragments for window in back]) == repr([w.fragments for w in found])
    assert back[2].percents is not None
    assert np.array_equal(back[2].percents, percents)
