"""The fields of a scenario, each declared once.

From this table follow the options of the command line, the keys of a matrix file, the arguments
of `pflbench.run`, the bounds and defaults of all of them, the command printed for a run, and the
tables of the documentation (`python tools/tables.py`).
"""

from __future__ import annotations

import dataclasses
import operator
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, TypeVar, get_args

from pflbench.errors import InputError, nearest
from pflbench.schema.parameters import describe_parameters, param, parse_parameters, required

T = TypeVar("T")

Precision = Literal["float32", "bfloat16", "float64"]
"""Type of the computation: the first is the default, which no identity mentions."""

PRECISIONS: tuple[Precision, ...] = get_args(Precision)

MATRIX, SCENARIO, NEW_CLIENTS = "Matrix", "Scenario", "New clients"
"""The panels of `--help` for the options of fields."""

REQUIRED: Any = ...
"""The default of a field that has none."""

_COMPARE = {"ge": operator.ge, "gt": operator.gt, "le": operator.le, "lt": operator.lt}

_META = "scenario"
"""Where a field of a dataclass keeps its `_Shown`."""


@dataclass(frozen=True)
class _Shown:
    metavar: str = ""
    panel: str = SCENARIO
    shelf: str = ""
    example: str = ""
    page: str = ""
    usual: str = ""
    rival: str = ""
    several: bool = False
    sequence: bool = False
    federation: bool = False


def scenario_field(
    default: T,
    help: str,
    *,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    **shown: Any,
) -> T:
    """Declare one field of a scenario.

    Parameters
    ----------
    default
        Its default, or `REQUIRED`.
    help
        One line, lower case, no full stop, without example and default.
    ge, gt, le, lt
        Bounds.
    shown
        As of `ScenarioField`, from `metavar` on.
    """
    bounds: dict[str, Any] = {"ge": ge, "gt": gt, "le": le, "lt": lt}
    made: Any = required(help, **bounds) if default is REQUIRED else param(default, help, **bounds)
    metadata = {**made.metadata, _META: _Shown(**shown)}
    return typing.cast("T", dataclasses.field(default=made.default, metadata=metadata))


@dataclass(frozen=True, kw_only=True)
class DatasetField:
    """The data set, which a request from Python may hold in memory."""

    dataset: str = scenario_field(
        REQUIRED,
        "data set: a name, or name:PATH for your own data",
        metavar="NAME",
        panel=MATRIX,
        shelf="datasets",
        several=True,
        federation=True,
    )


@dataclass(frozen=True, kw_only=True)
class ReferencedFields:
    """Fields whose default is the data set's; None means its reference scenario."""

    partition: str | None = scenario_field(
        None,
        "how the data is given out to clients",
        metavar="EXPR",
        panel=MATRIX,
        shelf="partitioners",
        example="dirichlet(alpha=0.1)",
        several=True,
        federation=True,
    )
    clients: int | None = scenario_field(None, "number of clients", ge=1, federation=True)
    population: str | None = scenario_field(
        None,
        "clients that differ from the others",
        metavar="EXPR",
        shelf="populations",
        example="permuted-labels(share=0.25)",
        page="scenarios.md#populations",
        federation=True,
    )
    model: str | None = scenario_field(
        None, "network architecture", metavar="EXPR", shelf="models", example="mlp(hidden=64)"
    )
    rounds: int | None = scenario_field(None, "communication rounds", ge=1)
    local_epochs: int | None = scenario_field(
        None,
        "local training in a round: passes over a client's samples, or ...",
        ge=1,
        rival="local_steps",
    )
    local_steps: int | None = scenario_field(
        None, "... steps of one batch each; one of the two", ge=1, rival="local_epochs"
    )
    batch_size: int | None = scenario_field(None, "samples in a local step", ge=1)
    lr: float | None = scenario_field(None, "learning rate of local training", gt=0)
    momentum: float | None = scenario_field(None, "momentum of local SGD", ge=0, lt=1)
    weight_decay: float | None = scenario_field(None, "weight decay of local training", ge=0)
    participation: float | str | None = scenario_field(
        None,
        "share of the clients that train in a round, or a rule",
        gt=0,
        le=1,
        metavar="SHARE|EXPR",
        shelf="participations",
        example="dropout(p=0.2)",
        page="scenarios.md#participation",
    )
    eval_every: int | None = scenario_field(
        None, "rounds between evaluations of the personal models", ge=1
    )


@dataclass(frozen=True, kw_only=True)
class SettledFields:
    """Fields with one default for all data sets, equal in a request and in a stored scenario.

    A new field that needs no resolving belongs here: it is one entry. Its default must be the
    behaviour of runs without it, and never change: no identity mentions it.
    """

    clip_norm: float | None = scenario_field(
        None, "largest norm of a client's gradient in a local step", gt=0
    )
    clip_value: float | None = scenario_field(
        None, "largest size of an entry of a client's gradient, applied before the norm", gt=0
    )
    patience: int | None = scenario_field(
        None,
        "rounds without a better mean validation accuracy after which training ends early",
        ge=1,
        page="scenarios.md#early-stopping",
    )
    precision: Precision = scenario_field(  # noqa: RUF009 - a field, not one shared value
        PRECISIONS[0],
        "number type of computation; bfloat16: only matrix products and convolutions",
        page="scenarios.md#precision",
    )


@dataclass(frozen=True, kw_only=True)
class ScenarioFields(SettledFields, ReferencedFields):
    """All fields except the data set, in the order of the table.

    The fields below are resolved to records of the stored scenario; None means not given.
    """

    optimizer: str | None = scenario_field(
        None,
        "optimizer of local training",
        metavar="EXPR",
        shelf="optimizers",
        example="adam(beta2=0.99)",
        page="scenarios.md#optimizers",
        usual="sgd",
    )
    schedule: str | None = scenario_field(
        None,
        "learning rate over the rounds",
        metavar="EXPR",
        shelf="schedules",
        example="step(every=30, gamma=0.1)",
        page="scenarios.md#optimizers",
        usual="constant",
    )
    init: str | None = scenario_field(
        None,
        "file of the network's first weights: safetensors or a state dict",
        metavar="FILE",
        page="scenarios.md#first-weights",
    )
    privacy: str | None = scenario_field(
        None,
        "clip all that clients upload and add noise",
        metavar="EXPR",
        example="gaussian(clip=1, noise=1)",
        page="privacy.md",
    )
    new_clients: float | None = scenario_field(
        None,
        "share of the clients that are held out, and join when training is over",
        ge=0,
        lt=1,
        metavar="SHARE",
        panel=NEW_CLIENTS,
        page="scenarios.md#new-clients",
    )
    onboard_at: str | None = scenario_field(
        None,
        "rounds after which they join as well",
        metavar="ROUNDS",
        panel=NEW_CLIENTS,
        example="10,50",
        sequence=True,
    )
    shots: str | None = scenario_field(
        None,
        "labelled samples of each class that they join with, whole numbers or all",
        metavar="LIST",
        panel=NEW_CLIENTS,
        usual="1,5,all, and always without labels",
        sequence=True,
    )
    onboarding_steps: int | None = scenario_field(
        None, "local steps that each of them may do", ge=1, panel=NEW_CLIENTS, usual="100"
    )


@dataclass(frozen=True, kw_only=True)
class ScenarioRequest(ScenarioFields, DatasetField):
    """A scenario as requested on a command line or in a matrix file: the whole table."""


@dataclass(frozen=True)
class ScenarioField:
    """One field, as its option, key and documentation show it.

    Attributes
    ----------
    name
        As in Python and in a matrix file.
    type
        "int", "float", "str", or "float or str".
    default
        None where the data set's reference scenario says it, or nothing does.
    limits
        Bounds by "ge", "gt", "le", "lt".
    bounds
        The same in signs, such as "≥ 1".
    help
        One line, lower case, no full stop.
    choices
        The only values, if the field has a fixed set.
    metavar
        Placeholder of the value in `--help`.
    panel
        Of `--help`.
    shelf
        Of a field that names a plugin, where the registry has it: "partitioners".
    example
        A value.
    page
        Page of the documentation, with its heading, that says more.
    usual
        The default in words, if `default` is None.
    rival
        The field that may not be given with it.
    several
        Whether the option may be given several times and as a list.
    sequence
        Whether one value is a list.
    federation
        Whether it decides, with the seed, the federation of a cell.
    """

    name: str
    type: str
    default: Any
    limits: Mapping[str, Any]
    bounds: str
    help: str
    choices: tuple[str, ...]
    metavar: str
    panel: str
    shelf: str
    example: str
    page: str
    usual: str
    rival: str
    several: bool
    sequence: bool
    federation: bool

    @property
    def option(self) -> str:
        """The option of the command line."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def is_expression(self) -> bool:
        """Whether its texts are a name with parameters."""
        return bool(self.example and not self.sequence)

    def sentence(self) -> str:
        """Return the help as `--help` shows it."""
        such = f", such as {self.example}" if self.example else ""
        usual = f"; default: {self.usual}" if self.usual else ""
        text = f"{self.help[0].upper()}{self.help[1:]}{such}{usual}"
        return text if text.endswith("...") else f"{text}."

    def within(self, number: float) -> bool:
        """Return whether a number is within the bounds."""
        return all(_COMPARE[sign](number, bound) for sign, bound in self.limits.items())

    def check_choice(self, value: str, name: str = "") -> str:
        """Return a value that must be one of the choices, if the field has choices.

        Raises
        ------
        InputError
            It is not one of them; `name` is the field's name in the message.
        """
        if not self.choices or value in self.choices:
            return value
        expected = f"{', '.join(self.choices[:-1])} or {self.choices[-1]}"
        meant = nearest(value, self.choices)
        raise InputError(f"{name or self.name} {value!r} is not valid: expected {expected}.{meant}")


def check_precision(text: str) -> Precision:
    """Return the precision of that name.

    Raises
    ------
    InputError
        No field has this name.
    """
    return typing.cast("Precision", scenario_fields()["precision"].check_choice(text))


def settled(asked: SettledFields) -> dict[str, Any]:
    """Return the settled fields of a request, checked.

    Raises
    ------
    InputError
        A value is not valid.
    """
    values = {field.name: getattr(asked, field.name) for field in dataclasses.fields(SettledFields)}
    for name, value in values.items():
        if isinstance(value, str):
            scenario_fields()[name].check_choice(value)
    read = parse_parameters(SettledFields, values, owner="run")
    return {name: getattr(read, name) for name in values}


@cache
def scenario_fields() -> Mapping[str, ScenarioField]:
    """Return the fields by name, in their order."""
    hints = typing.get_type_hints(ScenarioRequest)
    infos = {info.name: info for info in describe_parameters(ScenarioRequest)}
    return {
        field.name: _described(field, hints[field.name], infos[field.name].help, infos)
        for field in dataclasses.fields(ScenarioRequest)
    }


def _described(
    field: dataclasses.Field[Any], hint: Any, help: str, infos: Mapping[str, Any]
) -> ScenarioField:
    shown: _Shown = field.metadata[_META]
    choices = get_args(hint) if typing.get_origin(hint) is Literal else ()
    arms = (str,) if choices else get_args(hint) or (hint,)
    kinds = [kind.__name__ for kind in arms if kind is not type(None)]
    meta = field.metadata["pflbench"]
    limits = {sign: getattr(meta, sign) for sign in _COMPARE}
    made = {name: getattr(shown, name) for name in _Shown.__dataclass_fields__}
    usual = {"int": "N", "float": "X"}.get(kinds[0], "NAME")
    made["metavar"] = shown.metavar or "|".join(choices) or usual
    return ScenarioField(
        name=field.name,
        type=" or ".join(kinds),
        default=None if field.default is dataclasses.MISSING else field.default,
        limits={sign: bound for sign, bound in limits.items() if bound is not None},
        bounds=infos[field.name].bounds,
        help=help,
        choices=choices,
        **made,
    )
