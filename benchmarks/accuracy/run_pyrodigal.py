#!/usr/bin/env python3
"""Annotate a prokaryote genome with pyrodigal: trained on the genome itself, edges open, as `prodigal -p single` does.

Example:
    python benchmarks/accuracy/run_pyrodigal.py genome.fa.gz -o genes.gff3 --genetic_code 11
"""

from __future__ import annotations

import argparse
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))

import pyrodigal

from genet5.genome.fasta import read_fasta


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("genome", type=pathlib.Path)
    parser.add_argument("-o", "--output", type=pathlib.Path, required=True)
    parser.add_argument("--genetic_code", type=int, default=11)
    options = parser.parse_args()
    contigs = list(read_fasta(options.genome))
    sequences = [contig.bases.tobytes().upper() for contig in contigs]
    finder = pyrodigal.GeneFinder(meta=False, closed=False)
    finder.train(*sequences, translation_table=options.genetic_code)
    with options.output.open("w") as out:
        for number, (contig, sequence) in enumerate(zip(contigs, sequences, strict=True)):
            finder.find_genes(sequence).write_gff(out, contig.name, header=number == 0)


if __name__ == "__main__":
    main()
