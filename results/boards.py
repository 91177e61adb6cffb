"""Writes the published boards from the published runs: python results/boards.py.

`results/published` is a results folder like any other. The boards go into `results/README.md`,
and the table of the reference scenario into the README's first screen. A test holds the pages to
what this writes.
"""

from __future__ import annotations

from pathlib import Path

from pflbench.leaderboard import Board, boards, render, with_tuning
from pflbench.results import Store
from pflbench.results.tunings import studies_of

ROOT = Path(__file__).parent.parent
PUBLISHED = ROOT / "results" / "published"
PAGE, README = ROOT / "results" / "README.md", ROOT / "README.md"
FRONT = ("mnist", "rotated")
"""Data set and partition of the board that the README shows."""

_HEAD = """# Published results

Raw runs lie in [`published`](published), one folder a run, in the
[results format](../docs/results-format.md); the boards below are generated from them by
`python results/boards.py`. Print them yourself, or add runs of your own beside them:

```console
$ pflbench leaderboard --results results/published
```

Nothing here is tuned: every method runs with its defaults. Two or three runs shared two cores at a
time, one thread each, so the seconds say little: [performance](../docs/performance.md) is measured
by itself.

"""
_START, _END = "<!-- board -->", "<!-- /board -->"


def published() -> list[Board]:
    """Return the boards of the published runs."""
    return with_tuning(boards(Store(PUBLISHED).runs()), studies_of(PUBLISHED))


def page(found: list[Board]) -> str:
    """Return `results/README.md`."""
    return _HEAD + render(found, "markdown").rstrip() + "\n"


def front(found: list[Board]) -> str:
    """Return the README with the reference scenario's table in it."""
    board = next(
        b for b in found
        if (b.scenario["dataset"], b.scenario["partition"]["name"]) == FRONT
    )  # fmt: skip
    lines = render(board, "markdown").splitlines()
    words = next(line for line in lines if line and not line.startswith(("#", "|")))
    first = next(i for i, line in enumerate(lines) if line.startswith("|"))
    last = next(i for i in range(first, len(lines)) if not lines[i].startswith("|"))
    caption = next(line for line in lines if line.startswith("*Test accuracy"))
    table = "\n".join(lines[first:last])
    text = (
        f"{words}\n\n{table}\n\n{caption} "
        "[What the columns say, and more boards.](results/README.md)"
    )
    before, _, rest = README.read_text().partition(_START)
    _, _, after = rest.partition(_END)
    return f"{before}{_START}\n{text}\n{_END}{after}"


def main() -> None:
    """Write both pages."""
    found = published()
    PAGE.write_text(page(found))
    README.write_text(front(found))


if __name__ == "__main__":
    main()
