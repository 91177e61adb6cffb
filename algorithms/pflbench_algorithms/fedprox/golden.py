"""Replays recorded runs of FedProx (github.com/alpemreacar/FedDyn, github.com/lgcollins/FedRep)."""

from __future__ import annotations

from pflbench_algorithms.fedprox import pflbench_algorithms
from pflbench_algorithms.recorded_rounds import replaying

replay = replaying(pflbench_algorithms()[0])
