"""The undamaged inputs: small genomes, packed files, a model, all from simulations with seeds."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from safetensors.torch import save_file

from genet5.model.files import load_weights
from robust.targets import call
from toys import make_toy_run

_GOLDEN = Path(__file__).resolve().parents[1] / "golden"


def make_inputs(out: Path) -> Path:
    """Write all inputs below `out`; some seconds."""
    make_toy_run(out)
    spliced = ("--eukaryote", "--coding_density", "0.8")
    for name, length, kind in (("pro", "8000", ()), ("euk", "20000", spliced)):
        folder = out / name
        _run("simulate", folder, "--length_bp", length, "--contigs", "2", "--seed", "3", *kind)
        source = folder / "annotation.gff3"
        _run("convert", source, folder / "annotation.gtf", "--format", "gtf")
        genome = ("--genome", folder / "genome.fa")
        _run("convert", source, folder / "genome.gbk", "--format", "genbank", *genome)
    shutil.copyfile(_GOLDEN / "format_1.packed", out / "format_1.packed")
    rows = ("prokaryotes\tgenome\tsimulated_1\ttrain", "prokaryotes\tgenome\tsimulated_2\tvalid")
    (out / "splits.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    _bake_shards(out)
    _bare_model(out)
    return out


def _run(*words: object) -> None:
    code, _, stderr = call([str(word) for word in words])
    assert code == 0, stderr


def _bake_shards(out: Path) -> None:
    """Write a configuration file of bake, and the shards that it makes."""
    settings = {
        "fasta": str(out / "pro/genome.fa"),
        "gff": str(out / "pro/annotation.gff3"),
        "output_dir": str(out / "shards"),
        "tokenizer": str(out / "base"),
        "window_size": 600,
        "target": 300,
        "hard_limit": 600,
    }
    (out / "bake.json").write_text(json.dumps(settings, indent=1), encoding="utf-8")
    _run("bake", "--config", out / "bake.json", "--shard_size", "4", "--split_by", "contig")


def _bare_model(out: Path) -> None:
    """Copy the model without checksums: what a file says reaches the code that reads it."""
    bare = out / "bare"
    shutil.copytree(out / "base", bare)
    (bare / "checksums.json").unlink()
    save_file(load_weights(bare), bare / "model.safetensors")
    shutil.copyfile(Path("lib/genet5/models/nano/annotate.json"), bare / "annotate.json")
