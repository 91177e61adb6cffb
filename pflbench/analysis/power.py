"""How many seeds would show a difference: computed from the runs of a board.

Stored runs show how much luck between seeds moves the difference of two rows. A plan simulates
boards of more seeds with this luck, in which one row is ahead of all others by the effect to
detect, and counts how often the verdict of boards detects it. The spread of a few seeds is itself
uncertain, so every number of seeds has an interval.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Final

import numpy as np

from pflbench.analysis.board import Board, Row
from pflbench.analysis.inference import board_p_of_moments, moments
from pflbench.analysis.protocol import BASELINE, CONFIDENCE, FEWEST_SEEDS, SIGNIFICANCE
from pflbench.errors import InputError
from pflbench.results.measures import Floats
from pflbench.streams import stream

MOST_SEEDS: Final = 200
"""The largest plan: beyond it, the answer is that the effect is too small."""

_BOARDS, _FEWEST_BOARDS, _PAIRS = 500, 100, 60_000
"""Simulated boards, fewer if they have many pairs of rows: with 500, a power of 80 % is known
to 2 points."""

_CELLS: Final = 4_000_000
"""Differences in memory at the same time: affects no number."""


@dataclass(frozen=True)
class Needed:
    """How many seeds show that one row differs from the baseline.

    Attributes
    ----------
    method
        The label of the row.
    std
        Standard deviation over the stored seeds of its difference from the baseline, in [0, 1].
    seeds
        The fewest that show the effect with the requested power; None for more than `MOST_SEEDS`.
    low, high
        The same at the ends of the 95 % interval of the standard deviation.
    power
        Share of boards with as many seeds as are stored that show the effect, in [0, 1]; None
        where these are too few for a verdict.
    """

    method: str
    std: float
    seeds: int | None
    low: int | None
    high: int | None
    power: float | None

    def record(self) -> dict[str, Any]:
        """Return it as JSON values, in points."""
        return {
            "method": self.method,
            "std_points": 100 * self.std,
            "seeds": self.seeds,
            "seeds_low": self.low,
            "seeds_high": self.high,
            "power_with_stored_seeds": self.power,
        }


@dataclass(frozen=True)
class Plan:
    """How many seeds a board needs.

    Attributes
    ----------
    board
        The board.
    effect, power
        The difference to detect, in [0, 1], and the probability of detecting it.
    stored
        Seeds that are stored.
    rows
        Each row against the baseline.
    """

    board: Board
    effect: float
    power: float
    stored: int
    rows: tuple[Needed, ...]

    @property
    def whole(self) -> Needed:
        """The seeds of the row that needs most: with these, each row shows the effect."""
        most = max(self.rows, key=lambda row: (_size(row.seeds), _size(row.high), row.std))
        low, high = (
            max((getattr(row, end) for row in self.rows), key=_size) for end in ("low", "high")
        )
        return replace(most, low=low, high=high)

    def record(self) -> dict[str, Any]:
        """Return it as JSON values, in points."""
        return {
            "scenario": self.board.scenario_id,
            "title": self.board.title,
            "baseline": BASELINE,
            "effect_points": 100 * self.effect,
            "power": self.power,
            "stored_seeds": self.stored,
            "most_seeds": MOST_SEEDS,
            "rows": [row.record() for row in self.rows],
            "whole_board": self.whole.record(),
        }


def plan_seeds(board: Board, effect: float, power: float) -> Plan:
    """Compute how many seeds a board needs.

    Parameters
    ----------
    board
        With runs of the baseline and of at least one other row, of two or more seeds.
    effect
        A difference of accuracy, in (0, 1].
    power
        The probability of detecting it, in (0, 1).

    Raises
    ------
    InputError
        The board's runs are not enough for a plan.
    """
    rows = [row for row in board.rows if row.accuracies is not None]
    base = next((place for place, row in enumerate(rows) if row.baseline), None)
    if base is None or len(rows) < 2:
        raise InputError(
            f"{board.title} (scenario {board.scenario_id}) has no pair to plan for: expected "
            f"complete runs of {BASELINE} and of another method."
        )
    by_seed = np.array([_means(row) for row in rows])  # [R, S]
    stored = by_seed.shape[1]
    if stored < 2:
        raise InputError(
            f"{board.title} (scenario {board.scenario_id}) has one seed, which says nothing about "
            "the luck between seeds: expected at least two."
        )
    drawn = _Drawn(by_seed, base)
    needed = [
        _needed(drawn, place, row.label, effect, power)
        for place, row in enumerate(rows)
        if place != base
    ]
    return Plan(board, effect, power, stored, tuple(needed))


def _needed(drawn: _Drawn, place: int, label: str, effect: float, power: float) -> Needed:
    from scipy.stats import chi2

    std, freedom = drawn.std(place), drawn.stored - 1
    tail = (1 - CONFIDENCE) / 2
    wide, narrow = (np.sqrt(freedom / chi2.ppf(share, freedom)) for share in (tail, 1 - tail))
    # With k times the luck, the power for an effect is that for 1/k of it with these seeds' luck.
    seeds, low, high = (
        drawn.fewest(place, effect / times, power) for times in (1.0, float(narrow), float(wide))
    )
    enough = drawn.stored >= FEWEST_SEEDS
    there = drawn.power(place, effect, drawn.stored) if enough else None
    return Needed(label, std, seeds, low, high, there)


class _Drawn:
    """Boards whose rows are equal, with the luck of the stored seeds.

    Parameters
    ----------
    by_seed
        [R, S]: mean accuracies of the stored seeds.
    base
        The place of the baseline.
    """

    def __init__(self, by_seed: Floats, base: int) -> None:
        self.stored, self._base = by_seed.shape[1], base
        self._rows = len(by_seed)
        self._first, self._second = np.triu_indices(self._rows, 1)
        centred = by_seed - by_seed.mean(axis=1, keepdims=True)
        centred = np.where(np.abs(centred) < 1e-12, 0.0, centred)
        self._differences = centred[self._first] - centred[self._second]
        self._boards = max(_FEWEST_BOARDS, min(_BOARDS, _PAIRS // len(self._first)))
        normal = stream(0, "plan", self._rows, self.stored).standard_normal(
            (self._boards, self.stored, MOST_SEEDS)
        )
        # Sums of the seeds' deviations, normally weighted, have the covariance of the seeds.
        self._luck = np.einsum("rs,bsn->brn", centred / np.sqrt(self.stored - 1), normal)
        self._moments = cache(self._moments_of)

    def std(self, place: int) -> float:
        """Return the standard deviation of a row's difference from the baseline."""
        return float(self._differences[self._pair(place)].std(ddof=1))

    def fewest(self, place: int, effect: float, power: float) -> int | None:
        """Return the fewest seeds that show an effect; None for more than `MOST_SEEDS`."""
        low, high = FEWEST_SEEDS, FEWEST_SEEDS
        while self.power(place, effect, high) < power:
            if high == MOST_SEEDS:
                return None
            low, high = high + 1, min(2 * high, MOST_SEEDS)
        while low < high:
            middle = (low + high) // 2
            if self.power(place, effect, middle) < power:
                low = middle + 1
            else:
                high = middle
        return high

    def power(self, place: int, effect: float, seeds: int) -> float:
        """Return the share of boards that call a row better that is ahead of all by an effect."""
        mean, variance = self._moments(seeds)
        ahead = effect * ((self._first == place) * 1.0 - (self._second == place))
        p = board_p_of_moments(mean + ahead, variance, seeds, self._rows)
        pair = self._pair(place)
        right = (mean + ahead)[:, pair] * ahead[pair] > 0
        return float(((p[:, pair] < SIGNIFICANCE) & right).mean())

    def _pair(self, place: int) -> int:
        """Return the place of the pair of a row and the baseline."""
        ends = {place, self._base}
        return next(
            i
            for i, pair in enumerate(zip(self._first, self._second, strict=True))
            if set(pair) == ends
        )

    def _moments_of(self, seeds: int) -> tuple[Floats, Floats]:
        """Return means and variances over seeds of all pairs' differences, each [B, P]."""
        size = max(1, _CELLS // (len(self._first) * seeds))
        found = []
        for start in range(0, self._boards, size):
            luck = self._luck[start : start + size, :, :seeds]
            found.append(moments(luck[:, self._first] - luck[:, self._second]))
        means, variances = zip(*found, strict=True)
        return np.concatenate(means), np.concatenate(variances)


def _means(row: Row) -> Floats:
    assert row.accuracies is not None  # rows without are left out
    means: Floats = row.accuracies.mean(axis=1)
    return means


def _size(seeds: int | None) -> int:
    return MOST_SEEDS + 1 if seeds is None else seeds
