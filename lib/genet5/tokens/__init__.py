"""Languages: sequence tokens, gene-structure tokens and their grammar. No torch."""
