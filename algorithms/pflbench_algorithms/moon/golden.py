"""Replays recorded runs of MOON."""

from __future__ import annotations

from pflbench_algorithms.moon import pflbench_algorithms
from pflbench_algorithms.recorded_rounds import replaying

replay = replaying(pflbench_algorithms()[0])
