"""A matrix: methods × scenarios × seeds, without excluded cells."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

from pflbench.errors import InputError
from pflbench.experiments.grid.exclusion import Exclusion
from pflbench.experiments.grid.keys import FIELDS
from pflbench.schema import plugins
from pflbench.schema.expressions import Expression

if TYPE_CHECKING:
    from pflbench.runs import RunRequest


TUNING_SEED = 100
"""The first seed that is tried for tuning; runs that are compared mostly have smaller ones."""


def seeds_apart(seeds: Iterable[int]) -> tuple[int, ...]:
    """Return the seed to tune with where none is given: one that no compared run has."""
    taken = set(seeds)
    return (next(seed for seed in count(TUNING_SEED) if seed not in taken),)


@dataclass(frozen=True)
class TuningPlan:
    """How each method's parameters are searched for (`pflbench tune`).

    Attributes
    ----------
    trials
        Of every method.
    rounds
        Of a trial; None for the scenario's.
    seeds
        That a trial runs with.
    extend
        Whether trials are continued, equally for all methods of a scenario, if the best value of
        one is at the end of the tried values.
    max_trials
        At most this many of every method then; None for as many as it takes.
    score
        The metric on validation that trials are compared by.
    """

    trials: int
    rounds: int | None = None
    seeds: tuple[int, ...] = (TUNING_SEED,)
    extend: bool = True
    max_trials: int | None = None
    score: str = "accuracy"

    def check(self) -> None:
        """Check that the numbers go together.

        Raises
        ------
        InputError
            They do not.
        """
        if self.max_trials is None:
            return
        if not self.extend:
            raise InputError(
                "max_trials says where continued trials end, and extend is off, so none are "
                "continued: leave one of the two out."
            )
        if self.max_trials < self.trials:
            raise InputError(
                f"max_trials {self.max_trials} is below trials {self.trials}: "
                f"expected at least {self.trials}."
            )


@dataclass(frozen=True)
class Point:
    """One cell of a matrix, as requested.

    Attributes
    ----------
    scenario
        By the names of `RunRequest`, without fields left out.
    seed, method
        The other parts of the cell.
    """

    scenario: Mapping[str, Any]
    seed: int
    method: Expression


@dataclass(frozen=True)
class Matrix:
    """Methods, scenarios and seeds, checked as far as names and bounds go.

    Attributes
    ----------
    methods
        With the parameters that are not at their default.
    seeds
        Of the split, the initial model and the sampling.
    scenarios
        Each by the names that `RunRequest` has, single values.
    exclusions
        The excluded cells.
    tuning
        How parameters are searched for, None if they are not.
    """

    methods: tuple[Expression, ...]
    seeds: tuple[int, ...]
    scenarios: tuple[Mapping[str, Any], ...]
    exclusions: tuple[Exclusion, ...] = ()
    tuning: TuningPlan | None = None

    def points(self, registry: plugins.Registry | None = None) -> Iterator[Point]:
        """Yield the cells: data sets, then federations, then seeds, then scenarios, then methods.

        So cells of one federation follow each other, and it is made once.
        """
        registry = registry or plugins.installed()
        for group in self._by_federation():
            for seed in self.seeds:
                for scenario in group:
                    for method in self.methods:
                        point = Point(scenario, seed, method)
                        if not any(
                            e.holds(scenario, seed, method, registry) for e in self.exclusions
                        ):
                            yield point

    def requests(
        self, registry: plugins.Registry | None = None, **machine: Any
    ) -> list[RunRequest]:
        """Return a request a cell, in the order of `points`.

        Parameters
        ----------
        registry
            Where names are looked up; the installed plugins if None.
        machine
            The fields of `RunRequest` outside a scenario: device, engine, chunk, data_dir, ...

        Raises
        ------
        InputError
            No cell is left.
        """
        from pflbench.runs import RunRequest  # it imports torch

        made = [
            RunRequest(
                algorithm=point.method.name,
                parameters=point.method.arguments,
                seed=point.seed,
                **point.scenario,
                **machine,
            )
            for point in self.points(registry)
        ]
        if not made:
            raise InputError("The matrix has no cells: all of them are excluded.")
        return made

    def _by_federation(self) -> list[list[Mapping[str, Any]]]:
        """Group the scenarios, each group and each data set in the order of appearance."""
        groups: dict[str, dict[tuple[Any, ...], list[Mapping[str, Any]]]] = defaultdict(dict)
        for scenario in self.scenarios:
            federation = tuple(
                scenario.get(key) for key, field in FIELDS.items() if field.federation
            )
            groups[scenario["dataset"]].setdefault(federation, []).append(scenario)
        return [group for one in groups.values() for group in one.values()]
