"""Artificial genomes with their true genes, for tests, demos and benchmarks; without PyTorch."""
