"""A simple model of the network and the devices of a real federation.

Every client has a link and a processor. Their speeds are drawn once per client around a median,
from the stream (seed, "network", client): all methods of a seed have the same clients.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from pflbench.errors import UnknownNameError
from pflbench.results.measures import Floats
from pflbench.schema.expressions import parse_expression
from pflbench.schema.parameters import param, parse_parameters, required
from pflbench.streams import stream


@dataclass(frozen=True)
class Network:
    """Links and processors."""

    down: float = required("a median client's download, Mbit/s", gt=0)
    up: float = required("a median client's upload, Mbit/s", gt=0)
    latency: float = param(0.0, "time of a round trip to the server, ms", ge=0)
    link_spread: float = param(0.0, "spread of the clients' links", ge=0)
    speed: float = param(1.0, "a median client's speed, in units of the machine of the run", gt=0)
    speed_spread: float = param(0.0, "spread of the clients' speeds", ge=0)
    distribution: Literal["lognormal", "uniform"] = param(
        "lognormal", "distribution of links and speeds; the spread is σ of ln, or half the width"
    )
    step: float | None = param(
        None, "seconds of a local step at speed 1; none: as measured in the run", ge=0
    )
    cut: float = param(0.0, "share of a cohort, the slowest, that no round waits for", ge=0, lt=1)

    def __post_init__(self) -> None:
        if self.distribution == "uniform" and max(self.link_spread, self.speed_spread) >= 1:
            raise ValueError("a uniform spread is below 1: no link and no processor is of no use.")


@dataclass(frozen=True)
class Preset:
    """A network by name: its parameters, and the source of the figures."""

    values: Mapping[str, Any]
    source: str


_DEVICES: Final = {"link_spread": 0.5, "speed_spread": 0.5}
_SPREAD: Final = (
    "spreads of 0.5 let the fastest and the slowest hundredth differ tenfold, as phones' peak "
    "performance does (Wu et al., HPCA 2019); for links that is an assumption"
)
PRESETS: Final[dict[str, Preset]] = {
    "lte": Preset(
        {"down": 35.96, "up": 11.22, "latency": 40.0, **_DEVICES},
        "Speedtest Global Index, mean of all mobile tests in September 2020, when nearly all were "
        f"4G; {_SPREAD}",
    ),
    "mobile-5g": Preset(
        {"down": 166.13, "up": 21.08, "latency": 29.0, **_DEVICES},
        "Ookla, medians of 5G tests in the third quarter of 2021; latency: of all mobile tests in "
        f"November 2021; {_SPREAD}",
    ),
    "broadband": Preset(
        {"down": 85.73, "up": 45.74, "latency": 21.0, **_DEVICES},
        "Speedtest Global Index, mean of all fixed tests in September 2020; spreads as of mobile "
        "devices",
    ),
    "lan": Preset(
        {"down": 1000.0, "up": 1000.0, "latency": 1.0},
        "nominal rate of Gigabit Ethernet (IEEE 802.3ab); latency: an assumption; no spread",
    ),
    "link": Preset({}, "as given"),
}
"""By the name that a command line has for it; `link` has nothing set."""


@dataclass(frozen=True)
class NamedNetwork:
    """A network, how it was written, and where its figures come from."""

    network: Network
    written: str
    source: str


def read_network(text: str) -> NamedNetwork:
    """Read a network such as "lte", "lte(speed=0.1)" or "link(down=50, up=10)".

    Raises
    ------
    InputError
        The network does not exist, a parameter is not valid, or one is missing.
    """
    expression = parse_expression(text, kind="network", example="lte or link(down=50, up=10)")
    if expression.name not in PRESETS:
        raise UnknownNameError("network", expression.name, PRESETS)
    preset = PRESETS[expression.name]
    network = parse_parameters(
        Network, {**preset.values, **expression.arguments}, owner=expression.name
    )
    return NamedNetwork(network, str(expression), preset.source)


@dataclass(frozen=True, eq=False)
class Devices:
    """Link and speed of each client, by its number.

    Attributes
    ----------
    down, up
        [N] bytes a second.
    speed
        [N] in units of the machine of the run.
    """

    down: Floats
    up: Floats
    speed: Floats


def devices(network: Network, clients: int, seed: int) -> Devices:
    """Draw the links and processors of N clients."""
    drawn = np.array([_standard(network, stream(seed, "network", i)) for i in range(clients)])
    link, speed = _factors(network, drawn, (network.link_spread, network.speed_spread)).T
    byte = 1e6 / 8
    return Devices(network.down * byte * link, network.up * byte * link, network.speed * speed)


def _standard(network: Network, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw a client's two numbers, before they are spread."""
    if network.distribution == "uniform":
        return rng.uniform(-1.0, 1.0, size=2)
    return rng.standard_normal(2)


def _factors(network: Network, drawn: Floats, spreads: Sequence[float]) -> Floats:
    """Return the factors of the medians, [N, 2]."""
    spread = drawn * np.asarray(spreads)
    factors: Floats = 1 + spread if network.distribution == "uniform" else np.exp(spread)
    return factors
