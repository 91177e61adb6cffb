"""NAME+ft fine-tunes the global model of any method that has one, and of no other."""

from __future__ import annotations

import pytest
import torch
from small_federations import SGD, UNEVEN, federation_of, mlp_for

from pflbench.engine import Simulation
from pflbench.engine.halves import halves
from pflbench.errors import InputError, UnknownNameError
from pflbench.method import LocalBudget
from pflbench.runs import RunRequest
from pflbench.runs.identity import read
from pflbench.schema.plugins import installed
from pflbench.schema.settings import parse_settings
from pflbench.schema.specs import AlgorithmSpec


def spec_of(name: str) -> AlgorithmSpec:
    registry = installed()
    return registry.get(registry.algorithms, name)


def played(name: str, **parameters: float) -> Simulation:
    spec, data = spec_of(name), federation_of()
    settings = parse_settings(spec, parameters)
    simulation = Simulation(
        spec,
        settings.parameters,
        data,
        mlp_for(data),
        "layer_output.",
        seed=0,
        optimiser=SGD,
        budget=LocalBudget(4, epochs=2),
        dtype=torch.float64,
    )
    simulation.enrol()
    for r in range(2):
        simulation.round(r)
    return simulation


def test_fedavg_with_it_is_fedavg_ft_bit_for_bit() -> None:
    variant, named = played("fedavg+ft", ft_epochs=3), played("fedavg-ft", epochs=3)
    ours, theirs = variant.evaluate(2), named.evaluate(2)
    assert ours[0].equals(theirs[0])
    assert ours[1] == theirs[1] > 0
    assert torch.equal(variant.server.state()["w"], named.server.state()["w"])


def test_training_is_the_methods_own() -> None:
    plain, variant = played("fedprox", mu=0.5), played("fedprox+ft", mu=0.5)
    assert torch.equal(plain.server.state()["w"], variant.server.state()["w"])
    (before, none), (after, steps) = (sim.evaluate(2) for sim in (plain, variant))
    assert (none, steps) == (0, 5 * sum(-(-n // 4) for n in UNEVEN))
    assert not before["loss"].equals(after["loss"])


@pytest.mark.parametrize(
    "name", ["fedavg", "fedprox", "scaffold", "feddyn", "fedadam", "fedavgm", "moon"]
)
def test_methods_with_a_global_model_have_it(name: str) -> None:
    client, _ = halves(spec_of(f"{name}+ft"))
    assert issubclass(client, halves(spec_of(name))[0])


@pytest.mark.parametrize(
    "name",
    ["local", "ditto", "fedbn", "fedper", "fedamp", "fedrod", "pfedgraph", "feddbe", "fedbabu"],
)
def test_methods_that_personalise_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=rf"{name}\+ft does not exist: \+ft fine-tunes the global"):
        halves(spec_of(f"{name}+ft"))


def test_twice_is_refused_and_a_wrong_name_has_a_near_one() -> None:
    with pytest.raises(InputError, match=r"fedavg\+ft is fine-tuned"):
        spec_of("fedavg+ft+ft")
    with pytest.raises(UnknownNameError, match="fedprox"):
        spec_of("fedprx+ft")


def test_it_is_a_row_of_its_own_in_an_identity() -> None:
    request = RunRequest(
        algorithm="fedprox+ft", dataset="mnist", parameters={"mu": "0.1", "ft_epochs": "2"}
    )
    found = read(request, installed())
    assert found.spec.name == "fedprox+ft"
    assert found.settings.of_identity(0.1) == {"mu": 0.1, "ft_epochs": 2}
