"""Annotation of whole genomes: windows, constrained decoding, stitching, scores, GFF3."""
