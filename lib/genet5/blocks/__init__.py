"""Parts of the network. No files, no settings files, no genes.

Letters in shapes: B batch, S source length, T target length, D model width, H query heads, G
key-value heads, K head width, M latents, L bases, C base channels, E experts, F feed-forward width,
V vocabulary.
"""
