"""Bytes are those of the messages."""

from __future__ import annotations

import pandas as pd
import torch
from small_federations import UNEVEN, federation_of, simulate

from pflbench.engine.traffic import Traffic
from pflbench.method import Layout
from pflbench_algorithms.fedora import Fedora
from pflbench_algorithms.pfedhn import PFedHN, PFedHNPC

P = 6 * 5 + 5 + 5 * 5 + 5 + 5 * 3 + 3  # of the small MLP
HEAD = 5 * 3 + 3


def lines(simulation: object) -> set[tuple[int, str, str, int, int]]:
    table = simulation.traffic.table()  # type: ignore[attr-defined]
    return {tuple(line) for line in table.itertuples(index=False)}  # type: ignore[misc]


def test_fedavg() -> None:
    simulation = simulate(dtype=torch.float32, participation=0.4)
    report = simulation.round(0)
    assert report.bytes_down == report.bytes_up == 2 * P * 4
    simulation.round(1)
    assert lines(simulation) == {
        (-1, "up", "samples", 5, 5 * 8),
        *((r, d, "model", 2, 2 * P * 4) for r in (1, 2) for d in ("down", "up")),
    }
    assert simulation.traffic.total("up") == 5 * 8 + 2 * 2 * P * 4
    assert simulation.traffic.total("down") == 2 * 2 * P * 4


def test_evaluation_is_not_traffic() -> None:
    simulation = simulate()
    before = lines(simulation)
    simulation.evaluate(0)
    assert lines(simulation) == before


def test_fedora_uploads_subspaces_and_models() -> None:
    simulation = simulate(
        "pflbench_algorithms.fedora.client:FedoraClient",
        "pflbench_algorithms.fedora.server:FedoraServer",
        parameters=Fedora(subspace_dim=2),
        dtype=torch.float32,
    )
    simulation.round(0)
    assert lines(simulation) == {
        (-1, "up", "subspace", 5, 5 * (6 + 3) * 2 * 4),
        (1, "down", "model", 5, 5 * P * 4),
        (1, "up", "model", 5, 5 * P * 4),
    }


def test_pfedhn_and_its_variant_without_the_head() -> None:
    for variant, columns, parameters in (
        ("", P, PFedHN(hidden=4)),
        ("PC", P - HEAD, PFedHNPC(hidden=4)),
    ):
        simulation = simulate(
            f"pflbench_algorithms.pfedhn.client:PFedHN{variant}Client",
            f"pflbench_algorithms.pfedhn.server:PFedHN{variant}Server",
            parameters=parameters,
            dtype=torch.float32,
        )
        simulation.round(0)
        assert lines(simulation) == {
            (1, "down", "model", 5, 5 * columns * 4),
            (1, "up", "delta", 5, 5 * columns * 4),
        }


def test_several_kinds_in_one_upload() -> None:
    simulation = simulate("small_methods:OwnStep", dtype=torch.float32)
    simulation.round(0)
    assert (1, "up", "seen", 5, 5 * 4) in lines(simulation)
    assert (1, "up", "model", 5, 5 * P * 4) in lines(simulation)


def test_a_table_is_taken_up_again() -> None:
    simulation = simulate()
    simulation.round(0)
    other = Traffic()
    other.restore(simulation.traffic.table())
    pd.testing.assert_frame_equal(other.table(), simulation.traffic.table())
    assert other.total("up") == simulation.traffic.total("up")
    assert other.total("down") == simulation.traffic.total("down")


def test_an_empty_table_has_its_columns() -> None:
    table = Traffic().table()
    assert list(table.columns) == ["round", "direction", "kind", "messages", "bytes"]
    restored = Traffic()
    restored.restore(table)
    assert restored.total("up") == 0


def test_p_is_what_the_layout_says() -> None:
    simulation = simulate(federation=federation_of())
    assert Layout.of(simulation.task.module).columns == P
    assert len(UNEVEN) == 5
