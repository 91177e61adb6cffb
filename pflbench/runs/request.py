"""What somebody asks for, before defaults are filled in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import NoneType
from typing import Any, Literal

from pflbench.errors import InputError
from pflbench.federation import Federation
from pflbench.schema.expressions import parse_expression
from pflbench.schema.new_clients import Listed, NewClients, check
from pflbench.schema.numbers import whole_of
from pflbench.schema.parameters import required
from pflbench.schema.scenario_fields import PRECISIONS

RERUN = ("missing", "always")


@dataclass(frozen=True)
class RunRequest:
    """One run as asked for; None stands for the data set's reference scenario.

    Attributes
    ----------
    algorithm
        A method's name.
    dataset
        A data set's name, `name:PATH`, or a federation in memory.
    parameters
        The method's parameters, values or texts.
    data_dir
        Where to look for data first; None for the environment's PFLBENCH_DATA, if it is set.
    fallback
        Whether an embedded last resort may stand in for a data set that cannot be had.
    population
        Which clients are unlike the others, such as "permuted-labels(share=0.25)"; None for
        what the partition gives.
    participation
        Share of the clients in a round, or an expression such as "dropout(p=0.2)".
    new_clients
        Share of the clients that are held out and join later; None for nobody.
    onboard_at, shots, onboarding_steps
        How they join: after which rounds besides the last ("10,50"), with how many labelled
        samples of each class ("1,5,all"), within how many local steps; None for the defaults.
    precision
        What is computed with: "float32", "bfloat16" (matrix products and convolutions alone) or
        "float64".
    privacy
        What is done to all that clients upload: "gaussian(clip=1, noise=1)"; None for nothing.
    device, engine
        "auto" or a name; they do not belong to a run's identity.
    chunk
        Rows that train together at most, with the stacked engine; None for the rule. It does not
        belong to a run's identity.
    rerun
        "missing": a complete run of the same identity is returned as it is; "always": it is
        run again.
    """

    algorithm: str
    dataset: str | Federation = "mnist"
    partition: str | None = None
    clients: int | None = None
    model: str | None = None
    rounds: int | None = None
    local_epochs: int | None = None
    local_steps: int | None = None
    batch_size: int | None = None
    lr: float | None = None
    momentum: float | None = None
    weight_decay: float | None = None
    participation: float | str | None = None
    eval_every: int | None = None
    population: str | None = None
    new_clients: float | None = None
    onboard_at: Listed = None
    shots: Listed = None
    onboarding_steps: int | None = None
    precision: str = PRECISIONS[0]
    privacy: str | None = None
    seed: int = 0
    parameters: Mapping[str, Any] = field(default_factory=dict)
    data_dir: Path | str | None = None
    fallback: bool = True
    device: str = "auto"
    engine: str = "auto"
    chunk: int | None = None
    rerun: Literal["missing", "always"] = "missing"

    def __post_init__(self) -> None:
        for name, kinds, expected in (
            ("algorithm", str, "a method's name"),
            ("dataset", (str, Federation), "a data set's name or a Federation"),
            ("partition", (str, NoneType), "an expression such as 'iid', or None"),
            ("population", (str, NoneType), "an expression such as 'groups', or None"),
            ("model", (str, NoneType), "an expression such as 'mlp', or None"),
            ("parameters", Mapping, "a mapping of names to values"),
            ("precision", str, "a precision's name"),
            ("privacy", (str, NoneType), "an expression such as 'gaussian(clip=1)', or None"),
            ("device", str, "a device's name"),
            ("engine", str, "an engine's name"),
        ):
            value = getattr(self, name)
            if not isinstance(value, kinds):
                raise InputError(f"{name} = {value!r} is not valid: expected {expected}.")
        chunk = None if self.chunk is None else whole_of(self.chunk)
        if self.chunk is not None and (chunk is None or chunk < 1):
            raise InputError(
                f"chunk = {self.chunk!r} is not valid: expected a whole number ≥ 1, or None."
            )
        object.__setattr__(self, "chunk", chunk)


@dataclass(frozen=True)
class Numbers:
    """The bounds of a scenario's numbers, in the form of parameters."""

    clients: int | None = required("clients of the federation", ge=1)
    rounds: int = required("communication rounds", ge=1)
    local_epochs: int | None = required("local epochs of a round", ge=1)
    local_steps: int | None = required("local steps of a round", ge=1)
    batch_size: int = required("samples of a local step", ge=1)
    lr: float = required("learning rate of local SGD", gt=0)
    momentum: float = required("momentum of local SGD", ge=0, lt=1)
    weight_decay: float = required("weight decay of local SGD", ge=0)
    participation: float = required("share of clients in a round", gt=0, le=1)
    eval_every: int = required("rounds between evaluations", ge=1)
    seed: int = required("names every random stream", ge=0)


def new_clients_of(request: RunRequest, rounds: int | None = None) -> NewClients | None:
    """Resolve what a request says of new clients; `rounds` is not known before its data is.

    Raises
    ------
    InputError
        A value is not valid.
    """
    return check(
        request.new_clients,
        rounds=rounds,
        onboard_at=request.onboard_at,
        shots=request.shots,
        steps=request.onboarding_steps,
    )


def method_of(written: Any, parameters: Any) -> tuple[Any, Any]:
    """Return a method's name and parameters, of which its expression may hold some.

    Raises
    ------
    InputError
        The expression has another form, or holds a parameter that is given apart as well.
    """
    if not (isinstance(written, str) and "(" in written):
        return written, parameters
    method = parse_expression(written, kind="algorithm", example="fedprox(mu=0.1)")
    if not isinstance(parameters, Mapping):
        return method.name, parameters
    if twice := sorted(set(method.arguments) & set(parameters)):
        raise InputError(
            f"{method.name}.{twice[0]} is given both in {written!r} and in parameters."
        )
    return method.name, {**method.arguments, **parameters}
