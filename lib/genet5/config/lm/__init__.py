"""Configurations of the language models' commands, one module each."""
