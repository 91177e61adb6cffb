"""Methods whose clients keep some columns: what stays, what is shared, what crosses."""

from __future__ import annotations

import pytest
import torch
from small_federations import SGD, UNEVEN, federation_of, simulate
from torch import Tensor, nn

from pflbench.engine.optimisers import Adam
from pflbench.errors import InputError
from pflbench.method import LocalBudget, Optimiser
from pflbench_algorithms.fedavg_ft import FineTuned
from pflbench_algorithms.fedbabu import FedBABU
from pflbench_algorithms.fedbn import FedBN
from pflbench_algorithms.fedper import FedPer
from pflbench_algorithms.fedrep import FedRep
from pflbench_algorithms.lg_fedavg import LGFedAvg

ENGINES = pytest.mark.parametrize("engine", ["stacked", "sequential"])
WEIGHTED = "pflbench_algorithms.weighted_server:WeightedServer"
FEDBN = "pflbench_algorithms.fedbn.client:FedBNClient"
FEDPER = "pflbench_algorithms.fedper.client:FedPerClient"
FEDREP = "pflbench_algorithms.fedrep.client:FedRepClient"
LG = "pflbench_algorithms.lg_fedavg.client:LGFedAvgClient"
FEDBABU = "pflbench_algorithms.fedbabu.client:FedBABUClient"
FT = "pflbench_algorithms.fedavg_ft.client:FedAvgFT"

PARTIAL = pytest.mark.parametrize(
    ("client", "parameters", "kept"),
    [(FEDPER, FedPer(), "head"), (FEDREP, FedRep(head_epochs=1), "head"), (LG, LGFedAvg(), "body")],
)


def normalising() -> nn.Module:
    """A network whose normalisation is not called so."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3)
    )


def rows_after(rounds: int, *halves: str, **options: object) -> Tensor:
    simulation = simulate(*halves, **options)  # type: ignore[arg-type]  # names and values
    for r in range(rounds):
        simulation.round(r)
    return simulation.personal(simulation.everyone)


@ENGINES
def test_fedbn_without_normalisation_is_fedavg(engine: str) -> None:
    ours = rows_after(2, FEDBN, WEIGHTED, parameters=FedBN("samples"), engine=engine)
    assert torch.equal(ours, rows_after(2, engine=engine))


@ENGINES
def test_fedbn_keeps_normalisation_and_shares_the_rest(engine: str) -> None:
    simulation = simulate(
        FEDBN, WEIGHTED, parameters=FedBN(), module=normalising(), head="4.", engine=engine
    )
    report = simulation.round(0)
    W = simulation.personal(simulation.everyone)
    norm = simulation.task.layout.block("norm")
    assert norm.count == 5 + 5 + 5 + 5 + 1  # scale, shift, mean, variance, counter
    kept, shared = norm.take(W), norm.rest.take(W)
    assert len(kept[:, 10:].unique(dim=0)) == len(UNEVEN)  # everyone's own statistics
    assert len(shared.unique(dim=0)) == 1
    assert report.bytes_up == report.bytes_down == len(UNEVEN) * norm.rest.count * 8


def test_fedbn_averages_uniformly() -> None:
    """A client with few samples counts as much as one with many."""
    simulation = simulate(FEDBN, WEIGHTED, parameters=FedBN(), record=True)
    report = simulation.round(0)
    mean = report.uploads["model"].mean(dim=0)
    torch.testing.assert_close(simulation.server.state()["w"], mean, rtol=0, atol=1e-12)


@ENGINES
@PARTIAL
def test_what_is_private_differs_and_never_crosses(
    client: str, parameters: object, kept: str, engine: str
) -> None:
    simulation = simulate(client, WEIGHTED, parameters=parameters, engine=engine)
    report = simulation.round(0)
    W = simulation.personal(simulation.everyone)
    private = simulation.task.layout.block(kept)
    assert len(private.take(W).unique(dim=0)) == len(UNEVEN)
    assert len(private.rest.take(W).unique(dim=0)) == 1
    assert report.bytes_up == report.bytes_down == len(UNEVEN) * private.rest.count * 8


@PARTIAL
def test_a_client_outside_the_cohort_keeps_its_layers(
    client: str, parameters: object, kept: str
) -> None:
    simulation = simulate(client, WEIGHTED, parameters=parameters)
    private = simulation.task.layout.block(kept)
    simulation.round(0)
    before = private.take(simulation.personal(simulation.everyone))
    simulation.round(1, torch.tensor([1, 3]))
    after = private.take(simulation.personal(simulation.everyone))
    changed = (before != after).any(dim=1)
    assert changed.tolist() == [i in (1, 3) for i in range(len(UNEVEN))]


def test_fedper_of_one_client_is_local() -> None:
    """With nobody to average with, base and head train together, as with no federation."""
    options = {"federation": federation_of((12,))}
    ours = rows_after(3, FEDPER, WEIGHTED, parameters=FedPer(), **options)
    kept = "pflbench_algorithms.local.client:KeptClient", "pflbench.method:Server"
    torch.testing.assert_close(ours, rows_after(3, *kept, **options), rtol=0, atol=1e-12)


def test_fedper_and_lg_fedavg_split_the_same_network() -> None:
    """Two personal layers of three, and one global layer of three."""
    fedper = simulate(FEDPER, WEIGHTED, parameters=FedPer(personal_layers=1))
    lg = simulate(LG, WEIGHTED, parameters=LGFedAvg(global_layers=1))
    assert torch.equal(fedper.client.private().mask, lg.client.private().rest.mask)


@pytest.mark.parametrize(
    ("client", "parameters"), [(FEDPER, FedPer(9)), (LG, LGFedAvg(global_layers=9))]
)
def test_too_many_layers_are_refused(client: str, parameters: object) -> None:
    with pytest.raises(InputError, match="leave no other layer"):
        simulate(client, WEIGHTED, parameters=parameters)


@ENGINES
def test_fedrep_trains_the_head_on_the_received_body(engine: str) -> None:
    """Nothing of the body's steps enters the head of a round, with momentum or without."""
    bodies = {
        n: simulate(
            FEDREP,
            WEIGHTED,
            parameters=FedRep(head_epochs=2),
            budget=LocalBudget(4, steps=n),
            engine=engine,
        )
        for n in (1, 3)
    }
    heads = []
    for n, simulation in bodies.items():
        report = simulation.round(0)
        head_steps = 2 * sum(-(-size // 4) for size in UNEVEN)
        assert report.steps == head_steps + n * len(UNEVEN)
        block = simulation.task.layout.block("head")
        heads.append(block.take(simulation.personal(simulation.everyone)))
    assert torch.equal(*heads)
    assert not torch.equal(heads[0], heads[0][:1].expand_as(heads[0]))


@ENGINES
def test_fedbabu_never_changes_the_head_in_training(engine: str) -> None:
    simulation = simulate(FEDBABU, WEIGHTED, parameters=FedBABU(), engine=engine)
    head = simulation.task.layout.block("head")
    for r in range(2):
        report = simulation.round(r)
        assert report.bytes_up == len(UNEVEN) * head.rest.count * 8
    W = simulation.personal(simulation.everyone)
    assert torch.equal(head.take(W), head.take(simulation.task.initial).expand(len(UNEVEN), -1))
    assert not torch.equal(head.rest.take(W[0]), head.rest.take(simulation.task.initial))


def test_fedbabu_before_any_round_is_fedavg_ft() -> None:
    """Both then fine-tune the initial model, body and head."""
    ours = simulate(FEDBABU, WEIGHTED, parameters=FedBABU(finetune_epochs=3))
    assert ours.evaluate(0)[0].equals(simulate(FT, parameters=FineTuned(3)).evaluate(0)[0])


def test_fedbabu_fine_tunes_with_an_optimiser_of_its_own() -> None:
    scenarios = simulate(FEDBABU, WEIGHTED, parameters=FedBABU()).evaluate(0)[0]
    same = FedBABU(finetune_lr=0.05, finetune_momentum=0.9, finetune_weight_decay=1e-3)
    assert simulate(FEDBABU, WEIGHTED, parameters=same).evaluate(0)[0].equals(scenarios)
    other = FedBABU(finetune_lr=0.01)
    assert not simulate(FEDBABU, WEIGHTED, parameters=other).evaluate(0)[0].equals(scenarios)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("client", "parameters"),
    [
        (FEDPER, FedPer()),
        (FEDREP, FedRep(head_epochs=1)),
        (LG, LGFedAvg()),
        (FEDBABU, FedBABU(finetune_epochs=1)),
        (FEDBN, FedBN()),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("optimiser", [SGD, Adam(0.01)], ids=["sgd", "adam"])
def test_engines_agree_on_a_network_that_normalises(
    client: str, parameters: object, optimiser: Optimiser
) -> None:
    made = [
        simulate(
            client,
            WEIGHTED,
            parameters=parameters,
            module=normalising(),
            head="4.",
            optimiser=optimiser,
            engine=engine,
        )
        for engine in ("stacked", "sequential")
    ]
    for r, cohort in enumerate(([0, 1, 2, 3, 4], [1, 2], [0, 2, 4])):
        for simulation in made:
            simulation.round(r, torch.tensor(cohort))
    rows = [simulation.personal(simulation.everyone) for simulation in made]
    torch.testing.assert_close(*rows, rtol=0, atol=1e-9)
    tables = [simulation.evaluate(3)[0] for simulation in made]
    losses = [torch.tensor(table["loss"].tolist()) for table in tables]
    torch.testing.assert_close(*losses, rtol=0, atol=1e-9)


@ENGINES
def test_running_statistics_belong_to_fedreps_body(engine: str) -> None:
    """The head's phase leaves them: they are counted by the steps of the body alone."""
    simulation = simulate(
        FEDREP,
        WEIGHTED,
        parameters=FedRep(head_epochs=3),
        budget=LocalBudget(4, steps=2),
        module=normalising(),
        head="4.",
        engine=engine,
        record=True,
    )
    report = simulation.round(0, torch.tensor([1, 3]))
    layout = simulation.task.layout
    (name,) = layout.counters
    whole = simulation.client.whole(report.uploads["model"], simulation.taken(report.cohort))
    assert layout.unflatten(whole)[name].flatten().tolist() == [2.0, 2.0]
