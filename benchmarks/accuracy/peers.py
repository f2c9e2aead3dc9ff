"""The tools that are compared: how each is called, what decides its output, what a call costs.

Each runs as one command for one genome. Beside each output lies a record of the call; `reuse` takes
an output from an earlier call if the tool, its parameters, the flags and the sequence are the same.
"""

from __future__ import annotations

import datetime
import hashlib
import importlib.metadata
import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal

from machine import ROOT, Cost, run_measured
from testset import Case, Entry

from genet5.config.json_files import config_from_dict, load_json, save_json
from genet5.errors import ConfigError
from genet5.model.folders import model_folder

Tool = Literal["pyrodigal", "augustus", "genet5"]

OURS: Tool = "genet5"
AUGUSTUS_SPECIES = {
    "Arabidopsis_thaliana": "arabidopsis",
    "Caenorhabditis_elegans": "caenorhabditis",
    "Drosophila_melanogaster": "fly",
    "Homo_sapiens": "human",
    "Plasmodium_falciparum": "pfalciparum",
    "Saccharomyces_cerevisiae": "saccharomyces_cerevisiae_S288C",
    "Schizosaccharomyces_pombe": "schizosaccharomyces_pombe",
}
"""Parameter sets of Augustus that were trained on the species itself."""


@dataclass(frozen=True, slots=True)
class Models:
    """Which of our models annotates which genome."""

    by_key: Mapping[str, str]
    """Clade, or beginning of a genome's name -> name of a shipped model or model directory."""
    flags: str = ""
    """More flags for annotate; {clade} stands for the genome's clade."""

    @classmethod
    def parse(cls, words: Iterable[str], flags: str = "") -> Models:
        """Read KEY=MODEL words; prokaryotes get the shipped model unless they name another."""
        by_key = {"prokaryotes": "nano"}
        for word in words:
            key, equals, model = word.partition("=")
            if not (key and equals and model):
                raise ConfigError("model", word, "must be CLADE=MODEL or GENOME=MODEL")
            by_key[key] = model
        return cls(by_key, flags)

    def find(self, entry: Entry) -> str | None:
        """The model for a genome: that of the longest beginning of its name, else its clade's."""
        keys = [key for key in self.by_key if entry.genome.startswith(key)]
        return self.by_key.get(max(keys, key=len) if keys else entry.clade)


@dataclass(frozen=True, slots=True)
class Job:
    """One tool on one genome."""

    tool: Tool
    label: str
    """Name and version for tables."""
    command: tuple[str, ...]
    output: Path
    identity: str
    """All that decides the output: tool, parameters, flags, sequence."""
    own_species: str
    """Whether the parameters were trained on this species."""


@dataclass(frozen=True, slots=True)
class Run(Cost):
    """What a call cost, and when."""

    identity: str
    date: str
    """When it ran, UTC."""
    reused: bool = False
    """The output is that of an earlier call."""


def why_not(tool: Tool, entry: Entry, models: Models) -> str:
    """Return why a tool cannot run on a genome.

    Empty when it can, "-" where it is not meant for the genome.
    """
    if tool == OURS:
        return "" if models.find(entry) else f"no model: name one with --model {entry.clade}=MODEL"
    if (tool == "pyrodigal") != (entry.clade == "prokaryotes"):
        return "-"
    if tool == "pyrodigal":
        missing = importlib.util.find_spec("pyrodigal") is None
        return "not installed: pip install pyrodigal" if missing else ""
    if entry.species not in AUGUSTUS_SPECIES:
        return f"no parameters trained on {entry.species.replace('_', ' ')}"
    return "" if shutil.which("augustus") else "not on PATH: apt install augustus"


def make_job(tool: Tool, case: Case, models: Models, folder: Path) -> Job:
    """Put a tool's command together; the output goes to `folder`."""
    output = folder / f"{case.entry.genome}.{tool}.gff3"
    makers = {"pyrodigal": _pyrodigal, "augustus": _augustus, "genet5": _genet5}
    job = makers[tool](case, models, output)
    words = [word for word in job.command if word not in (str(case.fasta), str(output))]
    identity = digest_text([job.identity, *words[1:], _digest_files([case.fasta])])
    return replace(job, identity=identity)


def _pyrodigal(case: Case, models: Models, output: Path) -> Job:
    del models
    command = (
        *(sys.executable, "-m", "pyrodigal", "-p", "single", "-f", "gff"),
        *("-g", str(case.genetic_code), "-i", str(case.fasta), "-o", str(output)),
    )
    label = f"pyrodigal {importlib.metadata.version('pyrodigal')}"
    return Job("pyrodigal", label, command, output, label, "the genome itself")


def _augustus(case: Case, models: Models, output: Path) -> Job:
    del models
    version = augustus_version()
    command = (
        "augustus",
        f"--species={AUGUSTUS_SPECIES[case.entry.species]}",
        "--stopCodonExcludedFromCDS=false",
        "--gff3=on",
        f"--outfile={output}",
        str(case.fasta),
    )
    label = f"Augustus {version}"
    return Job("augustus", label, command, output, label, "yes")


def _genet5(case: Case, models: Models, output: Path) -> Job:
    name = models.find(case.entry)
    if name is None:
        raise ConfigError("model", None, f"must name a model for {case.entry.genome}")
    command = (
        sys.executable,
        str(ROOT / "bin" / "annotate"),
        str(case.fasta),
        *("-o", str(output), "--model", name, "--restart"),
        *("--genetic_code", str(case.genetic_code)),
        *models.flags.format(clade=case.entry.clade).split(),
    )
    folder = model_folder(name)
    identity = digest_text([_digest_files(_model_files(folder)), _digest_library()])
    seen = "yes" if case.entry.regime == "chromosome" else "no"
    return Job(OURS, f"GeneT5 {folder.name}", command, output, identity, seen)


@cache
def augustus_version() -> str:
    """Return the version of the augustus on PATH; empty when it prints none."""
    answer = subprocess.run(["augustus", "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"\(([\d.]+)\)", answer.stdout + answer.stderr)
    return found.group(1) if found else ""


def run_job(job: Job, *, reuse: bool) -> Run:
    """Run the tool's command, or with `reuse` find its earlier run.

    Raises:
        ExternalToolError: The command failed.
    """
    record = job.output.with_name(f"{job.output.name}.run.json")
    if reuse and record.is_file() and job.output.is_file():
        run = config_from_dict(Run, load_json(record), record)
        if run.identity == job.identity:
            return replace(run, reused=True)
    record.unlink(missing_ok=True)
    job.output.unlink(missing_ok=True)
    now = datetime.datetime.now(tz=datetime.UTC).isoformat(timespec="seconds")
    cost, _ = run_measured(job.command)
    run = Run(**asdict(cost), identity=job.identity, date=now)
    save_json(record, asdict(run))
    return run


def digest_text(words: Iterable[str]) -> str:
    """Return a short hash of some words."""
    return hashlib.sha256("\0".join(words).encode()).hexdigest()[:16]


@cache
def _digest_library() -> str:
    return _digest_files(sorted((ROOT / "lib" / "genet5").rglob("*.py")))


def _model_files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix in (".json", ".safetensors"))


def _digest_files(paths: Iterable[Path]) -> str:
    total = hashlib.sha256()
    for path in paths:
        total.update(path.name.encode())
        with path.open("rb") as source:
            total.update(hashlib.file_digest(source, "sha256").digest())
    return total.hexdigest()[:16]
