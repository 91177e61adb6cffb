"""pFedHN and pFedHN-PC against plain PyTorch."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from plain_torch import assert_rows, module_of, row_of, train
from small_federations import UNEVEN, simulate
from torch import Tensor, nn

from pflbench.engine import Simulation
from pflbench.engine.batches import seeded_batches
from pflbench.federation import Attendance
from pflbench.method import LocalBudget
from pflbench_algorithms.pfedhn import PFedHN, PFedHNPC

ENGINES = pytest.mark.parametrize("engine", ["stacked", "sequential"])
SMALL = {"hidden": 6, "n_hidden": 2, "lr": 0.05}
HALVES = "pflbench_algorithms.pfedhn.{}:PFedHN{}"


def pfedhn(variant: str = "", parameters: PFedHN | None = None, **options: object) -> Simulation:
    kind = PFedHNPC if variant else PFedHN
    return simulate(
        HALVES.format("client", f"{variant}Client"),
        HALVES.format("server", f"{variant}Server"),
        parameters=kind(**SMALL) if parameters is None else parameters,
        **{"budget": LocalBudget(4, steps=3), **options},  # type: ignore[arg-type]
    )


class PlainServer:
    """The hypernetwork's training, written with torch.optim and Tensor.backward."""

    def __init__(self, simulation: Simulation, parameters: PFedHN) -> None:
        self.h = copy.deepcopy(simulation.server.network)  # type: ignore[attr-defined]
        self.clip = parameters.clip_norm
        other = [p for n, p in self.h.named_parameters() if not n.startswith("embeddings")]
        lr = parameters.lr if parameters.embedding_lr is None else parameters.embedding_lr
        self.optimiser = torch.optim.SGD(
            [{"params": other}, {"params": self.h.embeddings.parameters(), "lr": lr}],
            lr=parameters.lr,
            momentum=parameters.momentum,
            weight_decay=parameters.weight_decay,
        )

    def rows(self, clients: list[int]) -> Tensor:
        rows: Tensor = self.h(torch.tensor(clients))
        return rows

    def learn(self, clients: list[int], deltas: list[Tensor]) -> None:
        self.optimiser.zero_grad()
        (self.rows(clients) * torch.stack(deltas)).sum().backward()
        torch.nn.utils.clip_grad_norm_(self.h.parameters(), self.clip)
        self.optimiser.step()


@ENGINES
@pytest.mark.parametrize("participation", [1.0, 0.6, 0.2])
@pytest.mark.parametrize(
    "more", [{}, {"embedding_lr": 0.2, "clip_norm": 0.05, "weight_decay": 0.0}], ids=["", "tight"]
)
def test_pfedhn(engine: str, participation: float, more: dict[str, float]) -> None:
    parameters = PFedHN(**{**SMALL, **more})  # type: ignore[arg-type]
    simulation = pfedhn(parameters=parameters, engine=engine, participation=participation)
    plain = PlainServer(simulation, parameters)
    everyone = list(range(len(UNEVEN)))
    for r in range(4):
        cohort = simulation.round(r).cohort.tolist()
        with torch.no_grad():
            sent = plain.rows(cohort)
        trained = [
            train(simulation, w, i, r, clip=parameters.clip_norm)
            for i, w in zip(cohort, sent, strict=True)
        ]
        plain.learn(cohort, [w - t for w, t in zip(sent, trained, strict=True)])
        assert_rows(simulation.personal(simulation.everyone), plain.rows(everyone).detach(), 1e-6)


@ENGINES
def test_who_fails_has_changed_nothing(engine: str) -> None:
    """Its row is part of the round, with a change of zero."""
    parameters = PFedHN(**SMALL)  # type: ignore[arg-type]
    simulation = pfedhn(parameters=parameters, engine=engine)
    plain = PlainServer(simulation, parameters)
    everyone = list(range(len(UNEVEN)))
    for r, failing in enumerate(([1], [0, 4], everyone, [2, 3])):
        who = Attendance.of(np.array([4, 0, 1, 2, 3] if r == 1 else everyone))
        who.uploads[np.isin(who.invited, failing)] = False
        with torch.no_grad():
            sent = plain.rows(who.invited.tolist())
        simulation.round(r, who)
        deltas = [
            torch.zeros_like(w)
            if i in failing
            else w - train(simulation, w, i, r, clip=parameters.clip_norm)
            for i, w in zip(who.invited.tolist(), sent, strict=True)
        ]
        if failing != everyone:
            plain.learn(who.invited.tolist(), deltas)
        assert_rows(simulation.personal(simulation.everyone), plain.rows(everyone).detach(), 1e-6)


@pytest.mark.parametrize("spectral_norm", [False, True])
def test_a_forgotten_client_has_its_first_embedding(spectral_norm: bool) -> None:
    parameters = PFedHN(**SMALL, spectral_norm=spectral_norm)  # type: ignore[arg-type]
    simulation, fresh = pfedhn(parameters=parameters), pfedhn(parameters=parameters)
    first = fresh.server.network.embeddings.weight  # type: ignore[attr-defined]
    for r in range(2):
        simulation.round(r)
    server = simulation.server
    trained = server.network.embeddings.weight.detach().clone()  # type: ignore[attr-defined]
    assert (trained != first).any(dim=1).all()
    torch.manual_seed(5)
    drawn = torch.get_rng_state()
    assert server.forget(torch.tensor([1, 3])) == "what the hypernetwork learnt from them"
    assert torch.equal(torch.get_rng_state(), drawn)
    now = server.network.embeddings.weight  # type: ignore[attr-defined]
    assert torch.equal(now[[1, 3]], first[[1, 3]])
    assert torch.equal(now[[0, 2, 4]], trained[[0, 2, 4]])
    (momentum,) = [
        value
        for value in server.state().values()
        if value.shape == now.shape and value is not now and not torch.equal(value, now)
    ]
    assert (momentum[[1, 3]] == 0).all()
    assert (momentum[[0, 2, 4]] != 0).any()
    simulation.round(2, torch.tensor([0, 2, 4]))


@ENGINES
@pytest.mark.parametrize("participation", [1.0, 0.4])
def test_pfedhn_pc_keeps_its_classifier_and_that_ones_momentum(
    engine: str, participation: float
) -> None:
    parameters = PFedHNPC(**{**SMALL, "clip_norm": 0.3})  # type: ignore[arg-type]
    simulation = pfedhn("PC", parameters, engine=engine, participation=participation)
    plain, sgd = PlainServer(simulation, parameters), simulation.task.optimiser
    is_head = [n.startswith("layer_output.") for n, _ in simulation.task.module.named_parameters()]
    sizes = simulation.task.layout.sizes
    body_size = sum(s for s, h in zip(sizes, is_head, strict=True) if not h)
    assert is_head == sorted(is_head)  # this network's classifier comes last
    heads = [simulation.task.initial[body_size:].clone() for _ in UNEVEN]
    momenta: list[list[Tensor] | None] = [None for _ in UNEVEN]
    draw = seeded_batches(0, "batches", simulation.federation.train.sizes, simulation.task.budget)
    for r in range(4):
        cohort = simulation.round(r).cohort.tolist()
        with torch.no_grad():
            bodies = plain.rows(cohort)
        deltas = []
        for i, body in zip(cohort, bodies, strict=True):
            module = module_of(simulation, torch.cat([body, heads[i]]))
            named = list(zip(module.parameters(), is_head, strict=True))
            inner = torch.optim.SGD(
                [p for p, h in named if not h],
                lr=sgd.lr,
                momentum=sgd.momentum,
                weight_decay=sgd.weight_decay,
            )
            own = [p for p, h in named if h]
            outer = torch.optim.SGD(
                own, lr=sgd.lr, momentum=sgd.momentum, weight_decay=sgd.weight_decay
            )
            for p, buffer in zip(own, momenta[i] or [], strict=False):
                outer.state[p]["momentum_buffer"] = buffer
            x, y = simulation.federation.train.client(i)
            for indices in draw(i, r):
                picked = torch.from_numpy(indices[indices >= 0])
                module.zero_grad()
                nn.functional.cross_entropy(module(x[picked].double()), y[picked]).backward()
                torch.nn.utils.clip_grad_norm_([p for p, h in named if not h], 0.3)
                inner.step()
                outer.step()
            momenta[i] = [outer.state[p]["momentum_buffer"] for p in own]
            row = row_of(module)
            heads[i] = row[body_size:]
            deltas.append(body - row[:body_size])
        plain.learn(cohort, deltas)
        bodies_now = plain.rows(list(range(len(UNEVEN)))).detach()
        expected = torch.cat([bodies_now, torch.stack(heads)], dim=1)
        assert_rows(simulation.personal(simulation.everyone), expected, 1e-6)
    up = simulation.traffic.table().query("direction == 'up'")
    assert (up.bytes == up.messages * body_size * 8).all()


@pytest.mark.parametrize("variant", ["", "PC"])
def test_the_order_of_a_cohort_decides_nothing(variant: str) -> None:
    a, b = pfedhn(variant), pfedhn(variant)
    for r, cohort in enumerate(([3, 0, 4], [1, 2], [4, 1, 0])):
        a.round(r, torch.tensor(sorted(cohort)))
        b.round(r, torch.tensor(cohort))
    assert_rows(b.personal(b.everyone), a.personal(a.everyone))


def test_a_head_in_the_middle_of_the_columns_is_told_apart() -> None:
    class TwoParts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.classifier = nn.Linear(4, 3)  # its columns come first
            self.body = nn.Linear(6, 4)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.classifier(self.body(x.flatten(1)).relu())
            return out

    simulation = pfedhn("PC", module=TwoParts(), head="classifier.")
    head = 4 * 3 + 3
    W = simulation.personal(simulation.everyone)
    assert_rows(W[:, :head], simulation.task.initial[:head].expand(len(UNEVEN), -1))
    bodies = simulation.server.serve(simulation.everyone)["model"]
    assert_rows(W[:, head:], bodies)
    simulation.round(0)
    assert simulation.states["head"].shape == (len(UNEVEN), head)


@pytest.mark.parametrize("spectral_norm", [False, True])
def test_serving_changes_nothing(spectral_norm: bool) -> None:
    parameters = PFedHN(**SMALL, spectral_norm=spectral_norm)  # type: ignore[arg-type]
    a, b = pfedhn(parameters=parameters), pfedhn(parameters=parameters)
    for r in range(3):
        a.round(r)
        b.round(r)
        b.evaluate(r + 1)
        b.evaluate(r + 1)
    for name, value in a.state().items():
        assert torch.equal(b.state()[name], value), name


def test_embedding_sizes() -> None:
    assert pfedhn().server.network.embeddings.weight.shape == (5, 2)  # type: ignore[attr-defined]
    own = pfedhn(parameters=PFedHN(**SMALL, embedding_dim=7))  # type: ignore[arg-type]
    assert own.server.network.embeddings.weight.shape == (5, 7)  # type: ignore[attr-defined]
