"""Observers of runs and rounds: the live display, loggers, third parties' trackers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pflbench.runs.result import Result


@dataclass(frozen=True)
class RunInfo:
    """A run that starts (or resumes, from round `start_round`).

    Attributes
    ----------
    precision
        Number type of computation: "float32", "bfloat16", "float64".
    engine, chunk, chunk_cores
        How a process trains its part of a full cohort: rows that train together at most, and
        cores that chunks of them (or single clients) are shared between.
    attendance
        Participants of the rounds and clients that join later, in words; "" if all take part.
    settled
        Further fields of the scenario that are off their default, in words.
    """

    run_id: str
    algorithm: str
    dataset: str
    partition: str
    clients: int
    rounds: int
    seed: int
    device: str
    engine: str
    folder: Path | None
    source: str
    notice: str
    start_round: int
    processes: int = 1
    precision: str = "float32"
    chunk: int = 1
    chunk_cores: int = 1
    attendance: str = ""
    settled: str = ""


@dataclass(frozen=True)
class Evaluation:
    """Validation accuracy of the personal models over clients, in [0, 1], after `round` rounds.

    It has no test numbers: a method's plugin may have an observer, and no method may learn them
    during a run. They come with the result, when the run is complete.
    """

    round: int
    val_mean: float
    val_worst_decile: float


@dataclass(frozen=True)
class Progress:
    """A round that is done.

    Attributes
    ----------
    round, rounds
        Rounds done, of how many: fewer than planned if training has ended early.
    cohort
        Clients that were invited.
    train_loss
        Mean over the clients that uploaded; NaN if none did.
    bytes_up, bytes_down
        Since the run's beginning, set-up included.
    seconds, seconds_left
        Since this process took the run up, and expected until its end.
    evaluation
        The latest evaluation, if this round had one.
    """

    round: int
    rounds: int
    cohort: int
    train_loss: float
    bytes_up: int
    bytes_down: int
    seconds: float
    seconds_left: float
    evaluation: Evaluation | None


class Observer:
    """Base of all observers: override the events that you need."""

    def started(self, info: RunInfo) -> None:
        """Handle the start of a run."""

    def round_done(self, progress: Progress) -> None:
        """Handle the end of a round."""

    def finished(self, result: Result) -> None:
        """Handle the completion of a run."""

    def failed(self, error: Exception) -> None:
        """Handle the failure of a run."""

    def reused(self, result: Result) -> None:
        """Handle a run that was complete already and is not run again."""
