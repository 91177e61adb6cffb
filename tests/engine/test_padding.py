"""Clients of many sizes train together without wasting their steps on padding."""

from __future__ import annotations

import numpy as np
import pytest
from small_federations import federation_of, simulate

from pflbench.engine import phase_chunk
from pflbench.engine.batches import ChunkPlan, chunk_plan
from pflbench.method import LocalBudget


@pytest.mark.parametrize("spread", ["dirichlet", "uniform"])
def test_uneven_clients_waste_under_a_tenth_on_padding(
    spread: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    drawn = rng.dirichlet([0.3] * 60) * 20_000 if spread == "dirichlet" else rng.uniform(2, 200, 60)
    sizes = np.clip(drawn.astype(int), 2, 5_000)
    plans: list[ChunkPlan] = []

    def watched(*args: object) -> ChunkPlan:
        plans.append(chunk_plan(*args))  # type: ignore[arg-type]
        return plans[-1]

    monkeypatch.setattr(phase_chunk, "chunk_plan", watched)
    simulation = simulate(
        federation=federation_of([int(n) for n in sizes], shape=(2,)),
        budget=LocalBudget(64, epochs=2),
        chunk=6,
    )
    simulation.round(0)
    computed = sum(a * w for p in plans for a, w in zip(p.active, p.width, strict=True))
    real = sum(float(p.mask.sum()) for p in plans)
    assert len(plans) == 10
    assert real == 2 * sizes.sum()
    assert 1 - real / computed < 0.1
