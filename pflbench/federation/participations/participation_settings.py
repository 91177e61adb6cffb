"""Parameters of the built-in participations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pflbench.schema.parameters import Param
from pflbench.schema.shares import ShareOf

_WORDS = "share of the clients there that are invited to a round"
_FRACTION = Param(_WORDS, gt=0, le=1, share_of=ShareOf())
_FRACTION_OF_SOME = Param(_WORDS, gt=0, le=1, share_of=ShareOf(when="when all are there"))

SOME = ShareOf(before="perhaps none")
"""The clients that are slow, join or leave."""


@dataclass(frozen=True)
class Uniform:
    """Parameters of `uniform`."""

    fraction: Annotated[float, _FRACTION] = 0.1


@dataclass(frozen=True)
class BySize:
    """Parameters of `by-size`."""

    fraction: Annotated[float, _FRACTION] = 0.1


@dataclass(frozen=True)
class Dropout:
    """Parameters of `dropout`."""

    p: Annotated[float, Param("probability that an invited client fails", ge=0, le=1)] = 0.2
    fraction: Annotated[float, _FRACTION] = 1.0


@dataclass(frozen=True)
class Stragglers:
    """Parameters of `stragglers`."""

    share: Annotated[
        float, Param("share of the clients that are slow", ge=0, le=1, share_of=SOME)
    ] = 0.3
    work: Annotated[
        float, Param("share of its local steps that a slow client does", gt=0, le=1)
    ] = 0.5
    fraction: Annotated[float, _FRACTION] = 1.0


@dataclass(frozen=True)
class Join:
    """Parameters of `join`."""

    at: Annotated[int, Param("first round of the first of those that join", ge=1)] = 10
    share: Annotated[
        float, Param("share of the clients that join late", ge=0, le=1, share_of=SOME)
    ] = 0.5
    over: Annotated[int, Param("rounds over which they join, evenly", ge=1)] = 1
    fraction: Annotated[float, _FRACTION_OF_SOME] = 1.0


@dataclass(frozen=True)
class Leave:
    """Parameters of `leave`."""

    at: Annotated[int, Param("first round without the first of those that leave", ge=1)] = 10
    share: Annotated[float, Param("share of the clients that leave", ge=0, le=1, share_of=SOME)] = (
        0.5
    )
    over: Annotated[int, Param("rounds over which they leave, evenly", ge=1)] = 1
    forget: Annotated[bool, Param("whether the server is to forget them")] = False
    fraction: Annotated[float, _FRACTION_OF_SOME] = 1.0


@dataclass(frozen=True)
class ByLabel:
    """Parameters of `by-label`."""

    period: Annotated[int, Param("rounds of a cycle", ge=1)] = 10
    awake: Annotated[
        float,
        Param("share of a cycle in which a client is there", gt=0, le=1,
              share_of=ShareOf("period", "rounds")),
    ] = 0.5  # fmt: skip
    fraction: Annotated[float, _FRACTION_OF_SOME] = 1.0
