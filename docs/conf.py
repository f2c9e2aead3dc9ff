"""Sphinx configuration of the documentation; `make docs` builds it into docs/_build."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
sys.path.insert(0, str(Path(__file__).resolve().parent / "extensions"))

from genet5 import __version__

project = "GeneT5"
author = "the GeneT5 authors"
copyright = author
release = version = __version__

extensions = [
    "generated_pages",
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
exclude_patterns = ["_build", "**/.ipynb_checkpoints"]
default_role = "code"
language = "en"
smartquotes = False  # flags begin with two hyphens

myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence", "deflist"]
nb_execution_mode = "off"
suppress_warnings = ["misc.highlighting_failure"]  # shell commands over several lines in notebooks

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_preprocess_types = False

html_theme = "furo"
html_title = f"GeneT5 {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_theme_options = {"sidebar_hide_name": False, "navigation_with_keys": True}
