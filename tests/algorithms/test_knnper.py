"""kNN-Per trains as FedAvg, and predicts with the samples that a client has at hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from small_federations import UNEVEN, federation_of, simulate
from torch import Tensor

from pflbench.engine import Simulation
from pflbench.engine.new_client_training import NewClientTraining
from pflbench.federation import Split
from pflbench.schema.new_clients import NewClients
from pflbench_algorithms.knnper import KNNPer
from pflbench_algorithms.knnper.client import KNNPerClient

ENGINES = pytest.mark.parametrize("engine", ["stacked", "sequential"])


def made(engine: str = "stacked", rounds: int = 2, **parameters: Any) -> Simulation:
    sim = simulate(
        "pflbench_algorithms.knnper.client:KNNPerClient",
        "pflbench_algorithms.weighted_server:WeightedServer",
        parameters=KNNPer(**parameters),
        engine=engine,
    )
    for r in range(rounds):
        sim.round(r)
    return sim


def probabilities(sim: Simulation, split: Split) -> tuple[Tensor, Tensor, Tensor]:
    everyone = sim.everyone
    out = sim.engine.predictions(
        sim.client,
        sim.taken(everyone),
        sim.served(everyone),
        sim.shards[split],
        everyone.tolist(),
        sim.local,
    )
    return out.logits.exp(), out.y, out.mask > 0


@ENGINES
def test_without_neighbours_it_is_fedavg(engine: str) -> None:
    ours, plain = made(engine, weight=0.0), simulate(engine=engine)
    for r in range(2):
        plain.round(r)
    assert torch.equal(ours.server.w, plain.server.w)  # type: ignore[attr-defined]
    losses = [sim.evaluate(2)[0]["loss"].to_numpy() for sim in (ours, plain)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-12)


@ENGINES
def test_a_client_remembers_its_training_samples(engine: str) -> None:
    p, y, real = probabilities(made(engine, weight=1.0, neighbours=1), "train")
    assert torch.equal(p.argmax(dim=-1)[real], y[real])
    assert p.max(dim=-1).values[real].min() == 1


@ENGINES
def test_probabilities_are_mixed_over_the_nearest_samples(engine: str) -> None:
    """Logits mixed with probabilities, as in the official script, would not sum to 1."""
    sim = made(engine, weight=0.3, neighbours=6, scale=0.5)
    p, _, real = probabilities(sim, "test")
    torch.testing.assert_close(p.sum(dim=-1)[real], torch.ones(int(real.sum())).double())
    w, task = sim.server.w, sim.task  # type: ignore[attr-defined]
    for i, n in enumerate(UNEVEN):  # two clients have fewer samples than neighbours
        x, labels = sim.federation.train.client(i)
        store = task.features(w, x.double())
        z = task.features(w, sim.federation.test.client(i)[0].double())
        for k, query in enumerate(z):
            d = (query - store).square().sum(dim=1) / (0.5 * z.shape[1])
            near = d.argsort()[: min(6, n)]
            shares = torch.exp(-d[near]) / torch.exp(-d[near]).sum()
            knn = torch.stack([shares[labels[near] == c].sum() for c in range(task.classes)])
            model = task.classify(w, query[None]).softmax(-1)[0]
            torch.testing.assert_close(p[i, k], 0.3 * knn + 0.7 * model)


@ENGINES
def test_a_client_chooses_the_share_that_its_validation_samples_like_best(engine: str) -> None:
    sim = made(engine)

    def correct(weight: float | None) -> Tensor:
        sim.client = KNNPerClient(KNNPer(weight=weight), sim.task)
        p, y, real = probabilities(sim, "val")
        return ((p.argmax(dim=-1) == y) & real).sum(dim=1)

    fixed = torch.stack([correct(float(w)) for w in torch.linspace(0, 1, 11)])
    assert torch.equal(correct(None), fixed.max(dim=0).values)


@ENGINES
def test_new_clients_without_labels_predict_with_the_model_alone(engine: str) -> None:
    plan = NewClients(share=0.25, onboard_at=(2,), shots=("all",), steps=2)
    losses = []
    for sim in (made(engine, weight=1.0), made(engine, weight=0.0)):
        new = NewClientTraining(sim, federation_of((6, 7), seed=1), [5, 6])
        table = new.table(2, plan)
        losses.append({stage: part["loss"].to_list() for stage, part in table.groupby("stage")})
    ours, plain = losses
    assert ours["zero-shot"] == pytest.approx(plain["zero-shot"])
    assert ours["k-shot"] != pytest.approx(plain["k-shot"])
