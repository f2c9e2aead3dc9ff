"""Genes of tRNA, rRNA and tmRNA, found by well-kept programs that are on PATH."""
