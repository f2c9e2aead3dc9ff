"""Genomes: files, genes and their sequences.

Coordinates are 0-based half-open on the forward strand. Nothing here imports torch.
"""
