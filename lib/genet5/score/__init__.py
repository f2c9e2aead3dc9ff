"""How good predicted genes are, measured against reference genes; no torch."""
