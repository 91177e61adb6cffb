"""Settings of the whole suite."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

# Several processes share the cores: each, and whatever it starts, computes on one. PyTorch reads
# this when it is imported, which comes later.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# Two shared cores: a slow moment says nothing about the code.
settings.register_profile("pflbench", deadline=None)
settings.load_profile("pflbench")


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Let PyTorch compute on one core: on tiny tensors, threads mostly wait for each other."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
