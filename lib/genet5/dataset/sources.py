"""Genomes on disk, and which of their contigs are for training and which for validation.

RAW/CLADE/SPECIES/ holds one FASTA (`.fa`, `.fna`, `.fasta`, also with `.gz`) and one GFF3 (`.gff3`,
`.gff`, also with `.gz`) or else one GTF or GenBank file (`.gtf`, `.gbff`, `.gbk`, `.gb`). A split
table has the tab-separated columns taxon (the clade), genome, contigs, split with a header line;
`contigs` is a comma-separated list or `*` for the rest of the genome. Without a table species or
contigs are drawn, always whole.

Example:
    >>> rows = SplitTable({("plants", "A"): {"*": "train", "Chr5": "test"}})
    >>> rows.split_of("plants", "A", "Chr1"), rows.split_of("plants", "A", "Chr5")
    ('train', 'test')
"""

from __future__ import annotations

import difflib
import hashlib
import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from genet5.config.bake import BakeConfig
from genet5.config.clades import traits_of
from genet5.errors import ConfigError, DataError
from genet5.genome.io.files import open_text

Split = Literal["training", "validation"]

log = logging.getLogger(__name__)

_ALIKE = 0.8
"""Likeness (difflib) from which on a name counts as mistyped; `chr5` and `ch5` have 0.86."""
_FASTA = (".fa", ".fna", ".fasta", ".fas")
_GFF = (".gff3", ".gff")
_OTHER_ANNOTATIONS = (".gtf", ".gbff", ".gbk", ".gb")
"""Taken where there is no GFF3."""
_SPLIT_NAMES: dict[str, Split] = {
    "train": "training",
    "training": "training",
    "valid": "validation",
    "validation": "validation",
}
_COLUMNS = ["taxon", "genome", "contigs", "split"]


@dataclass(frozen=True, slots=True)
class Source:
    """One genome on disk."""

    clade: str
    genome: str
    fasta: Path
    gff: Path

    @property
    def id(self) -> str:
        """Name that seeds the genome's random choices."""
        return f"{self.clade}/{self.genome}"


@dataclass(frozen=True, slots=True)
class SplitTable:
    """(clade, genome) -> contig or "*" -> split as the table calls it."""

    rows: Mapping[tuple[str, str], Mapping[str, str]]
    path: Path = Path()
    lines: Mapping[tuple[str, str, str], int] = field(default_factory=dict)
    """(clade, genome, contig) -> line in the file."""

    def split_of(self, clade: str, genome: str, contig: str) -> str | None:
        """The table's word for a contig; None if it does not name it."""
        contigs = self.rows.get((clade, genome), {})
        return contigs.get(contig, contigs.get("*"))

    def check_contigs(self, source: Source, contigs: Collection[str]) -> None:
        """Check that the contigs that the table names are the genome's.

        Raises:
            DataError: One is not: what it was to hold out would be trained on.
        """
        for name in self.rows.get((source.clade, source.genome), {}):
            if name != "*" and name not in contigs:
                near = _nearest(name, contigs)
                raise self._wrong((source.clade, source.genome, name), f"contig {name!r}", near)

    def check_genomes(self, known: Collection[tuple[str, str]]) -> None:
        """Check that the genomes that the table names are there, (clade, genome) each.

        A table may be of more genomes than there are: one that is nowhere is only an error where it
        looks like one that the table does not name.

        Raises:
            DataError: A name looks mistyped.
        """
        free = {"/".join(key): key for key in known if key not in self.rows}
        missing = [key for key in self.rows if key not in known]
        for key in missing:
            near = _nearest("/".join(key), free, cutoff=_ALIKE)
            if near:
                contig = next(iter(self.rows[key]))
                raise self._wrong((*key, contig), f"genome {'/'.join(key)!r}", near)
        if missing:
            names = ", ".join("/".join(key) for key in missing[:5])
            log.warning("%s: %d genomes are not there: %s", self.path, len(missing), names)

    def _wrong(self, place: tuple[str, str, str], found: str, near: str) -> DataError:
        return DataError(
            f"{found} is nowhere", path=self.path, line=self.lines.get(place),
            expected="names as in the FASTA files and folders",
            remedy=f"Is it {near!r}?" if near else "",
        )  # fmt: skip


def _nearest(name: str, known: Iterable[str], cutoff: float = 0.0) -> str:
    """Return the known name that is most alike, upper and lower case being equal; "" = none."""
    by_lower = {each.lower(): each for each in known}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=cutoff)
    return by_lower[near[0]] if near else ""


def find_sources(config: BakeConfig) -> list[Source]:
    """List the genomes that the settings select, by clade and name.

    Raises:
        DataError: A folder holds no genome, or a named clade or genome is not there.
    """
    if config.fasta is not None and config.gff is not None:
        traits_of(config.clade)
        name = config.fasta.name.removesuffix(".gz")
        return [Source(config.clade, name.rpartition(".")[0] or name, config.fasta, config.gff)]
    return find_genomes(config.raw_dir, clades=config.clades, species=config.species)


def find_genomes(
    raw: Path | None, *, clades: Sequence[str] = (), species: Sequence[str] = ()
) -> list[Source]:
    """List the genomes in RAW/CLADE/SPECIES/, by clade and name.

    Args:
        raw: The folder.
        clades: These clades only; empty = all.
        species: These genomes only; empty = all.

    Raises:
        ConfigError: A named clade or genome is not there, or a folder is named as no clade.
        DataError: There is no such folder, or one holds no genome.
    """
    if raw is None or not raw.is_dir():
        raise DataError("no such folder", expected="RAW/CLADE/SPECIES/", path=raw)
    known_clades = sorted(folder.name for folder in raw.iterdir() if folder.is_dir())
    check_known("clades", clades, known_clades)
    sources = []
    for clade in known_clades:
        if clades and clade not in clades:
            continue
        traits_of(clade)
        for folder in sorted(path for path in (raw / clade).iterdir() if path.is_dir()):
            sources.append((clade, folder))
    check_known("species", species, [folder.name for _, folder in sources])
    chosen = [s for s in sources if not species or s[1].name in species]
    if not chosen:
        raise DataError("no genome", expected="RAW/CLADE/SPECIES/ folders", path=raw)
    return [
        Source(clade, folder.name, _only(folder, _FASTA, "FASTA"), _annotation(folder))
        for clade, folder in chosen
    ]


def genome_folders(raw: Path | None, sources: Sequence[Source]) -> set[tuple[str, str]]:
    """Return (clade, genome) of all folders in RAW/CLADE/, or of the sources without RAW."""
    if raw is None:
        return {(source.clade, source.genome) for source in sources}
    clades = [folder for folder in raw.iterdir() if folder.is_dir()]
    return {(clade.name, path.name) for clade in clades for path in clade.iterdir()}


def read_split_table(path: Path) -> SplitTable:
    """Read a split table.

    Raises:
        DataError: A line has not four columns, or names a contig twice.
    """
    rows: dict[tuple[str, str], dict[str, str]] = {}
    places: dict[tuple[str, str, str], int] = {}
    with open_text(path) as lines:
        for number, line in enumerate(lines, 1):
            fields = line.rstrip("\n").split("\t")
            if not line.strip() or line.startswith("#") or fields == _COLUMNS:
                continue
            if len(fields) != len(_COLUMNS):
                raise DataError(
                    f"{len(fields)} columns", expected=", ".join(_COLUMNS) + " (tab-separated)",
                    path=path, line=number,
                )  # fmt: skip
            clade, genome, contigs, split = fields
            known = rows.setdefault((clade, genome), {})
            for contig in contigs.split(","):
                if contig in known:
                    raise DataError(
                        f"contig {contig} of {genome} for the second time",
                        path=path,
                        line=number,
                        remedy="Name each contig once",
                    )
                known[contig] = split
                places[clade, genome, contig] = number
    return SplitTable(rows, path, places)


def splits_by_table(
    sources: Sequence[Source], contigs: Sequence[Sequence[str]], table: SplitTable
) -> list[dict[str, Split]]:
    """For each genome: contig -> split, contigs that are for neither left out.

    Args:
        sources: The genomes.
        contigs: Names of each genome's contigs.
        table: The split table.

    Raises:
        DataError: It names a contig that is not there.
    """
    found: list[dict[str, Split]] = []
    for source, names in zip(sources, contigs, strict=True):
        table.check_contigs(source, names)
        words = {name: table.split_of(source.clade, source.genome, name) for name in names}
        found.append(
            {n: _SPLIT_NAMES[w] for n, w in words.items() if w is not None and w in _SPLIT_NAMES}
        )
    return found


def splits_by_share(
    sources: Sequence[Source],
    contigs: Sequence[Mapping[str, int]],
    *,
    share: float,
    by: Literal["auto", "species", "contig"],
    seed: int,
) -> list[dict[str, Split]]:
    """Draw whole species or contigs for validation until they hold `share` of all bases.

    One unit at least stays for training. The draw depends on the seed and the units' names alone.

    Args:
        sources: The genomes.
        contigs: Each genome's contigs with their lengths.
        share: Wanted share of the bases; 0 = no validation.
        by: What is kept whole; auto = species if there are several.
        seed: Decides the draw.
    """
    by_species = by == "species" or (by == "auto" and len(sources) > 1)
    units: dict[str, list[tuple[int, str]]] = {}
    for index, (source, lengths) in enumerate(zip(sources, contigs, strict=True)):
        for contig in lengths:
            unit = source.id if by_species else f"{source.id}/{contig}"
            units.setdefault(unit, []).append((index, contig))
    splits: list[dict[str, Split]] = [dict.fromkeys(lengths, "training") for lengths in contigs]
    total = sum(sum(lengths.values()) for lengths in contigs)
    order = sorted(units, key=lambda unit: hashlib.sha256(f"{seed}\t{unit}".encode()).digest())
    taken = 0
    for unit in order[:-1]:
        size = sum(contigs[index][contig] for index, contig in units[unit])
        if taken >= share * total:
            break
        taken += size
        for index, contig in units[unit]:
            splits[index][contig] = "validation"
    return splits


def _annotation(folder: Path) -> Path:
    suffixes = _GFF if _files(folder, _GFF) else (*_GFF, *_OTHER_ANNOTATIONS)
    return _only(folder, suffixes, "annotation")


def _only(folder: Path, suffixes: tuple[str, ...], what: str) -> Path:
    files = _files(folder, suffixes)
    if len(files) != 1:
        raise DataError(
            f"{len(files)} {what} files ({', '.join(p.name for p in files) or 'none'})",
            expected=f"one file ending in {', '.join(suffixes)} (or with .gz)",
            path=folder,
        )
    return files[0]


def _files(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    return sorted(
        path
        for path in folder.iterdir()
        if path.name.removesuffix(".gz").endswith(suffixes) and not path.name.startswith(".")
    )


def check_known(flag: str, wanted: Sequence[str], known: Sequence[str]) -> None:
    """Check that all names of a setting are among those that were found.

    Raises:
        ConfigError: One is not.
    """
    for name in wanted:
        if name not in known:
            raise ConfigError(flag, name, f"must be among those found: {', '.join(known[:20])}")
