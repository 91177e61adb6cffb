"""New clients: what they see, where they begin, how they train, and that nothing of it stays."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from small_federations import SGD, federation_of, mlp_for
from torch import Tensor

from pflbench import Federation
from pflbench.engine import Simulation
from pflbench.engine.batches import draw_batches
from pflbench.engine.new_client_training import NewClientTraining
from pflbench.errors import DivergedError
from pflbench.federation import Shards
from pflbench.method import LocalBudget
from pflbench.schema import plugins
from pflbench.schema.new_clients import ALL, NOTHING, NewClients, labelled
from pflbench.schema.privacy import Gaussian
from pflbench.streams import stream

METHODS = ("local", "local-plus", "fedavg", "fedavg-ft", "fedprox", "fedora", "pfedhn", "pfedhn-pc")
SIZES = (9, 12, 20, 8, 14, 11)
HELD, THERE = np.array([2, 4]), np.array([0, 1, 3, 5])
STEPS = 7


def made(
    method: str, federation: Federation | None = None, rounds: int = 2, **options: Any
) -> tuple[Simulation, NewClientTraining]:
    """A method's simulation after some rounds, and two clients that were held out."""
    federation = federation or federation_of(SIZES)
    registry = plugins.installed()
    spec = registry.get(registry.algorithms, method)
    sim = Simulation(
        spec,
        spec.parameters(),
        federation.only(THERE),
        mlp_for(federation, seed=3),
        "layer_output.",
        seed=3,
        optimiser=SGD,
        budget=LocalBudget(4, epochs=2),
        **{"dtype": torch.float64, **options},
    )
    sim.enrol()
    for r in range(rounds):
        sim.round(r)
    return sim, NewClientTraining(sim, federation.only(HELD), HELD.tolist())


def joined(new_clients: NewClientTraining, shots: str) -> Tensor:
    return new_clients.join([0, 1], shots, STEPS, 2).models


def loss_on_labels(federation: Federation, models: Tensor, sim: Simulation) -> float:
    """Mean loss of new clients' models on their own training samples."""
    losses = []
    for k, client in enumerate(HELD):
        x, y = federation.train.client(int(client))
        losses.append(F.cross_entropy(sim.task.logits(models[k], x.double()), y))
    return float(torch.stack(losses).mean())


@pytest.mark.mostly_slow("[fedora]", "[pfedhn]")
@pytest.mark.parametrize("method", METHODS)
def test_nothing_of_new_clients_stays(method: str) -> None:
    visited, new_clients = made(method, rounds=0)
    alone, _ = made(method, rounds=0)
    for r in range(3):
        visited.round(r)
        alone.round(r)
        for shots in (NOTHING, "1", ALL):
            new_clients.join([0, 1], shots, STEPS, r + 1)
    for name, value in alone.state().items():
        assert torch.equal(visited.state()[name], value), name
    everyone = alone.everyone
    assert torch.equal(visited.personal(everyone), alone.personal(everyone))
    assert visited.traffic.table().equals(alone.traffic.table())


@pytest.mark.mostly_slow("[fedora]", "[local]")
@pytest.mark.parametrize("method", METHODS)
def test_new_clients_learn_from_labels_within_their_budget(method: str) -> None:
    federation = federation_of(SIZES)
    sim, new_clients = made(method, federation, rounds=20)
    cold = new_clients.join([0, 1], NOTHING, 60, 20)
    assert cold.steps.tolist() == [0, 0]
    assert cold.labels.tolist() == [0, 0]
    few = new_clients.join([0, 1], "1", 60, 20)
    assert few.labels.tolist() == [len(np.unique(federation.train.client(int(c))[1])) for c in HELD]
    warm = new_clients.join([0, 1], ALL, 60, 20)
    assert warm.labels.tolist() == [20, 14]
    assert warm.steps.tolist() == [60, 60]
    begun, ended = (loss_on_labels(federation, j.models, sim) for j in (cold, warm))
    assert ended < begun


def test_the_default_is_the_global_model_and_then_plain_local_training() -> None:
    federation = federation_of(SIZES)
    sim, new_clients = made("fedavg", federation)
    w0 = sim.server.w
    cold = new_clients.join([0, 1], NOTHING, STEPS, 2)
    assert torch.equal(cold.models, w0.expand(2, -1))
    assert cold.bytes_down.tolist() == [w0.nbytes] * 2
    assert cold.bytes_up.tolist() == [0, 0]
    few = new_clients.join([0, 1], "2", STEPS, 2)
    assert few.bytes_down.tolist() == [w0.nbytes] * 2
    assert few.bytes_up.tolist() == [8, 8]  # what FedAvg enrols with: a count
    for k, client in enumerate(HELD):
        x, y = federation.train.client(int(client))
        index = torch.from_numpy(labelled(y.numpy(), "2", 3, int(client)))
        x, y = x[index].double(), y[index]
        rng = stream(3, "onboarding 2", int(client))
        w = w0.clone().requires_grad_()
        rule = torch.optim.SGD([w], lr=SGD.lr, momentum=SGD.momentum, weight_decay=SGD.weight_decay)
        for picked in draw_batches(rng, len(y), LocalBudget(4, steps=STEPS)):
            rule.zero_grad()
            F.cross_entropy(sim.task.logits(w, x[picked]), y[picked]).backward()  # type: ignore[no-untyped-call]
            rule.step()
        torch.testing.assert_close(few.models[k], w.detach())


def test_local_new_clients_begin_with_the_initial_model() -> None:
    sim, new_clients = made("local")
    assert torch.equal(joined(new_clients, NOTHING), sim.task.initial.expand(2, -1))
    assert new_clients.join([0], ALL, STEPS, 2).bytes_down.tolist() == [0]


@pytest.mark.parametrize("shots", [NOTHING, ALL])
def test_fedora_serves_new_clients_what_similar_clients_receive(shots: str) -> None:
    federation = federation_of(SIZES)
    sim, new_clients = made("fedora", federation)
    server = sim.server
    U = torch.stack([direction(federation, int(c), labels=True) for c in THERE])
    received = server.propagation() @ server.W
    served: list[Tensor] = []
    onboard = server.onboard

    def watched(joining: Any) -> Any:
        rows = onboard(joining)
        served.append(rows["model"].clone())
        return rows

    vars(server)["onboard"] = watched
    models = new_clients.join([0, 1], shots, STEPS, 2).models
    for k, client in enumerate(HELD):
        u = direction(federation, int(client), labels=shots == ALL)
        similarity = (U[:, : len(u)] @ u).abs()
        nearest = similarity.topk(2)
        weights = torch.softmax(10.0 * nearest.values, dim=0)
        torch.testing.assert_close(served[0][k], weights @ received[nearest.indices])
    if shots == NOTHING:
        assert torch.equal(models, served[0])


def direction(federation: Federation, client: int, *, labels: bool) -> Tensor:
    """The first singular vector of a client's samples, with or without one-hot labels."""
    x, y = federation.train.client(client)
    X = x.flatten(start_dim=1).double()
    if labels:
        X = torch.cat([X, F.one_hot(y, 3).double()], dim=1)
    return torch.linalg.svd(X.T).U[:, 0]


def test_pfedhn_fits_an_embedding_and_nothing_else() -> None:
    sim, new_clients = made("pfedhn")
    network = sim.server.network
    mean = network.embeddings.weight.detach().mean(dim=0, keepdim=True)
    with torch.no_grad():
        row = network.rows(mean)
    torch.testing.assert_close(joined(new_clients, NOTHING), row.expand(2, -1))
    size = row[0].nbytes
    told = new_clients.join([0, 1], ALL, 25, 2)
    assert told.steps.tolist() == [25, 25]
    # Nine exchanges of three steps at most, and the model in the end.
    assert told.bytes_up.tolist() == [9 * size] * 2
    assert told.bytes_down.tolist() == [10 * size] * 2


def test_pfedhn_pc_trains_a_classifier_along() -> None:
    sim, new_clients = made("pfedhn-pc")
    head = sim.task.layout.head_columns()
    cold, warm = joined(new_clients, NOTHING), joined(new_clients, ALL)
    assert torch.equal(cold[:, head], sim.task.initial[head].expand(2, -1))
    assert not torch.equal(warm[:, head], cold[:, head])


def changed(federation: Federation, split: str, client: int, kept: np.ndarray | None) -> Federation:
    """The federation with other inputs for a client, but for some samples."""
    shards = federation.train if split == "train" else federation.val
    x = shards.x.clone()
    own = np.arange(shards.offsets[client], shards.offsets[client + 1])
    other = own if kept is None else np.delete(own, kept)
    x[other] = x[other].flip(0) * 3 + 1
    return replace(federation, **{split: Shards(x, shards.y, shards.offsets)})


@pytest.mark.mostly_slow("[fedora]")
@pytest.mark.parametrize("method", ["fedavg", "fedora", "pfedhn"])
def test_with_few_labels_no_other_sample_is_seen(method: str) -> None:
    federation = federation_of(SIZES)
    _, new_clients = made(method, federation)
    y = federation.train.client(2)[1].numpy()
    kept = labelled(y, "2", 3, 2)
    assert 0 < len(kept) < len(y)
    for other in (changed(federation, "train", 2, kept), changed(federation, "val", 2, None)):
        _, elsewhere = made(method, other)
        assert torch.equal(joined(elsewhere, "2"), joined(new_clients, "2"))
    _, elsewhere = made(method, changed(federation, "train", 2, kept))
    assert not torch.equal(joined(elsewhere, ALL), joined(new_clients, ALL))


@pytest.mark.parametrize("method", ["fedavg", "fedora"])
def test_without_labels_none_is_seen(method: str) -> None:
    federation = federation_of(SIZES)
    turned = replace(
        federation,
        train=Shards(federation.train.x, federation.train.y.clone(), federation.train.offsets),
    )
    begin, end = federation.train.offsets[2:4]
    turned.train.y[begin:end] = (turned.train.y[begin:end] + 1) % 3
    models = [joined(made(method, data)[1], NOTHING) for data in (federation, turned)]
    assert torch.equal(*models)
    assert not torch.equal(*(joined(made(method, data)[1], ALL) for data in (federation, turned)))


def test_samples_with_fewer_labels_are_a_part_of_those_with_more() -> None:
    y = np.array([0, 0, 0, 0, 1, 1, 2, 0, 0, 1])
    found = [labelled(y, shots, 0, 5) for shots in ("1", "2", "5", ALL)]
    for fewer, more in itertools.pairwise(found):
        assert set(fewer) < set(more)
    counts = [np.bincount(y[index], minlength=3).tolist() for index in found]
    assert counts == [[1, 1, 1], [2, 2, 1], [5, 3, 1], [6, 3, 1]]
    assert not np.array_equal(labelled(y, "1", 0, 5), labelled(y, "1", 1, 5))


@pytest.mark.parametrize("method", ["fedora", "pfedhn"])
def test_what_new_clients_upload_is_protected_each_by_itself(method: str) -> None:
    _, open_ = made(method)
    _, new_clients = made(method, privacy=Gaussian(clip=1.0, noise=0.5))
    protected = joined(new_clients, ALL)
    assert not torch.allclose(protected, joined(open_, ALL))
    assert torch.equal(joined(new_clients, ALL), protected)
    for k in range(2):
        alone = new_clients.join([k], ALL, STEPS, 2).models[0]
        torch.testing.assert_close(alone, protected[k])


def test_a_new_client_that_diverges_is_named() -> None:
    federation = federation_of(SIZES)
    train = federation.train
    huge = replace(federation, train=Shards(train.x * 1e30, train.y, train.offsets))
    sim, _ = made("fedavg", federation, dtype=torch.float32)
    new_clients = NewClientTraining(sim, huge.only(HELD), HELD.tolist())
    with pytest.raises(DivergedError, match=r"client \d, a new client, .* after round 2") as caught:
        new_clients.table(2, NewClients(0.3, (2,), (ALL,), STEPS))
    assert caught.value.client in HELD.tolist()


def test_a_server_may_not_spend_more_than_the_budget() -> None:
    sim, new_clients = made("fedavg")
    w = sim.server.w

    def greedy(joining: Any) -> Any:
        rows = {"model": w.expand(joining.count, -1)}
        joining.train(rows, joining.steps_left + 1)
        return rows

    vars(sim.server)["onboard"] = greedy
    with pytest.raises(ValueError, match="7 steps left, not 8"):
        joined(new_clients, ALL)
    with pytest.raises(ValueError, match="0 steps left, not 1"):
        joined(new_clients, NOTHING)
