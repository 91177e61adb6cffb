"""Gradients of rows, relative to the baseline: a larger budget is not a better method."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from pflbench.analysis.board import Measures, Row
from pflbench.analysis.protocol import BASELINE, LONGER_BASELINE

ALIKE: Final = 0.01
"""Budgets that differ by at most this share of the smaller are called equal."""


def times(own: Measures, baseline: Measures | None) -> float | None:
    """Return a row's gradients divided by the baseline's; None if unknown."""
    if baseline is None or not baseline.gradients or own.gradients is None:
        return None
    return own.gradients / baseline.gradients


def alike(ratio: float) -> bool:
    """Whether two budgets of that ratio are called equal."""
    return ratio > 0 and max(ratio, 1 / ratio) <= 1 + ALIKE


def differences(rows: Iterable[Row]) -> str:
    """Say which rows computed more or less than the baseline, "" if none did."""
    by_ratio: dict[str, list[str]] = defaultdict(list)
    for row in _other_budgets(rows):
        by_ratio[f"{row.budget:.2f}"].append(row.label)
    return "; ".join(
        f"{', '.join(labels)} with {ratio} times the gradients of {BASELINE}"
        for ratio, labels in by_ratio.items()
    )


def budget_notes(rows: Sequence[Row]) -> list[str]:
    """Return the note on budgets that differ, which names the reference of the larger ones."""
    said = differences(rows)
    if not said:
        return []
    longer = [row for row in rows if row.algorithm == LONGER_BASELINE]
    larger = [row for row in _other_budgets(rows) if (row.budget or 0) > 1 and row not in longer]
    reference = ""
    if any(not any(_as_much(row, one) for one in longer) for row in larger):
        reference = f" The fair reference, {LONGER_BASELINE} with as many, is not ranked here."
    elif larger:
        matched = [one.label for one in longer if any(_as_much(row, one) for row in larger)]
        reference = f" The fair reference is {', '.join(matched)}."
    return [f"Budgets differ: {said}.{reference}"]


def _as_much(row: Row, other: Row) -> bool:
    """Whether two rows have known and equal budgets."""
    return bool(row.budget and other.budget) and alike((row.budget or 0) / (other.budget or 1))


def _other_budgets(rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if row.budget is not None and not alike(row.budget)]
