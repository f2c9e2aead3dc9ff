"""Sparse autoencoders: what a layer of a language model holds, feature by feature.

`network` is the autoencoder, `training` fits it to a stream of states, `classes` says what each
base of a genome is, `describe` goes through the genome once for all features, `enrichment` tests
them, `pictures` draws, and `run` is the command.
"""
