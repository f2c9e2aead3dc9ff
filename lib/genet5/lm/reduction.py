"""Embeddings less their covariates, on principal components: fitted on training rows and stored.

Residuals come first: each dimension less what a least-squares fit on the covariates predicts (the
intercept is the mean). Components are the eigenvectors of the residuals' covariance with the
largest eigenvalues; each points to where its largest entry is positive. Both are fitted from sums
over blocks of rows, so memory does not grow with their number. A reduction is a safetensors file:
coefficients (P, D), components (N, D) and variances (N,), and the design as JSON in its header.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from genet5.errors import ConfigError, DataError, FormatError
from genet5.lm.covariates import Design, Matrix, fit_design
from genet5.outputs import atomic_writer

log = logging.getLogger(__name__)

FORMAT = "genet5 reduction 1"
Vectors = NDArray[np.float32]
Blocks = Callable[[], Iterator[tuple[list[str], Vectors]]]
"""Gives names and vectors (rows, D), some rows at a time; may be called again."""
Covariates = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True, eq=False)
class Reduction:
    """What is taken from an embedding, and the axes that it is written on."""

    design: Design
    coefficients_PD: Matrix
    components_ND: Matrix | None
    """None = all dimensions are kept."""
    variances_N: Matrix | None
    about: Mapping[str, Any]
    """Which model and layer it belongs to."""

    @property
    def width(self) -> int:
        """Dimensions of what comes out."""
        parts = self.coefficients_PD if self.components_ND is None else self.components_ND
        return int(parts.shape[1] if self.components_ND is None else parts.shape[0])

    def apply(self, names: Sequence[str], vectors: Vectors, covariates: Covariates) -> Vectors:
        """Return the reduced vectors, (rows, width) float32.

        Raises:
            DataError: A row has no covariates, or vectors have another size.
        """
        residuals = _residuals(self, names, vectors, covariates)
        if self.components_ND is not None:
            residuals = residuals @ self.components_ND.T
        return residuals.astype(np.float32)

    def save(self, path: Path) -> None:
        """Write the file."""
        tensors = {"coefficients": self.coefficients_PD}
        if self.components_ND is not None and self.variances_N is not None:
            tensors |= {"components": self.components_ND, "variances": self.variances_N}
        notes = {"design": self.design.to_dict(), "about": dict(self.about)}
        metadata = {"format": FORMAT, "notes": json.dumps(notes)}
        plain = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
        with atomic_writer(path, binary=True) as out:
            out.write(save(plain, metadata=metadata))


def load_reduction(path: Path, about: Mapping[str, Any]) -> Reduction:
    """Read a reduction that was fitted to the same kind of embedding.

    Raises:
        FormatError: The file is no reduction.
        ConfigError: It belongs to another model, layer or pooling.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise FormatError(f"cannot be read ({error})", path=path) from error
    if metadata.get("format") != FORMAT:
        raise FormatError("no reduction", expected="a file of lm embed --pca", path=path)
    notes = json.loads(metadata["notes"])
    for name, value in notes["about"].items():
        if about[name] != value:
            rule = f"must be {value!r}, which {path} was fitted with"
            raise ConfigError(name, str(about[name]), rule)
    return Reduction(
        Design.from_dict(notes["design"]),
        tensors["coefficients"],
        tensors.get("components"),
        tensors.get("variances"),
        notes["about"],
    )


def fit_reduction(
    blocks: Blocks,
    *,
    covariates: Covariates,
    train_rows: Collection[str] | None,
    components: int | None,
    about: Mapping[str, Any],
) -> Reduction:
    """Fit residuals and components.

    Args:
        blocks: All embeddings, read twice or three times.
        covariates: Name -> covariate -> value; empty = the mean alone is taken away.
        train_rows: Names of the rows to fit on; None = all.
        components: How many to keep; None = all dimensions.
        about: Stored with the reduction.

    Raises:
        DataError: There are too few training rows, or a row lacks covariates.
    """
    wanted = None if train_rows is None else set(train_rows)

    def training() -> Iterator[tuple[list[str], Vectors]]:
        for names, vectors in blocks():
            kept = [n for n, name in enumerate(names) if wanted is None or name in wanted]
            if kept:
                yield [names[n] for n in kept], vectors[kept]

    design = _design(training, covariates)
    coefficients, rows = _least_squares(training, design, covariates)
    found = Reduction(design, coefficients, None, None, about)
    if components is None:
        return found
    most = min(rows - design.width, coefficients.shape[1])
    if components > most:
        raise DataError(
            f"{components} components", expected=f"at most {most}, of {rows} training rows",
            remedy="Lower --pca, or give more training rows",
        )  # fmt: skip
    axes, variances, share = _components(training, found, covariates, components, rows)
    log.info("%d components have %.1f %% of the variance", components, 100 * share)
    return Reduction(design, coefficients, axes, variances, about)


def _design(training: Blocks, covariates: Covariates) -> Design:
    if not covariates:
        return Design(())
    names = [name for found, _ in training() for name in found]
    return fit_design([_of(name, covariates) for name in names])


def _least_squares(training: Blocks, design: Design, covariates: Covariates) -> tuple[Matrix, int]:
    """Return coefficients (P, D) by the normal equations of standardized columns, and the rows."""
    products: Matrix = np.zeros((design.width, design.width))
    targets: Matrix | None = None
    rows = 0
    for names, vectors in training():
        x = _matrix(design, names, covariates)
        products += x.T @ x
        added = x.T @ vectors.astype(np.float64)
        targets = added if targets is None else targets + added
        rows += len(names)
    if targets is None or rows <= design.width:
        raise DataError(
            f"{rows} training rows", expected=f"more than {design.width}, as the design has columns"
        )
    if np.linalg.matrix_rank(products) < design.width:
        raise DataError(
            "covariates that determine one another", expected="independent ones",
            remedy="Leave out the ones that follow from others",
        )  # fmt: skip
    coefficients: Matrix = np.linalg.solve(products, targets).astype(np.float64)
    return coefficients, rows


def _components(
    training: Blocks, found: Reduction, covariates: Covariates, number: int, rows: int
) -> tuple[Matrix, Matrix, float]:
    width = found.coefficients_PD.shape[1]
    covariance: Matrix = np.zeros((width, width))
    for names, vectors in training():
        residuals = _residuals(found, names, vectors, covariates)
        covariance += residuals.T @ residuals
    values, axes = np.linalg.eigh(covariance / (rows - found.design.width))
    kept = axes.T[::-1][:number]
    largest = np.abs(kept).argmax(axis=1)
    kept = kept * np.sign(kept[np.arange(number), largest])[:, None]
    variances = values[::-1][:number].clip(min=0)
    return kept, variances, float(variances.sum() / max(values.clip(min=0).sum(), 1e-300))


def _residuals(
    found: Reduction, names: Sequence[str], vectors: Vectors, covariates: Covariates
) -> Matrix:
    if vectors.shape[1] != found.coefficients_PD.shape[1]:
        raise DataError(
            f"{vectors.shape[1]} dimensions", expected=f"{found.coefficients_PD.shape[1]}"
        )
    return vectors - _matrix(found.design, names, covariates) @ found.coefficients_PD


def _matrix(design: Design, names: Sequence[str], covariates: Covariates) -> Matrix:
    if not design.columns:
        return np.ones((len(names), 1))
    return design.matrix([_of(name, covariates) for name in names])


def _of(name: str, covariates: Covariates) -> Mapping[str, str]:
    if name not in covariates:
        raise DataError(f"{name} has no covariates", expected="a row of --covariates for each")
    return covariates[name]
