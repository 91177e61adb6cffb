"""Local+: a client that trains alone, and fine-tunes its model before it is evaluated."""

from __future__ import annotations

from pflbench_algorithms.fedavg_ft.client import FineTuning
from pflbench_algorithms.local.client import KeptClient


class LongerKeptClient(FineTuning, KeptClient):
    """Local's client half, fine-tuned: as many gradients as FedAvg-FT, on the client's own w."""
