"""GeneT5: train and run encoder-decoder gene annotators that point at bases."""

__version__ = "0.1.0"
