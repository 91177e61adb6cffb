"""Everything that decides a run's numbers, and the resulting identity.

A scenario is everything but the method and the seed; runs of one scenario share a leaderboard.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pflbench.schema.expressions import Expression
from pflbench.schema.new_clients import NewClients
from pflbench.schema.parameters import Scalar
from pflbench.schema.scenario_fields import SettledFields, scenario_fields

SCHEMA = 1
"""Version of the identity's form: part of every identity."""


@dataclass(frozen=True)
class Choice:
    """A plugin by name with all of its parameters resolved, and its version."""

    name: str
    parameters: Mapping[str, Scalar]
    version: str = ""

    def __str__(self) -> str:
        if not self.parameters:
            return self.name
        inside = ", ".join(f"{k}={v}" for k, v in self.parameters.items() if v is not None)
        return f"{self.name}({inside})" if inside else self.name


@dataclass(frozen=True)
class FirstWeights:
    """A file with a network's first weights; the content decides, not the name.

    Attributes
    ----------
    sha256
        Of the content (hex).
    path
        As written.
    """

    sha256: str
    path: str = dataclasses.field(default="", compare=False)

    def __str__(self) -> str:
        return self.sha256[:12]


def without_path(choice: Choice) -> Choice:
    """Return a choice without the path in its parameter `dataset`.

    The parameter `file` is left out where the parameter `digest` says what the file holds.
    """
    parameters = dict(choice.parameters)
    named = parameters.get("dataset")
    if isinstance(named, str):
        parameters["dataset"] = named.split(":", 1)[0]
    if parameters.get("digest"):
        parameters.pop("file", None)
    return dataclasses.replace(choice, parameters=parameters)


@dataclass(frozen=True)
class Scenario(SettledFields):
    """Data set × partitioner × model × local budget × rounds × participation.

    It also has the fields of `SettledFields`, with the requested values.

    Attributes
    ----------
    dataset
        As written: "mnist", "npz:federation.npz".
    fingerprint
        SHA-256 (hex) of the data.
    partition, model
        Resolved choices.
    clients
        Number of clients N.
    rounds
        Communication rounds.
    local_epochs, local_steps
        The local budget; exactly one is set.
    participation
        Share of clients in a round, in (0, 1], drawn uniformly, or a resolved choice.
    eval_every
        Number of rounds between evaluations of personal models; they are also evaluated after the
        last.
    privacy
        The protection of all uploads; None for none.
    population
        Which clients differ from the others, and how; None for the partition alone.
    optimizer, schedule
        The local optimizer and its learning rate over the rounds; None for plain SGD and a
        constant rate.
    init
        The network's first weights; None for those that it is built with.
    new_clients
        Clients that are held out and join later; None without new clients.
    """

    dataset: str
    fingerprint: str
    partition: Choice
    clients: int
    model: Choice
    rounds: int
    local_epochs: int | None
    local_steps: int | None
    batch_size: int
    lr: float
    momentum: float
    weight_decay: float
    participation: float | Choice
    eval_every: int
    privacy: Choice | None = None
    population: Choice | None = None
    optimizer: Choice | None = None
    schedule: Choice | None = None
    init: FirstWeights | None = None
    new_clients: NewClients | None = None

    @property
    def id(self) -> str:
        """First 12 hex digits of SHA-256 over the canonical JSON of the scenario."""
        return digest(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Return the scenario as plain JSON values.

        The data set is named by its content: a path does not decide numbers, the fingerprint does.
        Choices at their defaults are left out: stored runs are older than those choices.
        """
        values = {**dataclasses.asdict(self), "dataset": self.dataset.split(":", 1)[0]}
        values["partition"] = dataclasses.asdict(without_path(self.partition))
        if self.population is not None:
            values["population"] = dataclasses.asdict(without_path(self.population))
        if self.init is not None:
            values["init"] = {"sha256": self.init.sha256}
        if self.new_clients is not None:
            values["new_clients"] = self.new_clients.to_json()
        for field in dataclasses.fields(self):
            if getattr(self, field.name) == field.default:
                del values[field.name]
        return values

    def asked(self) -> dict[str, Any]:
        """Return the fields of a request for this scenario, in the table's order.

        If `eval_every` is the data set's own and not reached, it is None: a request may not give
        it.
        """
        asked = {name: getattr(self, name, None) for name in scenario_fields()}
        asked["new_clients"] = None
        asked["init"] = None if self.init is None else self.init.path or None
        if self.new_clients is not None:
            asked.update(self.new_clients.asked())
        if self.eval_every > self.rounds:
            asked["eval_every"] = None
        return {
            name: str(Expression(value.name, value.parameters))
            if isinstance(value, Choice)
            else value
            for name, value in asked.items()
        }


@dataclass(frozen=True)
class Cell:
    """One run to be: scenario × algorithm × parameters × seed."""

    scenario: Scenario
    algorithm: Choice
    seed: int

    @property
    def id(self) -> str:
        """The run id: first 12 hex digits of SHA-256 over the canonical JSON of the cell."""
        return digest(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Return the cell as plain JSON values: everything that decides the numbers."""
        return {
            "schema": SCHEMA,
            "scenario": self.scenario.to_json(),
            "algorithm": dataclasses.asdict(self.algorithm),
            "seed": self.seed,
        }


def digest(value: Any) -> str:
    """Return the first 12 hex digits of SHA-256 over canonical JSON (sorted keys, no spaces)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
