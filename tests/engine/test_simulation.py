"""A simulation: reproducible, without side effects, and able to go on where it was left."""

from __future__ import annotations

import hashlib
import random

import numpy as np
import pytest
import torch
from small_federations import UNEVEN, federation_of, mlp_for, simulate
from torch import nn

from pflbench.engine import Simulation, choose_device, choose_engine
from pflbench.engine.initial import build_network, own_weights
from pflbench.errors import DivergedError, InputError, UnknownNameError
from pflbench.method import Layout, Sgd
from pflbench.models import LeNet, Mlp
from pflbench.models.networks import build_lenet, build_mlp
from pflbench_algorithms.fedora import Fedora
from pflbench_algorithms.pfedhn import PFedHN, PFedHNPC

METHODS = {
    "fedavg": ("pflbench.method:Client", "pflbench.method:AveragingServer", None),
    "keeps-state": ("small_methods:KeepsState", "pflbench.method:AveragingServer", None),
    "local": ("pflbench_algorithms.local.client:KeptClient", "pflbench.method:Server", None),
    "fedora": (
        "pflbench_algorithms.fedora.client:FedoraClient",
        "pflbench_algorithms.fedora.server:FedoraServer",
        Fedora(),
    ),
    "pfedhn": (
        "pflbench_algorithms.pfedhn.client:PFedHNClient",
        "pflbench_algorithms.pfedhn.server:PFedHNServer",
        PFedHN(hidden=6, spectral_norm=True),
    ),
    "pfedhn-pc": (
        "pflbench_algorithms.pfedhn.client:PFedHNPCClient",
        "pflbench_algorithms.pfedhn.server:PFedHNPCServer",
        PFedHNPC(hidden=6),
    ),
}
EVERY_METHOD = pytest.mark.parametrize("method", METHODS)


def made(method: str, **options: object) -> Simulation:
    client, server, parameters = METHODS[method]
    return simulate(client, server, parameters=parameters, **options)  # type: ignore[arg-type]


def digest(simulation: Simulation) -> str:
    content = hashlib.sha256()
    for name, value in sorted(simulation.state().items()):
        content.update(name.encode() + value.contiguous().numpy().tobytes())
    return content.hexdigest()


# The initial model


def test_the_initial_model_follows_from_the_seed() -> None:
    federation, rows = federation_of(), []
    for state, seed in ((1, 3), (2, 3), (1, 4)):
        torch.manual_seed(state)  # which must not matter
        module = build_network(build_mlp, Mlp(5), federation.input_shape, 3, seed=seed, name="mlp")
        rows.append(own_weights(module, Layout.of(module), torch.float32))
    assert torch.equal(rows[0], rows[1])
    assert not torch.equal(rows[0], rows[2])


def test_the_initial_model_is_distributed_by_pytorchs_rules() -> None:
    module = build_lenet(LeNet(), (3, 32, 32), 10)
    layout = Layout.of(module)
    parts = layout.unflatten(own_weights(module, layout, torch.float32))
    for name, parameter in nn.Sequential(nn.Conv2d(3, 16, 5)).named_parameters():
        own = parts["conv1." + name.split(".")[1]]
        bound = (3 * 5 * 5) ** -0.5
        assert own.abs().max() <= bound
        assert own.abs().max() > 0.7 * bound
        assert own.shape == parameter.shape


@pytest.mark.mostly_slow("fedora", "keeps-state")
@EVERY_METHOD
@pytest.mark.parametrize("engine", ["stacked", "sequential"])
def test_the_same_seed_gives_the_same_bits(method: str, engine: str) -> None:
    found = set()
    for _ in range(2):
        torch.manual_seed(len(found))  # whatever others draw
        simulation = made(method, engine=engine, participation=0.6, dtype=torch.float32)
        for r in range(3):
            torch.rand(3)
            simulation.round(r)
        found.add(digest(simulation))
    assert len(found) == 1


def test_methods_start_from_one_model_and_draw_the_same_cohorts() -> None:
    simulations = [made(m, participation=0.4) for m in ("fedavg", "fedora", "local", "pfedhn-pc")]
    assert len({s.task.initial.numpy().tobytes() for s in simulations}) == 1
    for r in range(5):
        assert len({tuple(s.cohort(r).tolist()) for s in simulations}) == 1
    drawn = [tuple(simulations[0].cohort(r).tolist()) for r in range(40)]
    assert len(set(drawn)) > 5
    assert {i for cohort in drawn for i in cohort} == set(range(len(UNEVEN)))
    assert all(sorted(cohort) == list(cohort) for cohort in drawn)


@pytest.mark.parametrize(
    ("participation", "size"), [(1.0, 5), (0.9, 4), (0.6, 3), (0.2, 1), (0.01, 1)]
)
def test_cohort_sizes(participation: float, size: int) -> None:
    assert len(simulate(participation=participation).cohort(0)) == size


@EVERY_METHOD
def test_no_global_random_state_is_touched(method: str) -> None:
    federation = federation_of()
    module = mlp_for(federation)
    torch.manual_seed(1)
    np.random.seed(1)
    random.seed(1)
    before = torch.get_rng_state(), str(np.random.get_state()), random.getstate()
    simulation = made(method, federation=federation, module=module)
    simulation.round(0)
    simulation.evaluate(1)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert str(np.random.get_state()) == before[1]
    assert random.getstate() == before[2]


def test_the_callers_network_and_data_stay_as_they_are() -> None:
    federation = federation_of()
    module = mlp_for(federation)
    parameters = {n: p.detach().clone() for n, p in module.named_parameters()}
    x = federation.train.x.clone()
    a = simulate(federation=federation, module=module, dtype=torch.float64)
    b = simulate(federation=federation, module=module, dtype=torch.float32)
    torch.testing.assert_close(a.task.initial.float(), b.task.initial)
    for simulation in (a, b):
        simulation.round(0)
    assert torch.equal(federation.train.x, x)
    for name, p in module.named_parameters():
        assert torch.equal(p, parameters[name])


def test_a_given_initial_model_and_given_batches_are_used() -> None:
    initial = torch.linspace(-0.3, 0.3, 83, dtype=torch.float64)
    asked = []

    def batches(client: int, round: int) -> np.ndarray:
        asked.append((client, round))
        return np.array([[0, -1]])

    simulation = simulate(initial=initial, batches=batches)
    assert torch.equal(simulation.task.initial, initial)
    report = simulation.round(4)
    assert sorted(asked) == [(i, 4) for i in range(len(UNEVEN))]
    assert report.steps == len(UNEVEN)


# Going on


@pytest.mark.mostly_slow("1-stacked-fedora", "1-sequential-fedora", "0-stacked-fedavg")
@EVERY_METHOD
@pytest.mark.parametrize("engine", ["stacked", "sequential"])
@pytest.mark.parametrize("after", [0, 1, 3])
def test_a_restored_simulation_goes_on_with_the_same_bits(
    method: str, engine: str, after: int
) -> None:
    options = {"engine": engine, "participation": 0.6, "dtype": torch.float32}
    whole = made(method, **options)
    for r in range(after):
        whole.round(r)
    state = whole.state()
    for r in range(after, 5):  # what was handed out must not change with it
        whole.round(r)
    for _ in range(2):  # nor by somebody's going on from it
        resumed = made(method, **options)
        resumed.restore(state)
        for r in range(after, 5):
            resumed.round(r)
        assert digest(resumed) == digest(whole)


# What goes wrong


@pytest.mark.parametrize("engine", ["stacked", "sequential"])
def test_divergence_names_round_client_and_step(engine: str) -> None:
    simulation = simulate(engine=engine, federation=federation_of((4, 4, 4)))
    simulation.shards["train"].x[simulation.federation.train.offsets[1]] = float("nan")
    with pytest.raises(DivergedError, match="client 1 became NaN or infinite in round 3") as error:
        simulation.round(2)
    assert (error.value.round, error.value.client, error.value.step) == (3, 1, 1)


@pytest.mark.parametrize("engine", ["stacked", "sequential"])
def test_a_model_that_its_last_step_ruined_is_found_at_evaluation(engine: str) -> None:
    """The loss before the only step is fine; nothing but the evaluation can see what it did."""
    from pflbench.method import LocalBudget

    simulation = simulate(
        engine=engine, optimiser=Sgd(1e38), budget=LocalBudget(4, steps=1), dtype=torch.float32
    )
    simulation.round(0)
    with pytest.raises(DivergedError, match="in round 1") as error:
        simulation.evaluate(1)
    assert error.value.round == 1
    assert error.value.client in range(len(UNEVEN))


def test_adaptation_that_diverges_names_the_round() -> None:
    simulation = simulate("small_methods:Adapted", dtype=torch.float32)
    simulation.round(0)
    x = simulation.shards["train"].x
    x[simulation.federation.train.offsets[3]] = float("inf")
    with pytest.raises(DivergedError) as error:
        simulation.evaluate(1)
    assert (error.value.round, error.value.client) == (1, 3)


def test_engines_by_name() -> None:
    dense, conv = mlp_for(federation_of()), build_lenet(LeNet(), (1, 28, 28), 10)
    cpu = torch.device("cpu")
    assert choose_engine("auto", dense, cpu) == "stacked"
    assert choose_engine("auto", conv, cpu) == "sequential"
    assert choose_engine("auto", conv, torch.device("cuda")) == "stacked"
    assert choose_engine("sequential", dense, cpu) == "sequential"
    with pytest.raises(UnknownNameError, match="'stacked'"):
        choose_engine("staked", dense, cpu)
    with pytest.raises(UnknownNameError):
        simulate(engine="auto")
    with pytest.raises(InputError, match="at least 1"):
        simulate(chunk=0)


@pytest.mark.parametrize(
    "name", ["cuda:99", "banana", "meta", "xla", "hpu", "", "cpu:-1", "privateuseone", "vulkan"]
)
def test_a_device_that_is_not_there(name: str) -> None:
    with pytest.raises(InputError, match="cpu"):
        choose_device(name)


def test_devices_that_are_there() -> None:
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("auto").type in ("cpu", "cuda")
