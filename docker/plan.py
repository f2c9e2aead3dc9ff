"""Plan what the image installs, so that pip keeps the base image's PyTorch and NumPy.

`python3 docker/plan.py write DIR` writes DIR/requirements.txt from pyproject.toml, and
DIR/constraints.txt: those packages at the version that is installed, and the tested version
(pins.txt) of every requirement that is not. `python3 docker/plan.py check DIR` fails if one of
those packages has another version than at that time.
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

HERE = Path(__file__).resolve().parent
KEPT = (
    "torch",
    "torchvision",
    "torchaudio",
    "triton",
    "pytorch-triton",
    "torchao",
    "flash-attn",
    "numpy",
)


def installed(names: Iterable[str]) -> dict[str, str]:
    """Return the versions of those packages that are installed."""
    versions = {}
    for name in names:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def read_pins() -> dict[str, str]:
    """Return the tested versions."""
    lines = (HERE / "pins.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def write(folder: Path) -> None:
    """Write requirements, constraints, and what is there before pip runs."""
    with (HERE.parent / "pyproject.toml").open("rb") as source:
        requirements: list[str] = tomllib.load(source)["project"]["dependencies"]
    kept = installed(KEPT)
    pins = read_pins()
    absent = {name: pins[name] for name in pins.keys() - installed(pins)}
    folder.mkdir(parents=True, exist_ok=True)
    constraints = {**absent, **kept}
    (folder / "requirements.txt").write_text("\n".join(requirements) + "\n", encoding="utf-8")
    (folder / "constraints.txt").write_text(
        "".join(f"{name}=={version}\n" for name, version in sorted(constraints.items())),
        encoding="utf-8",
    )
    (folder / "kept.json").write_text(json.dumps(kept), encoding="utf-8")


def check(folder: Path) -> int:
    """Compare what was there before with what is there now."""
    before: dict[str, str] = json.loads((folder / "kept.json").read_text(encoding="utf-8"))
    after = installed(before)
    changed = [
        f"{name} {before[name]} -> {after.get(name)}"
        for name in before
        if after.get(name) != before[name]
    ]
    if changed:
        sys.stderr.write(f"pip replaced packages of the base image: {', '.join(changed)}\n")
    return 1 if changed else 0


def main() -> int:
    """Run `write` or `check`."""
    match sys.argv[1:]:
        case ["write", folder]:
            write(Path(folder))
            return 0
        case ["check", folder]:
            return check(Path(folder))
    sys.stderr.write(__doc__ or "")
    return 2


if __name__ == "__main__":
    sys.exit(main())
