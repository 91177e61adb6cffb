"""What workers report while they run a cell, and how the executor passes it on."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from pflbench.errors import Remark
from pflbench.experiments.executors.executor import Watch, Work
from pflbench.runs.observer import Observer, Progress, RunInfo
from pflbench.schema.error_text import shortened

Say = Callable[[str, Any], None]
"""Called with an event and its subject."""


class Reporter(Observer):
    """Reports how far a run is.

    Parameters
    ----------
    say
        Where to.
    seconds
        Rounds are reported no more often, except for the last one.
    evaluations
        Whether rounds that were evaluated are always reported.
    """

    def __init__(self, say: Say, seconds: float, *, evaluations: bool = False) -> None:
        self.say, self.seconds, self.evaluations = say, seconds, evaluations
        self.last = -math.inf

    def started(self, info: RunInfo) -> None:
        """Report that the run starts."""
        self.say("started", info)

    def round_done(self, progress: Progress) -> None:
        """Report the round, unless the last report was just now."""
        now = time.monotonic()
        due = progress.round >= progress.rounds or now - self.last >= self.seconds
        if due or (self.evaluations and progress.evaluation is not None):
            self.last = now
            self.say("round_done", progress)


def warnings_to(say: Say) -> Callable[..., None]:
    """Return what reports warnings, in place of `warnings.showwarning`."""

    def show(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        say("remark" if issubclass(category, Remark) else "notice", shortened(str(message)))

    return show


def tell(watch: Watch, event: str, work: Work | None, what: Any) -> None:
    """Pass on what a worker said: of a cell, or of itself."""
    if event == "remark":
        watch.remark(what)
    elif event == "notice" or work is None:
        watch.notice(what)
    elif event == "began":
        watch.began(work)
    else:
        for observer in watch.observers(work):
            getattr(observer, event)(what)
