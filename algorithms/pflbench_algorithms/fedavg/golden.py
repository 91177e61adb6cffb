"""Replays recorded runs of FedAvg (`train_FedAvg` of github.com/alpemreacar/FedDyn)."""

from __future__ import annotations

from pflbench_algorithms.fedavg import pflbench_algorithms
from pflbench_algorithms.recorded_rounds import replaying

replay = replaying(pflbench_algorithms()[0])
