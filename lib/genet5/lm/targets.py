"""Labels as a model takes them: classes by number, several classes at once, or numbers.

Labels may be numbers, lists of numbers, or text. Classes are those of all splits together, so a
class that a fold lacks keeps its number.

Example:
    >>> space = label_space("single_label_classification", ["promoter", "other", "promoter"])
    >>> space.names, space.target("promoter")
    (('other', 'promoter'), 1)
    >>> label_space("single_label_classification", ["0", "2"]).names
    ('0', '1', '2')
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from genet5.config.lm.finetune import ProblemType
from genet5.errors import DataError
from genet5.genome.io.contig_lines import whole_number

Target: TypeAlias = int | list[float]
_MOST_CLASSES = 100_000
_BETWEEN = re.compile(r"[\s,;\[\]()]+")


@dataclass(frozen=True, slots=True)
class LabelSpace:
    """The kind of a task, and the names of its classes or values in their order."""

    problem_type: ProblemType
    names: tuple[str, ...]

    def target(self, label: Any) -> Target:
        """Return a class's number, or one number for each name.

        Raises:
            DataError: The label is none of this task.
        """
        if self.problem_type == "single_label_classification":
            name = _class_name(label)
            if name not in self.names:
                raise DataError(f"label {name!r}", expected=f"one of {', '.join(self.names)}")
            return self.names.index(name)
        if self.problem_type == "multi_label_classification" and _is_names(label):
            wanted = set(_split_names(label))
            if unknown := wanted.difference(self.names):
                raise DataError(
                    f"label {min(unknown)!r}", expected=f"one of {', '.join(self.names)}"
                )
            return [float(name in wanted) for name in self.names]
        numbers = _numbers(label)
        if len(numbers) != len(self.names):
            raise DataError(f"{len(numbers)} values", expected=f"{len(self.names)}")
        if self.problem_type != "regression" and not set(numbers) <= {0.0, 1.0}:
            raise DataError(f"label {label!r}", expected="0 or 1 for each class")
        return numbers


def label_space(
    problem_type: ProblemType,
    labels: Iterable[Any],
    *,
    names: Sequence[str] = (),
) -> LabelSpace:
    """Find the classes or values of a task.

    Args:
        problem_type: Its kind.
        labels: All labels, of all splits.
        names: Names of classes or targets, where the data have them.

    Raises:
        DataError: There are no labels, or only one class.
    """
    values = list(labels)
    if not values:
        raise DataError("no label", expected="labelled sequences")
    if problem_type == "single_label_classification":
        found = tuple(names) or _classes(values)
        if len(found) < 2:
            raise DataError(f"one class, {found[0]}", expected="two or more")
        return LabelSpace(problem_type, found)
    if problem_type == "multi_label_classification" and any(_is_names(each) for each in values):
        classes = {name for each in values for name in _split_names(each)}
        return LabelSpace(problem_type, tuple(names) or tuple(sorted(classes)))
    width = len(_numbers(values[0]))
    word = "value" if problem_type == "regression" else "class"
    usual = (word,) if width == 1 else tuple(f"{word}_{index}" for index in range(width))
    return LabelSpace(problem_type, tuple(names) if len(names) == width else usual)


def _classes(labels: Sequence[Any]) -> tuple[str, ...]:
    """Return all numbers up to the largest, or all names in order.

    Raises:
        DataError: A number is too large for a class.
    """
    found = {_class_name(label) for label in labels}
    numbers = [whole_number(name) for name in found]
    known = [number for number in numbers if number is not None]
    if len(known) < len(numbers):
        return tuple(sorted(found))
    if max(known) >= _MOST_CLASSES:
        raise DataError(
            f"class {max(known)}", expected=f"numbers below {_MOST_CLASSES:,}, or names",
            remedy="Are these labels values? --problem_type regression predicts them",
        )  # fmt: skip
    return tuple(str(number) for number in range(max(known) + 1))


def _class_name(label: Any) -> str:
    """Return the name of a class: a whole number without sign or point, else the text."""
    if isinstance(label, bool):
        return str(int(label))
    if isinstance(label, float) and label.is_integer():
        return str(int(label))
    text = str(label).strip()
    if label is None or not text:
        raise DataError("an empty label", expected="a class")
    number = whole_number(text)
    return text if number is None else str(number)


def _is_names(label: Any) -> bool:
    return isinstance(label, str) and bool(re.search("[A-Za-z]", label))


def _split_names(label: Any) -> list[str]:
    return [name.strip() for name in str(label).split(";") if name.strip()]


def _numbers(label: Any) -> list[float]:
    parts: Iterable[Any]
    if isinstance(label, str):
        parts = filter(None, _BETWEEN.split(label))
    else:
        parts = label if isinstance(label, (list, tuple)) else [label]
    try:
        found = [float(part) for part in parts]
    except (TypeError, ValueError):
        raise DataError(f"label {label!r}", expected="numbers") from None
    if not found or any(number != number for number in found):
        raise DataError(f"label {label!r}", expected="numbers")
    return found
