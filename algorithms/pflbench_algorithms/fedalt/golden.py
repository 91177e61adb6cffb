"""Replays recorded runs of the official code, FL_partial_personalization of facebookresearch."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from pflbench.conformance.golden import Recording
from pflbench.method import Layout
from pflbench.schema.specs import AlgorithmSpec
from pflbench_algorithms.fedalt import pflbench_algorithms
from pflbench_algorithms.recorded_rounds import RecordedRounds

NAMED = ("output", "input", "norm")


def replay(spec: AlgorithmSpec, recording: Recording, engine: str) -> Mapping[str, float]:
    """Return the largest difference of every quantity: see `RecordedRounds`.

    Parameters
    ----------
    recording
        FedAlt's has `batches/client{k}/personal` and `batches/client{k}/shared`. The config names
        the `personal` layers: output, input, norm, or recorded names joined by +.
    engine
        "auto", "stacked" or "sequential".
    """
    personal = recording.config.get("personal", "output")
    if personal in NAMED or not isinstance(personal, str):
        return RecordedRounds(recording, engine, spec).replay()
    recording.ignored("personal")
    network = recording.network()
    layout = Layout.of(network.module, network.head)
    ours = {
        theirs.rpartition(".")[0]: name.rpartition(".")[0]
        for theirs, name in zip(network.names, layout.names, strict=True)
    }
    if not set(personal.split("+")) <= ours.keys():
        raise recording.error(
            f"config says personal = {personal!r}, expected {', '.join(NAMED)}, or some of "
            f"{', '.join(dict.fromkeys(ours))}, joined by +"
        )
    named = "+".join(ours[layer] for layer in personal.split("+"))
    return RecordedRounds(recording, engine, spec, parameters={"personal": named}).replay()


replay_fedalt, replay_fedsim = (partial(replay, spec) for spec in pflbench_algorithms())
