"""Cells that a matrix leaves out."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pflbench.experiments.grid.keys import FIELDS, KEYS, resolve_key
from pflbench.schema.expressions import Expression, is_model_file, parse_expression
from pflbench.schema.plugins import Registry
from pflbench.schema.settings import parse_settings

EXCLUDE_KEYS = ("method", "seed", *KEYS)


@dataclass(frozen=True)
class Exclusion:
    """A cell is left out if it matches all conditions.

    A name with parameters matches every cell with these parameters, given or by default; a name
    alone matches any parameters. Keys that a scenario leaves out have the values of its data set's
    reference scenario.

    Attributes
    ----------
    conditions
        "method", "seed" or a key of a scenario to values, one of which must be the cell's.
    """

    conditions: Mapping[str, tuple[Any, ...]]

    def holds(
        self, scenario: Mapping[str, Any], seed: int, method: Expression, registry: Registry
    ) -> bool:
        """Whether all conditions are true of a cell."""
        said: Mapping[str, Any] | None = None
        for key, values in self.conditions.items():
            if key == "seed":
                found = seed in values
            elif key == "method":
                found = any(_is_method(str(method), str(value), registry) for value in values)
            else:
                said = said or _in_full(scenario, registry)
                found = any(_is(key, said.get(key), value, registry) for value in values)
            if not found:
                return False
        return True


def _in_full(scenario: Mapping[str, Any], registry: Registry) -> dict[str, Any]:
    """Return a scenario completed from its data set's reference scenario."""
    name = str(scenario["dataset"]).partition(":")[0]
    reference = dataclasses.asdict(registry.get(registry.datasets, name).reference)
    if "local_steps" in scenario or "local_epochs" in scenario:
        reference.update(local_steps=None, local_epochs=None)
    usual = {name: field.default for name, field in FIELDS.items()}
    return {**usual, **reference, **scenario}


def _is(key: str, said: Any, wanted: Any, registry: Registry) -> bool:
    if said is None or isinstance(said, int | float) or isinstance(wanted, int | float):
        return bool(said == wanted)
    if key == "dataset" and ":" not in wanted:
        return bool(said.partition(":")[0] == wanted)
    if FIELDS[key].is_expression:
        return _is_expression(key, said, wanted, registry)
    return bool(said == wanted)


@lru_cache(maxsize=4096)
def _is_expression(key: str, said: str, wanted: str, registry: Registry) -> bool:
    if key == "model" and (is_model_file(said) or is_model_file(wanted)):
        return said == wanted
    want = parse_expression(wanted, kind=key)
    if parse_expression(said, kind=key).name != want.name:
        return False
    if not want.arguments:
        return True
    return resolve_key(key, wanted, registry, base=said) == resolve_key(key, said, registry)


@lru_cache(maxsize=4096)
def _is_method(said: str, wanted: str, registry: Registry) -> bool:
    have, want = (parse_expression(text, kind="algorithm") for text in (said, wanted))
    if have.name != want.name or not want.arguments:
        return have.name == want.name
    spec = registry.get(registry.algorithms, have.name)
    both = {**have.arguments, **want.arguments}
    return parse_settings(spec, both) == parse_settings(spec, have.arguments)
