"""How far our replay of a recorded run is from what an official implementation computed.

A method replays a `Recording` in the function that its record names as `golden`:
`replay(recording, engine)` returns the largest absolute difference of every quantity.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from torch import Tensor

from pflbench.conformance.recording import Recording
from pflbench.errors import InputError
from pflbench.schema.paths import path_of
from pflbench.schema.specs import AlgorithmSpec, resolve

__all__ = ["Differences", "Recording", "Replay", "replay"]


class Differences:
    """The largest difference of each quantity over a replay.

    A difference is absolute where the recorded value is at most 1 in size, and relative above:
    single precision rounds relative to size, and by other amounts on other processors.
    """

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.largest: dict[str, float] = {}

    def note(self, quantity: str, ours: Tensor | np.ndarray, recorded: Tensor | np.ndarray) -> None:
        """Compare two arrays; a non-finite value on our side is infinitely far."""
        a, b = _double(ours), _double(recorded)
        if a.shape != b.shape:
            raise self.recording.error(f"{quantity} has shape {b.shape}, expected {a.shape}")
        gap = float("inf")
        if np.isfinite(a).all():
            gap = float((np.abs(a - b) / np.maximum(1.0, np.abs(b))).max(initial=0.0))
        self.largest[quantity] = max(self.largest.get(quantity, 0.0), gap)

    def note_evaluation(self, r: int, table: pd.DataFrame, prefix: str = "") -> None:
        """Compare the clients' test metrics after round r with the row that is recorded.

        Parameters
        ----------
        prefix
            What stands before "test_accuracy" and "test_loss": "global/".
        """
        names = self.recording.names(f"{prefix}test_")
        if not {f"{prefix}test_accuracy", f"{prefix}test_loss"} & set(names):
            raise self.recording.error(
                f"it has neither '{prefix}test_accuracy' nor '{prefix}test_loss'"
            )
        part = table[table["split"] == "test"].sort_values("client")
        ours = {
            f"{prefix}test_accuracy": (part["correct"] / part["samples"]).to_numpy(
                dtype=np.float64
            ),
            f"{prefix}test_loss": part["loss"].to_numpy(dtype=np.float64),
        }
        shape = (self.recording.rounds, self.recording.clients)
        for name, values in ours.items():
            if name in names:
                self.note(name, values, self.recording.array(name, shape)[r])


def _double(value: Tensor | np.ndarray) -> np.ndarray:
    array = value.detach().cpu().numpy() if isinstance(value, Tensor) else value
    return array.astype(np.float64)


@dataclass(frozen=True)
class Replay:
    """How a replay compares with its recording.

    Attributes
    ----------
    differences
        Quantity to its largest difference (`Differences`) over all rounds, clients and entries.
    not_compared
        Further names in the file, which the replay does not know.
    """

    differences: Mapping[str, float]
    not_compared: tuple[str, ...]

    def within(self, tolerance: float) -> bool:
        """Return whether every quantity is."""
        return all(gap <= tolerance for gap in self.differences.values())


def replay(spec: AlgorithmSpec, path: Path, engine: str = "auto") -> Replay:
    """Replay a recording with a method.

    Parameters
    ----------
    spec
        The method's record.
    path
        The recording.
    engine
        "auto", "stacked" or "sequential".

    Raises
    ------
    InputError
        The method has no replay, or the file is damaged, incomplete or of another method.
    """
    if not spec.golden:
        raise InputError(
            f"The algorithm {spec.name!r} has no recorded runs: its record names no `golden`."
        )
    function = resolve(spec.golden, owner=f"algorithm {spec.name!r}")
    recording = Recording(path_of(path, "recording"))
    differences = dict(function(recording, engine))
    if not differences:
        raise recording.error("it holds nothing to compare")
    return Replay(differences, tuple(recording.unread()))
