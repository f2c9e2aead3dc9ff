"""annotate.json: names of its keys, a prokaryote's defaults, and the page that describes it."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import pytest

from genet5.annotate.calling_config import (
    CallingConfig,
    load_calling_config,
    save_calling_config,
)
from genet5.errors import FormatError
from genet5.tokens.grammar import prokaryote_options


def test_keys_on_disk_keep_their_names(tmp_path: Path) -> None:
    config = CallingConfig(clade="plants", head_only=True)
    save_calling_config(config, tmp_path)
    values = json.loads((tmp_path / "annotate.json").read_text())
    assert (values["taxon"], values["overlooked"]) == ("plants", True)
    assert load_calling_config(tmp_path, 8192) == config


def test_what_a_file_leaves_out_is_a_prokaryotes(tmp_path: Path) -> None:
    (tmp_path / "annotate.json").write_text('{"grammar": {"min_intron": 30}}')
    grammar = load_calling_config(tmp_path, 8192).grammar
    assert grammar == replace(prokaryote_options(), min_intron=30)


def test_an_unknown_key_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "annotate.json").write_text('{"window": 30}')
    with pytest.raises(FormatError, match="window"):
        load_calling_config(tmp_path, 8192)


def test_the_manual_describes_every_key(root: Path) -> None:
    page = (root / "docs/reference/runs.md").read_text(encoding="utf-8")
    names = {"clade": "taxon", "head_only": "overlooked"}
    config = CallingConfig()
    for field in fields(config):
        name, value = names.get(field.name, field.name), getattr(config, field.name)
        parts = getattr(value, "__dataclass_fields__", None)
        keys = [f"{name}.{part}" for part in parts] if parts else [name]
        assert [key for key in keys if f"| `{key}` |" not in page] == []
