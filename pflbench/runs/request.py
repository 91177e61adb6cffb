"""A run as requested, before defaults are applied."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pflbench.errors import InputError
from pflbench.federation import Federation
from pflbench.schema.expressions import parse_expression
from pflbench.schema.kept_rounds import kept_rounds
from pflbench.schema.new_clients import Listed
from pflbench.schema.numbers import whole_of
from pflbench.schema.parameters import required
from pflbench.schema.scenario_fields import ScenarioFields, scenario_fields

RERUN = ("missing", "always")


@dataclass(frozen=True)
class RunRequest(ScenarioFields):
    """One run as requested: the fields of a scenario, and how to run it.

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
        Whether an embedded last resort may replace a data set that is not available.
    onboard_at, shots
        As texts ("10,50", "1,5,all") or sequences.
    device, engine
        "auto" or a name; they do not belong to a run's identity.
    chunk
        Rows that train together at most, with the stacked engine; None for the rule. It does not
        belong to a run's identity.
    metrics
        Names of metrics to compute besides those that every run has. They do not belong to a run's
        identity.
    observers
        Names of observers to notify besides those that every run has. They do not belong to a
        run's identity.
    rerun
        "missing": a complete run of the same identity is returned without running; "always": it
        is run again.
    keep_models
        Store the personal models after the "last" round, those of the round "selected" on
        validation, or of "every=N" rounds and the last; None stores none. It does not belong to a
        run's identity.
    keep_predictions
        Store the predictions on validation and test after the "last" round, or those of the round
        "selected" on validation; None stores none. It does not belong to a run's identity.
    """

    algorithm: str
    dataset: str | Federation = "mnist"
    # From Python they may be sequences, too.
    onboard_at: Listed = dataclasses.field(default=None, kw_only=True)  # type: ignore[assignment]
    shots: Listed = dataclasses.field(default=None, kw_only=True)  # type: ignore[assignment]
    seed: int = 0
    parameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    data_dir: Path | str | None = None
    fallback: bool = True
    device: str = "auto"
    engine: str = "auto"
    chunk: int | None = None
    metrics: Sequence[str] = ()
    observers: Sequence[str] = ()
    rerun: Literal["missing", "always"] = "missing"
    keep_models: str | None = None
    keep_predictions: str | None = None

    def __post_init__(self) -> None:
        for name, kinds, expected in (
            ("algorithm", str, "a method's name"),
            ("dataset", (str, Federation), "a data set's name or a Federation"),
            ("parameters", Mapping, "a mapping of names to values"),
            ("device", str, "a device's name"),
            ("engine", str, "an engine's name"),
        ):
            value = getattr(self, name)
            if not isinstance(value, kinds):
                raise InputError(f"{name} = {value!r} is not valid: expected {expected}.")
        for field in scenario_fields().values():
            value = getattr(self, field.name)
            if field.is_expression and field.type == "str":
                if not isinstance(value, str | None):
                    raise InputError(
                        f"{field.name} = {value!r} is not valid: expected an expression such as "
                        f"{field.example!r}, or None."
                    )
            elif field.choices and not isinstance(value, str):
                raise InputError(
                    f"{field.name} = {value!r} is not valid: expected one of "
                    f"{', '.join(field.choices)}."
                )
        if self.keep_models is not None:
            kept = kept_rounds(self.keep_models, "keep_models")
            object.__setattr__(self, "keep_models", kept)
        if self.keep_predictions is not None:
            kept = kept_rounds(self.keep_predictions, "keep_predictions", every=False)
            object.__setattr__(self, "keep_predictions", kept)
        chunk = None if self.chunk is None else whole_of(self.chunk)
        if self.chunk is not None and (chunk is None or chunk < 1):
            raise InputError(
                f"chunk = {self.chunk!r} is not valid: expected a whole number ≥ 1, or None."
            )
        object.__setattr__(self, "chunk", chunk)
        for what in ("metrics", "observers"):
            names = getattr(self, what) or ()
            if isinstance(names, str) or not all(isinstance(name, str) for name in names):
                raise InputError(f"{what} = {names!r} is not valid: expected names of {what}.")
            object.__setattr__(self, what, tuple(dict.fromkeys(names)))


def _bounded(name: str) -> Any:
    """Declare a number of the scenario with the bounds that the field has."""
    field = scenario_fields()[name]
    return required(field.help, **field.limits)


@dataclass(frozen=True)
class Numbers:
    """A scenario's numbers, none of them left to the reference scenario."""

    clients: int | None = _bounded("clients")
    rounds: int = _bounded("rounds")
    local_epochs: int | None = _bounded("local_epochs")
    local_steps: int | None = _bounded("local_steps")
    batch_size: int = _bounded("batch_size")
    lr: float = _bounded("lr")
    momentum: float = _bounded("momentum")
    weight_decay: float = _bounded("weight_decay")
    participation: float = _bounded("participation")
    eval_every: int = _bounded("eval_every")
    seed: int = required("names every random stream", ge=0)


def method_of(written: Any, parameters: Any) -> tuple[Any, Any]:
    """Return a method's name and parameters, including those in its expression.

    Raises
    ------
    InputError
        The expression is malformed, or contains a parameter that is also given separately.
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
