"""Named random streams.

Every random draw comes from a stream named by its purpose (the seed, a role, a client, a round),
never from a shared one: so a result does not depend on the order of execution, on chunking, on
workers or on where a run was resumed.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def stream(seed: int, role: str, *keys: int) -> np.random.Generator:
    """Return the numpy generator named (seed, role, *keys)."""
    return np.random.default_rng(_entropy(seed, role, keys))


def torch_stream(seed: int, role: str, *keys: int) -> torch.Generator:
    """Return the torch (CPU) generator named (seed, role, *keys)."""
    import torch  # here, so that code that draws only with numpy (a leaderboard) starts fast

    generator = torch.Generator(device="cpu")
    generator.manual_seed(_entropy(seed, role, keys) % 2**63)
    return generator


def _entropy(seed: int, role: str, keys: tuple[int, ...]) -> int:
    name = "/".join([str(seed), role, *map(str, keys)])
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:16], "little")
