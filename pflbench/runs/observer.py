"""Being told of runs and rounds: the live display, loggers, third parties' trackers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pflbench.runs.result import Result


@dataclass(frozen=True)
class RunInfo:
    """A run that starts (or goes on, from round `start_round`).

    Attributes
    ----------
    precision
        What is computed with: "float32", "bfloat16", "float64".
    engine, chunk, chunk_cores
        How a process trains its part of a full cohort: rows that train together at most, and
        cores that chunks of them (or single clients) are shared between.
    attendance
        Who takes part in the rounds and who joins later, in words; "" where all do.
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

    There are no test numbers: a method's plugin may bring an observer, and no method may learn
    them while it runs. They come with the result, when the run is complete.
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
        Rounds done, of how many.
    cohort
        Clients that were invited.
    train_loss
        Mean over those that uploaded; NaN if nobody did.
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
    """Base of all observers: override what you want to hear of."""

    def started(self, info: RunInfo) -> None:
        """Hear that a run starts."""

    def round_done(self, progress: Progress) -> None:
        """Hear that a round is done."""

    def finished(self, result: Result) -> None:
        """Hear that a run is complete."""

    def failed(self, error: Exception) -> None:
        """Hear that a run failed."""

    def reused(self, result: Result) -> None:
        """Hear that a complete run was there already."""
