"""Configuration: frozen dataclasses that are documentation, flags and saved JSON at once."""
