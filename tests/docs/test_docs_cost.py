"""The networks that the documentation lists are those there are, with their figures."""

from __future__ import annotations

import dataclasses

import pytest
from documents import DOCS, section, table

from pflbench.analysis.network import PRESETS, Network, read_network
from pflbench.schema.expressions import format_scalar
from pflbench.schema.parameters import describe_parameters

PAGE = DOCS / "cost.md"
LISTED = {row["Network"]: row for row in table(section(PAGE, "Time of a real federation"))}


def test_every_network_is_listed() -> None:
    assert set(LISTED) == set(PRESETS)


@pytest.mark.parametrize("name", sorted(set(PRESETS) - {"link"}))
def test_the_figures_of_a_network(name: str) -> None:
    network, row = dataclasses.asdict(read_network(name).network), LISTED[name]
    assert float(row["Mbit/s down"]) == network["down"]
    assert float(row["up"]) == network["up"]
    assert float(row["latency, ms"]) == network["latency"]
    assert float(row["spreads"]) == network["link_spread"] == network["speed_spread"]
    for word in row["Source"].replace(",", " ").replace(";", " ").split():
        if word.isdigit():  # the year
            assert word in PRESETS[name].source


def test_the_parameters_of_a_network() -> None:
    assert table(section(PAGE, "Parameters of a network")) == [
        {
            "Parameter": info.name,
            "Default": format_scalar(info.default),
            "Bounds": info.bounds,
            "Meaning": info.help,
        }
        for info in describe_parameters(Network)
    ]
