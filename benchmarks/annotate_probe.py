#!/usr/bin/env python3
"""Run `genet5 annotate` once and count its decoder passes, kernels and synchronisations.

Works with the package that is on PYTHONPATH, also with earlier commits of it, so that
`bench_annotate.py` can put two of them side by side: a pass is a call of `GeneT5.extend` (drafts
are verified) or, before there were drafts, of `GeneT5.decode_step`. Drafts that are mended are
counted by what the decoder had otherwise. Prints one line of JSON. With
`--profile` PyTorch's profiler counts operators, and on CUDA launched kernels, copies and waits of
the host; it slows the run down, so nothing here is timed.

Example:
    PYTHONPATH=lib python benchmarks/annotate_probe.py --profile -- genome.fa -o genes.gff3
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

STEPS = ("extend", "decode_step")
"""Methods of the network that read labels, the newer first."""
WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize")
LAUNCHES = ("cudaLaunchKernel", "cudaLaunchKernelExC", "cuLaunchKernel", "cudaGraphLaunch")
ITEM = "aten::_local_scalar_dense"
"""What `.item()` runs: a wait of the host on a GPU, a read on a CPU."""


class PassCounter:
    """Counts decoded batches, windows and passes of a network class."""

    def __init__(self, network: type) -> None:
        self.counts: Counter[str] = Counter(batches=0, windows=0, passes=0, rows=0, labels=0)
        start = network.start_decoding  # type: ignore[attr-defined]
        name = next(step for step in STEPS if hasattr(network, step))
        step = getattr(network, name)

        def counted_start(model: Any, encoded: Any, *more: Any) -> Any:
            self.counts.update(batches=1, windows=len(encoded.latents))
            return start(model, encoded, *more)

        def counted_step(model: Any, encoded: Any, cache: Any, labels: Any) -> Any:
            self.counts.update(passes=1, rows=len(labels), labels=labels.numel())
            return step(model, encoded, cache, labels)

        network.start_decoding = counted_start  # type: ignore[attr-defined]
        setattr(network, name, counted_step)

    def to_dict(self) -> dict[str, Any]:
        """Return the counts, and what they come to for a window, a batch and a pass."""
        counts = self.counts
        windows, batches, rows = (max(counts[key], 1) for key in ("windows", "batches", "rows"))
        return {
            **counts,
            "passes_a_window": round(counts["rows"] / windows, 3),
            "passes_a_batch": round(counts["passes"] / batches, 3),
            "labels_a_pass": round(counts["labels"] / rows, 3),
        }


class MendCounter:
    """Counts drafts that are mended, by what the decoder had otherwise."""

    def __init__(self, drafter: type) -> None:
        self.counts: Counter[str] = Counter()
        mend = drafter.mend  # type: ignore[attr-defined]

        def counted(
            made: Any, window: int, written: list[int], draft: list[int], *more: Any
        ) -> Any:
            self.counts[missed(written, draft, made.vocabulary)] += 1
            return mend(made, window, written, draft, *more)

        drafter.mend = counted  # type: ignore[attr-defined]


def missed(written: Sequence[int], draft: Sequence[int], vocabulary: Any) -> str:
    """Name what a draft missed.

    Args:
        written: The decoder's labels, up to the one that the draft had otherwise.
        draft: The draft from that label on.
        vocabulary: The tokens' ids.

    Returns:
        "start" or "3' end" of a gene that the draft had; "cut gene": another gene at the window's
        left edge, or none; "gene": the same elsewhere.
    """
    types = [i for i, label in enumerate(written) if label >= vocabulary.first_type]
    begin = types[-1] if types else 0
    if vocabulary.cut_left in (*written[begin:], *draft[:3]):
        return "cut gene"
    if written[-1] >= 0:
        return "gene"
    is_first = sum(label < 0 for label in written[begin:]) == 1
    is_same = bool(draft) and draft[0] < 0 and (draft[0] - written[-1]) % 3 == 0
    if is_first and not is_same:
        return "gene"
    return "start" if is_first == (written[begin + 1] == vocabulary.plus) else "3' end"


@contextlib.contextmanager
def profiled(wanted: bool, into: Counter[str]) -> Iterator[None]:
    """Count operators and calls of the CUDA runtime by name."""
    if not wanted:
        yield
        return
    import torch
    from torch.profiler import ProfilerActivity, profile

    activities = [ProfilerActivity.CPU]
    activities += [ProfilerActivity.CUDA] if torch.cuda.is_available() else []
    with profile(activities=activities, acc_events=True) as profiler:
        yield
    for event in profiler.key_averages():
        into[event.key] += event.count


def host_calls(events: Counter[str], batches: int) -> dict[str, Any]:
    """Sum up what the host did: operators, kernels, copies, waits, in all and for each batch."""
    sums = {
        "operators": sum(n for key, n in events.items() if key.startswith("aten::")),
        "items": events[ITEM],
        "kernels": sum(events[name] for name in LAUNCHES),
        "copies": events["cudaMemcpyAsync"],
        "waits": sum(events[name] for name in WAITS),
    }
    return sums | {f"{name}_a_batch": round(n / max(batches, 1), 2) for name, n in sums.items()}


def main(argv: Sequence[str] | None = None) -> int:
    """Annotate as told after `--`; print the counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", action="store_true", help="count operators and kernels, too")
    parser.add_argument("annotate", nargs="+", help="arguments of genet5 annotate")
    options = parser.parse_args(argv)
    from genet5.cli.annotate import main as annotate
    from genet5.model.network import GeneT5

    counter, events, mended = PassCounter(GeneT5), Counter[str](), Counter[str]()
    with contextlib.suppress(ImportError):  # commits that drafted nothing
        from genet5.decode.draft import Drafter

        mended = MendCounter(Drafter).counts
    code = _quietly(annotate, options.annotate, options.profile, events)
    found = counter.to_dict() | {"mended": dict(mended)}
    if options.profile:
        found["host"] = host_calls(events, counter.counts["batches"])
    print(json.dumps(found))
    return code


def _quietly(
    annotate: Callable[[Sequence[str]], int],
    words: Sequence[str],
    profile: bool,
    events: Counter[str],
) -> int:
    """Annotate; standard output stays free for the counts."""
    with profiled(profile, events), contextlib.redirect_stdout(io.StringIO()):
        return annotate(list(words))


if __name__ == "__main__":
    sys.exit(main())
