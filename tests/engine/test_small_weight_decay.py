"""A weight decay too small to count is none, whatever one over it would be."""

from __future__ import annotations

import pytest
import torch
from small_federations import simulate

from pflbench.method import Sgd


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("decay", [1e-13, 1e-37, 1e-45])
def test_a_tiny_weight_decay_trains_as_none_does(momentum: float, decay: float) -> None:
    models = []
    for weight_decay in (0.0, decay):
        sgd = Sgd(0.05, momentum, weight_decay)
        sim = simulate(optimiser=sgd, engine="stacked", dtype=torch.float32)
        for r in range(3):
            sim.round(r)
        models.append(sim.personal(sim.everyone))
    torch.testing.assert_close(models[1], models[0], rtol=1e-4, atol=1e-6)
