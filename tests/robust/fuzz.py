"""Run a target on damaged inputs, in the order of their numbers; print a JSON line for a bad end.

    python tests/robust/fuzz.py SEEDS_FOLDER TARGET FIRST COUNT

A case is named by its number alone. Before each one its number is written to stdout, so that the
caller knows which one ended the process. Time is the processor's.
"""

from __future__ import annotations

import json
import random
import resource
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

from robust.targets import BY_NAME, AnyTarget  # noqa: E402 - the path comes first

MOST_CPU_S = 10.0
MOST_BYTES = 3 << 30


class Hang(BaseException):
    """A case took too long; no handler of errors catches it."""


def _hang(number: int, frame: FrameType | None) -> None:
    raise Hang


def run_case(target: AnyTarget, seeds: Path, number: int) -> str:
    """Return what is wrong with how a case ended."""
    folder = Path(tempfile.mkdtemp(prefix="genet5_robust_"))
    signal.signal(signal.SIGPROF, _hang)
    signal.setitimer(signal.ITIMER_PROF, MOST_CPU_S)
    try:
        found = target.run(seeds, folder, random.Random(f"{target.name} {number}"))
    except Hang:
        found = f"more than {MOST_CPU_S:.0f} s"
    except BaseException as error:
        found = f"raised {type(error).__name__}: {error}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        shutil.rmtree(folder, ignore_errors=True)
    if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 > MOST_BYTES:
        found = found or "more than 3 GB"
    return found


def main(seeds: Path, name: str, first: int, count: int) -> None:
    """Run cases; each is begun by its number, a bad end follows it."""
    for number in range(first, first + count):
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()
        if found := run_case(BY_NAME[name], seeds, number):
            sys.stdout.write(json.dumps({"target": name, "case": number, "found": found}) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
