"""The built-in learning-rate schedules, made of their parameters."""

from __future__ import annotations

from pflbench.errors import InputError
from pflbench.method.schedule import Cosine, Exponential, MultiStep, Schedule, Step
from pflbench.schema.local_optimizers import (
    ConstantSettings,
    CosineSettings,
    ExponentialSettings,
    MultiStepSettings,
    StepSettings,
)
from pflbench.schema.numbers import whole_of


def constant(p: ConstantSettings) -> Schedule:
    """Return a constant rate."""
    return Schedule(p.warmup)


def step(p: StepSettings) -> Schedule:
    """Return a rate that falls after every `every` rounds."""
    return Step(p.warmup, p.every, p.gamma)


def multistep(p: MultiStepSettings) -> Schedule:
    """Return a rate that falls after the rounds `at`.

    Raises
    ------
    InputError
        These are not ascending whole numbers.
    """
    marks = [whole_of(mark) for mark in p.at.split("+")]
    good = [mark for mark in marks if mark is not None and mark >= 1]
    if len(good) < len(marks) or good != sorted(set(good)):
        raise InputError(
            f"multistep.at = {p.at!r} is not valid: expected ascending rounds joined by +, such as "
            "50+75."
        )
    return MultiStep(p.warmup, tuple(good), p.gamma)


def exponential(p: ExponentialSettings) -> Schedule:
    """Return a rate that falls after every round."""
    return Exponential(p.warmup, p.gamma)


def cosine(p: CosineSettings) -> Schedule:
    """Return a rate that falls along half a cosine."""
    return Cosine(p.warmup, p.rounds, p.floor)
