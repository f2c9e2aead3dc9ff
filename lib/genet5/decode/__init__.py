"""Constrained decoding of windows: labels under the grammar, evidence, best paths."""
