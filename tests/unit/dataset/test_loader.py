"""The loader: order, ranks, workers, resuming."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch

from genet5.config.batches import BatchLimits
from genet5.dataset.batch import Batch
from genet5.dataset.loader import GeneCollator, Loader
from genet5.errors import CheckpointError, DataError, FormatError
from genet5.tokens.vocabulary import StructureVocabulary

SMALL = {"limits": BatchLimits(token_budget=200, max_batch_size=3), "seed": 5}


def ids(batches) -> list[tuple[str, ...]]:
    return [batch.window_ids for batch in batches]


def test_an_epoch_gives_every_window_once(packed_file, packed_rows) -> None:
    loader = Loader(packed_file, **SMALL)
    found = ids(loader)
    expected = sorted(window.id for row in packed_rows for window in row)
    assert sorted(name for batch in found for name in batch) == expected
    assert len(found) > 10
    assert (loader.epoch, loader.step) == (1, 0)
    assert sorted(name for batch in ids(loader) for name in batch) == expected


@pytest.mark.slow
def test_epochs_differ_and_seeds_differ(packed_file) -> None:
    loader = Loader(packed_file, **SMALL)
    first, second = ids(loader), ids(loader)
    assert first != second
    assert ids(Loader(packed_file, **SMALL)) == first
    assert ids(Loader(packed_file, **(SMALL | {"seed": 6}))) != first


@pytest.mark.slow
def test_the_number_of_workers_changes_nothing(packed_file) -> None:
    torch.manual_seed(1)
    plain = list(Loader(packed_file, **SMALL))
    state = torch.get_rng_state()
    with_workers = list(Loader(packed_file, **SMALL, num_workers=2))
    assert ids(plain) == ids(with_workers)
    for one, other in zip(plain, with_workers, strict=True):
        assert torch.equal(one.targets.states, other.targets.states)
        assert torch.equal(one.inputs.input_ids, other.inputs.input_ids)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("given", [0, 1, 7])
@pytest.mark.parametrize("num_workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_a_resumed_loader_goes_on_exactly(packed_file, given: int, num_workers: int) -> None:
    whole = Loader(packed_file, **SMALL)
    expected = ids(whole) + ids(whole)
    first = Loader(packed_file, **SMALL, num_workers=num_workers)
    begun = ids(islice(first, given))
    state = json.loads(json.dumps(first.state_dict()))
    second = Loader(packed_file, **SMALL, num_workers=num_workers)
    second.load_state_dict(state)
    assert begun + ids(second) + ids(second) == expected


def test_a_state_after_the_last_batch_leads_to_the_next_epoch(packed_file) -> None:
    first = Loader(packed_file, **SMALL)
    number = len(first)
    ids(islice(first, number))
    second = Loader(packed_file, **SMALL)
    second.load_state_dict(first.state_dict())
    assert ids(second) == []
    assert second.epoch == 1


def test_other_limits_resume_at_about_the_same_place(packed_file) -> None:
    first = Loader(packed_file, **SMALL)
    first.load_state_dict(first.state_dict() | {"epoch": 2, "step": len(first) // 2})
    second = Loader(packed_file, **(SMALL | {"limits": BatchLimits(token_budget=300)}))
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert second.epoch == 2
    assert second.step == len(second) * first.step // len(first)
    assert 0 < second.step < len(second)
    again = Loader(packed_file, **(SMALL | {"limits": BatchLimits(token_budget=300)}))
    again.load_state_dict(second.state_dict())
    assert again.step == second.step


def test_a_state_of_other_data_or_another_seed_is_refused(
    packed_file, packed_rows, make_packed
) -> None:
    state = Loader(packed_file, **SMALL).state_dict()
    with pytest.raises(CheckpointError, match="--seed was"):
        Loader(packed_file, **(SMALL | {"seed": 99})).load_state_dict(state)
    with pytest.raises(CheckpointError, match="checksum"):
        Loader(make_packed(packed_rows[:9]), **SMALL).load_state_dict(state)


@pytest.mark.parametrize("world_size", [2, 3, 7])
def test_ranks_share_the_windows_in_step(packed_file, packed_rows, world_size: int) -> None:
    loaders = [
        Loader(packed_file, **SMALL, rank=r, world_size=world_size) for r in range(world_size)
    ]
    batches = [list(loader) for loader in loaders]
    assert len({len(given) for given in batches}) == 1
    heard = [batch for given in batches for batch in given if not is_silent(batch)]
    names = sorted(name for batch in heard for name in batch.window_ids)
    assert names == sorted(window.id for row in packed_rows for window in row)


def is_silent(batch: Batch) -> bool:
    return bool((batch.targets.states == -100).all())


def test_too_few_rows_for_the_ranks_are_repeated_in_silence(packed_rows, make_packed) -> None:
    path = make_packed(packed_rows[:2])
    batches = [next(iter(Loader(path, **SMALL, rank=rank, world_size=3))) for rank in range(3)]
    assert [is_silent(batch) for batch in batches] == [False, False, True]


def test_padding_stays_within_the_budget(packed_file) -> None:
    for batch in Loader(packed_file, **SMALL):
        windows, tokens = batch.inputs.input_ids.shape
        rows = windows  # a row may be larger than the budget on its own; none here is
        assert windows * tokens <= 200 or rows <= 4


def test_windows_that_are_skipped_change_no_other_batch(packed_file) -> None:
    whole = [batch.window_ids for batch in Loader(packed_file, **SMALL)]
    skip = {whole[0][0], *whole[1]}
    loader = Loader(packed_file, **SMALL, skip=skip)
    found = list(loader)
    assert found[0].window_ids == whole[0][1:] or len(whole[0]) == 1
    assert found[1].window_ids == whole[1]  # a batch keeps the ranks in step,
    assert found[1].targets.label_weights.sum() == 0  # but nothing is learned from it
    assert [batch.window_ids for batch in found[2:]] == whole[2:]


def test_an_empty_file_is_refused(make_packed) -> None:
    with pytest.raises(DataError, match="no windows"):
        Loader(make_packed([]))


def test_padding_of_a_plan_is_that_of_the_tensors(packed_file) -> None:
    loader = Loader(packed_file, **SMALL)
    share = loader.padding_share()
    shapes = [(batch.inputs.input_ids.numel(), batch.inputs.num_tokens.sum()) for batch in loader]
    padded, real = (float(sum(column)) for column in zip(*shapes, strict=True))
    assert share == pytest.approx(1 - real / padded)


def test_a_place_in_an_earlier_versions_order_is_refused(packed_file) -> None:
    loader = Loader(packed_file, **SMALL)
    with pytest.raises(CheckpointError, match="format was 1"):
        loader.load_state_dict(loader.state_dict() | {"format": 1})


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_pinned_micro_batches_reach_the_gpu_whole(packed_file) -> None:
    plain = list(Loader(packed_file, **SMALL))
    for one, other in zip(
        plain, Loader(packed_file, **SMALL, num_workers=1, pin_memory=True), strict=True
    ):
        assert other.inputs.input_ids.is_pinned()
        assert torch.equal(one.inputs.input_ids, other.to("cuda").inputs.input_ids.cpu())
        assert torch.equal(one.targets.states, other.to("cuda").targets.states.cpu())


@pytest.mark.slow
def test_a_process_ends_though_an_epoch_was_left_unfinished(python, packed_file) -> None:
    text = (
        "import subprocess, sys, torch\n"
        "torch.set_num_threads(2)\n"  # gives workers a thread of torch's
        "from multiprocessing import active_children\n"
        "from genet5.config.batches import BatchLimits\n"
        "from genet5.dataset.loader import Loader\n"
        "batches = iter(Loader(sys.argv[1], BatchLimits(token_budget=200), num_workers=1))\n"
        "next(batches)\n"
        "worker = str(active_children()[0].pid)\n"
        "subprocess.run(['kill', '-TERM', worker], check=True)\n"  # as a scheduler would
        "print(sum(1 for _ in zip(range(6), batches)))\n"
    )
    result = subprocess.run(
        [python, "-c", text, str(packed_file)],
        capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert (result.returncode, result.stdout, result.stderr) == (0, "6\n", "")


@pytest.mark.parametrize("num_workers", [0, 1])
def test_damage_found_by_a_worker_is_told_in_its_own_words(
    packed_file: Path, packed_rows: Any, num_workers: int
) -> None:
    content = bytearray(packed_file.read_bytes())
    content[content.index(packed_rows[7][0].bases.tobytes())] ^= 0x20
    packed_file.write_bytes(content)
    loader = Loader(packed_file, num_workers=num_workers)
    with pytest.raises(FormatError) as caught:
        list(loader)
    assert str(caught.value).startswith(f"{packed_file}: rows 0 to 39: bytes ")
    assert "Traceback" not in str(caught.value)


def test_an_error_of_a_collator_names_file_rows_and_window(packed_file: Path) -> None:
    class Broken(GeneCollator):
        def collate(self, windows: Any, **how: Any) -> Any:
            raise IndexError("index 9 is out of bounds")

    loader = Loader(packed_file, shuffle=False, collator=Broken(StructureVocabulary()))
    with pytest.raises(DataError, match=r"rows \d+.* cannot be read \(index 9 .*first window is"):
        list(loader)
