"""Settings of the whole suite."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

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
