"""The network, its files, and the ways weights come in: import of DNABERT-2, rows for new gene types."""
