"""Genomes: FASTA, GFF3, genes and their sequences. Coordinates are 0-based half-open on the forward strand; no torch."""
