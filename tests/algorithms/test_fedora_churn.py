"""FEDORA while clients come and go: how old uploads are, who is in the graph, what is forgotten."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from small_federations import UNEVEN, simulate
from torch import Tensor

from pflbench.engine import Simulation
from pflbench.engine.enrolment import enrolments
from pflbench.federation import Attendance
from pflbench_algorithms.fedora import Fedora
from pflbench_algorithms.fedora import server as fedora_server
from pflbench_algorithms.fedora.server import FedoraServer

N = len(UNEVEN)


def fedora(**options: object) -> Simulation:
    return simulate(
        "pflbench_algorithms.fedora.client:FedoraClient",
        "pflbench_algorithms.fedora.server:FedoraServer",
        parameters=Fedora(),
        **options,  # type: ignore[arg-type]
    )


def server_of(simulation: Simulation) -> FedoraServer:
    server = simulation.server
    assert isinstance(server, FedoraServer)
    return server


def whole(*clients: int) -> Tensor:
    return torch.tensor(clients, dtype=torch.int64)


def told(simulation: Simulation) -> list[dict[str, Tensor]]:
    return enrolments(simulation.client, simulation.local, torch.float64, mapped=False)


def graph(server: FedoraServer) -> Tensor:
    return server.S().to_dense()


def test_the_server_says_how_old_uploads_are() -> None:
    simulation = fedora()
    server = server_of(simulation)
    assert all(math.isnan(value) for value in server.telemetry(0).values())
    failing = Attendance.of(np.array([0, 4]))
    failing.uploads[1] = False
    ages = []
    for r, who in enumerate((whole(0, 1), whole(1), whole(), failing)):
        simulation.round(r, who)
        ages.append(tuple(server.telemetry(r).values()))
    assert [*server.telemetry(3)] == ["upload_age_mean", "upload_age_max"]
    # 0 and 1; then 1 alone; then nobody; then 0, as 4 fails
    assert ages == [(0, 0), (0.5, 1), (1.5, 2), (1, 2)]
    server.forget(whole(1))
    assert tuple(server.telemetry(3).values()) == (0, 0)


def test_an_upload_is_kept_until_the_next() -> None:
    simulation = fedora()
    for r in range(3):
        simulation.round(r)
    before = server_of(simulation).uploads.take(simulation.everyone)
    simulation.round(3, whole(1, 2))
    after = server_of(simulation).uploads.take(simulation.everyone)
    assert torch.equal(after[[0, 3, 4]], before[[0, 3, 4]])
    assert not torch.equal(after[[1, 2]], before[[1, 2]])


@pytest.mark.parametrize("dense", [fedora_server.DENSE_UP_TO, 0])
def test_who_is_forgotten_leaves_graph_and_uploads(
    dense: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fedora_server, "DENSE_UP_TO", dense)
    simulation = fedora()
    simulation.round(0)
    server = server_of(simulation)
    assert (graph(server)[:, 3] > 0).any()  # somebody listens to it
    assert server.forget(whole(3)) == ""
    S = graph(server)
    rest = [0, 1, 2, 4]
    assert (S[rest, 3] == 0).all()
    assert torch.equal(S[3], torch.eye(N, dtype=S.dtype)[3])
    torch.testing.assert_close(S.sum(dim=1), torch.ones(N, dtype=S.dtype))
    for rows in server.known.values():
        assert (rows[3] == 0).all()
    assert torch.equal(server.uploads.take(whole(3))[0], simulation.task.initial)
    # as a server to which it never came
    other = fedora()
    never = FedoraServer(other.server.parameters, other.server.setup)
    never.enrol(whole(*rest), [told(other)[i] for i in rest])
    never.aggregate(0, whole(*rest), {"model": server.uploads.take(whole(*rest))})
    torch.testing.assert_close(graph(never), S)
    served = [each.serve(whole(*rest))["model"] for each in (never, server)]
    torch.testing.assert_close(*served)


@pytest.mark.parametrize("order", [[[0, 1, 2, 3, 4]], [[0, 1], [2, 3, 4]], [[4], [3], [0, 1, 2]]])
def test_the_graph_is_of_those_who_have_enrolled(order: list[list[int]]) -> None:
    simulation = fedora()
    messages = told(simulation)
    server = FedoraServer(simulation.server.parameters, simulation.server.setup)
    there: list[int] = []
    for part in order:
        server.enrol(whole(*part), [messages[i] for i in part])
        there += part
        S = graph(server)
        for i in range(N):
            heard = S[i].nonzero().flatten().tolist()
            assert set(heard) <= (set(there) if i in there else {i})
            assert (i in heard) == (i not in there or len(there) == 1)
    torch.testing.assert_close(graph(server), graph(server_of(simulation)))


def test_everybody_may_leave() -> None:
    simulation = fedora()
    simulation.round(0)
    server = server_of(simulation)
    server.forget(simulation.everyone)
    rows = server.serve(simulation.everyone)["model"]
    assert torch.equal(rows, simulation.task.initial.expand(N, -1))


def test_a_server_that_goes_on_knows_ages_and_who_was_there() -> None:
    simulation, again = fedora(), fedora()
    simulation.round(0, whole(0, 1, 2))
    server_of(simulation).forget(whole(2))
    simulation.round(1, whole(0))
    again.restore(simulation.state())
    assert server_of(again).telemetry(1) == server_of(simulation).telemetry(1)
    assert torch.equal(server_of(again).enrolled, server_of(simulation).enrolled)
    late = [told(simulation)[2]]
    for server in (server_of(simulation), server_of(again)):
        server.enrol(whole(2), late)
    assert torch.equal(graph(server_of(again)), graph(server_of(simulation)))
