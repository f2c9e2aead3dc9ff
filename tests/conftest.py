"""What every test gets: fixed seeds, one thread, and no trace left for the next test."""

from __future__ import annotations

import gc
import logging
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import hypothesis
import numpy as np
import pytest

from warm import forked_python, warm_python

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported anywhere
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # two threads on one free core would spin
gc.disable()  # until all is imported: to go through what stays takes a third of the collection

ROOT = Path(__file__).resolve().parents[1]

WARM_PYTHON = pytest.StashKey[str]()

# No time limits (a busy machine is no failure), no files in the repository, and the same examples
# on every CI run. `make test-robust` tries many more.
hypothesis.settings.register_profile(
    "house",
    deadline=None,
    database=None,
    derandomize=bool(os.environ.get("CI")),
    max_examples=20,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.register_profile(
    "thorough", hypothesis.settings.get_profile("house"), derandomize=False, max_examples=500
)
hypothesis.settings.load_profile("house")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="rewrite the files below tests/golden"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Let a worker of pytest-xdist make its warm Python before it imports the tests.

    Where coverage is measured, the commands' processes must not inherit that of the tests; only
    slow tests start commands.
    """
    starts_commands = "not slow" not in config.getoption("-m")
    is_worker = hasattr(config, "workerinput")
    if is_worker and starts_commands and not config.getoption("--cov", default=None):
        stack = ExitStack()
        folder = Path(tempfile.mkdtemp())  # a TemporaryDirectory would end with the first fork
        stack.callback(shutil.rmtree, folder)
        config.stash[WARM_PYTHON] = stack.enter_context(forked_python(folder))
        config.add_cleanup(stack.close)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put files with slow tests first: with several workers they must not come last and alone."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_collection_finish() -> None:
    """Collect garbage from here on, but never look at what the imports have made."""
    gc.freeze()
    gc.enable()
    _let_torch_loggers_propagate()


def _let_torch_loggers_propagate() -> None:
    """Spare pytest dozens of loggers of torch that it would attach to three times a test.

    What `torch.distributed` logs of each call, into a handler that drops it, is left out.
    """
    for name, logger in logging.root.manager.loggerDict.items():
        if isinstance(logger, logging.Logger) and name.startswith(("torch.", "c10d-")):
            logger.propagate = True
            if name.startswith("c10d-"):
                logger.setLevel(logging.WARNING)


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's root."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The real genomes beside the repository; the test skips without them."""
    path = ROOT.parent / "shared" / "data"
    if not path.is_dir():
        pytest.skip("needs the real genomes in ../shared/data")
    return path


@pytest.fixture(scope="session")
def python(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """An interpreter that has torch and the trainer imported; see `warm.py`."""
    if path := request.config.stash.get(WARM_PYTHON, ""):
        yield path
        return
    with warm_python(tmp_path_factory.mktemp("warm")) as path:
        yield path


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compare a text with the stored file `tests/golden/NAME`, which `make golden` rewrites."""

    def check(name: str, text: str) -> None:
        path = ROOT / "tests" / "golden" / name
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            return
        assert path.is_file(), f"{path} is missing: run `make golden` and review the diff"
        stored = path.read_text(encoding="utf-8")
        assert text == stored, f"{path} differs: if that is meant, run `make golden`"

    return check


@pytest.fixture(autouse=True)
def _clean_state() -> Iterator[None]:
    """Seed all generators; restore what a test may change (torch only if it was imported)."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - for libraries that still use the global generator
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.default_generator.manual_seed(0)  # torch.manual_seed takes a stack for idle CUDA
        if torch.cuda.is_initialized():
            torch.cuda.manual_seed_all(0)
        torch.set_num_threads(1)
    yield
    torch = sys.modules.get("torch")
    if torch is None:
        return
    torch.set_default_dtype(torch.float32)
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()
