"""Embeddings: pooling, layers, strands, regions, and files that do not depend on batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from genet5.cli import main
from genet5.errors import DataError
from genet5.genome.sequence import checked_bases, decode_bases, reverse_complement
from genet5.lm.embed import pooled
from genet5.lm.folders import LanguageModel
from genet5.lm.regions import read_regions
from lm_toys import random_dna, tiny_lm

TEXTS = {"a": random_dna(20, 1), "b": random_dna(7, 2), "c": "acgtnnGG"}


@pytest.fixture(scope="module")
def lm() -> LanguageModel:
    return tiny_lm()


@pytest.fixture(scope="module")
def folder(lm: LanguageModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("embed")
    lm.save(path / "model")
    (path / "in.fa").write_text("".join(f">{name}\n{text}\n" for name, text in TEXTS.items()))
    return path


def run(folder: Path, *words: str, name: str = "out.parquet") -> dict[str, np.ndarray]:
    out = folder / name
    places = [str(folder / "model"), str(folder / "in.fa"), "-o", str(out)]
    assert main(["lm", "embed", *places, *words]) == 0
    table = pq.read_table(out).to_pydict()
    return dict(zip(table["name"], map(np.array, table["embedding"]), strict=True))


def states(lm: LanguageModel, text: str, extra: tuple[int, ...] = (), layer: int = 2):
    ids = [1, *lm.vocabulary.encode(checked_bases(text)).tolist(), *extra]
    out = lm.network(torch.tensor([ids]), output_hidden_states=True, use_cache=False)
    return out.hidden_states[layer][0].numpy()


def test_the_mean_takes_the_beginning_in_and_padding_out(lm: LanguageModel, folder: Path) -> None:
    found = run(folder)
    for name, text in TEXTS.items():
        np.testing.assert_allclose(found[name], states(lm, text).mean(0), atol=1e-5)


@pytest.mark.parametrize("pool", ["max", "last", "separator"])
def test_other_pools(lm: LanguageModel, folder: Path, pool: str) -> None:
    found = run(folder, "--pool", pool)
    for name, text in TEXTS.items():
        each = states(lm, text, (1,) if pool == "separator" else ())
        expected = each.max(0) if pool == "max" else each[-1]
        np.testing.assert_allclose(found[name], expected, atol=1e-5)


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_layers_count_from_the_embedding_to_the_final_norm(
    lm: LanguageModel, folder: Path, layer: int
) -> None:
    found = run(folder, "--layer", str(layer))
    np.testing.assert_allclose(found["a"], states(lm, TEXTS["a"], layer=layer).mean(0), atol=1e-5)


def test_both_strands_are_averaged(lm: LanguageModel, folder: Path) -> None:
    found, text = run(folder, "--strand", "both"), TEXTS["a"]
    reverse = decode_bases(reverse_complement(checked_bases(text)))
    expected = (states(lm, text).mean(0) + states(lm, reverse).mean(0)) / 2
    np.testing.assert_allclose(found["a"], expected, atol=1e-5)


def test_vectors_do_not_depend_on_the_batch(folder: Path) -> None:
    one, many = (run(folder, "--batch_tokens", size) for size in ("1", "10000"))
    for name in TEXTS:
        np.testing.assert_allclose(one[name], many[name], atol=1e-5)


def test_npy_holds_the_rows_of_parquet_beside_their_names(folder: Path) -> None:
    found = run(folder)
    places = [str(folder / "model"), str(folder / "in.fa"), "-o", str(folder / "out.npy")]
    assert main(["lm", "embed", *places]) == 0
    vectors = np.load(folder / "out.npy", allow_pickle=False)
    assert (folder / "out.npy.names.tsv").read_text().split() == ["name", *TEXTS]
    np.testing.assert_array_equal(vectors, np.array(list(found.values()), dtype=np.float32))


def test_regions_are_read_on_their_strand(lm: LanguageModel, folder: Path) -> None:
    bed = folder / "r.bed"
    bed.write_text("#x\na\t2\t10\tfirst\t0\t+\na\t4\t12\tsecond\t0\t-\n")
    found, text = run(folder, "--regions", str(bed)), TEXTS["a"]
    assert list(found) == ["first", "second"]
    np.testing.assert_allclose(found["first"], states(lm, text[2:10]).mean(0), atol=1e-5)
    reverse = decode_bases(reverse_complement(checked_bases(text[4:12])))
    np.testing.assert_allclose(found["second"], states(lm, reverse).mean(0), atol=1e-5)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--layer", "3"], "layer = 3: must be at most 2"),
        (["--length", "error"], "b: 7 bases; expected a multiple of 2"),
        (["--ambiguous", "error"], "c: 2 ambiguous letters"),
    ],
)
def test_what_cannot_be_embedded_is_named(
    folder: Path, capsys, words: list[str], message: str
) -> None:
    places = [str(folder / "model"), str(folder / "in.fa"), "-o", str(folder / "x.parquet")]
    assert main(["lm", "embed", *places, *words]) in (1, 2)
    assert message in capsys.readouterr().err
    assert not (folder / "x.parquet").exists()


def test_a_sequence_longer_than_the_model_is_refused_or_cut(
    lm: LanguageModel, folder: Path, tmp_path: Path, capsys
) -> None:
    long = tmp_path / "long.fa"
    long.write_text(f">l\n{random_dna(400)}\n")
    places = [str(folder / "model"), str(long), "-o", str(tmp_path / "l.parquet")]
    assert main(["lm", "embed", *places]) == 1
    assert "l: 200 tokens; expected at most 63" in capsys.readouterr().err
    assert main(["lm", "embed", *places, "--truncate"]) == 0


def test_pooling_by_hand() -> None:
    x = torch.tensor([[[1.0], [5.0], [9.0]], [[2.0], [4.0], [0.0]]])
    lengths = torch.tensor([2, 3])
    assert pooled(x, lengths, "mean")[:, 0].tolist() == [3.0, 2.0]
    assert pooled(x, lengths, "max")[:, 0].tolist() == [5.0, 4.0]
    assert pooled(x, lengths, "last")[:, 0].tolist() == [5.0, 0.0]


@pytest.mark.parametrize("start", ["9" * 5000, "-1", "²"])
def test_a_place_of_a_region_that_is_no_number_is_named(tmp_path: Path, start: str) -> None:
    path = tmp_path / "r.bed"
    path.write_text(f"#x\na\t{start}\t10\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"r\.bed:2: "):
        list(read_regions(path))
