"""Memory that a thread uses again, where fresh memory would cost a page fault every 4 KiB."""

from __future__ import annotations

import threading
from math import prod

import torch
from torch import Tensor

_own = threading.local()


def scratch(purpose: str, shape: tuple[int, ...], like: Tensor) -> Tensor:
    """Return an uninitialised tensor, of the type and on the device of `like`.

    On a CPU it is valid until this thread's next call for the same purpose, and no object that
    outlives a chunk's training may refer to it. On an accelerator it is a new tensor: PyTorch
    already keeps its memory for the next one.
    """
    if like.device.type != "cpu":
        return torch.empty(shape, dtype=like.dtype, device=like.device)
    buffers: dict[str, Tensor] = _own.__dict__
    size, key = prod(shape), f"{purpose} {like.dtype}"
    if key not in buffers or buffers[key].numel() < size:
        buffers[key] = torch.empty(size, dtype=like.dtype)
    return buffers[key][:size].view(shape)
