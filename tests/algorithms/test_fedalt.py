"""FedAlt and FedSim: their formulas, replayed in plain loops, and what personal layers do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from plain_torch import assert_rows, module_of, row_of
from small_federations import SGD, UNEVEN, arrays_of, simulate
from torch import Tensor, nn

from pflbench import Federation
from pflbench.engine import Simulation
from pflbench.engine.batches import seeded_batches
from pflbench.engine.optimisers import Adam
from pflbench.errors import InputError
from pflbench.method import LocalBudget
from pflbench_algorithms.fedalt import FedAlt, FedSim
from pflbench_algorithms.fedbn import FedBN
from pflbench_algorithms.fedper import FedPer
from pflbench_algorithms.fedrep import FedRep

HALVES = "pflbench_algorithms.fedalt.client"
SERVER = "pflbench_algorithms.weighted_server:WeightedServer"
ENGINES = pytest.mark.parametrize("engine", ["stacked", "sequential"])


def of(parameters: FedSim, rounds: int = 0, **options: Any) -> Simulation:
    half = "FedAltClient" if isinstance(parameters, FedAlt) else "FedSimClient"
    sim = simulate(f"{HALVES}:{half}", SERVER, parameters=parameters, **options)
    for r in range(rounds):
        sim.round(r)
    return sim


def other(method: str, client: str, parameters: Any, rounds: int, **options: Any) -> Simulation:
    half = f"pflbench_algorithms.{method}.client:{client}"
    sim = simulate(half, SERVER, parameters=parameters, **options)
    for r in range(rounds):
        sim.round(r)
    return sim


def rows(sim: Simulation) -> Tensor:
    return sim.personal(sim.everyone)


def normalising() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3)
    )


LAYERS = {"output": ["layer_output"], "layer_input+layer_output": ["layer_input", "layer_output"]}


def epochs_of(sim: Simulation, module: nn.Module, k: int, r: int, groups: Any, role: str) -> None:
    """Train some parameters on the batches of one stream: torch.optim.SGD with groups."""
    sgd = torch.optim.SGD(groups, momentum=SGD.momentum, weight_decay=SGD.weight_decay)
    budget = sim.task.budget
    if role == "batches personal":
        assert isinstance(sim.client.parameters, FedAlt)
        budget = LocalBudget(budget.batch_size, epochs=sim.client.parameters.personal_epochs)
    x, y = sim.federation.train.client(k)
    for indices in seeded_batches(sim.seed, role, sim.federation.train.sizes, budget)(k, r):
        picked = torch.from_numpy(indices[indices >= 0])
        module.zero_grad()
        nn.functional.cross_entropy(module(x[picked].to(torch.float64)), y[picked]).backward()
        sgd.step()


@pytest.mark.parametrize(
    ("engine", "personal", "alternating"),
    [
        ("stacked", "output", True),
        ("stacked", "layer_input+layer_output", False),
        ("sequential", "layer_input+layer_output", True),
        ("sequential", "output", False),
    ],
)
def test_rounds_follow_the_formulas(engine: str, personal: str, alternating: bool) -> None:
    rate, weighting = 0.5, "uniform" if alternating else "samples"
    parameters = (
        FedAlt(personal, rate, weighting, 3) if alternating else FedSim(personal, rate, weighting)
    )
    sim = of(parameters, engine=engine)
    layers = [name for name, _ in module_of(sim, sim.task.initial).named_parameters()]
    own = [name.rpartition(".")[0] in LAYERS[personal] for name in layers]
    sizes = [p.numel() for p in sim.task.module.parameters()]
    v = torch.cat([torch.full((n,), mine) for n, mine in zip(sizes, own, strict=True)])
    u, V = sim.task.initial, sim.task.initial.expand(len(UNEVEN), -1).clone()
    for r, cohort in enumerate(([0, 1, 2], [0, 2, 4], [1, 3])):
        sim.round(r, torch.tensor(cohort))
        trained = {}
        for k in cohort:
            module = module_of(sim, torch.where(v, V[k], u))
            both = [[], []]
            for p, mine in zip(module.parameters(), own, strict=True):
                both[mine].append(p)
            shared, mine = (
                {"params": p, "lr": lr} for p, lr in zip(both, (0.05, 0.025), strict=True)
            )
            if alternating:
                epochs_of(sim, module, k, r, [mine], "batches personal")
                epochs_of(sim, module, k, r, [shared], "batches shared")
            else:
                epochs_of(sim, module, k, r, [shared, mine], "batches")
            trained[k] = V[k] = row_of(module)
        weights = [1 if alternating else UNEVEN[k] for k in cohort]
        u = sum(n * trained[k] for n, k in zip(weights, cohort, strict=True)) / sum(weights)
        assert_rows(rows(sim), torch.where(v, V, u), 1e-8)


@ENGINES
def test_fedsim_of_the_output_layer_is_fedper(engine: str) -> None:
    plain = other("fedper", "FedPerClient", FedPer(weighting="uniform"), 3, engine=engine)
    assert_rows(rows(of(FedSim(), 3, engine=engine)), rows(plain), 1e-12)


@pytest.mark.slow
def test_fedsim_of_normalisation_is_fedbn() -> None:
    options: dict[str, Any] = {"module": normalising(), "head": "4."}
    plain = other("fedbn", "FedBNClient", FedBN(), 3, **options)
    assert torch.equal(rows(of(FedSim("norm"), 3, **options)), rows(plain))


def test_fedalt_of_the_output_layer_is_fedrep_on_the_same_batches() -> None:
    budget = LocalBudget(4, epochs=2)
    streams = [seeded_batches(7, role, np.array(UNEVEN), budget) for role in ("one", "other")]
    ours = of(FedAlt(), 3, batches=dict(zip(("personal", "shared"), streams, strict=True)))
    named = dict(zip(("head", "body"), streams, strict=True))
    plain = other("fedrep", "FedRepClient", FedRep(head_epochs=2), 3, batches=named)
    assert torch.equal(rows(ours), rows(plain))


def opposed() -> Federation:
    """Clients 0 and 1 call the classes one way, clients 2 and 3 the other way round."""
    clients = arrays_of((40, 40, 40, 40))
    for client in clients[2:]:
        for split in ("train", "val", "test"):
            client[f"{split}_y"] = 2 - client[f"{split}_y"]
    return Federation.from_arrays(clients, 3)


@pytest.mark.parametrize("parameters", [FedAlt(), FedSim()], ids=["fedalt", "fedsim"])
def test_an_output_layer_of_its_own_fits_labels_that_others_call_differently(
    parameters: FedSim,
) -> None:
    def right(sim: Simulation) -> float:
        table = sim.evaluate(6)[0]
        return float(table["correct"].sum() / table["samples"].sum())

    plain = simulate(federation=opposed())
    for r in range(6):
        plain.round(r)
    assert right(of(parameters, 6, federation=opposed())) > right(plain) + 0.2


def test_alternation_trains_shared_layers_at_the_new_personal_ones() -> None:
    """However long u trains, v of a round is the same; u is not when v trains longer."""
    v = [
        of(FedAlt(personal_epochs=2), 1, budget=LocalBudget(4, steps=n)).states["private"]
        for n in (1, 4)
    ]
    assert torch.equal(*v)
    u = [of(FedAlt(personal_epochs=n), 1).server.state()["w"] for n in (1, 4)]
    assert not torch.allclose(*u)


@pytest.mark.parametrize(
    ("personal", "words"),
    [
        ("ouput", "Did you mean 'output'"),
        ("layer_input+layer_hidden+layer_outputs", "layer_outputs"),
        ("norm", "leaves no layer to the client"),
        ("layer_input+layer_hidden+layer_output", "leaves no other layer"),
    ],
)
def test_a_part_that_is_none_is_refused(personal: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        of(FedSim(personal))


@pytest.mark.mostly_slow("FedSim-adam")
@pytest.mark.parametrize("case", ["adam", "norm"])
@pytest.mark.parametrize("kind", [FedAlt, FedSim])
def test_engines_agree(kind: type[FedSim], case: str) -> None:
    parameters = kind("norm" if case == "norm" else "input", 0.3)
    options: dict[str, Any] = {"optimiser": Adam(0.01)}
    if case == "norm":
        options = {"module": normalising(), "head": "4."}
    sims = [of(parameters, 3, engine=e, **options) for e in ("stacked", "sequential")]
    torch.testing.assert_close(*map(rows, sims), rtol=1e-7, atol=1e-8)
