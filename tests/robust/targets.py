"""What is damaged, and the commands that read it: each is called in this process.

A target writes the damaged copy of one of its inputs into an empty folder, runs a command on it,
and returns what is wrong with how that ended; nothing if it ended well or with an error in words.
"""

from __future__ import annotations

import contextlib
import io
import random
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from genet5 import cli
from robust.journal import JournalTarget
from robust.mutators import flip_bit, mutate

_CONTROL = re.compile(r"[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
Change = Callable[[bytes, random.Random], bytes]


@dataclass(frozen=True)
class Target:
    """A file of `make_inputs`, and a command that reads it.

    Words of the command: IN is the damaged file, DIR the folder that it lies in, OUT a new output,
    SEEDS the folder of undamaged inputs.
    """

    name: str
    file: str
    command: str
    change: Change = mutate
    is_folder: bool = False
    """The file lies in a model folder or checkpoint, which is copied whole."""
    finds_all: bool = False
    """Each change must be an error: the file is under a checksum."""

    def run(self, seeds: Path, folder: Path, draw: random.Random) -> str:
        """Damage, run, judge."""
        source, damaged = seeds / self.file, folder / "in" / Path(self.file).name
        if self.is_folder:
            shutil.copytree(source.parent, damaged.parent)
        else:
            damaged.parent.mkdir()
        content = source.read_bytes()
        damaged.write_bytes(self.change(content, draw))
        is_same = damaged.read_bytes() == content
        out = folder / "out"
        places = {"IN": damaged, "DIR": damaged.parent, "OUT": out, "SEEDS": seeds}
        words = [_filled(word, places) for word in self.command.split()]
        before = sorted(damaged.parent.iterdir())
        code, stdout, stderr = call(words)
        if self.finds_all and not is_same and code == 0:
            return "damage not found"
        return judge(code, stdout, stderr) or _leftovers(folder, damaged.parent, before, code)


def _filled(word: str, places: dict[str, Path]) -> str:
    name, _, rest = word.partition("/")
    return str(places[name] / rest) if name in places else word


def call(words: Sequence[str]) -> tuple[int, str, str]:
    """Run a command in this process; return its exit code and what it wrote."""
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.main(words)
    out.flush()
    stdout = out.buffer.getvalue().decode("utf-8", "replace")  # type: ignore[attr-defined]
    return code, stdout, err.getvalue()


def judge(code: int, stdout: str, stderr: str) -> str:
    """Say what is wrong with how a command ended."""
    if "Traceback" in stderr or "(--debug shows where)" in stderr:
        return f"no words: {stderr[-300:]}"
    if code not in (0, 1, 2):
        return f"exit code {code}"
    if code and not stderr.strip():
        return "an error without a message"
    if found := _CONTROL.search(stderr + stdout):
        return f"raw control character {found[0]!r}"
    return ""


def _leftovers(folder: Path, place: Path, before: list[Path], code: int) -> str:
    there = {path.name for path in folder.iterdir()} - {"in", "out"}
    there |= {path.name for path in {*place.iterdir()} - {*before} if path.suffix == ".tmp"}
    out = folder / "out"
    if code and out.exists() and (out.is_file() or any(out.rglob("*.tmp"))):
        there.add("out")
    return f"left behind: {', '.join(sorted(there))}" if there else ""


_BAKE = (
    "bake --fasta SEEDS/pro/genome.fa --gff SEEDS/pro/annotation.gff3 --output_dir OUT "
    "--tokenizer SEEDS/base --dry_run"
)
_ANNOTATE = "annotate --output OUT --device cpu --dry_run"
_FINET = "finet IN SEEDS/validation.packed OUT SEEDS/base --device cpu --dry_run"
_EUK, _PRO, _INDEX = "euk/annotation.gff3", "pro/annotation.gff3", "shards/training.index.json"
_RESIZE = "resize_model DIR OUT"

_TEXTS = (
    Target("gff3", _PRO, "convert IN OUT --format gtf"),
    Target("gff3_spliced", _EUK, "convert IN OUT --format gff3"),
    Target("gff3_skip_bad", _EUK, "convert IN OUT --format gff3 --skip_bad"),
    Target("gtf", "euk/annotation.gtf", "convert IN OUT --format gff3"),
    Target("gtf_bacterium", "pro/annotation.gtf", "eval --predictions IN --reference IN"),
    Target("genbank", "pro/genome.gbk", "convert IN OUT --format gff3"),
    Target("genbank_spliced", "euk/genome.gbk", "convert IN OUT --format gtf"),
    Target("eval", _EUK, f"eval --predictions IN --reference SEEDS/{_EUK}"),
    Target("fasta", "pro/genome.fa", f"convert SEEDS/{_PRO} OUT --format genbank --genome IN"),
    Target("gene_types", _PRO, "init_tokens OUT --annotations IN"),
    Target("splits", "splits.tsv", f"{_BAKE} --splits IN"),
    Target("annotate_fasta", "pro/genome.fa", f"{_ANNOTATE} IN --model SEEDS/base"),
)
_LM = "--device cpu --output OUT"
_LM_FILES = (
    Target("vcf", "variants.vcf", f"lm_vep SEEDS/lm SEEDS/pro/genome.fa IN --context_bp 64 {_LM}"),
    Target("bed", "regions.bed", f"lm_embed SEEDS/lm SEEDS/pro/genome.fa --regions IN {_LM}/e.npy"),
    *(
        Target(
            f"lm_{name}", f"{place}/{file}", f"lm_score DIR SEEDS/short.fa {_LM}", is_folder=True
        )
        for name, place, file in (
            ("tokenizer", "lm_bare", "dna_tokenizer.json"),
            ("config", "lm_bare", "config.json"),
            ("vocab", "lm_published", "vocab.txt"),
        )
    ),
)
_HINTS = (
    Target("hints", "hints.gff", "hints IN --out OUT"),
    Target("hints_gtf", "euk/annotation.gtf", "hints IN --out OUT"),
)
_PACKED = (
    Target("packed", "training.packed", "subset_packed IN OUT --fraction 0.5"),
    Target("packed_check", "training.packed", "bake --check IN"),
    Target("old_packed", "format_1.packed", "bake --check IN"),
    Target("old_packed_subset", "format_1.packed", "subset_packed IN OUT --fraction 0.9"),
    Target("index", _INDEX, "bake --check IN", is_folder=True),
    Target("finet_packed", "training.packed", _FINET),
)
_SETTINGS = (
    Target("tokenizer", "base/tokenizer.json", "append_tokens IN OUT --gene_types riboswitch"),
    Target("bake_config", "bake.json", "bake --config IN --dry_run"),
    Target("model_config", "bare/config.json", _RESIZE, is_folder=True),
    Target("model_tokenizer", "bare/tokenizer.json", _RESIZE, is_folder=True),
    Target("weights", "bare/model.safetensors", _RESIZE, is_folder=True),
    Target(
        "annotate_json",
        "bare/annotate.json",
        f"{_ANNOTATE} SEEDS/pro/genome.fa --model DIR",
        is_folder=True,
    ),
)


def _flips(name: str, file: str, command: str, *, is_folder: bool = True) -> Target:
    return Target(name, file, command, flip_bit, is_folder, finds_all=True)


_SHARD = "shards/training-00000-of-00001.packed"
_FLIPS = (
    _flips("flip_packed", "training.packed", "bake --check IN", is_folder=False),
    _flips("flip_subset", "training.packed", "subset_packed IN OUT --fraction 1", is_folder=False),
    _flips("flip_index", _INDEX, "bake --check IN"),
    _flips("flip_shard", _SHARD, "bake --check DIR/training.index.json"),
    _flips("flip_weights", "base/model.safetensors", _RESIZE),
    _flips("flip_config", "base/config.json", _RESIZE),
    _flips("flip_manifest", "base/checksums.json", _RESIZE),
)
_JOURNAL = (JournalTarget("journal", mutate), JournalTarget("flip_journal", flip_bit))
TARGETS = (*_TEXTS, *_HINTS, *_LM_FILES, *_PACKED, *_SETTINGS, *_FLIPS, *_JOURNAL)
AnyTarget = Target | JournalTarget
BY_NAME: dict[str, AnyTarget] = {target.name: target for target in TARGETS}
