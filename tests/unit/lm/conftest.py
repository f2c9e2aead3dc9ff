"""Tests of the language models need the extra `genet5[lm]`."""

from __future__ import annotations

import pytest

pytest.importorskip("transformers", reason="needs genet5[lm]")
