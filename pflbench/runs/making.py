"""Making what a plugin's record names, such as a partitioner, with the plugin named if it fails."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from pflbench.isolation import Guard
from pflbench.schema.error_text import named
from pflbench.schema.specs import ParticipationSpec, PartitionerSpec, PopulationSpec, resolve


def maker(
    spec: PartitionerSpec | PopulationSpec | ParticipationSpec, kind: str
) -> Callable[..., Any]:
    """Import what a record names; return a function that calls it under guard.

    Parameters
    ----------
    spec
        The record.
    kind
        Its kind in words.

    Raises
    ------
    InputError
        It cannot be imported.
    """
    make = resolve(spec.make, owner=f"{kind} {spec.name!r}")

    def made(*arguments: Any) -> Any:
        with Guard(partial(named, spec))("its construction"):
            return make(*arguments)

    return made
