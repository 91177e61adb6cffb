"""From `--participation` to who takes part: a number, or a plugin's name with parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from pflbench.errors import InputError
from pflbench.federation import Census, Participation
from pflbench.federation.participation import NEVER
from pflbench.runs.making import maker
from pflbench.schema import plugins
from pflbench.schema.expressions import parse_expression
from pflbench.schema.numbers import number_of
from pflbench.schema.parameters import parameters_of_identity, parse_parameters
from pflbench.schema.realised import written as in_words
from pflbench.schema.scenario import Choice

PLAIN: Final = "uniform"
"""The participation that a plain number stands for; it is the number in every identity."""


@dataclass(frozen=True, eq=False)
class Participating:
    """A participation that is asked for.

    Attributes
    ----------
    choice
        What the scenario holds of it.
    make
        Makes it for a federation.
    """

    choice: float | Choice
    make: Callable[[Census], Participation]


def check_reached(made: Participation, written: float | Choice, rounds: int) -> None:
    """Refuse a participation that says of rounds what a run of so many does not reach.

    Raises
    ------
    InputError
        Somebody joins or leaves after the last round, or its cycle is longer than the run.
    """
    said = written if isinstance(written, int | float) else in_words(written)
    for does, when in (("joins", made.arrivals()), ("leaves", made.departures())):
        late = when[(when >= rounds) & (when != NEVER)]
        if len(late):
            raise InputError(
                f"{said} is not reached: a client {does} in round {int(late.max()) + 1:,}, and "
                f"the run's last round is {rounds:,}. Expected rounds of it."
            )
    if made.cycle > rounds:
        raise InputError(
            f"{said} is not reached: its cycle has {made.cycle:,} rounds, and the run's last round "
            f"is {rounds:,}. Expected a whole cycle at least."
        )


def is_expression(value: object) -> bool:
    """Return whether a participation is written as a name rather than as a number."""
    return isinstance(value, str) and number_of(value) is None


def participating(value: float | str, registry: plugins.Registry) -> Participating:
    """Resolve a number, whose bounds are checked already, or an expression.

    Raises
    ------
    InputError
        There is no such participation, or a parameter is not valid.
    """
    number = number_of(value)
    if number is not None:
        fraction = float(number)
        return Participating(fraction, partial(Participation.uniform, fraction))
    expression = parse_expression(str(value), kind="participation", example="dropout(p=0.2)")
    spec = registry.get(registry.participations, expression.name)
    parameters: Any = parse_parameters(spec.parameters, expression.arguments, owner=spec.name)
    make = maker(spec, "participation")
    if spec.name == PLAIN:
        return Participating(parameters.fraction, partial(make, parameters))
    choice = Choice(spec.name, parameters_of_identity(parameters), spec.version)
    return Participating(choice, partial(make, parameters))
