"""Parameters of the built-in participations."""

from __future__ import annotations

from dataclasses import dataclass

from pflbench.schema.parameters import param
from pflbench.schema.shares import ShareOf

_WORDS = "share of the present clients that is invited to a round"

SOME = ShareOf(before="perhaps none")
"""The clients that are slow, join or leave."""


def _fraction(default: float) -> float:
    return param(default, _WORDS, gt=0, le=1, share_of=ShareOf())


def _fraction_of_some(default: float) -> float:
    """Declare the share for rules under which clients come and go."""
    return param(default, _WORDS, gt=0, le=1, share_of=ShareOf(when="when all are present"))


@dataclass(frozen=True)
class Uniform:
    """Parameters of `uniform`."""

    fraction: float = _fraction(0.1)


@dataclass(frozen=True)
class BySize:
    """Parameters of `by-size`."""

    fraction: float = _fraction(0.1)


@dataclass(frozen=True)
class Dropout:
    """Parameters of `dropout`."""

    p: float = param(0.2, "probability that an invited client fails", ge=0, le=1)
    fraction: float = _fraction(1.0)


@dataclass(frozen=True)
class Stragglers:
    """Parameters of `stragglers`."""

    share: float = param(0.3, "share of the clients that are slow", ge=0, le=1, share_of=SOME)
    work: float = param(0.5, "share of its local steps that a slow client does", gt=0, le=1)
    fraction: float = _fraction(1.0)


@dataclass(frozen=True)
class Join:
    """Parameters of `join`."""

    at: int = param(10, "first round of the first of those that join", ge=1)
    share: float = param(0.5, "share of the clients that join late", ge=0, le=1, share_of=SOME)
    over: int = param(1, "rounds over which they join, evenly", ge=1)
    fraction: float = _fraction_of_some(1.0)


@dataclass(frozen=True)
class Leave:
    """Parameters of `leave`."""

    at: int = param(10, "first round without the first of those that leave", ge=1)
    share: float = param(0.5, "share of the clients that leave", ge=0, le=1, share_of=SOME)
    over: int = param(1, "rounds over which they leave, evenly", ge=1)
    forget: bool = param(False, "whether the server must forget them")
    fraction: float = _fraction_of_some(1.0)


@dataclass(frozen=True)
class ByLabel:
    """Parameters of `by-label`."""

    period: int = param(10, "rounds of a cycle", ge=1)
    awake: float = param(
        0.5,
        "share of a cycle in which a client is present",
        gt=0,
        le=1,
        share_of=ShareOf("period", "rounds"),
    )
    fraction: float = _fraction_of_some(1.0)
