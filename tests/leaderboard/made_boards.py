"""Boards made of numbers alone, for tests of what is said of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pflbench.analysis import Board, Measures, Row

Values = NDArray[np.float64]

_NUMBERS = {field.name: 0.0 for field in dataclasses.fields(Measures)}


def row(label: str, accuracies: Values, *, rank: int | None = 1, chosen: bool = False) -> Row:
    """A row of the algorithm that its label begins with; of [S, N] accuracies."""
    measures = Measures(**{**_NUMBERS, "test_accuracy": float(accuracies.mean())})
    return Row(
        algorithm=label.split("(")[0],
        version="1",
        parameters={},
        label=label,
        seeds=tuple(range(len(accuracies))),
        run_ids={seed: f"{seed:012x}" for seed in range(len(accuracies))},
        commands={},
        rank=rank,
        reason="" if rank else "it failed",
        measures=measures if rank else None,
        chosen=chosen,
        baseline=label == "local",
        accuracies=accuracies if rank else None,
    )


def board(
    rows: Sequence[Row],
    *,
    dataset: str = "mnist",
    step: int = 10,
    rounds: int = 10,
    population: Mapping[str, object] | None = None,
) -> Board:
    """A board of a data set and a partition that `step` tells from others."""
    partition = {"name": "rotated", "parameters": {"step": step}, "version": ""}
    scenario = {"partition": partition, "rounds": rounds, "fingerprint": f"data of {dataset}"}
    if population:
        scenario["population"] = population
    return Board(
        scenario_id=f"{step:06d}{rounds:06d}",
        title=dataset,
        words="",
        dataset=dataset,
        scenario=scenario,
        seeds=rows[0].seeds if rows else (),
        rows=tuple(rows),
        notes=(),
    )


def of_means(means: Mapping[str, float], **where: object) -> Board:
    """A board on which every client has its method's mean."""
    return board([row(n, np.full((2, 4), m)) for n, m in means.items()], **where)  # type: ignore[arg-type]
