"""Settings of the whole suite."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

# Several processes share the cores: each, and whatever it starts, computes on one. PyTorch reads
# this when it is imported, which comes later.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# Each of the processes that tests start would compile the sources again: a second of each.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Two shared cores: a slow moment says nothing about the code. Each run draws other examples.
settings.register_profile("pflbench", deadline=None, max_examples=50)
settings.load_profile("pflbench")


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark slow tests, and refuse names with an address: each worker would know other tests.

    `mostly_slow("fedora")` leaves the tests whose name has "fedora" in the plain run.
    """
    for item in items:
        mostly = item.get_closest_marker("mostly_slow")
        if mostly and not any(kept in item.name for kept in mostly.args):
            item.add_marker("slow")
        if " at 0x" in item.nodeid:
            raise pytest.UsageError(f"{item.nodeid}: give this parameter an id of its own.")


@pytest.fixture(autouse=True, scope="session")
def _no_waiting_for_disks() -> Iterator[None]:
    """Let nothing wait until a disk has what is written.

    Only a machine that loses its power tells the difference: what a killed process has written is
    there anyhow.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Let PyTorch compute on one core: on tiny tensors, threads mostly wait for each other."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty working directory, apart from the user's settings."""
    monkeypatch.chdir(tmp_path)
    for name in ("PFLBENCH_DATA", "PFLBENCH_RESULTS", "PFLBENCH_DEBUG", "WORLD_SIZE", "RANK"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def unreadable(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Close a folder, as far as the system tells: permissions do not bind root."""

    def close(folder: Path) -> None:
        opened = os.open

        def refused(path: os.PathLike[str] | str, flags: int, mode: int = 0o777) -> int:
            if Path(path).absolute() == folder.absolute():
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return opened(path, flags, mode)

        monkeypatch.setattr(os, "open", refused)

    return close


@pytest.fixture
def data(folder: Path) -> str:
    """Return a data set of 240 samples in three classes that a network can learn."""
    rng = np.random.default_rng(0)
    y = np.arange(240) % 3
    x = (rng.normal(size=(240, 6)) + 2 * np.eye(6)[y]).astype(np.float32)
    np.savez(folder / "points.npz", x=x, y=y)
    return "npz:points.npz"
