"""Which samples each client's local steps see, drawn outside the engines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pflbench.errors import InputError
from pflbench.method import LocalBudget, Phase
from pflbench.schema.shares import count_of
from pflbench.streams import stream

Batches = Callable[[int, int], np.ndarray]
"""(client, round) to [steps, B] int64 indices into the client's training samples; -1 pads."""


def draw_batches(rng: np.random.Generator, n: int, budget: LocalBudget) -> np.ndarray:
    """Draw the batches of one client's local training.

    Parameters
    ----------
    n
        The client's training samples, at least 1.

    Returns
    -------
    [steps, B] int64 indices, B = min(batch_size, n); -1 pads the short last batch of an epoch.
    """
    width = min(budget.batch_size, n)
    if budget.steps is not None:
        picks = [rng.choice(n, width, replace=False) for _ in range(budget.steps)]
        return np.stack(picks).astype(np.int64)
    assert budget.epochs is not None  # LocalBudget has exactly one of the two
    per_epoch = -(-n // width)
    plan = np.full((budget.epochs, per_epoch * width), -1, dtype=np.int64)
    for epoch in plan:
        epoch[:n] = rng.permutation(n)
    return plan.reshape(budget.epochs * per_epoch, width)


def seeded_batches(
    seed: int, role: str, sizes: np.ndarray, budget: LocalBudget, share: float = 1.0
) -> Batches:
    """Return batches of a share of the samples, drawn from streams (seed, role, client, round)."""

    def batches(client: int, round: int) -> np.ndarray:
        rng, n = stream(seed, role, client, round), int(sizes[client])
        some = count_of(share, n)
        drawn = draw_batches(rng, some, budget)
        if some == n:
            return drawn
        chosen: np.ndarray = rng.choice(n, some, replace=False)
        return np.where(drawn >= 0, chosen[drawn], -1)

    return batches


def batches_of(
    phase: Phase,
    given: Batches | Mapping[str, Batches] | None,
    seed: int,
    sizes: np.ndarray,
    budget: LocalBudget,
) -> Batches:
    """Return the batches of a phase: given ones, or drawn from the seed.

    Parameters
    ----------
    given
        For all phases, or by the name of their stream.
    sizes
        [N] training samples of each client.
    budget
        The budget of phases without their own.

    Raises
    ------
    InputError
        The phase's stream is not among those given.
    """
    if isinstance(given, Mapping):
        if phase.batches not in given:
            raise InputError(
                f"There are no batches of the stream {phase.batches!r}, which training takes: "
                f"given are those of {', '.join(map(repr, given))}."
            )
        return given[phase.batches]
    if given is not None:
        return given
    role = f"batches {phase.batches}".rstrip()
    return seeded_batches(seed, role, sizes, phase.budget or budget, phase.share)


def part_of(batches: np.ndarray, work: float) -> np.ndarray:
    """Return the first batches of a client that does only a share of its steps: one at least."""
    return batches[: count_of(work, len(batches))]


def in_multiples(batches: np.ndarray, of: int) -> np.ndarray:
    """Return a client's batches, the first ones once more until there are a multiple of `of`."""
    missing = -len(batches) % of
    return np.concatenate([batches, batches[np.arange(missing) % len(batches)]])


@dataclass(frozen=True, eq=False)
class ChunkPlan:
    """The local steps of the rows of one chunk, most steps first.

    Attributes
    ----------
    index
        [S, K, B] int64 indices into the split's samples of all clients; padding points at a
        sample of the same client.
    mask
        [S, K, B] float32, 0 on padding.
    share
        [S, K, B] float32: a sample's weight in its batch's mean, 0 on padding.
    active
        At each step, how many rows (a prefix) still train.
    width
        At each step, how many columns of B hold anything.
    real
        [S, K] how many samples each batch has.
    steps
        Steps of each row.
    """

    index: Tensor
    mask: Tensor
    share: Tensor
    active: list[int]
    width: list[int]
    real: np.ndarray
    steps: list[int]


def chunk_plan(
    batches: Sequence[np.ndarray], offsets: Sequence[int], device: torch.device, dtype: torch.dtype
) -> ChunkPlan:
    """Put the batches of a chunk's clients (most steps first) side by side."""
    steps = [len(b) for b in batches]
    wide = max(b.shape[1] for b in batches)
    index = np.full((max(steps), len(batches), wide), -1, dtype=np.int64)
    for k, b in enumerate(batches):
        index[: len(b), k, : b.shape[1]] = b
    real = index >= 0
    index = np.where(real, index, 0) + np.asarray(offsets, dtype=np.int64)[None, :, None]
    active = [sum(n > s for n in steps) for s in range(max(steps))]
    mask = torch.from_numpy(real).to(device=device, dtype=dtype)
    return ChunkPlan(
        index=torch.from_numpy(index).to(device),
        mask=mask,
        share=mask / mask.sum(dim=2, keepdim=True).clamp(min=1.0),
        active=active,
        width=[int(w) for w in real.any(axis=1).sum(axis=1)],
        real=real.sum(axis=2),
        steps=steps,
    )
