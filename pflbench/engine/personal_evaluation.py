"""Evaluating the personal models of a simulation's clients, after adaptation if there is any."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from pflbench.engine.batches import seeded_batches
from pflbench.engine.divergence import refuse_divergence, refuse_ruined_models
from pflbench.engine.draws import seeds_of
from pflbench.engine.evaluation import measure
from pflbench.engine.interface import LocalWork, Trained
from pflbench.federation import Split
from pflbench.method import Client

if TYPE_CHECKING:
    from pflbench.engine.simulation import Simulation

_EVALUATED_TOGETHER = 256


def evaluate(simulation: Simulation, r: int, splits: Sequence[Split]) -> tuple[pd.DataFrame, int]:
    """Evaluate all clients after r rounds: see `Simulation.evaluate`."""
    sim, frames, steps = simulation, [], 0
    order = np.argsort(-sim.federation.test.sizes, kind="stable")
    for part in np.split(order, range(_EVALUATED_TOGETHER, len(order), _EVALUATED_TOGETHER)):
        clients = torch.from_numpy(part).to(sim.device)
        W = sim.personal(clients)
        adapted = adapt(sim, r, clients, W)
        if adapted is not None:
            W, steps = adapted.uploads["model"], steps + int(adapted.steps.sum())
        for split in splits:
            with torch.no_grad(), sim.measuring("evaluation"):
                outputs = sim.engine.logits(W, sim.shards[split], part.tolist())
                values = measure(outputs, sim.metrics)
            refuse_ruined_models(values["loss"], part.tolist(), r)
            columns = {name: value.cpu().numpy() for name, value in values.items()}
            frames.append(pd.DataFrame({"client": part, "split": split, **columns}))
    table = pd.concat(frames).sort_values(["split", "client"], ignore_index=True)
    table.insert(0, "round", r)
    table.insert(3, "stage", "personal")
    return table, steps


def adapt(simulation: Simulation, r: int, clients: Tensor, W: Tensor) -> Trained | None:
    """Give personal models [K, P] the training that the method asks for before evaluation."""
    sim = simulation
    with sim.crossing.call("adaptation"):
        budget = sim.client.adaptation()
    if budget is None:
        return None
    numbers = clients.tolist()
    batches = seeded_batches(sim.seed, "adaptation", sim.federation.train.sizes, budget)
    plain: Client[Any] = Client(None, sim.task)
    drawn = [batches(i, r) for i in numbers]
    seeds = seeds_of(sim.seed, "adaptation draws", r)
    work = LocalWork(plain, {}, {"model": W}, numbers, sim.local, [drawn], seeds=seeds)
    trained = sim.engine.train(work)
    refuse_divergence(trained, numbers, r - 1)
    return trained
