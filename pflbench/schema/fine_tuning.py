"""The variant `NAME+ft` of a method: its global model is fine-tuned before each evaluation."""

from __future__ import annotations

import dataclasses
from functools import cache
from typing import Any

from pflbench.errors import InputError
from pflbench.schema.parameters import param
from pflbench.schema.specs import FINE_TUNED, AlgorithmSpec

EPOCHS = "ft_epochs"
"""The parameter that the variant adds to those of the method."""


def fine_tuned(spec: AlgorithmSpec) -> AlgorithmSpec:
    """Return the record of a method's fine-tuned variant; whether it has a meaning shows later.

    Raises
    ------
    InputError
        The method is fine-tuned already, or has a parameter `ft_epochs`.
    """
    names = {field.name for field in dataclasses.fields(spec.parameters)}
    if spec.fine_tuned or EPOCHS in names:
        raise InputError(f"{spec.name}{FINE_TUNED} does not exist: {spec.name} is fine-tuned.")
    return dataclasses.replace(
        spec,
        name=spec.name + FINE_TUNED,
        summary=f"{spec.summary}; fine-tuned at evaluation",
        parameters=_with_epochs(spec.parameters),
        golden="",
        fine_tuned=True,
    )


@cache
def _with_epochs(parameters: type) -> type:
    """Return the parameter class with one more field."""
    epochs: Any = param(
        5,
        "local epochs of fine-tuning before each evaluation",
        ge=1,
        tune=(1, 20),
        source="the local budget of the FEDORA setting",
    )
    name = f"FineTuned{parameters.__name__}"
    return dataclasses.make_dataclass(
        name, [(EPOCHS, int, epochs)], bases=(parameters,), frozen=True
    )
