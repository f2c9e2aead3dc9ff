"""Causal DNA language models: GENERator (6-mers), Nucleotide GPT (single bases), BPE models.

Models are `transformers` classes with tokenizers of our own; no code from a hub is ever run. The
room stands beside `annotate`: neither imports the other, and nothing here is loaded by the gene
finder. It needs the extra `genet5[lm]`.
"""
