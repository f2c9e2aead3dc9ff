"""What annotation learns from the genome at hand, and re-scoring of gene candidates by it.

Learned are start codons, the ribosome binding site, the distance to the gene upstream and codon
usage. Pure functions on arrays; `model` ties them, docs/explanation/adaptation.md explains them.
"""
