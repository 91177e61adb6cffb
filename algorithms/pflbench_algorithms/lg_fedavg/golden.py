"""Replays recorded runs of the official LG-FedAvg code (github.com/pliang279/LG-FedAvg)."""

from __future__ import annotations

from collections.abc import Mapping

from pflbench.conformance.golden import Recording
from pflbench_algorithms.lg_fedavg import pflbench_algorithms
from pflbench_algorithms.recorded_rounds import RecordedRounds


def replay(recording: Recording, engine: str) -> Mapping[str, float]:
    """Return the largest difference of every quantity: see `RecordedRounds`.

    Parameters
    ----------
    recording
        Its config names the `global_layers`; they must be the last ones.
    engine
        "auto", "stacked" or "sequential".
    """
    layers = recording.config.get("global_layers")
    if not isinstance(layers, list) or not layers:
        raise recording.error(f"config says global_layers = {layers!r}, expected names of layers")
    recording.ignored("global_layers")  # what was received names them
    parameters = {"global_layers": len(layers)}
    spec = pflbench_algorithms()[0]
    return RecordedRounds(recording, engine, spec, parameters=parameters).replay()
