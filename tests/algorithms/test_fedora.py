"""FEDORA: its graph, its propagation, dense and iterated, and its selective regularisation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_torch import assert_rows
from small_federations import UNEVEN, arrays_of, federation_of, simulate
from torch import Tensor

from pflbench.engine import Simulation
from pflbench.engine.batches import seeded_batches
from pflbench.method import Layout, Setup
from pflbench_algorithms.fedora import Fedora
from pflbench_algorithms.fedora import server as fedora_server
from pflbench_algorithms.fedora.graph import neighbours
from pflbench_algorithms.fedora.server import FedoraServer
from pflbench_algorithms.fedora.similarities import Subspace

CLIENT = "pflbench_algorithms.fedora.client:FedoraClient"
SERVER = "pflbench_algorithms.fedora.server:FedoraServer"
ENGINES = pytest.mark.parametrize("engine", ["stacked", "sequential"])


def fedora(**options: object) -> Simulation:
    parameters = options.pop("parameters", Fedora())
    return simulate(CLIENT, SERVER, parameters=parameters, **options)  # type: ignore[arg-type]


def server_of(U: Tensor, P: int = 7, seed: int = 0, **parameters: float | int) -> FedoraServer:
    """A server to which everyone has uploaded a random model."""
    N = len(U)
    initial = torch.zeros(P, dtype=U.dtype)
    layout = Layout(("w",), ((P,),))
    server = FedoraServer(Fedora(**parameters), Setup(layout, initial, N, 2, 0))  # type: ignore[arg-type]
    server.enrol(torch.arange(N), [{"subspace": u} for u in U])
    g = torch.Generator().manual_seed(seed)
    W = torch.randn(N, P, generator=g, dtype=U.dtype)
    server.aggregate(0, torch.arange(N), {"model": W})
    return server


def directions(N: int, d: int, q: int = 1, seed: int = 0) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    return torch.linalg.qr(torch.randn(N, d, q, generator=g, dtype=torch.float64))[0]


def propagated(U: np.ndarray, W: np.ndarray, alpha: float, top_k: int, tau: float) -> np.ndarray:
    """ΠW with numpy, entry by entry from the paper's definitions."""
    N = len(U)
    S = np.zeros((N, N))
    for i in range(N):
        s = np.zeros(N)
        for j in range(N):
            if i != j:
                s[j] = np.exp(tau * np.linalg.svd(U[i].T @ U[j], compute_uv=False).sum())
        keep = np.argsort(-s)[: min(top_k, N - 1)]
        S[i, keep] = s[keep] / s[keep].sum()
    return (1 - alpha) * np.linalg.solve(np.eye(N) - alpha * S, W)


@given(
    N=st.integers(2, 9),
    q=st.integers(1, 3),
    alpha=st.floats(0, 0.95),
    top_k=st.integers(1, 12),
    tau=st.floats(0.1, 30),
    dense=st.booleans(),
)
@settings(max_examples=40)
def test_what_is_sent_is_what_the_paper_says(
    N: int, q: int, alpha: float, top_k: int, tau: float, dense: bool
) -> None:
    U = directions(N, 6, q)
    server = server_of(U, alpha=alpha, top_k=top_k, temperature=tau, subspace_dim=q)
    expected = propagated(U.numpy(), server.W.numpy(), alpha, top_k, tau)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fedora_server, "DENSE_UP_TO", N if dense else 0)
        got = server.send(1, torch.arange(N))["model"]
    np.testing.assert_allclose(got.numpy(), expected, rtol=0, atol=1e-9 if dense else 2e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("top_k", "alpha"), [(2, 0.8), (2, 0.95), (1, 0.8), (40, 0.8), (900, 0.5), (2, 0)]
)
def test_many_clients_iterate_to_what_the_dense_inverse_gives(
    monkeypatch: pytest.MonkeyPatch, top_k: int, alpha: float
) -> None:
    N = 600
    server = server_of(directions(N, 20), P=40, alpha=alpha, top_k=top_k)
    # Trained models share most of themselves: an error in Π's row sums shows.
    server.uploads.put(torch.arange(N), server.W + 3.0)
    some = torch.tensor([599, 0, 77, 78])
    everyone = torch.arange(N)
    iterated_all, iterated = server.serve(everyone)["model"], server.serve(some)["model"]
    monkeypatch.setattr(fedora_server, "DENSE_UP_TO", N)
    dense = server.serve(everyone)["model"]
    scale = float(server.W.abs().max())
    torch.testing.assert_close(iterated_all, dense, rtol=0, atol=1e-5 * scale)
    torch.testing.assert_close(iterated, dense[some], rtol=0, atol=1e-5 * scale)


def test_subspaces_of_more_dimensions_and_several_blocks_of_rows() -> None:
    N, q = 600, 3
    U = directions(N, 12, q)
    nearest, weights = neighbours(Subspace(q), {"basis": U.transpose(1, 2)}, N, 4, 10.0)
    for i in (0, 7, 299, 599):
        s = torch.linalg.svdvals(U[i].T @ U).sum(dim=1)
        s[i] = -torch.inf
        values, indices = s.topk(4)
        assert nearest[i].tolist() == indices.tolist()
        torch.testing.assert_close(weights[i], torch.softmax(10 * values, dim=0))
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(N, dtype=U.dtype))


@ENGINES
def test_the_first_round_sends_the_initial_model_and_lambda_is_one(engine: str) -> None:
    simulation = fedora(engine=engine, record=True)
    report = simulation.round(0)
    N = len(UNEVEN)
    assert_rows(report.received["model"], simulation.task.initial.expand(N, -1))
    assert_rows(report.context["lam"], torch.ones(N, dtype=torch.float64))


@ENGINES
@pytest.mark.parametrize("participation", [1.0, 0.6])
@pytest.mark.parametrize("alpha", [0.8, 0.0])
@pytest.mark.parametrize("dense", [True, False])
def test_rounds_follow_a_plain_recomputation(
    monkeypatch: pytest.MonkeyPatch, engine: str, participation: float, alpha: float, dense: bool
) -> None:
    """Everything anew: SVD and solve with numpy, local steps with autograd, client by client."""
    monkeypatch.setattr(fedora_server, "DENSE_UP_TO", 512 if dense else 0)
    parameters = Fedora(alpha=alpha)
    simulation = fedora(
        engine=engine, participation=participation, parameters=parameters, record=True
    )
    task, sgd, N = simulation.task, simulation.task.optimiser, len(UNEVEN)
    U = []
    for i in range(N):
        x, y = simulation.federation.train.client(i)
        onehot = np.eye(3)[y.numpy()]
        X = np.concatenate([x.flatten(1).numpy().astype(np.float64), onehot], axis=1)
        U.append(np.linalg.svd(X.T, full_matrices=False)[0][:, :1])
    W = np.tile(task.initial.numpy(), (N, 1))
    latest, started = W.copy(), False
    draw = seeded_batches(0, "batches", simulation.federation.train.sizes, task.budget)

    def loss(w: Tensor, split: str, i: int, picked: Tensor | None = None) -> Tensor:
        x, y = simulation.federation.split(split).client(i)  # type: ignore[arg-type]
        if picked is not None:
            x, y = x[picked], y[picked]
        tensors = dict(zip(task.layout.names, w.split(task.layout.sizes), strict=True))
        tensors = {
            n: t.view(s) for (n, t), s in zip(tensors.items(), task.layout.shapes, strict=True)
        }
        out = torch.func.functional_call(task.module, tensors, (x.double(),))
        return torch.nn.functional.cross_entropy(out, y)

    for r in range(4):
        report = simulation.round(r)
        R = latest
        if started:
            R = propagated(np.stack(U), latest, alpha, 2, 10.0)
        new = latest.copy()
        for k, i in enumerate(report.cohort.tolist()):
            w, received = torch.from_numpy(W[i]).clone(), torch.from_numpy(R[i])
            delta = float(loss(w, "val", i) - loss(received, "val", i))
            lam = np.exp(delta / 2) if delta >= 0 else 0.0
            assert report.context["lam"][k].item() == pytest.approx(lam, abs=1e-4)
            momentum = torch.zeros_like(w)
            for indices in draw(i, r):
                start = w.clone().requires_grad_()
                picked = torch.from_numpy(indices[indices >= 0])
                (g,) = torch.autograd.grad(loss(start, "train", i, picked), start)
                start = start.detach()
                momentum = sgd.momentum * momentum + g + sgd.weight_decay * start
                w = start - sgd.lr * momentum - sgd.lr * lam * (start - received)
            W[i] = w.numpy()
            new[i] = W[i]
        latest, started = new, True
        personal = simulation.personal(simulation.everyone).numpy()
        np.testing.assert_allclose(personal, W, rtol=0, atol=1e-9 if dense else 1e-4)


def test_a_client_that_is_alone_receives_its_own_model() -> None:
    """Nobody is similar to it: what propagates to it is its own, not a share of it."""
    simulation = fedora(federation=federation_of((6,)))
    simulation.round(0)
    own = simulation.personal(simulation.everyone)
    assert_rows(simulation.server.send(1, simulation.everyone)["model"], own)
    simulation.round(1)
    assert simulation.evaluate(2)[0].loss.notna().all()


def test_two_clients_propagate_to_each_other() -> None:
    simulation = fedora(federation=federation_of((6, 3)))
    simulation.round(0)
    w = simulation.personal(simulation.everyone)
    sent = simulation.server.send(1, simulation.everyone)["model"]
    alpha = 0.8
    own, other = (1 - alpha) / (1 - alpha**2), alpha * (1 - alpha) / (1 - alpha**2)
    assert_rows(sent, torch.stack([own * w[0] + other * w[1], other * w[0] + own * w[1]]))


@ENGINES
def test_subspaces_larger_than_a_client_has_samples(engine: str) -> None:
    simulation = fedora(engine=engine, parameters=Fedora(subspace_dim=4))  # one client has 1
    size = {(m.kind, m.round): m.bytes for m in simulation.traffic.table().itertuples()}
    assert size == {("subspace", -1): len(UNEVEN) * (6 + 3) * 4 * 8}
    for r in range(2):
        simulation.round(r)
    received = simulation.server.serve(simulation.everyone)["model"]
    assert received.isfinite().all()
    assert simulation.evaluate(2)[0].loss.between(0, 10).all()


def test_every_row_of_the_propagation_sums_to_one() -> None:
    for q in (1, 4):
        simulation = fedora(parameters=Fedora(subspace_dim=q, top_k=50))
        Pi = simulation.server.propagation()  # type: ignore[attr-defined]
        assert_rows(Pi.sum(dim=1), torch.ones(len(UNEVEN), dtype=torch.float64))
        assert (Pi >= 0).all()


def test_similar_data_make_neighbours() -> None:
    """Clients 0 and 1 share their data's direction, and so do 2 and 3."""
    clients = arrays_of((8, 8, 8, 8), seed=3)
    for i in (1, 3):
        for name in clients[i]:
            noise = np.random.default_rng(i).normal(scale=0.01, size=clients[i - 1][name].shape)
            same = clients[i - 1][name]
            clients[i][name] = same if name.endswith("y") else (same + noise).astype(np.float32)
    from pflbench import Federation

    simulation = fedora(federation=Federation.from_arrays(clients, 3), parameters=Fedora(top_k=1))
    assert simulation.server.state()["nearest"].flatten().tolist() == [1, 0, 3, 2]


def test_absent_clients_keep_their_model_and_their_last_upload() -> None:
    simulation = fedora()
    simulation.round(0)
    before = simulation.personal(simulation.everyone).clone()
    simulation.round(1, torch.tensor([1, 3]))
    after = simulation.personal(simulation.everyone)
    moved = (after != before).any(dim=1)
    assert moved.tolist() == [False, True, False, True, False]
    assert_rows(simulation.server.state()["W"], after)
