"""BUSCO's completeness of a set of proteins: lineage files, BUSCO's rules, and the report.

A BUSCO group is a profile HMM of a gene that nearly all species of a lineage have once. The rules
are those of BUSCO 5 in its mode `proteins`: a protein belongs to a group if its score reaches the
group's cut-off (`scores_cutoff`); the number of HMM positions that it covers, against the group's
expectation (`lengths_cutoff`), decides between complete and fragmented. `busco_search` runs the
search (hmmsearch or pyhmmer).

Example:
    >>> cutoffs = {"g1": Cutoff(50.0, 10.0, 100.0), "g2": Cutoff(50.0, 10.0, 100.0)}
    >>> rows = [("g1", "p1", 300.0, 95), ("g1", "p2", 290.0, 101), ("g2", "p3", 80.0, 30)]
    >>> matches = [Match(*row) for row in rows]
    >>> summary(classify(matches, cutoffs))
    'C:50.0%[S:0.0%,D:50.0%],F:50.0%,M:0.0%,n:2'

References: Manni et al. 2021, https://doi.org/10.1093/molbev/msab199.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias, TypeVar

from genet5.errors import FormatError

Status: TypeAlias = Literal["single", "duplicated", "fragmented", "missing"]
Value = TypeVar("Value")

STATUSES: tuple[Status, ...] = ("single", "duplicated", "fragmented", "missing")
MAX_SIGMAS = 2
"""A match within this many standard deviations of the expected length is complete."""
BEST_SHARE = 0.85
"""A match that scores less than this share of the group's best is no copy of the gene."""
DOWNLOAD_REMEDY = "Download and unpack a lineage from https://busco-data.ezlab.org/v5/data/lineages"


class Cutoff(NamedTuple):
    """A group's requirements."""

    score: float
    """Bits."""
    sigma: float
    """Standard deviation of the length."""
    length: float
    """HMM positions expected."""


class Match(NamedTuple):
    """A protein that a group's HMM found."""

    group: str
    protein: str
    score: float
    """Bits, of the whole protein."""
    length: int
    """HMM positions covered, summed over the domains: as in BUSCO, each domain's last minus its
    first.
    """


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one group."""

    group: str
    status: Status
    matches: tuple[Match, ...] = ()


@dataclass(frozen=True, slots=True)
class Lineage:
    """A lineage's folder: `hmms/GROUP.hmm`, `scores_cutoff`, `lengths_cutoff`."""

    path: Path
    name: str
    cutoffs: dict[str, Cutoff]

    @classmethod
    def read(cls, path: Path) -> Lineage:
        """Read the cut-offs.

        Raises:
            FormatError: A file or a group's HMM is missing, or a line is wrong.
        """
        if not (path / "hmms").is_dir():
            raise FormatError(
                "no lineage",
                expected="a folder with hmms/, scores_cutoff and lengths_cutoff",
                path=path,
                remedy=DOWNLOAD_REMEDY,
            )
        scores = _read_columns(path / "scores_cutoff", lambda words: float(words[1]))
        lengths = _read_columns(
            path / "lengths_cutoff", lambda words: (float(words[2]) or 1.0, float(words[3]))
        )
        if scores.keys() != lengths.keys():
            odd = min(scores.keys() ^ lengths.keys())
            lacking = "lengths_cutoff" if odd in scores else "scores_cutoff"
            raise FormatError(
                f'no group "{odd}"', expected="the same groups in scores_cutoff and lengths_cutoff",
                path=path / lacking, remedy=DOWNLOAD_REMEDY,
            )  # fmt: skip
        for group in scores:
            hmm = path / "hmms" / f"{group}.hmm"
            if not hmm.is_file():
                raise FormatError("file not found", path=hmm, remedy=DOWNLOAD_REMEDY)
        cutoffs = {group: Cutoff(score, *lengths[group]) for group, score in sorted(scores.items())}
        return cls(path, path.resolve().name, cutoffs)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuscoReport:
    """The result for a set of proteins."""

    lineage: str
    scorer: str
    """Program that searched, and its version."""
    proteins: int
    results: tuple[Result, ...]

    @property
    def summary(self) -> str:
        """BUSCO's one line."""
        return summary(self.results)

    def table(self) -> str:
        """Return a plain-text table of the counts, as in BUSCO's short summary."""
        counts, total = Counter(result.status for result in self.results), len(self.results)
        rows = (
            ("complete", counts["single"] + counts["duplicated"]),
            ("  single copy", counts["single"]),
            ("  duplicated", counts["duplicated"]),
            ("fragmented", counts["fragmented"]),
            ("missing", counts["missing"]),
            ("all groups", total),
        )
        lines = [f"{'BUSCO groups':<16}{'number':>8}{'%':>8}"]
        lines += (f"{words:<16}{count:>8}{_percent(count, total):>8.1f}" for words, count in rows)
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON values."""
        counts = Counter(result.status for result in self.results)
        return {
            "lineage": self.lineage,
            "scorer": self.scorer,
            "proteins": self.proteins,
            "summary": self.summary,
            "groups": len(self.results),
            "complete": counts["single"] + counts["duplicated"],
            **{status: counts[status] for status in STATUSES},
            "results": [
                {
                    "group": result.group,
                    "status": result.status,
                    "matches": [_plain(match) for match in result.matches],
                }
                for result in self.results
            ],
        }


def classify(matches: Iterable[Match], cutoffs: Mapping[str, Cutoff]) -> tuple[Result, ...]:
    """Apply BUSCO's rules.

    1. Matches below the group's score do not count. The rest are complete (length within two
       standard deviations), very long, or fragments.
    2. A group keeps its best such rank only, and a protein that has a rank anywhere has no lower
       one in another group.
    3. Within a rank a protein belongs to the group where it scores best, and a group loses proteins
       that score less than 85 % of its best.
    4. One complete or very long protein is "single", several are "duplicated"; of fragments the
       best counts.
    """
    ranks: list[dict[str, list[Match]]] = [{}, {}, {}]
    for match in sorted(matches, key=lambda match: match.group):
        cutoff = cutoffs[match.group]
        if match.score >= cutoff.score:
            ranks[_rank(match.length, cutoff)].setdefault(match.group, []).append(match)
    results = {group: Result(group, "missing") for group in sorted(cutoffs)}
    groups: set[str] = set()
    proteins: set[str] = set()
    for rank, members in enumerate(ranks):
        free = {
            group: [match for match in some if match.protein not in proteins]
            for group, some in members.items()
            if group not in groups
        }
        groups |= {group for group, some in free.items() if some}
        proteins |= {match.protein for some in free.values() for match in some}
        for group, some in _keep_best(free).items():
            results[group] = _result(group, some, is_fragment=rank == 2)
    return tuple(results.values())


def summary(results: Iterable[Result]) -> str:
    """Return BUSCO's one line; as there, C is the rounded sum of S and D, and M the rest to 100."""
    counts = Counter(result.status for result in results)
    total = sum(counts.values())
    single, double, part = (_percent(counts[status], total) for status in STATUSES[:3])
    missing = abs(round(100 - single - double - part, 1))
    complete = round(single + double, 1)
    return f"C:{complete}%[S:{single}%,D:{double}%],F:{part}%,M:{missing}%,n:{total}"


def _percent(count: int, total: int) -> float:
    return round(100 * count / total, 1) if total else 0.0


def _plain(match: Match) -> dict[str, Any]:
    return {"protein": match.protein, "score": match.score, "length": match.length}


def _rank(length: int, cutoff: Cutoff) -> int:
    """Return 0 for complete, 1 for very long, 2 for a fragment."""
    sigmas = (cutoff.length - length) / cutoff.sigma
    return 0 if abs(sigmas) <= MAX_SIGMAS else 1 if sigmas < 0 else 2


def _keep_best(members: Mapping[str, list[Match]]) -> dict[str, list[Match]]:
    best: dict[str, Match] = {}
    for some in members.values():
        for match in some:
            if match.protein not in best or match.score > best[match.protein].score:
                best[match.protein] = match
    kept = {
        group: [match for match in some if best[match.protein].group == group]
        for group, some in members.items()
    }
    return {
        group: [m for m in some if m.score >= BEST_SHARE * max(other.score for other in some)]
        for group, some in kept.items()
        if some
    }


def _result(group: str, matches: list[Match], *, is_fragment: bool) -> Result:
    ordered = tuple(sorted(matches, key=lambda match: -match.score))
    if is_fragment:
        return Result(group, "fragmented", ordered[:1])
    return Result(group, "single" if len(ordered) == 1 else "duplicated", ordered)


def _read_columns(path: Path, value: Callable[[list[str]], Value]) -> dict[str, Value]:
    if not path.is_file():
        raise FormatError("file not found", path=path, remedy=DOWNLOAD_REMEDY)
    found: dict[str, Value] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if words := line.split():
            try:
                found[words[0]] = value(words)
            except (ValueError, IndexError):
                raise FormatError(
                    f"line {line[:80]!r}",
                    expected="a group's name and its cut-offs",
                    path=path,
                    line=number,
                    remedy=DOWNLOAD_REMEDY,
                ) from None
    if not found:
        raise FormatError(
            "empty file", expected="one line per group", path=path, remedy=DOWNLOAD_REMEDY
        )
    return found
