"""What a client keeps is its own: no server that writes to its own rows changes it."""

from __future__ import annotations

import torch
from small_federations import federation_of, simulate


def test_a_server_that_writes_to_what_it_sent_changes_no_client() -> None:
    kept = []
    for engine in ("sequential", "stacked"):
        sim = simulate(
            "careless_methods:KeepsReceived",
            "careless_methods:OneModelEach",
            federation=federation_of((8, 8, 8)),
            engine=engine,
        )
        for r in range(2):
            sim.round(r)
        kept.append(sim.personal(sim.everyone).clone())
    torch.testing.assert_close(kept[1], kept[0])
