"""The engine alone: a method's classes on a federation, without names, plugins or a store."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pandas as pd
from torch import Tensor, nn

from pflbench.engine.apart import apart, reseed
from pflbench.engine.choose import choose_device, choose_types
from pflbench.engine.evaluation import Metric
from pflbench.engine.fitting import fit_engine
from pflbench.engine.given import (
    Network,
    build_of,
    check_halves,
    check_head,
    head_of,
    parameters_of,
)
from pflbench.engine.initial import build_network
from pflbench.engine.simulation import Simulation
from pflbench.errors import InputError
from pflbench.federation import Federation, Participation
from pflbench.method import Client, Layout, LocalBudget, Server, Sgd
from pflbench.schema.numbers import number_of
from pflbench.schema.parameters import param, parse_parameters, required
from pflbench.schema.scenario_fields import check_precision
from pflbench.schema.specs import AlgorithmSpec


@dataclass(frozen=True)
class _Numbers:
    """The bounds of a simulation's numbers."""

    rounds: int = required("communication rounds", ge=1)
    seed: int = param(0, "names every random stream", ge=0)
    lr: float = param(5e-3, "learning rate of local SGD", gt=0)
    momentum: float = param(0.9, "momentum of local SGD", ge=0, lt=1)
    weight_decay: float = param(5e-5, "weight decay of local SGD", ge=0)
    batch_size: int = param(64, "samples of a local step", ge=1)
    local_epochs: int | None = param(None, "local epochs of a round", ge=1)
    local_steps: int | None = param(None, "local steps of a round", ge=1)
    eval_every: int = param(1, "rounds between evaluations", ge=1)


@dataclass(frozen=True)
class Simulated:
    """The results of a simulation.

    Attributes
    ----------
    metrics
        A row for each evaluated round, client and split: round, client, split, stage, samples,
        loss, correct, accuracy, brier, ece, and the metrics handed over.
    rounds
        A row for each round: round, cohort, uploads, steps, train_loss, bytes_down, bytes_up.
    simulation
        The engine after the last round: `simulation.server`, `simulation.states`.
    """

    metrics: pd.DataFrame = field(repr=False)
    rounds: pd.DataFrame = field(repr=False)
    simulation: Simulation = field(repr=False)

    @property
    def personal_models(self) -> Tensor:
        """The matrix W [N, P] after the last round: a row is a client's personal model."""
        return self.simulation.personal(self.simulation.everyone)

    def model(self, client: int) -> nn.Module:
        """Return a client's personal model as a separate network.

        Raises
        ------
        InputError
            The client does not exist.
        """
        clients = self.simulation.federation.clients
        if client not in range(clients):
            raise InputError(f"There is no client {client!r}: expected 0 to {clients - 1}.")
        task = self.simulation.task
        row = self.simulation.personal(self.simulation.everyone[client : client + 1])[0]
        made = copy.deepcopy(task.module).eval()
        return task.layout.fill(made, row)


def simulate(
    client: type[Client[Any]],
    server: type[Server[Any]],
    federation: Federation,
    model: Network,
    *,
    rounds: int,
    parameters: object = None,
    head: str | None = None,
    seed: int = 0,
    lr: float = 5e-3,
    momentum: float = 0.9,
    weight_decay: float = 5e-5,
    batch_size: int = 64,
    local_epochs: int | None = None,
    local_steps: int | None = None,
    participation: float | Participation = 1.0,
    eval_every: int = 1,
    precision: Literal["float32", "bfloat16", "float64"] = "float32",
    metrics: Mapping[str, Metric] | None = None,
    device: str = "auto",
    engine: Literal["auto", "stacked", "sequential"] = "auto",
    chunk: int | None = None,
) -> Simulated:
    """Train a federation by a method's two classes, and return personal models and metrics.

    It is the engine of `pflbench.run`, with the same numbers for the same settings. Nothing is
    looked up, stored or resumed.

    Parameters
    ----------
    client, server
        The method's halves: subclasses of `pflbench.Client` and `pflbench.Server`.
    federation
        The data, such as `pflbench.Federation.from_arrays(...)`.
    model
        A network, whose weights are the initial weights; or a function or class that makes a new
        one, called without arguments or with (input_shape, classes), whose weights follow from the
        seed.
    rounds
        Communication rounds.
    parameters
        The method's parameters: an instance, which both halves get unchanged, or names and values
        for the class that the client half names (`Client[MyParameters]`).
    head
        Name prefix of the classifier's parameters, such as "fc2."; None for the last layer.
    seed
        Names every random stream.
    lr, momentum, weight_decay, batch_size
        Of the clients' SGD.
    local_epochs, local_steps
        Local training of a round, one of the two; one epoch if both are None.
    participation
        Share of the clients in a round, or a rule.
    eval_every
        Rounds between evaluations; the last round is always evaluated.
    precision
        Number type of computation.
    metrics
        Further columns, by name: (logits [n, C], y [n], mask [n]) to a scalar, for one client.
    device
        "auto", or a device's name.
    engine, chunk
        How clients are trained, and how many together; the numbers are the same.

    Raises
    ------
    InputError
        Invalid input.
    DivergedError
        A loss became NaN or infinite.

    Examples
    --------
    >>> import pflbench
    >>> done = pflbench.simulate(  # doctest: +SKIP
    ...     MyClient, MyServer, federation, lambda: nn.Linear(8, 3), rounds=20
    ... )
    >>> done.metrics.groupby("round")["accuracy"].mean()  # doctest: +SKIP
    """
    check_halves(client, server)
    if not isinstance(federation, Federation):
        raise InputError(
            f"federation = {federation!r} is not valid: expected a pflbench.Federation, such as "
            "Federation.from_arrays makes."
        )
    if not isinstance(participation, Participation):
        share = number_of(participation)
        if share is None or not 0 < share <= 1:
            raise InputError(
                f"participation = {participation!r} is not valid: expected a number > 0 and ≤ 1, "
                "or a Participation."
            )
        participation = float(share)
    asked = {name: value for name, value in locals().items() if name in _NAMES}
    n = parse_parameters(_Numbers, asked, owner="simulate")
    if n.local_epochs is not None and n.local_steps is not None:
        raise InputError("Local epochs and local steps are both given: expected one of them.")
    epochs = 1 if n.local_steps is None and n.local_epochs is None else n.local_epochs
    where = choose_device(device)
    types = choose_types(check_precision(precision), where)
    values, build = parameters_of(client, parameters), build_of(model)
    name = getattr(model, "__name__", type(model).__name__)
    shape, classes = federation.input_shape, federation.classes
    with apart():
        module = build_network(build, None, shape, classes, seed=n.seed, name=name)
        head = head_of(module, head)
        layout = Layout.of(module, head, name=name)
        fit = fit_engine(
            engine,
            module,
            layout,
            federation.train.x,
            classes,
            device=where,
            types=types,
            name=name,
        )
    check_head(layout, name)
    with apart(n.seed):
        simulation = Simulation(
            AlgorithmSpec("handed-over", client.__name__, client=client, server=server),
            values,
            federation,
            module,
            head,
            seed=n.seed,
            optimiser=Sgd(n.lr, n.momentum, n.weight_decay),
            budget=LocalBudget(n.batch_size, epochs=epochs, steps=n.local_steps),
            participation=participation,
            engine=fit.engine,
            chunk=chunk,
            device=where,
            dtype=types[0],
            products=types[1],
            metrics=metrics,
            nature=fit.nature,
        )
        return _play(simulation, n.rounds, n.eval_every)


_NAMES = frozenset(field.name for field in dataclasses.fields(_Numbers))


def _play(simulation: Simulation, rounds: int, eval_every: int) -> Simulated:
    simulation.enrol()
    tables, rows = [], []
    for r in range(rounds):
        reseed(simulation.seed, r + 1)
        report = simulation.round(r)
        if (r + 1) % eval_every == 0 or r + 1 == rounds:
            table, _ = simulation.evaluate(r + 1)
            table.insert(7, "accuracy", table["correct"] / table["samples"])
            tables.append(table)
        rows.append(
            {
                "round": r + 1,
                "cohort": len(report.cohort),
                "uploads": int(report.uploaded.sum()),
                "steps": report.steps,
                "train_loss": report.train_loss,
                "bytes_down": report.bytes_down,
                "bytes_up": report.bytes_up,
            }
        )
    return Simulated(pd.concat(tables, ignore_index=True), pd.DataFrame(rows), simulation)
