"""The record of a run of `annotate`, as JSON values: what ran, on what, when, what came of it."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from genet5 import __version__
from genet5.annotate.plan import GenomePlan, Machine
from genet5.config.annotate import AnnotateConfig
from genet5.config.json_files import config_to_dict
from genet5.model.folders import WEIGHTS_FILE

if TYPE_CHECKING:
    from genet5.annotate.adapt.record import Learned


def run_record(
    config: AnnotateConfig,
    plan: GenomePlan,
    machine: Machine,
    *,
    started: datetime,
    programs: Mapping[str, str],
    summary: Mapping[str, Any],
    learned: Sequence[Learned],
) -> dict[str, Any]:
    """Return the record of a run that has just ended.

    Args:
        config: As the user gave it.
        plan: What was settled.
        machine: What the model ran on.
        started: When, with its time zone.
        programs: Version of each other program that ran.
        summary: Counts and time.
        learned: What the genome taught.
    """
    with (plan.model.folder / WEIGHTS_FILE).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "started": started.isoformat(timespec="seconds"),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {
            "genet5": __version__,
            "python": platform.python_version(),
            "torch": version("torch"),
            "numpy": version("numpy"),
            **programs,
        },
        "machine": {"platform": platform.platform(), **config_to_dict(machine)},
        "model": plan.model.folder.name,
        "weights_sha256": digest,
        "settings": config_to_dict(config),
        "genetic_code": plan.code,
        "contig_codes": dict(plan.contig_codes),
        "survey": {
            "gc": plan.survey.gc,
            "operon_share": plan.survey.operon_share,
            "density": plan.survey.density,
            "prokaryote_probability": plan.survey.prokaryote_probability,
            "genetic_code": plan.survey.genetic_code,
        },
        "windows": plan.size.windows,
        "summary": dict(summary),
        "learned": [one.to_json() for one in learned],
    }
