"""The predictions of a run in its folder: one file of tensors, with what they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pflbench.errors import DamagedError, InputError
from pflbench.results.described_tensors import read_description, write_described
from pflbench.results.files import reading
from pflbench.results.stored import PREDICTIONS, StoredRun

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class KeptPredictions:
    """What the predictions in a file are.

    Attributes
    ----------
    which
        The round asked for: "last", or the one "selected" on validation.
    round
        That round.
    clients
        [N] numbers of the clients, in the order of their samples.
    """

    which: str
    round: int
    clients: tuple[int, ...]


def write_predictions(path: Path, kept: KeptPredictions, tensors: Mapping[str, Tensor]) -> None:
    """Write predictions: "SPLIT.log_probabilities", "SPLIT.labels" and "SPLIT.samples"."""
    write_described(path, kept, tensors)


def kept_predictions(run: StoredRun) -> KeptPredictions:
    """Return what predictions a run has.

    Raises
    ------
    InputError
        It has none, or it is damaged; the message says how to get some.
    """
    run.check()
    if run.status != "complete":
        raise InputError(f"Run {run.id} is {run.status}: only complete runs have predictions.")
    path = run.folder / PREDICTIONS
    if not path.is_file():
        raise InputError(
            f"Run {run.id} has no predictions. To keep them, run it again with --keep-predictions "
            '--rerun always (from Python, keep_predictions="selected", rerun="always").'
        )
    return read_kept_predictions(path)


def read_kept_predictions(path: Path) -> KeptPredictions:
    """Return what predictions a file holds.

    Raises
    ------
    DamagedError
        The file is missing or damaged.
    """
    return read_description(path, KeptPredictions)


def read_predictions(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file.

    Raises
    ------
    DamagedError
        It is damaged.
    """
    import safetensors.torch

    with reading(path):
        try:
            return safetensors.torch.load_file(path)
        except (OSError, safetensors.SafetensorError) as error:
            raise DamagedError(path, f"{path} is damaged: {error}") from error
