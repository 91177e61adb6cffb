"""Parameters of the built-in partitioners."""

from __future__ import annotations

from dataclasses import dataclass

from pflbench.schema.parameters import param


@dataclass(frozen=True)
class Dirichlet:
    """Parameters of `dirichlet`."""

    alpha: float = param(
        0.5,
        "concentration: small gives a class to few clients, large to all alike",
        ge=1e-4,
        le=1e6,
        source="0.1 to 1 in most papers",
        tune=(0.05, 10),
        log=True,
    )


@dataclass(frozen=True)
class Pathological:
    """Parameters of `pathological`."""

    classes_per_client: int = param(
        2, "how many classes each client holds", ge=1, source="pFedHN official code"
    )


@dataclass(frozen=True)
class Quantity:
    """Parameters of `quantity`."""

    alpha: float = param(
        0.5,
        "concentration: small makes few clients large, large makes all alike",
        ge=1e-4,
        le=1e6,
        source="0.5 in NIID-Bench, Li 2022",
        tune=(0.05, 10),
        log=True,
    )


@dataclass(frozen=True)
class Rotated:
    """Parameters of `rotated`; sizes of none are the official ones, or all available samples."""

    step: float = param(
        10.0,
        "degrees between one client's angle and the next one's",
        ge=-360,
        le=360,
        source="FEDORA official code with 36 clients",
    )
    train: int | None = param(
        None, "training samples of a client; none: 128, if there are as many", ge=1
    )
    val: int | None = param(
        None, "validation samples of a client; none: 64, if there are as many", ge=1
    )
    test: int | None = param(
        None, "test samples of a client; none: an equal part of all there are", ge=1
    )
