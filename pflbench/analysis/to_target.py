"""The cost of reaching a target accuracy.

Whether it is reached is judged on validation, as everything is selected there: at the first
evaluated round at which the mean over clients of the validation accuracy is at least the target.
The reported accuracy is the test accuracy there. A run that never reached it has no such round, and
nothing is extrapolated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pflbench.analysis.run_costs import Record
from pflbench.analysis.timeline import Timeline
from pflbench.analysis.totals import running


@dataclass(frozen=True)
class Reached:
    """The round at which a target was reached, and everything spent by then, set-up included.

    Attributes
    ----------
    round
        The evaluated round; a mean over seeds need not be whole.
    val_accuracy, test_accuracy
        Means over clients after it.
    bytes_up, bytes_down, local_steps, client_seconds, server_seconds
        Spent up to its end.
    network_seconds
        Wall time of a real federation up to its end; None without a network.
    """

    round: float
    val_accuracy: float
    test_accuracy: float
    bytes_up: float
    bytes_down: float
    local_steps: float
    client_seconds: float
    server_seconds: float
    network_seconds: float | None


def reached(record: Record, target: float, times: Timeline | None = None) -> Reached | None:
    """Return when a run reached a target, None if it never did.

    Parameters
    ----------
    target
        Validation accuracy in (0, 1], mean over clients.
    times
        The run over a network.
    """
    # As in the choice of a round, numbers that differ only by rounding are equal.
    there = np.flatnonzero(record.val.means() >= target - 1e-12)
    if not len(there):
        return None
    place = int(there[0])
    r = int(record.val.rounds[place])
    (spent,) = running(record).loc[[r]].to_dict("records")
    return Reached(
        round=r,
        val_accuracy=float(record.val.means()[place]),
        test_accuracy=record.accuracy(r),
        network_seconds=None if times is None else float(times.seconds[r]),
        **{str(name): float(value) for name, value in spent.items()},
    )
