"""Writes the published boards from the published runs: python studies/boards.py.

`results/published` and `results/tuned` are results folders like any other. The boards go into
`results/README.md`, and the table of the reference scenario into the README's first screen. A test
checks that the pages match this script.
"""

from __future__ import annotations

from pathlib import Path

from pflbench.analysis import Board, boards, with_tuning
from pflbench.analysis.marks import legend_of_marks
from pflbench.analysis.protocol import FEWEST_SEEDS, no_verdict
from pflbench.report.tables.render import render
from pflbench.results import Store
from pflbench.results.tunings import studies_of

ROOT = Path(__file__).parent.parent
PUBLISHED, TUNED = ROOT / "results" / "published", ROOT / "results" / "tuned"
PAGE, README = ROOT / "results" / "README.md", ROOT / "README.md"
FRONT = ("mnist", "rotated")
"""Data set and partition of the board that the README shows."""

_HEAD = """# Published results

Raw runs lie one folder a run in the [results format](../docs/results-format.md), and the boards
below are generated from them by `python studies/boards.py`:

- [`tuned`](tuned): every method on three kinds of heterogeneity and two data sets, each with the
  same number of tuning trials, from the matrices in [`matrices`](matrices). The trials lie in
  `tuned/tuning`, without their runs. [What they say.](../docs/studies/comparison.md)
- [`published`](published): the official settings of FEDORA and pFedHN, every method with its
  defaults.

Print them yourself, add runs of your own beside them, or read all of it on one page:

```console
$ pflbench leaderboard --results results/tuned --columns tests
$ pflbench report --results results/tuned
```

Runs shared two cores, one thread each, with other work, so the seconds say little:
[performance](../docs/performance.md) is measured by itself.

"""
_TUNED = "## Tuned alike\n\n"
_OFFICIAL = "## Official settings, with defaults\n\n"
_START, _END = "<!-- board -->", "<!-- /board -->"


def published() -> list[Board]:
    """Return the boards of the official settings."""
    return _boards(PUBLISHED)


def tuned() -> list[Board]:
    """Return the boards of the matrices, whose methods have equal tuning."""
    return _boards(TUNED)


def _boards(folder: Path) -> list[Board]:
    return with_tuning(boards(Store(folder).runs()), studies_of(folder))


def page(official: list[Board], alike: list[Board]) -> str:
    """Return `results/README.md`."""
    parts = [_TUNED + render(alike, "markdown").rstrip(), _OFFICIAL + render(official, "markdown")]
    return _HEAD + "\n\n".join(parts).rstrip() + "\n"


def front(found: list[Board]) -> str:
    """Return the README with the reference scenario's table in it."""
    board = next(
        b for b in found if (b.scenario["dataset"], b.scenario["partition"]["name"]) == FRONT
    )
    lines = render(board, "markdown").splitlines()
    words = next(line for line in lines if line and not line.startswith(("#", "|")))
    first = next(i for i, line in enumerate(lines) if line.startswith("|"))
    last = next(i for i in range(first, len(lines)) if not lines[i].startswith("|"))
    caption = next(line for line in lines if line.startswith("*Test accuracy"))
    table = "\n".join(lines[first:last])
    seeds = len(board.seeds)
    verdict = f"{no_verdict(seeds)} " if seeds < FEWEST_SEEDS else ""
    marks = "".join(f"{mark}: {meaning} " for mark, meaning in legend_of_marks(board.rows))
    text = (
        f"{words}\n\n{table}\n\n{caption} ±: standard deviation over seeds. {verdict}{marks}"
        "[What the columns say, and more boards.](results/README.md)"
    )
    before, _, rest = README.read_text().partition(_START)
    _, _, after = rest.partition(_END)
    return f"{before}{_START}\n{text}\n{_END}{after}"


def main() -> None:
    """Write both pages."""
    found = published()
    PAGE.write_text(page(found, tuned()))
    README.write_text(front(found))


if __name__ == "__main__":
    main()
