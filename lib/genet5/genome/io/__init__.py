"""Readers and writers: FASTA, GFF3, GTF, GenBank; the only room where 1-based coordinates exist."""
