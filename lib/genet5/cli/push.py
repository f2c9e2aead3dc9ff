"""`genet5 push`: publish a model on the Hugging Face Hub."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import tyro

from genet5.cli.parse import run


@dataclass(frozen=True, kw_only=True, slots=True)
class PushConfig:
    """Which model to publish, and where."""

    model: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """Folder of a model, such as OUT of finet, or the name of a shipped one."""
    repo_id: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="REPO_ID")]
    """Repository on the Hub: user/model; made if there is none."""
    public: bool = False
    """Let everybody see a new repository, which is private otherwise."""
    message: str = "Add the model"
    """Message of the commit."""
    dry_run: bool = False
    """List the files that would be published, and stop."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return run(
        _push,
        PushConfig,
        argv,
        name="push",
        description="Publish a model on the Hugging Face Hub, with a page from its card. The token "
        "is that of HF_TOKEN or of `hf auth login`.",
    )


def _push(config: PushConfig) -> int:
    from genet5.model.folders import model_folder
    from genet5.model.hub import model_files, push_model, size_of

    files = model_files(model_folder(config.model), config.repo_id)
    for name, file in files.items():
        sys.stdout.write(f"{size_of(file):>12,}  {name}\n")
    sys.stdout.flush()
    if config.dry_run:
        return 0
    address = push_model(files, config.repo_id, private=not config.public, message=config.message)
    sys.stdout.write(f"{address}\n")
    return 0
