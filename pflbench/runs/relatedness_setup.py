"""How clients relate: what a run may know of it beforehand, and what it keeps in the end."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pflbench.analysis.relatedness_score import scores, truth_of
from pflbench.analysis.relatedness_tables import Matrices, coordinates_table, relatedness_table
from pflbench.errors import InputError
from pflbench.federation import Federation
from pflbench.federation.truth import true_coordinates
from pflbench.method import Server
from pflbench.schema.parameters import describe_parameters
from pflbench.schema.plugins import Registry

KEPT_UP_TO = 2_000
"""Clients up to which every pair of them is kept."""


def named_plugins(parameters: Any, registry: Registry) -> list[Any]:
    """Return the records of the plugins that parameters name (`param(shelf=...)`).

    Raises
    ------
    InputError
        There is none of that name, or it is broken.
    """
    return [
        registry.get(getattr(registry, info.shelf), getattr(parameters, info.name))
        for info in describe_parameters(type(parameters))
        if info.shelf
    ]


def coordinates_for(
    parameters: Any, federation: Federation, registry: Registry
) -> NDArray[np.float64] | None:
    """Return how the clients really relate, for a baseline that asks; None for all others.

    Raises
    ------
    InputError
        It is asked for and not known.
    """
    asking = [s for s in named_plugins(parameters, registry) if getattr(s, "needs_truth", False)]
    if not asking:
        return None
    known = true_coordinates(federation)
    if known is None:
        raise InputError(
            f"{asking[0].name!r} needs a scenario that knows how its clients relate, such as "
            "--partition 'rotated(step=10)'; this one does not."
        )
    return known


def relatedness_of(
    server: Server[Any], federation: Federation, numbers: NDArray[np.int64]
) -> tuple[dict[str, pd.DataFrame], dict[str, float]]:
    """Return the tables of a run's end and the scores for its summary; both empty if there is none.

    Nothing is kept of more than 2,000 clients.

    Parameters
    ----------
    server, federation
        Of those that took part.
    numbers
        [N] their numbers.
    """
    if federation.clients > KEPT_UP_TO:
        return {}, {}
    learnt = server.relatedness()
    if learnt is None:
        return {}, {}
    similarity, weight, propagation = (
        matrix.detach().cpu().numpy().astype(np.float64) for matrix in learnt
    )
    found = Matrices(similarity, weight, propagation, numbers)
    tables = {"relatedness": relatedness_table(found)}
    if federation.coordinates is not None:
        tables["coordinates"] = coordinates_table(federation.coordinates, numbers)
    return tables, scores(found, truth_of(federation.coordinates, federation.groups))
