"""One column of a printed leaderboard, and how its numbers are written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pflbench.analysis.board import Measures, Row
from pflbench.analysis.marks import marks
from pflbench.analysis.protocol import BASELINE

NOTHING = "–"
NO_BASELINE = f"no {BASELINE} run"
"""The entry of a row without a comparison, which is different from a gain of 0."""


@dataclass(frozen=True)
class Column:
    """One column: its header and a row's entry, as plain text.

    `repeated` columns say which row it is and over how many seeds: where a table is parted for
    want of room, each part begins with them.
    """

    header: str
    entry: Callable[[Row], str]
    left: bool = False
    repeated: bool = False


def percent(value: float | None, *, digits: int = 2, sign: bool = False) -> str:
    """Write a share of one in percent; a dash if unknown."""
    if value is None:
        return NOTHING
    text = f"{100 * value:{'+' if sign else ''}.{digits}f}"
    # A number that rounds to 0 has no sign.
    return text.lstrip("+-") if float(text) == 0 else text.replace("-", "−")


def interval(low: float | None, high: float | None, *, digits: int = 2, sign: bool = False) -> str:
    """Write the ends of an interval with its mean's digits, so that the mean is between them."""
    if low is None or high is None:  # one seed has none
        return NOTHING
    return " … ".join(percent(end, digits=digits, sign=sign) for end in (low, high))


def points(difference: float, low: float | None, high: float | None, *, digits: int = 2) -> str:
    """Write a difference of accuracies and its interval, in points; one seed has no interval."""
    written = percent(difference, digits=digits, sign=True)
    if low is None or high is None:
        return written
    return f"{written} [{interval(low, high, digits=digits, sign=True)}]"


def number(value: float | None, digits: int = 0) -> str:
    """Write a number with its thousands parted."""
    return NOTHING if value is None else f"{value:,.{digits}f}"


def share(value: float | None) -> str:
    """Write a number in [-1, 1]."""
    return NOTHING if value is None else f"{value:.3f}".replace("-", "−")


def four_digits(value: float | None) -> str:
    """Write a number of any size with four digits that count."""
    return NOTHING if value is None else f"{value:,.4g}".replace("-", "−")


def mega(value: float | None) -> str:
    """Write millions."""
    return NOTHING if value is None else f"{value / 1e6:,.1f}"


def measure(show: Callable[[Measures], str]) -> Callable[[Row], str]:
    """Return the entry that shows a ranked row's numbers."""
    return lambda row: NOTHING if row.measures is None else show(row.measures)


def against_baseline(entry: Callable[[Row], str]) -> Callable[[Row], str]:
    """Leave the baseline's own row empty."""
    return lambda row: NOTHING if row.baseline else entry(row)


def accuracy(m: Measures) -> str:
    """Write the headline, with its standard deviation if the row has several seeds."""
    return spread(m.test_accuracy, m.test_std)


def mean(name: str, show: Callable[[float | None], str] = percent) -> Callable[[Row], str]:
    """Return the entry of a mean, with its standard deviation if the row has several seeds."""

    def entry(row: Row) -> str:
        value = getattr(row.measures, name, None)
        return spread(value, row.deviations.get(name), show)

    return entry


def spread(
    value: float | None, deviation: float | None, show: Callable[[float | None], str] = percent
) -> str:
    """Write a mean over seeds and its standard deviation, if known."""
    if value is None or deviation is None:
        return show(value)
    return f"{show(value)} ± {show(deviation)}"


def gain_spread(value: float | None, deviation: float | None) -> str:
    """Write a difference that is a mean over seeds, in points, and its standard deviation."""
    if value is None or deviation is None:
        return percent(value, sign=True)
    return f"{percent(value, sign=True)} ± {percent(deviation)}"


def standing(row: Row) -> str:
    """Write the rank of a row, or the ranks that the verdicts leave it."""
    if row.rank is None or row.worst_rank is None:
        return NOTHING
    return str(row.rank) if row.rank == row.worst_rank else f"{row.rank}–{row.worst_rank}"


def hurt(row: Row) -> str:
    """Write the share of clients that are hurt, and that are hurt by more than the error."""
    if row.measures is None or row.measures.hurt is None:
        return NOTHING
    return f"{mean('hurt', tenths)(row)} ({tenths(row.measures.hurt_beyond_error)})"


def gain(m: Measures) -> str:
    """Write the gain over the baseline with its interval."""
    if m.gain is None:
        return NO_BASELINE
    return points(m.gain, m.gain_low, m.gain_high)


def steps(row: Row) -> str:
    """Write the gradient steps of training, and of adaptation if any."""
    training = counted("local_steps")(row)
    if row.measures is None or not row.measures.adapt_steps:
        return training
    return f"{training} + {counted('adapt_steps')(row)}"


def counted(
    name: str, show: Callable[[float | None], str] = lambda value: number(value)
) -> Callable[[Row], str]:
    """Return the entry of a number that is mostly the same with every seed, then without ±."""
    varying = mean(name, show)

    def entry(row: Row) -> str:
        if show(row.deviations.get(name, 0.0)) == show(0.0):
            return show(getattr(row.measures, name, None))
        return varying(row)

    return entry


def rounds(value: float | None) -> str:
    """Write a round, or a mean of several."""
    return number(value, 0 if value is None or value == round(value) else 1)


def tenths(value: float | None) -> str:
    """Write a share in percent, with one digit."""
    return percent(value, digits=1)


def seconds(value: float | None) -> str:
    """Write seconds, with one digit."""
    return number(value, 1)


RANK = Column("rank", standing)
METHOD = Column(
    "method", lambda row: f"{row.label} {marks(row)}".rstrip(), left=True, repeated=True
)
SEEDS = Column("seeds", lambda row: str(len(row.seeds)), repeated=True)
