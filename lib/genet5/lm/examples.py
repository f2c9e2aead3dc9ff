"""Labelled sequences: data sets of a hub or in its layout, tables, FASTA, regions of a genome.

Files are read by the readers of the package, so errors name file and line; data sets of a hub, and
folders in their published layout, by `datasets`, without code from there.

Example:
    splits = read_splits("tasks/promoters.csv", ExamplesConfig())
    splits.train[0].sequence, splits.train[0].label
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, overload

from genet5.config.lm.finetune import ExamplesConfig
from genet5.errors import ConfigError, DataError
from genet5.genome.io.fasta import read_fasta
from genet5.genome.sequence import decode_bases
from genet5.lm.reference import ReferenceGenome
from genet5.lm.regions import is_bed, read_features, region_bases
from genet5.lm.tables import is_table, read_rows

SEQUENCE_COLUMNS = ("sequence", "seq", "dna_sequence", "dna_seq", "text")
_SPLITS = {
    "train": "train", "valid": "valid", "validation": "valid", "val": "valid", "dev": "valid",
    "test": "test",
}  # fmt: skip
_REGIONS = (".bed", ".gff", ".gff3", ".gtf")


@dataclass(frozen=True, slots=True)
class Example:
    """A sequence with its label, if it has one."""

    name: str
    sequence: str
    label: Any = None
    """A class, a number, a list of numbers or text; None = it has none."""


@dataclass(frozen=True, slots=True)
class Splits:
    """The parts of a data set; valid and test may be empty."""

    train: Sequence[Example]
    valid: Sequence[Example] = ()
    test: Sequence[Example] = ()
    names: tuple[str, ...] = field(default=())
    """Names of classes or targets, if the data have them."""


def read_splits(
    data: str, config: ExamplesConfig, *, valid: Path | None = None, test: Path | None = None
) -> Splits:
    """Read training data, and validation and test data where there are any.

    Args:
        data: A file, or a data set's folder or name on the hub.
        config: Which columns, and the genome.
        valid: A file of validation data.
        test: A file of test data.

    Raises:
        ConfigError: Validation or test data are given twice.
        DataError: Something cannot be read, or there are no training data.
    """
    path = Path(data)
    splits = _from_file(path, config) if path.is_file() else _from_hub(data, config)
    given = {"valid": valid, "test": test}
    for name, file in given.items():
        if file is not None and getattr(splits, name):
            raise ConfigError(name, str(file), f"DATA has a split {name} of its own")
    found = {
        name: getattr(splits, name) if file is None else list(read_examples(file, config))
        for name, file in given.items()
    }
    if not splits.train:
        raise DataError("no training sequence", expected="one or more", path=data)
    return Splits(splits.train, found["valid"], found["test"], splits.names)


def read_examples(path: Path, config: ExamplesConfig) -> Iterator[Example]:
    """Yield the sequences of a file, one at a time, with their labels where they have any.

    Raises:
        DataError: A line or column is wrong, or a region needs a genome.
    """
    for example, _ in _rows(path, config):
        yield example


def _from_file(path: Path, config: ExamplesConfig) -> Splits:
    parts: dict[str, list[Example]] = {"train": [], "valid": [], "test": []}
    for example, split in _rows(path, config):
        parts[split].append(example)
    names = config.label_columns if len(config.label_columns) > 1 else ()
    return Splits(**parts, names=names)


def _rows(path: Path, config: ExamplesConfig) -> Iterator[tuple[Example, str]]:
    """Yield examples with the split that they belong to."""
    if is_table(path):
        yield from _from_table(path, config)
        return
    found = _from_regions(path, config) if _is_regions(path) else _from_fasta(path, config)
    labels = _label_table(config)
    for name, sequence, values in found:
        label = _label(values, config) if labels is None else labels.get(name)
        yield Example(name, sequence, label), "train"


def _is_regions(path: Path) -> bool:
    return path.name.lower().removesuffix(".gz").endswith(_REGIONS)


# ---- tables --------------------------------------------------------------------------------------


def _from_table(path: Path, config: ExamplesConfig) -> Iterator[tuple[Example, str]]:
    column = ""
    for line, row in read_rows(path):
        column = column or _sequence_column(row, config, path)
        word = str(row.get("split") or "train").strip().lower()
        if word not in _SPLITS:
            raise DataError(
                f"split {word!r}", expected="train, valid or test", path=path, line=line
            )
        if row[column] is None:
            raise DataError("no sequence", expected="DNA letters", path=path, line=line)
        name = str(row.get("name") or row.get("id") or f"row_{line}")
        yield Example(name, str(row[column]), _label(row, config)), _SPLITS[word]


def _sequence_column(names: Mapping[str, Any], config: ExamplesConfig, path: Path | str) -> str:
    wanted = (config.sequence_column,) if config.sequence_column else SEQUENCE_COLUMNS
    for name in wanted:
        if name in names:
            return name
    raise DataError(
        f"columns {', '.join(names)}", expected=f"a column {' or '.join(wanted)}", path=path,
        remedy="Name it with --sequence_column",
    )  # fmt: skip


def _label(row: Mapping[str, Any], config: ExamplesConfig) -> Any:
    """Return the value of the label's column, or a list of several; None if it is missing."""
    values = [row.get(name) for name in config.label_columns]
    if any(value is None or value == "" for value in values):
        return None
    return values[0] if len(values) == 1 else values


def _label_table(config: ExamplesConfig) -> dict[str, Any] | None:
    if config.labels is None:
        return None
    found: dict[str, Any] = {}
    for line, row in read_rows(config.labels):
        label = _label(row, config)
        if "name" not in row or label is None:
            raise DataError(
                f"columns {', '.join(row)}",
                expected=f"values in name and {', '.join(config.label_columns)}",
                path=config.labels, line=line,
            )  # fmt: skip
        found[str(row["name"])] = label
    return found


# ---- FASTA and regions ---------------------------------------------------------------------------

_Named = tuple[str, str, Mapping[str, Any]]


def _from_fasta(path: Path, config: ExamplesConfig) -> Iterator[_Named]:
    for contig in read_fasta(path):
        pairs = (word.partition("=") for word in contig.description.split())
        values = {key: value for key, equals, value in pairs if equals}
        yield contig.name, decode_bases(contig.bases), values


def _from_regions(path: Path, config: ExamplesConfig) -> Iterator[_Named]:
    if config.genome is None:
        raise DataError(
            "regions without sequences", expected="a genome", path=path, remedy="See --genome"
        )
    usual = "name" if is_bed(path) else "type"
    with ReferenceGenome(config.genome) as genome:
        for region in read_features(path, config.feature_types):
            text = decode_bases(region_bases(genome, region, path))
            values = dict(region.values)
            values.setdefault("label", values.get(usual, ""))
            yield region.name, text, values


# ---- data sets of a hub --------------------------------------------------------------------------


class HubRows(Sequence[Example]):
    """The rows of a data set, read from its memory-mapped files when they are asked for."""

    def __init__(
        self, rows: Any, sequence_column: str, config: ExamplesConfig, names: Sequence[str] = ()
    ) -> None:
        self._rows, self._column, self._config = rows, sequence_column, config
        self._names = names

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> list[Example]: ...
    def __getitem__(self, index: int | slice) -> Example | list[Example]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        row = self._rows[int(index)]
        return Example(f"row_{index}", str(row[self._column]), self._label(row))

    def _label(self, row: Mapping[str, Any]) -> Any:
        """Return a row's label, a class by its name."""
        label = _label(row, self._config)
        return self._names[label] if self._names and isinstance(label, int) else label


def _from_hub(data: str, config: ExamplesConfig) -> Splits:
    """Load a data set's folder or name on the hub.

    Raises:
        DataError: It is neither, or has no split to train on.
    """
    import datasets

    datasets.disable_progress_bars()
    name, _, revision = data.partition("@")
    how = {"revision": revision} if revision else {}
    try:
        found = datasets.load_dataset(name, config.subset_name, **how)
    except Exception as error:  # the library's errors share no class
        raise DataError(
            f"{data}: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}",
            expected="a file, a folder of a data set, or a data set's name on the hub",
        ) from error
    if (train := config.train_split) not in found:
        splits = ", ".join(map(str, found))
        raise DataError(f"splits {splits}", expected=f"a split {train}", path=data)
    names = _hub_names(found[train].features, config)
    parts: dict[str, HubRows] = {}
    for split, rows in found.items():
        column = _sequence_column(dict.fromkeys(rows.column_names), config, f"{data}, {split}")
        part = "train" if split == train else _SPLITS.get(str(split), "train")
        if part != "train" or split == train:
            parts[part] = HubRows(rows, column, config, names)
    return Splits(**parts, names=names)


def _hub_names(features: Mapping[str, Any], config: ExamplesConfig) -> tuple[str, ...]:
    """Return the names of classes, where the data set's features have them, or of targets."""
    if len(config.label_columns) > 1:
        return config.label_columns
    feature = features.get(config.label_columns[0])
    return tuple(getattr(feature, "names", None) or ())
