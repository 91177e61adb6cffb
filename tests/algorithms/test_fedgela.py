"""FedGELA: its formulas, replayed in plain loops; the simplex; what scaling it does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from plain_torch import assert_rows, average, module_of
from small_federations import SGD, UNEVEN, arrays_of, federation_of, mlp_for, simulate
from torch import Tensor, nn

from pflbench import Federation
from pflbench.engine import Simulation
from pflbench.engine.batches import seeded_batches
from pflbench.errors import InputError
from pflbench_algorithms.fedbabu import FedBABU
from pflbench_algorithms.fedgela import FedGELA

CLIENT = "pflbench_algorithms.fedgela.client:FedGELAClient"
SERVER = "pflbench_algorithms.weighted_server:WeightedServer"
ENGINES = pytest.mark.parametrize("engine", ["stacked", "sequential"])


def of(parameters: FedGELA | None = None, rounds: int = 0, **options: Any) -> Simulation:
    sim = simulate(CLIENT, SERVER, parameters=parameters or FedGELA(), **options)
    for r in range(rounds):
        sim.round(r)
    return sim


def classifier(sim: Simulation, w: Tensor) -> Tensor:
    return sim.task.layout.unflatten(w)["layer_output.weight"]


def body_of(sim: Simulation, shared: Tensor) -> nn.Module:
    """The network up to its classifier, whose parameters are the first of a row."""
    module = module_of(sim, torch.cat([shared, torch.zeros_like(sim.task.initial[len(shared) :])]))
    return nn.Sequential(*list(module.children())[:-1])


def trained(sim: Simulation, shared: Tensor, frame: Tensor, client: int, r: int) -> Tensor:
    """One client's local training: outputs are products with its scaled frame."""
    x, y = sim.federation.train.client(client)
    shares = np.bincount(y.numpy(), minlength=3) / len(y)
    scaled = torch.from_numpy(3 * shares) * frame.T  # [D, C], columns scaled
    body = body_of(sim, shared)
    sgd = torch.optim.SGD(
        body.parameters(), lr=SGD.lr, momentum=SGD.momentum, weight_decay=SGD.weight_decay
    )
    draw = seeded_batches(sim.seed, "batches", sim.federation.train.sizes, sim.task.budget)
    for indices in draw(client, r):
        picked = torch.from_numpy(indices[indices >= 0])
        loss = nn.functional.cross_entropy(body(x[picked].double()) @ scaled, y[picked])
        sgd.zero_grad()
        loss.backward()
        sgd.step()
    return torch.nn.utils.parameters_to_vector(body.parameters()).detach()


@ENGINES
def test_rounds_follow_the_formulas(engine: str) -> None:
    sim = of(FedGELA(scale=3.0), engine=engine)
    frame = classifier(sim, sim.personal(sim.everyone)[0])
    shared = sim.server.state()["w"]
    for r, cohort in enumerate(([0, 1, 2], [0, 2, 4], [3, 0])):
        sim.round(r, torch.tensor(cohort))
        rows = [trained(sim, shared, frame, k, r) for k in cohort]
        shared = average(sim, cohort, rows)
        assert_rows(sim.server.state()["w"], shared, 1e-8)
        kept = sim.personal(sim.everyone)[cohort]
        assert_rows(sim.client.head.rest.take(kept), torch.stack(rows), 1e-8)


@pytest.mark.parametrize("hidden", [3, 7])
def test_the_classifier_is_a_simplex_that_stays_as_it_is(hidden: int) -> None:
    federation = federation_of(classes=4)
    sim = of(FedGELA(scale=2.0), 2, federation=federation, module=mlp_for(federation, hidden))
    served = {"model": sim.server.state()["w"]}
    W = classifier(sim, sim.client.generic({}, served))
    expected = torch.full((4, 4), -4 / 3, dtype=W.dtype).fill_diagonal_(4.0)
    torch.testing.assert_close(W @ W.T, expected)
    for w, (_, y) in zip(
        sim.personal(sim.everyone), map(federation.train.client, range(5)), strict=True
    ):
        phi = 4 * torch.bincount(y, minlength=4) / len(y)
        torch.testing.assert_close(classifier(sim, w), phi.to(W).unsqueeze(1) * W)
        assert not sim.task.layout.unflatten(w)["layer_output.bias"].any()


@ENGINES
def test_with_equal_classes_it_is_fedbabu_from_a_simplex(engine: str) -> None:
    arrays = arrays_of((6, 9, 3))
    for client in arrays:
        client["train_y"] = np.arange(len(client["train_y"])) % 3
    federation = Federation.from_arrays(arrays, 3)
    sim = of(federation=federation, engine=engine)
    module = mlp_for(federation)
    with torch.no_grad():
        module.get_submodule("layer_output").weight.copy_(sim.client.simplex)
        module.get_submodule("layer_output").bias.zero_()
    fedbabu = simulate(
        "pflbench_algorithms.fedbabu.client:FedBABUClient",
        SERVER,
        parameters=FedBABU(),
        federation=federation,
        module=module,
        engine=engine,
    )
    for r in range(3):
        sim.round(r)
        fedbabu.round(r)
    assert_rows(sim.server.state()["w"], fedbabu.server.state()["w"], 1e-6)  # a float32 classifier


def test_scaling_takes_the_space_of_the_classes_that_a_client_lacks() -> None:
    arrays = arrays_of((16, 16, 16), test=30)
    for k, client in enumerate(arrays):  # client k lacks class k
        kept = client["train_y"] != k
        client["train_x"], client["train_y"] = client["train_x"][kept], client["train_y"][kept]
    sim = of(FedGELA(scale=2.0), 10, federation=Federation.from_arrays(arrays, 3))
    everyones = sim.client.generic({}, {"model": sim.server.state()["w"]})
    lacking, right = torch.zeros(2), 0.0
    for k, own in enumerate(sim.personal(sim.everyone)):
        x, y = sim.federation.test.client(k)
        guesses = torch.stack(
            [sim.task.logits(w, x.double()).argmax(dim=1) for w in (own, everyones)]
        )
        lacking += (guesses[:, y != k] == k).sum(dim=1)
        right += float((guesses[1] == y).double().mean()) / 3
    assert lacking[0] == 0 < lacking[1]
    assert right > 0.8  # of all classes, which no client has


def test_it_refuses_networks_that_have_no_room_for_a_simplex() -> None:
    federation = federation_of(classes=4)
    with pytest.raises(InputError, match="at least 3 inputs of the head, got 2"):
        of(federation=federation, module=mlp_for(federation, hidden=2))
    with pytest.raises(InputError, match="one linear layer"):
        of(head="")


def test_engines_agree_on_normalising_networks() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Flatten(), nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3)
    )
    sims = [of(None, 2, module=module, head="4.", engine=e) for e in ("stacked", "sequential")]
    rows = [sim.personal(sim.everyone) for sim in sims]
    torch.testing.assert_close(*rows, rtol=1e-7, atol=1e-8)
    assert len(UNEVEN) == len(rows[0])
