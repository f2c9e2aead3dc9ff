"""Settings a user can change: frozen dataclasses that are the documentation, the flags and the saved JSON at once."""
