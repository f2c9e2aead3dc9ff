"""Download genomes from NCBI, without PyTorch.

Accessions are resolved, files are downloaded with checksums, and laid out for `bake` and
`annotate`.
"""
