"""The Python front door: all kinds of input, equal results, errors of one line."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from Bio.Seq import Seq
from Bio.SeqRecord import SeqRecord

from genet5.annotate.annotator import Annotator
from genet5.config.annotate import AnnotatorConfig, AnnotatorOptions
from genet5.errors import CheckpointError, ConfigError, DataError, GeneT5Error
from genet5.genome.io.fasta import Contig, write_fasta
from genet5.genome.sequence import decode_bases
from genet5.simulate.prokaryote import simulate_bacterium


@pytest.fixture(scope="module")
def annotator() -> Annotator:
    return Annotator.load("nano", device="cpu", precision="fp32")


@pytest.fixture(scope="module")
def contig() -> Contig:
    (contig,), _ = simulate_bacterium(3_000, seed=4)
    return contig


@pytest.mark.slow
def test_text_bytes_contig_and_record_give_the_same_genes(
    annotator: Annotator, contig: Contig
) -> None:
    text = decode_bases(contig.bases)
    genes = annotator.annotate(text)
    assert genes
    assert {gene.contig for gene in genes} == {"sequence"}
    assert [gene.id for gene in genes][:2] == ["gene_000001", "gene_000002"]
    assert annotator.annotate(text) == genes
    folded = "\n".join(text[i : i + 60] for i in range(0, len(text), 60))
    assert annotator.annotate(folded.encode()) == genes
    assert annotator.annotate(contig, name="sequence") == genes
    assert annotator.annotate(text.lower()) == genes, "a soft mask changes nothing"
    record = SeqRecord(Seq(text), id="r1")
    found = annotator.annotate(record)
    assert {gene.contig for gene in found} == {"r1"}
    assert annotator.annotate(record, name="sequence") == genes


@pytest.mark.slow
def test_the_genetic_code_is_that_of_the_genes(annotator: Annotator, contig: Contig) -> None:
    assert {gene.genetic_code for gene in annotator.annotate(contig)} == {11}
    assert {gene.genetic_code for gene in annotator.annotate(contig, genetic_code=4)} <= {4}


@pytest.mark.slow
def test_a_contig_may_have_a_code_of_its_own(annotator: Annotator, contig: Contig) -> None:
    found = annotator.annotate_contigs(
        [contig, Contig("chrM", contig.bases)],
        contig_codes={"chrM": 4},
        is_circular=lambda _: False,
    )
    assert [{gene.genetic_code for gene in genes} for _, genes in found] == [{11}, {4}]


@pytest.mark.slow
def test_a_file_gives_its_contigs_in_order_with_genes_numbered_through(
    annotator: Annotator, contig: Contig, tmp_path: Path
) -> None:
    path = tmp_path / "genome.fa"
    text = decode_bases(contig.bases)
    write_fasta(path, [("b", text), ("empty", ""), ("a", text[:1500])])
    found = list(annotator.annotate_file(str(path)))
    assert [contig.name for contig, _ in found] == ["b", "empty", "a"]
    numbers = [gene.id for _, genes in found for gene in genes]
    assert numbers == [f"gene_{i + 1:06d}" for i in range(len(numbers))]
    alone = annotator.annotate(text, name="b")
    assert [(g.start, g.end, g.strand) for g in found[0][1]] == [
        (g.start, g.end, g.strand) for g in alone
    ]


@pytest.mark.slow
def test_contigs_are_read_as_they_are_needed(contig: Contig) -> None:
    read = []

    def contigs() -> Iterator[Contig]:
        for number in range(30):
            read.append(number)
            yield Contig(str(number), contig.bases[:300])

    annotator = Annotator.load("nano", device="cpu", precision="fp32", batch_size=1, adapt="off")
    found = annotator.annotate_contigs(contigs(), is_circular=lambda _: False)
    assert next(found)[0].name == "0"
    assert len(read) <= 8  # a pool is eight batches


def test_every_field_of_the_configuration_can_be_given_by_name() -> None:
    fields = {each.name for each in dataclasses.fields(AnnotatorConfig)}
    options = AnnotatorOptions.__optional_keys__
    assert fields == {"model", "start_codons", *options}
    documented = set(re.findall(r"`(\w+)`", Annotator.load.__doc__ or ""))
    assert options <= documented
    with pytest.raises(TypeError, match="min_scoer"):
        Annotator.load("nano", min_scoer=0.5)


@pytest.mark.parametrize(
    ("sequence", "message"),
    [
        ("", "'sequence' is empty"),
        (b" \n", "'sequence' is empty"),
        ("ACGJ", "letter 'J' at position 4 of a sequence; expected DNA"),
        (7, "a sequence of type int; expected str, bytes"),
        (["ACGT"], "a sequence of type list"),
    ],
)
def test_what_is_no_sequence_is_refused(
    annotator: Annotator, sequence: object, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        annotator.annotate(sequence)


def test_an_unknown_genetic_code_is_refused(annotator: Annotator) -> None:
    with pytest.raises(ConfigError, match="genetic_code = 99"):
        annotator.annotate("ACGT", genetic_code=99)


def test_a_file_that_is_missing_is_refused(annotator: Annotator) -> None:
    with pytest.raises(GeneT5Error, match="file not found"):
        list(annotator.annotate_file("/nope"))


def test_a_model_that_is_nowhere_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> str:
        raise OSError("offline")

    monkeypatch.setattr("huggingface_hub.snapshot_download", offline)
    with pytest.raises(CheckpointError, match="no such model on the Hugging Face Hub"):
        Annotator.load("nobody/nothing")


def test_a_model_of_the_hub_is_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    from genet5.model.folders import SHIPPED

    asked = []

    def snapshot(name: str, **_: object) -> str:
        asked.append(name)
        return str(SHIPPED / "nano")

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    Annotator.load("user/nano-copy", device="cpu")
    assert asked == ["user/nano-copy"]
