"""Bring genomes from NCBI: resolve accessions, download with checksums, lay the files out for `bake` and `annotate`. No torch."""
