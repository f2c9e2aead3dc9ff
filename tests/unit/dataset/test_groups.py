"""Groups of validation windows: clades, and the difficulty of chosen genes."""

from __future__ import annotations

from pathlib import Path

import pytest

from genet5.dataset.groups import WindowGroups
from genet5.dataset.header import Header
from genet5.errors import FormatError

HEADER = Header(
    sources=({"taxon": "fungi", "genome": "yeast"}, {"taxon": "plants", "genome": "cress"}),
    validation_genes={
        "yeast": {"easy": ["chr:I:101-200(+)"], "normal": [], "hard": ["chr:I:301-400(-)"]}
    },
)


def groups(header: Header = HEADER) -> WindowGroups:
    return WindowGroups(header, Path("validation.packed"))


def test_groups_are_clades_and_difficulties() -> None:
    assert groups().names == ("fungi", "plants", "easy", "normal", "hard")


def test_one_clade_without_chosen_genes_has_no_group() -> None:
    alone = groups(Header(sources=HEADER.sources[:1]))
    assert alone.names == ()
    assert alone.of("yeast/chr:I:0-500(+)") == ()


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        ("yeast/chr:I:0-250(+)", ("fungi", "easy")),
        ("yeast/chr:I:0-500(-)[code 4]", ("fungi", "hard")),
        ("yeast/chr:I:150-390(+)", ("fungi",)),
        ("cress/chr:I:0-500(+)", ("plants",)),
    ],
)
def test_a_window_belongs_to_the_hardest_gene_that_it_shows_whole(
    window: str, expected: tuple[str, ...]
) -> None:
    assert groups().of(window) == expected


def test_a_gene_is_known_by_its_place_and_strand() -> None:
    difficulty = groups().difficulty
    assert difficulty("yeast/chr:I", 100, 200, 1) == "easy"
    assert difficulty("yeast/chr:I", 330, 360, -1) == "hard"  # its CDS without the UTRs
    assert difficulty("yeast/chr:I", 100, 200, -1) is None
    assert difficulty("yeast/chr:I", 90, 200, 1) is None
    assert difficulty("cress/chr:I", 100, 200, 1) is None


def test_a_place_that_cannot_be_read_names_the_file() -> None:
    header = Header(validation_genes={"yeast": {"easy": ["somewhere"]}})
    with pytest.raises(FormatError, match=r"validation\.packed.*somewhere"):
        groups(header)
