"""Scenarios and rows in words."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pflbench.errors import InputError
from pflbench.results import StoredRun
from pflbench.schema.parameters import Scalar, describe_parameters
from pflbench.schema.plugins import installed
from pflbench.schema.realised import (
    attendance,
    new_clients_in_numbers,
    participation_in_numbers,
    population_in_numbers,
    short,
)
from pflbench.schema.realised import written as in_words
from pflbench.schema.scenario import Choice, Scenario
from pflbench.schema.scenario_fields import PRECISIONS, scenario_fields

Defaults = Callable[[str], Mapping[str, Scalar] | None]
"""An algorithm's default parameters; None for an unknown algorithm."""


def installed_defaults(algorithm: str) -> Mapping[str, Scalar] | None:
    """Look the defaults of an algorithm up in the installed plugins."""
    registry = installed()
    try:
        spec = registry.get(registry.algorithms, algorithm)
    except InputError:  # runs outlive plugins: the row then names every parameter
        return None
    return {info.name: info.default for info in describe_parameters(spec.parameters)}


def labels(choices: Sequence[Choice], defaults: Defaults) -> list[str]:
    """Name the rows of a board: with parameters off their default or differing between rows."""
    names = []
    for choice in choices:
        rivals = [other for other in choices if other.name == choice.name]
        usual = defaults(choice.name)
        shown = {
            key: value
            for key, value in choice.parameters.items()
            if usual is None
            or key not in usual
            or usual[key] != value
            or any(key not in r.parameters or r.parameters[key] != value for r in rivals)
        }
        versions = {other.version for other in rivals}
        suffix = f" (version {choice.version})" if len(versions) > 1 else ""
        names.append(f"{short(choice.name, shown)}{suffix}")
    return names


def describe(scenario: Scenario, sizes: Mapping[str, int]) -> str:
    """Say a scenario in words.

    Parameters
    ----------
    scenario
        The scenario.
    sizes
        Samples of all clients together by split, empty if unknown.
    """
    s = scenario
    budget = (
        _count(s.local_epochs, "local epoch")
        if s.local_epochs is not None
        else _count(s.local_steps or 0, "local step")
    )
    cohort = _cohort(s)
    data = f"data {s.fingerprint[:8]}"
    if sizes:
        words = {"train": "training", "val": "validation", "test": "test"}
        listed = [f"{sizes[k]:,} {word}" for k, word in words.items() if k in sizes]
        data += f" ({', '.join(listed)} samples)"
    precision = "" if s.precision == PRECISIONS[0] else f", in {s.precision}"
    others = "".join(f", {words}" for words in _others(s))
    privacy = ""
    if s.privacy is not None:
        privacy = f"; uploads under {in_words(s.privacy)}"
    partition = in_words(s.partition)
    if s.population is not None:
        partition += f", population {in_words(s.population)}"
        partition += population_in_numbers(s)
    new = ""
    if s.new_clients is not None:
        new = f"; {s.new_clients.words(new_clients_in_numbers(s))}"
    evaluated = "after the last round"
    if s.eval_every <= s.rounds:
        evaluated = f"every {_count(s.eval_every, 'round', one='round')}"
    model = in_words(s.model)
    return (
        f"{_count(s.clients, 'client')} of {s.dataset}, {data}, partition {partition}, "
        f"model {model}; {_count(s.rounds, 'round')} of {budget}, {cohort}; {_optimizer(s)}, "
        f"weight decay {s.weight_decay:g}{precision}{others}{privacy}; evaluated {evaluated}{new}. "
        f"Scenario {s.id}."
    )


def _optimizer(s: Scenario) -> str:
    """Return the local optimizer in words."""
    name, momentum = "SGD", f", momentum {s.momentum:g}"
    if s.optimizer is not None:
        name = in_words(s.optimizer)
        momentum = momentum if s.momentum else ""
    rate = f"learning rate {s.lr:g}"
    if s.schedule is not None:
        rate += f" by {in_words(s.schedule)}"
    return f"{name} with batches of {s.batch_size}, {rate}{momentum}"


def _cohort(scenario: Scenario) -> str:
    said, number = scenario.participation, participation_in_numbers(scenario)
    if isinstance(said, Choice):
        return f"participation {in_words(said)}{number}"
    if said >= 1:
        return "every client in every round"
    return f"{said * 100:g} % of the clients in each round{number}"


def title(dataset: str, scenario: Scenario) -> str:
    """Return a board's title: data set, partition, and other settings off their defaults."""
    s = scenario
    words = [dataset, in_words(s.partition)]
    if s.population is not None:
        said = in_words(s.population)
        words.append(said + population_in_numbers(s))
    if s.privacy is not None:
        words.append(in_words(s.privacy))
    words += attendance(s)
    words += [in_words(choice) for choice in (s.optimizer, s.schedule) if choice is not None]
    if s.precision != PRECISIONS[0]:
        words.append(s.precision)
    return " · ".join([*words, *_others(s)])


_WORDED = ("precision", "privacy", "population", "new_clients", "optimizer", "schedule")
"""Fields with a default for which `describe` and `title` have words."""


def _others(scenario: Scenario) -> list[str]:
    """Name the other fields off their defaults, so that no field is silent."""
    return [
        f"{field.name.replace('_', ' ')} {value}"
        for field in dataclasses.fields(Scenario)
        if field.name not in _WORDED
        and field.default is not dataclasses.MISSING
        and (value := getattr(scenario, field.name)) != field.default
    ]


def titles(scenarios: Mapping[str, tuple[str, Scenario]]) -> dict[str, str]:
    """Return a title for each scenario; equal titles get the differences.

    Parameters
    ----------
    scenarios
        Of any keys, each with its data set as written.
    """
    plain = {key: title(*named) for key, named in scenarios.items()}
    rivals: dict[str, list[Scenario]] = defaultdict(list)
    for key, (_, scenario) in scenarios.items():
        rivals[plain[key]].append(scenario)
    return {
        key: " · ".join([plain[key], *_differences(scenario, rivals[plain[key]])])
        for key, (_, scenario) in scenarios.items()
    }


def _differences(scenario: Scenario, rivals: Sequence[Scenario]) -> list[str]:
    """Return in words how a scenario differs from others with its title."""
    words = []
    table = (name for name in scenario_fields() if hasattr(scenario, name))
    for name in ("fingerprint", *table):
        own: Any = getattr(scenario, name)
        if own is not None and any(getattr(rival, name) != own for rival in rivals):
            said = own[:8] if name == "fingerprint" else own
            said = own.words() if name == "new_clients" else said
            words.append(f"{name.replace('_', ' ')} {said}")
    return words


def written(choice: Mapping[str, Any] | None) -> str:
    """Write a stored choice as on a command line, "" for None."""
    if choice is None:
        return ""
    return in_words(Choice(choice["name"], choice["parameters"]))


def shortfall(
    wanted: Sequence[int], runs: Mapping[int, StoredRun], results: Mapping[int, float]
) -> str:
    """Say why a row is not ranked, with the existing results, seed by seed.

    Parameters
    ----------
    wanted
        The seeds of ranked rows.
    runs
        The row's runs by seed, of any status.
    results
        Test accuracy (in [0, 1]) of each complete run.
    """
    parts = []
    for seed, run in sorted(runs.items()):
        if run.status == "failed":
            parts.append(f"seed {seed} failed{_failure(run.failure)}")
        elif run.status == "damaged":
            parts.append(f"seed {seed} is damaged ({run.damage_in_short})")
        elif run.status == "unfinished":
            parts.append(f"seed {seed} is unfinished")
    missing = [str(seed) for seed in wanted if seed not in runs]
    if missing:
        parts.append(f"no run of {'seed' if len(missing) == 1 else 'seeds'} {', '.join(missing)}")
    have = [f"seed {seed} ({100 * value:.2f} %)" for seed, value in sorted(results.items())]
    if have:
        parts.append(f"complete: {', '.join(have)}")
    return "; ".join(parts)


def _failure(failure: Mapping[str, Any]) -> str:
    where = [f"{key} {failure[key]}" for key in ("round", "client") if failure.get(key) is not None]
    place = f" in {', '.join(where)}" if where else ""
    kind = f" ({failure['error']})" if failure.get("error") else ""
    return f"{place}{kind}"


def _count(number: int, noun: str, *, one: str | None = None) -> str:
    if number == 1:
        return one or f"1 {noun}"
    return f"{number:,} {noun}s"
