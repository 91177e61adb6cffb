"""How clients relate: what a run may know of it beforehand, and what it keeps in the end."""

from __future__ import annotations

import dataclasses
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
from pflbench.schema.plugin_choice import PluginName

KEPT_UP_TO = 2_000
"""Clients up to which every pair of them is kept."""


def coordinates_for(parameters: Any, federation: Federation) -> NDArray[np.float64] | None:
    """Return how the clients really relate, for a baseline that asks; None for all others.

    Raises
    ------
    InputError
        It is asked for and not known.
    """
    values = [getattr(parameters, field.name) for field in dataclasses.fields(parameters)]
    named = [value.spec for value in values if isinstance(value, PluginName)]
    asking = [spec for spec in named if getattr(spec, "needs_truth", False)]
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
