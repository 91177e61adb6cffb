"""Simulates boards whose truth is known, and fills docs/studies/coverage.md: python study.py.

The numbers are stored next to this script in `coverage.json`; each has its own random stream, so a
part can be computed again: `python study.py error/equal` computes the numbers whose names begin
with it. A test does this, and compares the page with them.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from deciding import INTERVALS, WAYS, students
from simulated import FIRST, LUCK, ROWS, SECOND, boards

from pflbench.analysis.inference import t_interval

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "studies" / "coverage.md"
DATA = HERE / "coverage.json"

SEEDS, CLIENTS = (3, 5, 10, 20), (10, 100)
ASKED = ("none", "equal", "thrice", "failing")
"""The kinds of luck in which the error must be at most 6 % and intervals cover at least 93 %."""
BEYOND = ("half", "skewed")
BOARDS, FEWER = 2000, 300
"""Boards of a number; and of one of a way that takes longer."""
WAYS_AT = (5, 10)
"""Numbers of seeds at which ways to decide are compared."""
POINTS = (1, 2, 5)
FAR = (0, 0, 0, 20, 40, 60)
"""Three equal methods among others that are clearly different."""
MIXED = (2, 0, -5, -7, -12, -15)
"""Two methods that are close, and others that are behind."""

Numbers = dict[str, float]


def error(seeds: int, clients: int, luck: str) -> Numbers:
    """Six equal rows: how often any is called different, and the coverage of intervals."""
    told, covered, own = {"chosen": 0, "plain": 0}, np.zeros(len(FIRST)), 0
    for part in boards(BOARDS, seeds, clients, luck):
        for name in told:
            told[name] += int(WAYS[name][1](part).any(axis=1).sum())
        low, high = students(part)
        covered += ((low <= 0) & (high >= 0)).sum(axis=0)
        low, high = t_interval(part.mean(axis=-1))
        own += int(((low <= 0.7) & (high >= 0.7)).sum())
    return {
        **{f"error_{name}": count / BOARDS for name, count in told.items()},
        "coverage": float(covered.mean()) / BOARDS,
        "coverage_worst_pair": float(covered.min()) / BOARDS,
        "coverage_of_a_row": own / (BOARDS * ROWS),
    }


def power(seeds: int, clients: int, luck: str) -> Numbers:
    """One row is better than five equals: how often a pair of it is told apart."""
    found: Numbers = {}
    for points in POINTS:
        for name in ("chosen", "plain"):
            told = 0.0
            for part in boards(FEWER, seeds, clients, luck, (points, *[0] * (ROWS - 1))):
                told += WAYS[name][1](part)[:, FIRST == 0].mean(axis=1).sum()
            found[f"power_{points}_{name}"] = told / FEWER
    return found


def compared(seeds: int, way: str) -> Numbers:
    """One way to decide: its error by luck, and whether it sees 2 points, with 36 clients."""
    found: Numbers = {}
    decide = WAYS[way][1]
    for luck in ASKED:
        told = sum(decide(part).any(axis=1).sum() for part in boards(FEWER, seeds, 36, luck))
        found[f"error_{luck}"] = told / FEWER
    better = (2.0, *[0.0] * (ROWS - 1))
    for name, means, pairs in (("power", better, FIRST == 0), ("mixed", MIXED, _pair(0, 1))):
        seen = sum(
            decide(part)[:, pairs].mean(axis=1).sum()
            for part in boards(FEWER, seeds, 36, "equal", means)
        )
        found[name] = seen / FEWER
    return found


def covering(seeds: int, interval: str) -> Numbers:
    """One kind of interval: how often it covers the difference of two equals, by luck."""
    found: Numbers = {}
    for luck in ASKED:
        inside = 0.0
        for part in boards(FEWER, seeds, 36, luck):
            low, high = INTERVALS[interval][1](part)
            inside += ((low <= 0) & (high >= 0)).mean(axis=1).sum()
        found[luck] = inside / FEWER
    return found


def beyond(seeds: int, luck: str) -> Numbers:
    """Test outside the assumptions: unequal luck of six equals, and of three among others."""
    found: Numbers = {}
    for way in ("chosen", "plain"):
        decide = WAYS[way][1]
        for name, means, pairs in (
            ("six", (0.0,) * ROWS, SECOND < ROWS),
            ("three", FAR, SECOND < 3),
        ):
            told = sum(
                decide(part)[:, pairs].any(axis=1).sum()
                for part in boards(BOARDS, seeds, 36, luck, means)
            )
            found[f"{name}_{way}"] = told / BOARDS
    return found


def _pair(i: int, j: int) -> np.ndarray:
    return (i == FIRST) & (j == SECOND)


def cells() -> dict[str, Callable[[], Numbers]]:
    """Return the function that computes each set of numbers, by name."""
    made: dict[str, Callable[[], Numbers]] = {}
    for seeds in SEEDS:
        for clients in CLIENTS:
            for luck in ASKED:
                key = f"error/{luck}/{clients}/{seeds}"
                made[key] = lambda s=seeds, c=clients, k=luck: error(s, c, k)
            for luck in ("none", "equal"):
                key = f"power/{luck}/{clients}/{seeds}"
                made[key] = lambda s=seeds, c=clients, k=luck: power(s, c, k)
        for way in WAYS if seeds in WAYS_AT else ():
            made[f"compared/{way}/{seeds}"] = lambda s=seeds, w=way: compared(s, w)
        for kind in INTERVALS:
            made[f"covering/{kind}/{seeds}"] = lambda s=seeds, k=kind: covering(s, k)
        for luck in BEYOND:
            made[f"beyond/{luck}/{seeds}"] = lambda s=seeds, k=luck: beyond(s, k)
    return made


def rounded(found: Numbers) -> Numbers:
    """Return numbers as they are kept."""
    return {name: round(float(value), 4) for name, value in found.items()}


def share(value: float) -> str:
    """Write a share in percent."""
    return f"{100 * value:.1f}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def filled(text: str, data: dict[str, Numbers]) -> str:
    """Return a page with the tables between its marks rewritten."""

    def written(match: re.Match[str]) -> str:
        return f"<!-- table: {match[1]} -->\n\n{TABLES[match[1]](data)}\n\n<!-- /table -->"

    return re.sub(r"<!-- table: (\w+) -->.*?<!-- /table -->", written, text, flags=re.DOTALL)


_BY_SEEDS = [f"{n} seeds" for n in SEEDS]


def _asked(data: dict[str, Numbers], show: Callable[[Numbers], str]) -> str:
    return table(
        ["luck", "clients", *_BY_SEEDS],
        [
            [LUCK[luck], str(n), *(show(data[f"error/{luck}/{n}/{s}"]) for s in SEEDS)]
            for luck in ASKED
            for n in CLIENTS
        ],
    )


def _errors(data: dict[str, Numbers]) -> str:
    return _asked(data, lambda one: share(one["error_chosen"]))


def _coverage(data: dict[str, Numbers]) -> str:
    return _asked(
        data,
        lambda one: " / ".join(
            share(one[name]) for name in ("coverage", "coverage_worst_pair", "coverage_of_a_row")
        ),
    )


def _power(data: dict[str, Numbers]) -> str:
    return table(
        ["luck", "clients", "better by", *_BY_SEEDS],
        [
            [
                LUCK[luck],
                str(n),
                f"{points} point{'s' if points > 1 else ''}",
                *(
                    " / ".join(
                        share(data[f"power/{luck}/{n}/{s}"][f"power_{points}_{way}"])
                        for way in ("chosen", "plain")
                    )
                    for s in SEEDS
                ),
            ]
            for luck in ("none", "equal")
            for n in CLIENTS
            for points in POINTS
        ],
    )


def _compared(data: dict[str, Numbers], seeds: int) -> str:
    return table(
        ["way", *(f"error: {_SHORT[luck]}" for luck in ASKED), "sees 2 points", "of a mixed board"],
        [
            [
                WAYS[way][0],
                *(
                    share(data[f"compared/{way}/{seeds}"][name])
                    for name in (*(f"error_{luck}" for luck in ASKED), "power", "mixed")
                ),
            ]
            for way in WAYS
        ],
    )


_SHORT = {"none": "no luck", "equal": "1 point", "thrice": "one's thrice", "failing": "failures"}


def _covering(data: dict[str, Numbers]) -> str:
    return table(
        ["interval", "luck", *_BY_SEEDS],
        [
            [
                INTERVALS[kind][0],
                _SHORT[luck],
                *(share(data[f"covering/{kind}/{s}"][luck]) for s in SEEDS),
            ]
            for kind in INTERVALS
            for luck in ("none", "equal", "thrice")
        ],
    )


def _beyond(data: dict[str, Numbers]) -> str:
    words = {"six": "six equals", "three": "three equals, three others far away"}
    return table(
        ["luck", "board", *_BY_SEEDS],
        [
            [
                LUCK[luck],
                words[name],
                *(
                    " / ".join(
                        share(data[f"beyond/{luck}/{s}"][f"{name}_{way}"])
                        for way in ("chosen", "plain")
                    )
                    for s in SEEDS
                ),
            ]
            for luck in BEYOND
            for name in words
        ],
    )


TABLES: dict[str, Callable[[dict[str, Numbers]], str]] = {
    "errors": _errors,
    "coverage": _coverage,
    "power": _power,
    "five": lambda data: _compared(data, 5),
    "ten": lambda data: _compared(data, 10),
    "intervals": _covering,
    "beyond": _beyond,
}


def main() -> None:
    """Simulate the named numbers, store them and fill the page."""
    begin = tuple(sys.argv[1:]) or ("",)
    kept: dict[str, Numbers] = json.loads(DATA.read_text()) if DATA.exists() else {}
    data = {
        key: rounded(make()) if key.startswith(begin) else kept[key]
        for key, make in cells().items()
    }
    DATA.write_text(json.dumps(data, indent=1) + "\n")
    PAGE.write_text(filled(PAGE.read_text(), data))


if __name__ == "__main__":
    main()
