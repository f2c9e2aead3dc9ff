"""Genomes on disk and their splits."""

from __future__ import annotations

from pathlib import Path

import pytest

from genet5.config.bake import BakeConfig
from genet5.dataset.sources import (
    Source,
    find_sources,
    read_split_table,
    splits_by_share,
    splits_by_table,
)
from genet5.errors import ConfigError, DataError


def raw(tmp_path: Path, *names: str) -> BakeConfig:
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return BakeConfig(raw_dir=tmp_path, output_dir=tmp_path, tokenizer=tmp_path)


def select(settings: BakeConfig, **changes) -> BakeConfig:
    return BakeConfig(
        raw_dir=settings.raw_dir,
        output_dir=settings.output_dir,
        tokenizer=settings.tokenizer,
        **changes,
    )


def test_genomes_are_found_by_clade_and_name(tmp_path) -> None:
    settings = raw(
        tmp_path,
        "prokaryotes/B/genome.fa.gz", "prokaryotes/B/genome.fa.gz.fai", "prokaryotes/B/x.gff3.gz",
        "prokaryotes/A/genome.fna", "prokaryotes/A/genes.gff",
        "plants/C/c.fasta", "plants/C/c.gff3",
    )  # fmt: skip
    assert [source.id for source in find_sources(settings)] == [
        "plants/C",
        "prokaryotes/A",
        "prokaryotes/B",
    ]
    assert [s.genome for s in find_sources(select(settings, clades=("plants",)))] == ["C"]
    assert [s.genome for s in find_sources(select(settings, species=("B", "C")))] == ["C", "B"]
    with pytest.raises(ConfigError, match="species"):
        find_sources(select(settings, species=("D",)))
    with pytest.raises(ConfigError, match="clades"):
        find_sources(select(settings, clades=("vertebrates",)))


def test_a_folder_needs_one_file_of_each_kind(tmp_path) -> None:
    with pytest.raises(DataError, match="0 annotation files"):
        find_sources(raw(tmp_path, "plants/C/c.fa"))
    with pytest.raises(DataError, match="2 FASTA files"):
        find_sources(raw(tmp_path, "plants/C/d.fa", "plants/C/c.gff"))


def test_an_unknown_clade_is_refused(tmp_path) -> None:
    with pytest.raises(ConfigError, match="clade"):
        find_sources(raw(tmp_path, "fish/C/c.fa", "fish/C/c.gff"))


def test_a_table_names_contigs_and_the_rest(tmp_path) -> None:
    path = tmp_path / "splits.tsv"
    path.write_text(
        "taxon\tgenome\tcontigs\tsplit\n"
        "plants\tA\t*\ttrain\nplants\tA\tc4\tvalid\nplants\tA\tc5,c6\ttest\nplants\tB\tc1\ttrain\n"
    )
    table = read_split_table(path)
    sources = [Source("plants", name, path, path) for name in "AB"]
    splits = splits_by_table(sources, [["c1", "c4", "c5", "c6"], ["c1", "c2"]], table)
    assert splits == [{"c1": "training", "c4": "validation"}, {"c1": "training"}]


def test_a_contig_that_is_nowhere_is_refused_and_the_nearest_named(tmp_path) -> None:
    """It would be trained on although the table holds it out."""
    path = tmp_path / "splits.tsv"
    path.write_text("plants\tA\t*\ttrain\nplants\tA\tchr5\ttest\n")
    table, source = read_split_table(path), Source("plants", "A", path, path)
    with pytest.raises(DataError, match=r"splits.tsv:2: contig 'chr5' is nowhere.*Is it 'Chr5'\?"):
        splits_by_table([source], [["Chr1", "Chr5"]], table)


def test_a_mistyped_genome_is_refused_and_one_that_is_absent_reported(
    tmp_path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "splits.tsv"
    path.write_text("fungi\tYeast\t*\ttest\nplants\tArabidopsis\t*\ttest\n")
    table = read_split_table(path)
    table.check_genomes({("fungi", "Yeast")})
    assert "1 genomes are not there: plants/Arabidopsis" in caplog.text
    with pytest.raises(DataError, match=r"splits.tsv:2: .*Is it 'plants/arabidopsis'\?"):
        table.check_genomes({("fungi", "Yeast"), ("plants", "arabidopsis")})


@pytest.mark.parametrize(
    ("line", "text"), [("plants\tA\ttrain", "3 columns"), ("plants\tA\tc4\ttest", "second time")]
)
def test_a_wrong_table_is_refused_with_its_line(tmp_path, line: str, text: str) -> None:
    path = tmp_path / "splits.tsv"
    path.write_text(f"plants\tA\tc4\tvalid\n{line}\n")
    with pytest.raises(DataError, match=f"splits.tsv:2: .*{text}"):
        read_split_table(path)


def test_whole_species_or_contigs_are_drawn() -> None:
    sources = [Source("plants", f"G{n}", Path(), Path()) for n in range(10)]
    contigs = [{"c1": 60, "c2": 40} for _ in sources]
    drawn = splits_by_share(sources, contigs, share=0.2, by="auto", seed=1)
    assert all(len(set(splits.values())) == 1 for splits in drawn)
    assert sum("validation" in splits.values() for splits in drawn) == 2
    assert drawn == splits_by_share(sources, contigs, share=0.2, by="species", seed=1)
    by_contig = splits_by_share(sources, contigs, share=0.2, by="contig", seed=1)
    assert any(len(set(splits.values())) == 2 for splits in by_contig)


def test_something_is_left_for_training() -> None:
    sources = [Source("plants", "G", Path(), Path())]
    drawn = splits_by_share(sources, [{"c1": 5}], share=1.0, by="auto", seed=0)
    assert drawn == [{"c1": "training"}]
    drawn = splits_by_share(sources, [{"c1": 5, "c2": 5}], share=1.0, by="auto", seed=0)
    assert sorted(drawn[0].values()) == ["training", "validation"]
    assert splits_by_share(sources, [{"c1": 5, "c2": 5}], share=0, by="auto", seed=0) == [
        {"c1": "training", "c2": "training"}
    ]
