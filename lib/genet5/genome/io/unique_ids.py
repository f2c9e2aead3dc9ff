"""Names that may stand in a file once only: IDs of genes, transcripts and their parts."""

from __future__ import annotations


class Names:
    """Gives out names that are unique in a file.

    Example:
        >>> names = Names()
        >>> [names.unique(name) for name in ("a", "a", "", "a")]
        ['a', 'a-2', 'feature', 'a-3']
    """

    def __init__(self) -> None:
        self.used: set[str] = set()

    def unique(self, name: str) -> str:
        """`name`, with a number after it when it is taken; "feature" for an empty one."""
        name = name or "feature"
        result, number = name, 1
        while result in self.used:
            number += 1
            result = f"{name}-{number}"
        self.used.add(result)
        return result


class DistinctNames(Names):
    """Names that are known to differ; none is remembered, however many there are."""

    def unique(self, name: str) -> str:
        """`name`; "feature" for an empty one."""
        return name or "feature"
