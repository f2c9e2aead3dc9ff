"""The network, its files, import of DNABERT-2, and rows for appended gene types."""
