"""Embeddings less covariates, on components: equal to numpy's and scikit-learn's, and stored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from genet5.cli import main
from genet5.config.lm.embed import LmEmbedConfig
from genet5.errors import ConfigError, DataError, FormatError
from genet5.lm import embed as embed_module
from genet5.lm.covariates import Design, fit_design, read_covariates
from genet5.lm.reduction import fit_reduction, load_reduction
from lm_toys import random_dna, tiny_lm

ABOUT = {"model": "m", "layer": None}
NAMES = [f"s{number}" for number in range(40)]


def blocks_of(vectors: np.ndarray):
    def blocks():
        for begin in range(0, len(vectors), 7):
            yield NAMES[begin : begin + 7], vectors[begin : begin + 7].astype(np.float32)

    return blocks


def data(seed: int = 0) -> tuple[np.ndarray, dict[str, dict[str, str]]]:
    rng = np.random.default_rng(seed)
    age, batch = rng.normal(50, 9, 40), rng.integers(3, size=40)
    vectors = rng.normal(size=(40, 6)) + age[:, None] * 0.1 + (batch == 2)[:, None]
    values = zip(NAMES, age, batch, strict=True)
    return vectors, {n: {"age": repr(float(a)), "batch": "abc"[b]} for n, a, b in values}


def fitted(vectors: np.ndarray, covariates, **how):
    how = {"train_rows": None, "components": None, "about": ABOUT, **how}
    return fit_reduction(blocks_of(vectors), covariates=covariates, **how)


def test_residuals_are_those_of_least_squares_and_know_nothing_of_covariates() -> None:
    vectors, covariates = data()
    found = fitted(vectors, covariates).apply(NAMES, vectors, covariates)
    x = fit_design(list(covariates.values())).matrix(list(covariates.values()))
    expected = vectors - x @ np.linalg.lstsq(x, vectors, rcond=None)[0]
    np.testing.assert_allclose(found, expected, atol=1e-4)
    np.testing.assert_allclose(x.T @ found, 0, atol=1e-3)


def test_components_are_scikit_learns() -> None:
    from sklearn.decomposition import PCA

    vectors, _ = data()
    found = fitted(vectors, {}, components=3)
    theirs = PCA(3, svd_solver="full").fit(vectors)
    ours = found.apply(NAMES, vectors, {})
    np.testing.assert_allclose(np.abs(ours), np.abs(theirs.transform(vectors)), atol=1e-4)
    np.testing.assert_allclose(found.variances_N, theirs.explained_variance_, rtol=1e-4)


def test_only_training_rows_are_fitted_on() -> None:
    vectors, covariates = data()
    changed = vectors.copy()
    changed[30:] *= 100
    one, other = (
        fitted(each, covariates, train_rows=NAMES[:30], components=2) for each in (vectors, changed)
    )
    np.testing.assert_array_equal(one.coefficients_PD, other.coefficients_PD)
    np.testing.assert_array_equal(one.components_ND, other.components_ND)


def test_a_stored_reduction_is_applied_as_it_was_fitted(tmp_path: Path) -> None:
    vectors, covariates = data()
    fit = fitted(vectors, covariates, components=2)
    fit.save(tmp_path / "r.safetensors")
    again = load_reduction(tmp_path / "r.safetensors", ABOUT)
    ours, theirs = (each.apply(NAMES, vectors, covariates) for each in (fit, again))
    np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(ConfigError, match="must be 'm'"):
        load_reduction(tmp_path / "r.safetensors", {**ABOUT, "model": "other"})
    (tmp_path / "x").write_bytes(b"no")
    with pytest.raises(FormatError):
        load_reduction(tmp_path / "x", ABOUT)


def test_designs_survive_json_and_refuse_what_they_do_not_know() -> None:
    rows = [{"age": "1", "sex": "f"}, {"age": "3", "sex": "m"}]
    design = Design.from_dict(fit_design(rows).to_dict())
    assert design.matrix(rows).tolist() == [[1, -1, 0], [1, 1, 1]]
    for row, message in (
        ({"age": "1", "sex": "x"}, "sex = 'x'"),
        ({"age": "old", "sex": "f"}, "age = 'old'"),
        ({"sex": "f"}, "age is missing"),
    ):
        with pytest.raises(DataError, match=message):
            design.matrix([row])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda row, n: {**row, "twice": str(2 * float(row["age"]))}, "determine one another"),
        (lambda row, n: {**row, "same": "1"}, "is '1' in all rows"),
    ],
)
def test_covariates_that_cannot_be_fitted_are_refused(change, message: str) -> None:
    vectors, covariates = data()
    changed = {name: change(row, n) for n, (name, row) in enumerate(covariates.items())}
    with pytest.raises(DataError, match=message):
        fitted(vectors, changed)


def test_more_components_than_rows_are_refused() -> None:
    vectors, _ = data()
    with pytest.raises(DataError, match="at most 4, of 5 training rows"):
        fitted(vectors, {}, train_rows=NAMES[:5], components=5)


def test_a_table_of_covariates_names_each_row_once(tmp_path: Path) -> None:
    path = tmp_path / "c.tsv"
    path.write_text("name\tage\na\t1\na\t2\n")
    with pytest.raises(DataError, match="a for the second time"):
        read_covariates(path)


def test_a_batch_that_does_not_fit_is_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    lm, sizes, plain = tiny_lm(), [], embed_module._batch

    def batch(lm, ids, config):
        sizes.append(len(ids))
        if len(ids) > 2:
            raise torch.OutOfMemoryError("full")
        return plain(lm, ids, config)

    monkeypatch.setattr(embed_module, "_batch", batch)
    config = LmEmbedConfig(model="-", fasta=Path("-"), output=Path("x.npy"))
    budget = embed_module.TokenBudget(20)
    ids = [np.array([1, 6, 7, 8], dtype=np.int32)] * 5
    found = embed_module._embedded(lm, ids, config, budget)
    assert sizes == [5, 2, 2, 1]
    np.testing.assert_allclose(found[0], found[4], atol=1e-6)


def test_the_command_fits_stores_and_applies(tmp_path: Path) -> None:
    tiny_lm().save(tmp_path / "model")
    names = [f"r{number}" for number in range(12)]
    records = (f">{name}\n{random_dna(20, n)}\n" for n, name in enumerate(names))
    (tmp_path / "in.fa").write_text("".join(records))
    rows = (f"{name}\t{n % 5}\n" for n, name in enumerate(names))
    (tmp_path / "c.tsv").write_text("name\tage\n" + "".join(rows))
    (tmp_path / "train.txt").write_text("\n".join(names[:9]) + "\n")
    words = ["lm", "embed", str(tmp_path / "model"), str(tmp_path / "in.fa")]
    table = ["--covariates", str(tmp_path / "c.tsv")]
    fit = ["--pca", "2", "--train_rows", str(tmp_path / "train.txt")]
    assert main([*words, "-o", str(tmp_path / "a.parquet"), *table, *fit]) == 0
    stored = tmp_path / "a.parquet.reduction.safetensors"
    again = ["-o", str(tmp_path / "b.parquet"), *table, "--apply", str(stored)]
    assert main([*words, *again]) == 0
    one, other = (pq.read_table(tmp_path / f"{n}.parquet").to_pydict() for n in "ab")
    assert one == other
    assert {len(vector) for vector in one["embedding"]} == {2}
    assert not list(tmp_path.glob(".embed.*"))
    assert main([*words, "-o", str(tmp_path / "c.npy"), "--train_rows", str(stored)]) == 2
