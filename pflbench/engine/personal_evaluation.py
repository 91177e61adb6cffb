"""Evaluating the personal models of a simulation's clients, after adaptation if any."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.func import vmap

from pflbench.engine.batches import seeded_batches
from pflbench.engine.divergence import refuse_divergence, refuse_ruined_models
from pflbench.engine.draws import seeds_of
from pflbench.engine.evaluation import measure
from pflbench.engine.gathering import row
from pflbench.engine.interface import LocalWork, Padded, Trained, predicts
from pflbench.engine.kept_state import parted
from pflbench.federation import Split
from pflbench.method import Adaptation, Client, LocalBudget, Phase, Rows

if TYPE_CHECKING:
    from pflbench.engine.simulation import Simulation

_EVALUATED_TOGETHER = 256

Take = Callable[[Split, np.ndarray, Padded], None]
"""Gets a split, the numbers of clients, and their outputs."""


def evaluate(
    simulation: Simulation, r: int, splits: Sequence[Split], take: Take | None = None
) -> tuple[pd.DataFrame, int]:
    """Evaluate all clients after r rounds: see `Simulation.evaluate`."""
    sim, frames, steps = simulation, [], 0
    for clients in _in_parts(sim):
        outputs_on, taken = _outputs(sim, r, clients)
        steps += taken
        for split in splits:
            with torch.no_grad():
                outputs = outputs_on(split)
            values = _measured(sim, outputs)
            refuse_ruined_models(values["loss"], clients.tolist(), r)
            if take is not None:
                take(split, clients.cpu().numpy(), outputs)
            frames.append(_frame(clients, split, values))
    return _table(frames, r, "personal"), steps


def evaluate_generic(
    simulation: Simulation, r: int, splits: Sequence[Split] = ("val", "test")
) -> pd.DataFrame | None:
    """Evaluate what `Client.generic` returns, if the method has it: the stage "global"."""
    sim, client = simulation, simulation.client
    if type(client).generic is Client.generic:
        return None
    frames = []
    for clients in _in_parts(sim):
        states, count = sim.taken(clients), len(clients)
        with torch.no_grad():
            served = sim.crossing.rows("serve", partial(sim.server.serve, clients), count)
            with sim.crossing.call("generic"):
                W = _mapped(sim, states, served, count)
                sim.crossing.fit_models(W, count)
        for split in splits:
            outputs = sim.engine.logits(W, sim.shards[split], clients.tolist())
            frames.append(_frame(clients, split, _measured(sim, outputs)))
    return _table(frames, r, "global")


def _mapped(sim: Simulation, states: Rows, served: Rows, count: int) -> Tensor:
    """Return the clients' generic models [K, P]."""
    generic = sim.client.generic
    if sim.engine.name == "stacked":
        models: Tensor = vmap(generic)(states, served)
        return models.contiguous()
    return torch.stack([generic(row(states, k), row(served, k)) for k in range(count)])


def _in_parts(sim: Simulation) -> Iterator[Tensor]:
    """Yield clients that are evaluated together, those with most test samples first."""
    order = np.argsort(-sim.federation.test.sizes, kind="stable")
    for part in np.split(order, range(_EVALUATED_TOGETHER, len(order), _EVALUATED_TOGETHER)):
        yield torch.from_numpy(part).to(sim.device)


def _measured(sim: Simulation, outputs: Padded) -> dict[str, Tensor]:
    with torch.no_grad(), sim.measuring("evaluation"):
        return measure(outputs, sim.metrics)


def _frame(clients: Tensor, split: Split, values: Mapping[str, Tensor]) -> pd.DataFrame:
    columns = {name: value.cpu().numpy() for name, value in values.items()}
    return pd.DataFrame({"client": clients.cpu().numpy(), "split": split, **columns})


def _table(frames: Sequence[pd.DataFrame], r: int, stage: str) -> pd.DataFrame:
    table = pd.concat(frames).sort_values(["split", "client"], ignore_index=True)
    table.insert(0, "round", r)
    table.insert(3, "stage", stage)
    return table


def _outputs(sim: Simulation, r: int, clients: Tensor) -> tuple[Callable[[Split], Padded], int]:
    """Return what gives clients' outputs on a split, and the gradient steps that it took."""
    numbers = clients.tolist()
    if predicts(sim.client):
        served, states = sim.served(clients), parted(sim.taken(clients))[0]

        def predicted(split: Split) -> Padded:
            with sim.crossing.call("predict"):
                shards = sim.shards[split]
                outputs = sim.engine.predictions(
                    sim.client, states, served, shards, numbers, sim.local
                )
                sim.crossing.fit_predictions(outputs.logits, sim.task.classes)
            return outputs

        return predicted, 0
    W, steps = sim.personal(clients), 0
    adapted = adapt(sim, r, clients, W)
    if adapted is not None:
        W, steps = adapted.uploads["model"], int(adapted.steps.sum())
    return lambda split: sim.engine.logits(W, sim.shards[split], numbers), steps


def adapt(simulation: Simulation, r: int, clients: Tensor, W: Tensor) -> Trained | None:
    """Train personal models [K, P] as the method requires before evaluation."""
    sim, numbers = simulation, clients.tolist()
    with sim.crossing.call("adaptation"):
        asked = sim.client.adaptation()
    if asked is None:
        return None
    if isinstance(asked, LocalBudget):
        asked = Adaptation(asked)
    task = sim.task if asked.optimiser is None else sim.task.using(asked.optimiser)
    batches = sim.adaptation_batches or seeded_batches(
        sim.seed, "adaptation", sim.federation.train.sizes, asked.budget
    )
    work = LocalWork(
        Client(None, task),
        {},
        {"model": W},
        numbers,
        sim.local,
        [[batches(i, r) for i in numbers]],
        (Phase(columns=asked.columns),),
        seeds_of(sim.seed, "adaptation draws", r),
    )
    trained = sim.engine.train(work)
    refuse_divergence(trained, numbers, r - 1)
    return trained
