"""What runs cost, read from their stored tables; it depends on results alone.

Bytes that clients receive only so that their personal models can be evaluated are part of no
number here: no run records them, as they belong to the measurement.
"""

from __future__ import annotations

from pflbench.cost.network import PRESETS, Network, read_network
from pflbench.cost.record import Record, read
from pflbench.cost.timeline import Timeline, timeline
from pflbench.cost.to_target import Reached, reached
from pflbench.cost.totals import Kind, Totals, running, totals

__all__ = [
    "PRESETS",
    "Kind",
    "Network",
    "Reached",
    "Record",
    "Timeline",
    "Totals",
    "reached",
    "read",
    "read_network",
    "running",
    "timeline",
    "totals",
]
