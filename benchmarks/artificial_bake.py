"""Data for benchmarks that need a packed file of five clades and have none.

Artificial genomes, baked gene-centric.

Example:
    raw = write_genomes(folder / "raw", mbp=2.0, seed=1)
    settings = bake_settings("base", raw, folder / "baked")
    bake(settings)
"""

from __future__ import annotations

from pathlib import Path

import machine  # noqa: F401  (finds the checkout's library)

from genet5.config.bake import BakeConfig
from genet5.config.model import PresetName
from genet5.genome.io.fasta import write_fasta
from genet5.genome.io.gff3 import write_gff3
from genet5.genome.sequence import decode_bases
from genet5.simulate.eukaryote import simulate_eukaryote
from genet5.simulate.prokaryote import simulate_bacterium
from genet5.tokens.tokenizer_file import make_tokenizer, save_tokenizer

TOKENIZERS: dict[PresetName, str] = {"nano": "kmer:6", "small": "kmer:6", "base": "kmer:5"}
"""What stands in for a preset's tokenizer; base's own BPE tokens add five bases each."""
NANO_WINDOWS = (
    "prokaryotes=4096",
    "unicellular=6144",
    "invertebrates=8192",
    "vertebrates=8192",
    "plants=8192",
)
"""nano reads no longer ones; small and base get those that a gene-centric bake has by itself."""
_INTRONS = {"unicellular": 0.3, "invertebrates": 3.0, "vertebrates": 8.0, "plants": 4.0}


def write_genomes(raw: Path, *, mbp: float, seed: int) -> Path:
    """Write RAW/CLADE/artificial_CLADE/ for five clades; return RAW.

    Args:
        raw: Folder to make.
        mbp: Million bases of each genome.
        seed: The same seed gives the same genomes.
    """
    length = int(mbp * 1e6)
    genomes = {"prokaryotes": simulate_bacterium(length, seed)}
    for number, (clade, introns) in enumerate(_INTRONS.items(), seed + 1):
        genomes[clade] = simulate_eukaryote(length, number, introns=introns)
    for clade, (contigs, genes) in genomes.items():
        folder = raw / clade / f"artificial_{clade}"
        folder.mkdir(parents=True)
        write_fasta(folder / "genome.fa", [(c.name, decode_bases(c.bases)) for c in contigs])
        with (folder / "annotation.gff3").open("w", encoding="utf-8") as out:
            write_gff3(out, genes, {c.name: len(c.bases) for c in contigs})
    return raw


def bake_settings(
    preset: PresetName, raw: Path, out: Path, tokenizer: Path | None = None
) -> BakeConfig:
    """Return a config with windows around all genes, of the preset's length.

    Args:
        preset: Decides window sizes, and the tokenizer where none is given.
        raw: RAW/CLADE/GENOME folders.
        out: Folder for the packed files.
        tokenizer: A tokenizer.json.
    """
    if tokenizer is None:
        out.mkdir(parents=True, exist_ok=True)
        tokenizer = out / "tokenizer.json"
        save_tokenizer(make_tokenizer(TOKENIZERS[preset]), tokenizer)
    return BakeConfig(
        raw_dir=raw,
        output_dir=out,
        tokenizer=tokenizer,
        windows="gene_centric",
        clade_windows=NANO_WINDOWS if preset == "nano" else (),
        negatives=0.1,
        valid_share=0.0,
        skip_bad=True,
    )
