"""Replays recorded runs of FedPer (`--alg fedper` of github.com/lgcollins/FedRep)."""

from __future__ import annotations

from pflbench_algorithms.fedper import pflbench_algorithms
from pflbench_algorithms.recorded_rounds import replaying

replay = replaying(pflbench_algorithms()[0])
