"""The undamaged inputs: small genomes, packed files, a model, all from simulations with seeds."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from safetensors.torch import save_file

from genet5.genome.io.fasta import read_fasta
from genet5.genome.sequence import decode_bases
from genet5.model.files import load_weights
from lm_toys import tiny_lm, write_published_generator
from robust.targets import call
from toys import make_toy_run

_VCF_COLUMNS = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"
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
    _evidence(out)
    _language_models(out)
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


def _evidence(out: Path) -> None:
    """Write hints, variants, regions, and sequences short enough for a model to score at once."""
    contig = next(iter(read_fasta(out / "pro/genome.fa")))
    bases = decode_bases(contig.bases).upper()
    places = range(100, 2000, 190)
    hints, variants, regions = [], ["##fileformat=VCFv4.2", _VCF_COLUMNS], []
    for number, start in enumerate(places):
        kind, mult = ("intron", "CDSpart", "start")[number % 3], f"mult={number + 1};src=E;pri=4"
        end = start + (2 if kind == "start" else 80)
        hints.append(f"{contig.name}\tx\t{kind}\t{start}\t{end}\t.\t+\t.\t{mult}")
        other = "C" if bases[start - 1] != "C" else "G"
        words = (contig.name, start, f"v{number}", bases[start - 1], other, ".", "PASS", "AF=0.1")
        variants.append("\t".join(map(str, words)))
        regions.append(f"{contig.name}\t{start}\t{start + 40}\tr{number}\t0\t-")
    short = [f">s{start}\n{bases[start : start + 36]}" for start in places[:3]]
    for name, lines in (
        ("hints.gff", hints), ("variants.vcf", variants), ("regions.bed", regions),
        ("short.fa", short),
    ):  # fmt: skip
        (out / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


def _language_models(out: Path) -> None:
    """Write a language model, the same without checksums, and one in GENERator's layout."""
    tiny_lm().save(out / "lm")
    shutil.copytree(out / "lm", out / "lm_bare")
    (out / "lm_bare/checksums.json").unlink()
    (out / "lm_published").mkdir()
    write_published_generator(out / "lm_published", with_auto_map=False)
